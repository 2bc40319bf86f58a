// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import TLS

/// The checks of all endpoints, side by side on one thread: one that hangs delays no other.
struct HealthLoop: ~Copyable, Reacting {
    /// What is known of one endpoint.
    private final class Checked {
        let endpoint: Endpoint
        var upstream: CheckedUpstream
        var check: HealthCheck { upstream.check }
        /// Checks in a row that speak against the present state.
        var streak = 0
        var report = HealthReport()
        var probe: HealthProbe?
        /// Of the probe, so that an event for an earlier one finds nothing.
        var generation: UInt32 = 0
        var nextMilliseconds: UInt64 = 0
        /// It is due and waits for others to end.
        var isQueued = false

        init(_ endpoint: Endpoint, _ upstream: CheckedUpstream) {
            self.endpoint = endpoint
            self.upstream = upstream
        }
    }

    /// Checks under way at one time: each takes a descriptor.
    static let probesMax = 256
    /// How long the other side may take to close after the verdict.
    private static let lingerMilliseconds: UInt64 = 1_000

    var loop: ReactorLoop<HealthWatch.Order>
    private(set) var isOver = false
    private let watch: HealthWatch
    /// What all probes speak TLS through.
    private let records = RecordBuffers(outputCapacity: 64 * 1_024)
    private var slots: [Checked?] = []
    private var probeCount = 0
    /// Slots that are due and wait for their turn.
    private var queue: [Int] = []

    init(_ watch: HealthWatch) throws(SystemError) {
        self.watch = watch
        loop = ReactorLoop(poller: try Poller(), mailbox: watch.door, tickMilliseconds: 16)
    }

    deinit {
        // Sessions of probes are gone before what they speak through.
        for checked in slots { checked?.probe = nil }
        records.free()
    }

    /// Checks until it is told to stop.
    mutating func run() { _ = turnUntilOver() }

    mutating func receive(_ message: HealthWatch.Order) {
        switch message {
        case .watch(let upstreams): take(upstreams)
        case .stop: isOver = true
        }
    }

    mutating func timeIsUp(_ token: Token) { timeIsUp(Int(token.index), loop.now) }

    mutating func endTurn() { startQueued(loop.now) }

    // MARK: Who is checked

    private mutating func take(_ upstreams: [CheckedUpstream]) {
        var known: [ObjectIdentifier: Checked] = [:]
        for checked in slots {
            if let checked { known[ObjectIdentifier(checked.endpoint)] = checked }
        }
        var kept: Set<ObjectIdentifier> = []
        var added: [Checked] = []
        for upstream in upstreams {
            for endpoint in upstream.endpoints {
                let id = ObjectIdentifier(endpoint)
                kept.insert(id)
                guard let checked = known[id] else {
                    added.append(Checked(endpoint, upstream))
                    continue
                }
                let before = checked.check
                checked.upstream = upstream
                // Who is asked otherwise is asked at once; what it was found to be holds until then.
                if before != upstream.check {
                    checked.streak = 0
                    checked.nextMilliseconds = 0
                }
            }
        }
        let now = Clock.nowMilliseconds()
        for index in slots.indices {
            guard let checked = slots[index] else { continue }
            if !kept.contains(ObjectIdentifier(checked.endpoint)) {
                end(checked)
                loop.timers.cancel(token(index, checked))
                slots[index] = nil
                watch.forget(checked.endpoint)
            } else if checked.nextMilliseconds == 0 {
                end(checked)
                loop.timers.cancel(token(index, checked))
                due(index, now)
            }
        }
        queue.removeAll { slots[$0] == nil }
        var free = slots.indices.filter { slots[$0] == nil }
        for checked in added {
            let index = free.popLast() ?? slots.count
            if index == slots.count { slots.append(checked) } else { slots[index] = checked }
            loop.timers.reserve(index: index)
            due(index, now)
        }
        startQueued(now)
    }

    private func token(_ index: Int, _ checked: Checked) -> Token {
        Token(index: UInt32(index), generation: checked.generation)
    }

    // MARK: One check

    private mutating func due(_ index: Int, _ now: UInt64) {
        guard let checked = slots[index], !checked.isQueued else { return }
        checked.isQueued = true
        queue.append(index)
    }

    private mutating func startQueued(_ now: UInt64) {
        while probeCount < Self.probesMax, let index = queue.first {
            queue.removeFirst()
            slots[index]?.isQueued = false
            begin(index, now)
        }
    }

    private mutating func begin(_ index: Int, _ now: UInt64) {
        guard let checked = slots[index] else { return }
        // Not all at the same time, nor for ever in the same order.
        let every = checked.check.everyMilliseconds
        checked.nextMilliseconds = now + every * UInt64.random(in: 900...1_100) / 1_000
        checked.generation = (checked.generation + 1) % Token.generationCount
        let probe = HealthProbe(checked.upstream, checked.endpoint, through: records)
        checked.probe = probe
        probeCount += 1
        loop.timers.arm(token(index, checked), at: now + checked.check.timeoutMilliseconds)
        follow(index, checked, probe.connect(), now)
    }

    mutating func isReady(_ token: Token, _ flags: Readiness) {
        let index = Int(token.index)
        guard index < slots.count, let checked = slots[index], let probe = checked.probe,
            checked.generation == token.generation
        else { return }
        follow(index, checked, probe.ready(flags), Clock.nowMilliseconds())
    }

    private mutating func timeIsUp(_ index: Int, _ now: UInt64) {
        guard let checked = slots[index] else { return }
        guard let probe = checked.probe else {
            due(index, now)
            return
        }
        if !probe.isLingering { conclude(checked, probe.timeoutReason, now) }
        rest(index, checked, now)
    }

    private mutating func follow(
        _ index: Int, _ checked: Checked, _ outcome: HealthProbe.Outcome, _ now: UInt64
    ) {
        guard let probe = checked.probe else { return }
        switch outcome {
        case .pending:
            guard probe.needsWatching else { return }
            probe.isWatched()
            if !loop.poller.add(probe.descriptor, token(index, checked), .edgeBoth) {
                skip(index, checked, .watches, now)
            }
        case .passed, .failed:
            var reason: String?
            if case .failed(let text) = outcome { reason = text }
            conclude(checked, reason, now)
            if probe.beginToLinger() {
                loop.timers.arm(token(index, checked), at: now + Self.lingerMilliseconds)
            } else {
                rest(index, checked, now)
            }
        case .skipped(let shortage): skip(index, checked, shortage, now)
        case .over: rest(index, checked, now)
        }
    }

    /// Ends a check that could not be made: it says nothing of the endpoint, for better or worse.
    private mutating func skip(
        _ index: Int, _ checked: Checked, _ shortage: Shortage, _ now: UInt64
    ) {
        watch.journal.note(shortage, dialing: checked.endpoint.label, nowMilliseconds: now)
        rest(index, checked, now)
    }

    private mutating func end(_ checked: Checked) {
        guard checked.probe != nil else { return }
        // The socket closes with it.
        checked.probe = nil
        probeCount -= 1
    }

    /// Waits for the next check.
    private mutating func rest(_ index: Int, _ checked: Checked, _ now: UInt64) {
        end(checked)
        loop.timers.arm(token(index, checked), at: max(checked.nextMilliseconds, now))
    }

    // MARK: What follows from it

    /// Takes a result up: `reason` is nil where the check has passed.
    private func conclude(_ checked: Checked, _ reason: String?, _ now: UInt64) {
        let wall = Clock.wallMilliseconds()
        checked.report.checkedMilliseconds = wall
        checked.report.failure = reason
        if let reason {
            checked.report.lastFailure = reason
            checked.report.lastFailureMilliseconds = wall
        }
        let load = checked.endpoint.load
        let before = load.health
        let isWell = reason == nil
        var after = before
        switch before {
        // The first check decides alone.
        case .pending, .unchecked: after = isWell ? .healthy : .unhealthy
        case .healthy, .unhealthy:
            checked.streak = isWell == (before == .healthy) ? 0 : checked.streak + 1
            let needed = isWell ? checked.check.rise : checked.check.fall
            if checked.streak >= needed { after = isWell ? .healthy : .unhealthy }
        }
        if after != before {
            let count = max(1, checked.streak)
            checked.streak = 0
            checked.report.sinceMilliseconds = wall
            // Its share grows from now on, if it is one of those that begin slowly.
            if after == .healthy && (before == .unhealthy || load.hasJoined) {
                load.join(nowMilliseconds: now)
            }
            load.health = after
            tell(checked, before, reason, count)
            if after == .healthy { checked.upstream.recovered() }
        }
        watch.note(checked.report, of: checked.endpoint)
    }

    private func tell(_ checked: Checked, _ before: EndpointHealth, _ reason: String?, _ count: Int)
    {
        let title = checked.endpoint.title(of: checked.upstream.name)
        if let reason {
            let checks =
                count == 1 ? "its check failed" : "\(count) checks in a row failed, at last"
            watch.journal.event(LogEvent(.warning, "\(title) is unhealthy: \(checks): \(reason)."))
        } else if before == .unhealthy {
            watch.journal.event(LogEvent(.info, "\(title) is healthy again."))
        }
    }
}

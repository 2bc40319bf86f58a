// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Splice
import Wire

/// One reactor's part of a drain: first all relays are found, and the handshakes that may become some, a
/// piece in each turn; then the relays are told one by one, evenly over the time that there is.
struct DrainTask {
    let drain: Drain
    /// The last slot looked at; nil when all were.
    private(set) var scanned: Int? = -1
    /// The last slot of requests looked at; nil when all were, or none is waited for.
    private(set) var scannedRequests: Int?
    /// Handshakes that were under way when it began.
    private var awaited: [Token] = []
    private var tokens: [Token] = []
    private var next = 0
    /// Relays that were found, those that have ended by themselves since included.
    private var foundCount = 0
    /// Relays that another drain had told before it was their turn, and that are not over.
    private var toldElsewhere: [Token] = []

    /// A task that has found nobody yet; handshakes are waited for where `awaitsHandshakes`.
    init(_ drain: Drain, awaitsHandshakes: Bool) {
        self.drain = drain
        scannedRequests = awaitsHandshakes ? -1 : nil
    }

    var isScanning: Bool { scanned != nil || scannedRequests != nil }
    var isDone: Bool {
        !isScanning && next >= tokens.count && awaited.isEmpty && toldElsewhere.isEmpty
    }
    /// Relays that were found and neither told nor seen to be over.
    var leftCount: Int { tokens.count - next + toldElsewhere.count }

    /// Relays that were found and whose turn has not come.
    var ahead: ArraySlice<Token> { tokens[next...] }

    /// When the next relay is to be told; never while they are being looked for.
    var nextMilliseconds: UInt64 {
        isScanning || next >= tokens.count ? .max : due(next)
    }

    private func due(_ index: Int) -> UInt64 {
        drain.startMilliseconds
            + drain.spreadMilliseconds(ofRelays: foundCount) * UInt64(index)
            / UInt64(max(1, foundCount))
    }

    mutating func append(_ token: Token) {
        guard drain.find() else { return }
        tokens.append(token)
        foundCount += 1
    }

    /// Forgets those at the end of the line that have ended by themselves, so that nobody waits for their
    /// turn, and those that another drain has ended.
    mutating func dropEnded(_ hasEnded: (Token) -> Bool) {
        if isScanning { return }
        let before = leftCount
        while tokens.count > next, let last = tokens.last, hasEnded(last) { tokens.removeLast() }
        while let last = toldElsewhere.last, hasEnded(last) { toldElsewhere.removeLast() }
        if leftCount < before { drain.endedElsewhere(before - leftCount) }
    }

    /// Waits for the end of a relay that another drain has told.
    mutating func awaitEnd(of relay: Token) { toldElsewhere.append(relay) }

    mutating func scannedUp(to index: Int?) { scanned = index }

    mutating func scannedRequestsUp(to index: Int?) { scannedRequests = index }

    /// Waits for what becomes of a handshake.
    mutating func awaitHandshake(_ request: Token) { awaited.append(request) }

    /// Forgets handshakes at the end of the list that have become something by now; those in front of them
    /// have their turn behind them.
    mutating func dropAwaited(_ isOver: (Token) -> Bool) {
        while let last = awaited.last, isOver(last) { awaited.removeLast() }
    }

    mutating func popDue(_ now: UInt64) -> Token? {
        guard !isScanning, next < tokens.count, due(next) <= now else { return nil }
        defer { next += 1 }
        return tokens[next]
    }
}

/// The drains that one reactor has in hand.
struct DrainSchedule {
    /// Slots looked at in one turn.
    static let scannedPerTurn = 2_048

    var tasks: [DrainTask] = []
    /// Where clients without a tunnel are looked for when the process goes away: the last slot looked
    /// at; nil when nobody is looked for.
    var scannedClients: Int?

    var isEmpty: Bool { tasks.isEmpty && scannedClients == nil }
    /// Whether something is still looked for.
    var isScanning: Bool { scannedClients != nil || tasks.contains(where: \.isScanning) }

    /// When the next relay is to be told; `.max` for never.
    var nextMilliseconds: UInt64 {
        var next = UInt64.max
        for task in tasks { next = min(next, task.nextMilliseconds) }
        return next
    }

    /// All are over, since the reactor ends.
    mutating func endAll() {
        for task in tasks {
            task.drain.endedElsewhere(task.leftCount)
            task.drain.told(by: 1, count: 0)
        }
        tasks = []
    }
}

/// Ends relays on purpose: all, or those of a route or endpoint.
struct DrainKeeper {
    let state: StatePointer

    /// Relays told in one turn.
    private static let toldPerTurn = 128

    init(_ state: StatePointer) { self.state = state }

    /// Begins to end relays.
    func begin(_ drain: Drain) {
        let task = DrainTask(
            drain, awaitsHandshakes: drain.takesLate && drain !== state.pointee.leaving)
        state.pointee.drains.tasks.append(task)
    }

    /// Ends a drain: nobody is told any more.
    func stop(_ drain: Drain) {
        assert(drain.isStopped, "a drain is stopped that does not know of it")
        state.pointee.drains.tasks.removeAll { task in
            if task.drain === drain { drain.told(by: 1, count: 0) }
            return task.drain === drain
        }
    }

    /// Begins to end all relays, and whatever waits for an answer; `WorkerState.leaving` is set.
    func leave(_ drain: Drain) {
        assert(state.pointee.leaving === drain, "a drain of all that the reactor does not know of")
        state.pointee.drains.scannedClients = -1
        begin(drain)
    }

    /// A relay that was opened while its like is being ended comes last.
    func join(_ tunnel: TunnelPointer) {
        if state.pointee.drains.isEmpty && state.pointee.leaving == nil { return }
        let slot = tunnel.pointee.slot
        var isToldByLeaving = false
        for index in state.pointee.drains.tasks.indices
        where state.pointee.drains.tasks[index].drain.plan.concerns(tunnel.pointee.asked) {
            let drain = state.pointee.drains.tasks[index].drain
            if drain === state.pointee.leaving { isToldByLeaving = true }
            // Slots that were not looked at yet are found anyway.
            if let scanned = state.pointee.drains.tasks[index].scanned,
                Int(slot.index) > scanned
            {
                continue
            }
            // Elsewhere, and where new ones begin again, who comes stays.
            if drain !== state.pointee.leaving && !drain.takesLate { continue }
            // Each drain that concerns it has it: the first to come to its turn ends it.
            state.pointee.drains.tasks[index].append(slot)
        }
        if let leaving = state.pointee.leaving, !isToldByLeaving, tell(slot, leaving) == .told {
            _ = leaving.find()
            leaving.told(by: 0, count: 1)
        }
    }

    /// Goes on with the drains, a bounded step each.
    func run() {
        scanClients()
        // Those that close tunnels change nothing here: tokens of closed ones name nobody.
        for index in state.pointee.drains.tasks.indices {
            let drain = state.pointee.drains.tasks[index].drain
            if state.pointee.drains.tasks[index].scanned != nil { scan(index) }
            if state.pointee.drains.tasks[index].scannedRequests != nil { scanRequests(index) }
            state.pointee.drains.tasks[index].dropEnded {
                state.pointee.tunnels.pointer($0) == nil
            }
            state.pointee.drains.tasks[index].dropAwaited { !mayOpen($0, drain) }
            var told = 0
            var taken = 0
            while taken < Self.toldPerTurn, !drain.isStopped,
                let slot = state.pointee.drains.tasks[index].popDue(state.pointee.now)
            {
                taken += 1
                switch tell(slot, drain) {
                case .told: told += 1
                case .over: drain.endedElsewhere(1)
                case .toldElsewhere: state.pointee.drains.tasks[index].awaitEnd(of: slot)
                }
            }
            if told > 0 { drain.told(by: 0, count: told) }
        }
        state.pointee.drains.tasks.removeAll { task in
            if task.isDone { task.drain.told(by: 1, count: 0) }
            return task.isDone
        }
    }

    private func scan(_ index: Int) {
        var last = state.pointee.drains.tasks[index].scanned ?? -1
        for _ in 0..<DrainSchedule.scannedPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else {
                state.pointee.drains.tasks[index].scannedUp(to: nil)
                state.pointee.drains.tasks[index].drain.looked()
                return
            }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            let drain = state.pointee.drains.tasks[index].drain
            guard drain.plan.concerns(tunnel.pointee.asked) else { continue }
            if let group = drain.plan.sparing, comesBack(tunnel, group) {
                drain.spare()
            } else {
                state.pointee.drains.tasks[index].append(slot)
            }
        }
        state.pointee.drains.tasks[index].scannedUp(to: last)
    }

    /// Whether the client of a relay, if it came again, would be sent to the same endpoint by its hash.
    private func comesBack(_ tunnel: TunnelPointer, _ group: EndpointGroup) -> Bool {
        // What was hashed before a reload says nothing where something else is hashed now.
        guard let key = tunnel.pointee.asked.key,
            tunnel.pointee.asked.plan?.route.upstream?.hash == group.hash,
            let home = group.picker.home(of: key, nowMilliseconds: state.pointee.now)
        else { return false }
        return group.endpoints[home].label == tunnel.pointee.asked.upstream
    }

    /// Looks for handshakes that may become relays of a drain's.
    private func scanRequests(_ index: Int) {
        let drain = state.pointee.drains.tasks[index].drain
        var last = state.pointee.drains.tasks[index].scannedRequests ?? -1
        for _ in 0..<DrainSchedule.scannedPerTurn {
            guard let slot = state.pointee.requests.nextLive(after: last) else {
                state.pointee.drains.tasks[index].scannedRequestsUp(to: nil)
                return
            }
            last = Int(slot.index)
            if mayOpen(slot, drain) { state.pointee.drains.tasks[index].awaitHandshake(slot) }
        }
        state.pointee.drains.tasks[index].scannedRequestsUp(to: last)
    }

    /// Whether a request may yet become a relay of a drain's: its upstream has not answered.
    private func mayOpen(_ slot: Token, _ drain: Drain) -> Bool {
        guard let request = state.pointee.requests.pointer(slot), request.pointee.isUpgrade,
            !request.pointee.answer.hasHead
        else { return false }
        return drain.plan.concerns(
            route: request.pointee.facts.route, endpoint: request.pointee.facts.upstream)
    }

    /// The process goes: what has no tunnel ends with the answer that it waits for.
    private func scanClients() {
        guard var last = state.pointee.drains.scannedClients, let leaving = state.pointee.leaving
        else { return }
        for _ in 0..<DrainSchedule.scannedPerTurn {
            guard let client = state.pointee.clients.nextLive(after: last) else {
                state.pointee.drains.scannedClients = nil
                return
            }
            last = Int(client.index)
            guard let session = state.pointee.clients.pointer(client)?.pointee.session else {
                continue
            }
            SessionKeeper(state).processLeaves(session, isReplaced: leaving.plan.isReplaced)
            RequestExecutor(state).run()
        }
        state.pointee.drains.scannedClients = last
    }

    /// What has become of a relay at its turn in a drain.
    private enum Turn {
        /// It was sent the Close, or will be at its next frame border.
        case told
        /// Another drain had told it, and sees to its end.
        case toldElsewhere
        /// It had ended before.
        case over
    }

    /// Ends a relay; one that another drain is ending has no more time than this one gives it.
    private func tell(_ slot: Token, _ drain: Drain) -> Turn {
        guard let tunnel = state.pointee.tunnels.pointer(slot) else { return .over }
        if tunnel.pointee.drain != nil {
            let verdict = tunnel.pointee.relay.hasToEnd(by: drain.deadlineMilliseconds)
            if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
            return .toldElsewhere
        }
        tunnel.pointee.drain = drain
        let verdict = tunnel.pointee.relay.drain(
            code: drain.plan.code, text: drain.closeText,
            deadlineMilliseconds: drain.deadlineMilliseconds, state.pointee.space)
        TunnelKeeper(state).obey(verdict, tunnel)
        return .told
    }
}

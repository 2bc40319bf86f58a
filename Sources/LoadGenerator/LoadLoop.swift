// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP2
import Reactor
import TLS
import Wire

/// The reactor of a load: all connections on one thread.
///
/// Buffers belong to the loop and not to connections, so that ten thousand of them cost little more
/// than their sockets and TLS sessions.
struct LoadLoop: ~Copyable, Reacting {
    typealias ClientPointer = UnsafeMutablePointer<LoadClient>

    enum Stage: UInt8 {
        case opening, warming, measuring
        /// Messages that left by the clock are still awaited.
        case draining
        case closing, done
    }

    /// Room in front of the buffers for an incomplete header or control frame of the read before.
    static let headroom = 160
    static let receiveBytes = 128 * 1024
    static let openedBytes = receiveBytes + 17 * 1024
    static let scratchBytes = 64 * 1024
    static let second: UInt64 = 1_000_000_000
    private static let inputToken = Token.fixed(1)
    /// A run by count ends with an error when nothing comes back for so long.
    private static let stallNanoseconds = 30 * second

    let plan: LoadPlan
    let address: Address
    let context: TLSContext?
    let opening: OpeningHandshake
    let template: FrameTemplate
    let records: RecordBuffers
    let received: UnsafeMutablePointer<UInt8>
    let opened: UnsafeMutablePointer<UInt8>
    let scratch: UnsafeMutablePointer<UInt8>
    /// What carriers have produced.
    let produced: UnsafeMutablePointer<UInt8>
    let streamMemory = HTTP2Memory()
    var loop: ReactorLoop<Never>
    var slab: Slab<LoadClient>
    var pool = BufferPool(chunksKept: 256)
    var random = SystemRandomNumberGenerator()

    var meter = LoadMeter()
    var stage = Stage.opening
    /// The time in nanoseconds, read anew for each event.
    var now: UInt64
    private var stageEndsAt: UInt64 = .max
    var startedCount = 0
    var openingCount = 0
    var openCount = 0
    /// The connections that were opened, in that order; some may be gone.
    var roster: [Token] = []
    /// Connections that carry streams, in the order in which they were ready; some may be gone.
    var carriers: [Token] = []
    var carrierCount = 0
    var streamNumber: UInt64 = 0
    /// Those that may have something to send.
    var dirtyCarriers: [Token] = []
    /// Tickets that the server has given, each of which is used once (RFC 8446 §C.4).
    var tickets: [ResumptionTicket] = []
    private var isInputClosed = false
    /// Is told how many connections are open before traffic begins.
    private var onOpen: (Int) -> Void = { _ in }

    /// When the clock of `rate` began, and how many messages it has let go since.
    var clockBeganAt: UInt64 = 0
    private var clockCount: UInt64 = 0
    var measureBeganAt: UInt64 = 0
    private(set) var measureEndedAt: UInt64 = .max
    private var lastProgress: (count: UInt64, at: UInt64) = (0, 0)
    private var usage: UsageSample

    init(
        plan: LoadPlan, address: Address, context: TLSContext?, opening: OpeningHandshake
    ) throws(SystemError) {
        self.plan = plan
        self.address = address
        self.context = context
        self.opening = opening
        template = FrameTemplate(messageBytes: plan.messageBytes)
        now = Clock.nowNanoseconds()
        usage = UsageSample(watch: ProcessWatch(processes: plan.watchedProcesses))
        records = RecordBuffers()
        received = Self.buffer(Self.receiveBytes)
        opened = Self.buffer(Self.openedBytes)
        scratch = Self.buffer(Self.scratchBytes)
        produced = .allocate(capacity: Self.producedBytes)
        slab = Slab(capacity: plan.connections * (1 + (plan.streams ?? 0)) * 2 + 1024)
        loop = ReactorLoop(poller: try Poller())
    }

    deinit {
        (received - Self.headroom).deallocate()
        (opened - Self.headroom).deallocate()
        (scratch - Self.headroom).deallocate()
        produced.deallocate()
        // `run` leaves no session behind that would use the window.
        records.free()
    }

    private static func buffer(_ capacity: Int) -> UnsafeMutablePointer<UInt8> {
        .allocate(capacity: capacity + headroom) + headroom
    }

    /// Whether each connection is closed as soon as it is open, and followed by another.
    var isCycling: Bool {
        if case .connect = plan.mode { true } else { false }
    }

    /// Generates the load; `onOpen` is told how many connections are open before traffic begins.
    mutating func run(onOpen: @escaping (Int) -> Void) -> LoadReport {
        self.onOpen = onOpen
        watchInput()
        usage.begin()
        if isCycling { beginTraffic() }
        openMore()
        _ = turnUntilOver()
        discardAll()
        return report()
    }

    var isOver: Bool { stage == .done }

    mutating func beginTurn() { now = Clock.nowNanoseconds() }

    mutating func isReady(_ token: Token, _ flags: Readiness) {
        if let client = slab.pointer(token) {
            // Latency is a matter of single events, not of batches.
            now = Clock.nowNanoseconds()
            clientIsReady(client, token, flags)
        } else if token == Self.inputToken {
            readInput()
        }
    }

    mutating func timeIsUp(_ token: Token) { timeIsOut(token) }

    mutating func endTurn() {
        sendByTheClock()
        advance()
        flushCarriers()
        slab.releaseRetired()
        openMore()
    }

    private mutating func discardAll() {
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            if let client = slab.pointer(token) { finish(client, token) }
        }
        slab.releaseRetired()
    }

    func watch(_ descriptor: Int32, _ token: Token) -> Bool {
        loop.poller.add(descriptor, token, .edgeBoth)
    }

    /// When the message of the clock that is a connection's `index`th should leave.
    func intendedAt(position: Int, index: UInt64) -> UInt64 {
        guard case .rate(let rate) = plan.mode else { return 0 }
        let number = Double(position) + Double(index) * Double(roster.count)
        return clockBeganAt + UInt64(number / rate * Double(Self.second))
    }

    func limit(_ wait: inout WaitTime) {
        wait.limit(toNanoseconds: min(Self.second, stageEndsAt > now ? stageEndsAt - now : 0))
        if case .rate(let rate) = plan.mode, stage == .warming || stage == .measuring {
            let next = clockBeganAt + UInt64(Double(clockCount) / rate * Double(Self.second))
            wait.limit(toNanoseconds: next > now ? next - now : 0)
        }
    }

    private mutating func sendByTheClock() {
        guard case .rate(let rate) = plan.mode, stage == .warming || stage == .measuring,
            !roster.isEmpty
        else { return }
        now = Clock.nowNanoseconds()
        let due = UInt64(Double(now - clockBeganAt) / Double(Self.second) * rate) + 1
        while clockCount < due {
            let token = roster[Int(clockCount % UInt64(roster.count))]
            clockCount += 1
            guard let client = slab.pointer(token) else { continue }
            client.pointee.allowed += 1
            sendMore(client, token)
        }
    }

    // MARK: Stages

    private mutating func advance() {
        switch stage {
        case .opening:
            guard startedCount >= plan.connections, openingCount == 0 else { return }
            onOpen(plan.mode == .cycle ? carrierCount : openCount)
            beginTraffic()
        case .warming:
            if now >= stageEndsAt { beginMeasuring() }
        case .measuring:
            if isMeasured() { endMeasuring() }
        case .draining:
            if now >= stageEndsAt || awaitedCount() == 0 { beginClosing() }
        case .closing:
            if now >= stageEndsAt || slab.count == 0 { stage = .done }
        case .done:
            break
        }
    }

    private mutating func beginTraffic() {
        clockBeganAt = now
        if plan.mode == .idle { usage.noteOpened() }
        if plan.warmupSeconds > 0 {
            stage = .warming
            stageEndsAt = now + UInt64(plan.warmupSeconds * Double(Self.second))
        } else {
            beginMeasuring()
        }
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            sendMore(client, token)
        }
        guard plan.mode == .cycle, let streams = plan.streams else { return }
        for token in carriers {
            guard let carrier = slab.pointer(token) else { continue }
            _ = openStreams(streams, on: carrier, token)
        }
    }

    private mutating func beginMeasuring() {
        stage = .measuring
        now = Clock.nowNanoseconds()
        measureBeganAt = now
        lastProgress = (0, now)
        stageEndsAt = .max
        if case .seconds(let seconds) = plan.end {
            stageEndsAt = now + UInt64(seconds * Double(Self.second))
        }
        meter.isMeasuring = true
        if plan.mode != .idle { usage.beginMeasuring() }
    }

    private mutating func isMeasured() -> Bool {
        let isGone = plan.mode == .cycle ? carrierCount == 0 : openCount == 0 && !isCycling
        if isGone { return true }
        // Nothing works: no use in going on until the time is over.
        if isCycling && meter.count == 0 && meter.errors >= 4 * UInt64(plan.connections) {
            return true
        }
        switch plan.end {
        case .seconds:
            return now >= stageEndsAt
        case .standardInputCloses:
            return isInputClosed
        case .count(let count):
            if meter.count >= count { return true }
            if meter.count > lastProgress.count { lastProgress = (meter.count, now) }
            guard now - lastProgress.at > Self.stallNanoseconds else { return false }
            meter.note(error: "nothing came back for 30 seconds")
            return true
        }
    }

    private mutating func endMeasuring() {
        usage.endMeasuring(isOpeningMeasured: plan.mode == .idle)
        measureEndedAt = now
        if case .rate = plan.mode {
            stage = .draining
            stageEndsAt = now + 2 * Self.second
        } else {
            beginClosing()
        }
    }

    /// Messages that the clock has let go and that are not back.
    private func awaitedCount() -> UInt64 {
        var count: UInt64 = 0
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            count += client.pointee.allowed - client.pointee.answered
        }
        return count
    }

    private mutating func beginClosing() {
        if stage == .draining {
            let count = awaitedCount()
            if count > 0 { meter.note(count, "\(count) messages did not come back") }
        }
        meter.isMeasuring = false
        stage = .closing
        stageEndsAt = now + 2 * Self.second
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token) else { continue }
            switch client.pointee.phase {
            case .connecting, .handshaking, .upgrading, .greeting: finish(client, token)
            case .carrying: endIdleCarrier(client, token)
            case .open: sendMore(client, token)
            case .closing, .ending: break
            }
        }
    }

    private func report() -> LoadReport {
        var report = LoadReport()
        report.connections = plan.connections
        report.streams = plan.streams
        report.opened = roster.count
        report.messageBytes = plan.messageBytes
        report.url = plan.target.url
        report.seconds = Double(measureEndedAt - measureBeganAt) / Double(Self.second)
        report.fill(from: meter, mode: plan.mode)
        usage.fill(&report, mode: plan.mode)
        return report
    }

    // MARK: Standard input

    private mutating func watchInput() {
        guard plan.end == .standardInputCloses else { return }
        // A file can't be watched, and what is not open has ended.
        isInputClosed =
            fcntl(STDIN_FILENO, F_GETFD) < 0
            || !loop.poller.add(STDIN_FILENO, Self.inputToken, .levelRead)
    }

    private mutating func readInput() {
        guard read(STDIN_FILENO, scratch, Self.scratchBytes) <= 0 else { return }
        isInputClosed = true
        loop.poller.remove(STDIN_FILENO)
    }
}

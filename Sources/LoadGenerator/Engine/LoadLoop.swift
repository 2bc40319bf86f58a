// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP2
import Reactor
import TLS
import Tap
import Wire

/// The reactor of a load: all its connections on one thread.
///
/// Buffers belong to the loop and not to connections, so that ten thousand of them cost little more
/// than their sockets and TLS sessions.
struct LoadLoop: ~Copyable, Reacting {
    typealias ClientPointer = UnsafeMutablePointer<LoadClient>

    enum Stage: UInt8 {
        case opening, warming, measuring
        /// Answers that are missing are still awaited.
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

    let plan: LoadPlan
    /// What of the plan's mode is asked for with every message.
    let kind: LoadKind
    /// Messages that a connection may have under way, where one waits for another.
    let inFlight: UInt64
    /// Messages per second of the clock.
    private let clockRate: Double
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
    /// When the messages under way were sent, in `closed` with several: as many for each connection.
    let sentTimes: UnsafeMutablePointer<UInt64>?
    /// What HTTP/2 is asked with.
    let streamFields: [(String, String)]
    let streamMemory = HTTP2Memory()
    /// By which messages are compressed and read, where they are.
    let deflater: Deflater?
    let inflater = Inflater()
    /// What several loops of one load share; nil for one that runs alone.
    let control: LoadControl?
    /// In nanoseconds; `max` where nothing is late.
    let lateNanoseconds: UInt64
    /// As many messages are sent where each is accounted for; `max` where there is no such bound.
    let messagesMax: UInt64
    var loop: ReactorLoop<Never>
    var slab: Slab<LoadClient>
    var pool = BufferPool(chunksKept: 256)
    var random = SystemRandomNumberGenerator()

    /// What is counted; beside the loop, which is copied where a method only reads it.
    let meter: UnsafeMutablePointer<LoadMeter>
    var stage = Stage.opening
    /// The time in nanoseconds, read anew for each event.
    var now: UInt64
    /// Since when what is read in this turn may have waited.
    var waitingSince: UInt64
    /// When the connections began that were read on in the turn before; 0 where there were none.
    var readOnBeganAt: UInt64 = 0
    /// Until when open connections may be read in this turn.
    var readUntil: UInt64 = .max
    var stageEndsAt: UInt64 = .max
    var openingBeganAt: UInt64 = 0
    var openingEndedAt: UInt64 = 0
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
    /// Players that have had their share of a turn, and go on in the next.
    var postponed: [Token] = []
    /// Connections whose sockets have more than one turn reads of them, in the order in which they are read on.
    var unread: [Unread] = []
    /// Sessions that wait to go on without OpenSSL's object.
    var settling = SettlingQueue()
    var burst = BurstMemory(windowMilliseconds: .max)
    /// Clients of a storm that wait for their next attempt.
    var comebacks = DueQueue<Comeback>()
    /// Players that wait for a moment of their recording, for the last milliseconds before it.
    var wakings = DueQueue<Waking>()
    var stormBeganAt: UInt64 = 0
    var servedCount = 0
    /// Clients of a storm that were not served again at its end.
    var stragglers = StormStragglers()
    var attemptCount: UInt64 = 0
    var isInputClosed = false
    var hasArrived = false
    /// Is told how many connections are open before traffic begins.
    var onOpen: (Int) -> Void = { _ in }

    /// When the clock of `rate` began, and how many messages it has let go since.
    var clockBeganAt: UInt64 = 0
    private var clockCount: UInt64 = 0
    var measureBeganAt: UInt64 = 0
    var measureEndedAt: UInt64 = .max
    /// Messages that were back when the measured time was over; nil before that.
    var receivedAtEnd: UInt64?
    var lastProgress: (count: UInt64, at: UInt64) = (0, 0)
    /// When the last message came of a run by count that waits for more in vain; nil where none does.
    var gaveUpAt: UInt64?
    var nextGaugeAt: UInt64 = 0
    var usage: UsageSample
    var threadCPU = ThreadCPU()

    init(
        plan: LoadPlan, address: Address, context: TLSContext?, opening: OpeningHandshake,
        control: LoadControl? = nil
    ) throws(SystemError) {
        self.plan = plan
        kind = LoadKind(plan.mode)
        inFlight = Self.inFlight(of: plan)
        clockRate = if case .rate(let rate) = plan.mode { rate } else { 1 }
        self.address = address
        self.context = context
        self.opening = opening
        self.control = control
        template = FrameTemplate(plan.message)
        meter = .allocate(capacity: 1)
        meter.initialize(to: LoadMeter())
        now = Clock.nowNanoseconds()
        waitingSince = now
        messagesMax = if case .count(let count) = plan.end, plan.awaitsAll { count } else { .max }
        lateNanoseconds = plan.lateSeconds.map { UInt64($0 * 1e9) } ?? .max
        deflater = plan.dialing.offersDeflate ? Deflater() : nil
        streamFields =
            [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                (":path", plan.target.target), (":authority", plan.target.authority),
                ("sec-websocket-version", "13"),
            ] + opening.moreFields
        usage = UsageSample(watch: ProcessWatch(processes: plan.watchedProcesses))
        if let control { meter.pointee.timeline = LoadTimeline(beganAt: control.beganAt) }
        streamNumber = plan.firstNumber
        records = RecordBuffers()
        received = Self.buffer(Self.receiveBytes)
        opened = Self.buffer(Self.openedBytes)
        scratch = Self.buffer(Self.scratchBytes)
        produced = .allocate(capacity: Self.producedBytes)
        let sockets = plan.connections * (plan.streams ?? 1)
        if kind == .closed, inFlight > 1 {
            sentTimes = .allocate(capacity: sockets * Int(inFlight))
        } else {
            sentTimes = nil
        }
        slab = Slab(capacity: plan.connections * (1 + (plan.streams ?? 0)) * 2 + 1024)
        // Scripts wait by timers; for others they are deadlines.
        loop = ReactorLoop(poller: try Poller(), tickMilliseconds: kind == .script ? 1 : 64)
        useOwnRecords()
    }

    deinit {
        (received - Self.headroom).deallocate()
        (opened - Self.headroom).deallocate()
        (scratch - Self.headroom).deallocate()
        produced.deallocate()
        sentTimes?.deallocate()
        meter.deinitialize(count: 1)
        meter.deallocate()
        // `run` leaves no session behind that would use the window.
        records.free()
    }

    private static func buffer(_ capacity: Int) -> UnsafeMutablePointer<UInt8> {
        .allocate(capacity: capacity + headroom) + headroom
    }

    private static func inFlight(of plan: LoadPlan) -> UInt64 {
        switch plan.mode {
        case .closed(let messages): UInt64(messages)
        case .stream(let windowBytes): UInt64(max(1, windowBytes / max(1, plan.messageBytes)))
        default: 1
        }
    }

    /// Whether each connection is closed as soon as it is open, and followed by another.
    var isCycling: Bool { kind == .connect }

    /// Whether connections drop and come back.
    var isStorm: Bool { kind == .storm }

    /// Whether connections are opened beside the traffic too.
    private var opensAllTheTime: Bool {
        isCycling || kind == .cycle || kind == .script || isStorm && stage == .measuring
    }

    /// Whether messages leave by the clock.
    var isByTheClock: Bool { kind == .rate }

    /// Whether the clock goes on without connections, so that each of its messages is accounted for.
    var isClockKept: Bool { kind == .rate && plan.awaitsAll }

    /// Whether what comes is the server's own, and no echo.
    var isPushed: Bool { kind == .push || kind == .script }

    /// Whether all that comes is measured, from the first connection on: a server may send as soon as it can.
    var isMeasuredFromOpening: Bool { kind == .push && plan.warmupSeconds <= 0 }

    /// Generates the load; `onOpen` is told how many connections are open before traffic begins.
    mutating func run(onOpen: @escaping (Int) -> Void) {
        self.onOpen = onOpen
        if isByTheClock || plan.isPlayedByTheClock { ReactorThread.sharpenTimers() }
        watchInput()
        usage.begin()
        now = Clock.nowNanoseconds()
        openingBeganAt = now
        if isMeasuredFromOpening { threadCPU.begin(at: now) }
        if isCycling || kind == .script { beginTraffic() }
        // A server may send as soon as it can.
        if isPushed, plan.warmupSeconds <= 0 { meter.pointee.isMeasuring = true }
        openMore()
        _ = turnUntilOver()
        discardAll()
        meter.pointee.timeline?.finish()
    }

    var isOver: Bool { stage == .done }

    mutating func beginTurn() {
        now = Clock.nowNanoseconds()
        // What has come while connections were read on has waited for them.
        waitingSince = readOnBeganAt > 0 ? readOnBeganAt : now
        readOnBeganAt = 0
        readUntil = now &+ Self.turnNanosecondsMax
        meter.pointee.timeline?.advance(to: now)
    }

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
        readOn()
        playDue()
        if let control { attend(control) }
        advance()
        playPostponed()
        flushCarriers()
        settle()
        slab.releaseRetired()
        openMore()
    }

    /// Does what the other threads want, and tells them how it stands.
    private mutating func attend(_ control: LoadControl) {
        if control.isStopped { stopEarly() }
        guard now >= nextGaugeAt else { return }
        nextGaugeAt = now + LoadControl.gaugeNanoseconds
        control.tell(
            LoadGauge(
                toldAt: now, trafficBeganAt: kind == .push ? openingBeganAt : clockBeganAt,
                openingEndedAt: opensAllTheTime ? 0 : openingEndedAt, stage: stage, open: openCount,
                waiting: comingBack.waiting, connecting: comingBack.connecting,
                opened: meter.pointee.opened,
                sent: meter.pointee.totalSent,
                received: meter.pointee.totalReceived, measured: meter.pointee.count,
                errors: meter.pointee.errors,
                latencies: meter.pointee.timeline?.current.latencies ?? LatencyBuckets(),
                handshakes: isCycling ? meter.pointee.opened : 0), from: plan.threadIndex)
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

    // MARK: The clock

    /// When the clock lets a message go.
    @inline(__always)
    private func intendedAt(_ number: UInt64) -> UInt64 {
        clockBeganAt
            + UInt64((Double(number) + plan.clockPhase) / clockRate * Double(Self.second))
    }

    /// When the message of the clock that is a connection's `index`th should leave.
    @inline(__always)
    func intendedAt(position: Int, index: UInt64) -> UInt64 {
        intendedAt(UInt64(position) &+ index &* UInt64(roster.count))
    }

    func limit(_ wait: inout WaitTime) {
        wait.limit(toNanoseconds: min(Self.second, stageEndsAt > now ? stageEndsAt - now : 0))
        if control != nil {
            // Until all threads have their connections, each looks whether the others have.
            wait.limit(toNanoseconds: hasArrived && stage == .opening ? 2_000_000 : 100_000_000)
        }
        if !postponed.isEmpty || !unread.isEmpty || settling.isDue(now) {
            wait.limit(toNanoseconds: 0)
        }
        if let next = wakings.first { wait.limit(toNanoseconds: next > now ? next - now : 0) }
        if let next = comebacks.first { wait.limit(toNanoseconds: next > now ? next - now : 0) }
        // Clients of a script open and play at the same time.
        if stage.rawValue <= Stage.measuring.rawValue, plan.dialing.rampSeconds > 0,
            startedCount < plan.connections
        {
            let next = openingBeganAt + rampNanoseconds(of: startedCount)
            wait.limit(toNanoseconds: next > now ? next - now : 0)
        }
        if isByTheClock, let next = nextOfClock() {
            wait.limit(toNanoseconds: next > now ? next - now : 0)
        }
    }

    /// Messages that the clock lets go in one turn; behind them comes what has come back.
    private static let messagesPerTurn = 1024

    /// When the next message of the clock leaves; nil where none does any more.
    private func nextOfClock() -> UInt64? {
        guard stage == .warming || stage == .measuring, !roster.isEmpty || isClockKept else {
            return nil
        }
        let next = intendedAt(clockCount)
        if stage == .warming { return next }
        return next < stageEndsAt && meter.pointee.sendLag.total < messagesMax ? next : nil
    }

    /// Whether the clock has let all messages of the measured part go.
    var clockIsDone: Bool {
        !isByTheClock || nextOfClock() == nil
    }

    /// How many messages of the measured part the clock has not let go, since it was late.
    var clockBacklog: UInt64 {
        guard isByTheClock, measureEndedAt > clockBeganAt else { return 0 }
        let seconds = Double(measureEndedAt - clockBeganAt) / Double(Self.second)
        let due = UInt64(max(0, (seconds * clockRate - plan.clockPhase).rounded(.up)))
        let most = messagesMax - min(messagesMax, meter.pointee.sendLag.total)
        // Without connections a run by count is over at once.
        if openCount == 0, messagesMax < .max { return most }
        return min(most, due - min(due, clockCount))
    }

    private mutating func sendByTheClock() {
        guard isByTheClock else { return }
        now = Clock.nowNanoseconds()
        for _ in 0..<Self.messagesPerTurn {
            guard let intended = nextOfClock(), intended <= now else { return }
            let token = roster.isEmpty ? nil : roster[Int(clockCount % UInt64(roster.count))]
            clockCount += 1
            let isTimed = stage == .measuring && intended >= measureBeganAt
            if isTimed { meter.pointee.sendLag.record(now &- intended) }
            guard let token, let client = slab.pointer(token) else {
                if isTimed { meter.pointee.unsent &+= 1 }
                continue
            }
            client.pointee.allowed += 1
            sendMore(client, token)
        }
        // So many at once are late by the time that they take.
        now = Clock.nowNanoseconds()
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

/// What connections do, without what a mode has beside it: a plain number, which costs nothing to look at.
enum LoadKind: UInt8 {
    case echo, closed, rate, stream, connect, idle, cycle, push, storm, script

    init(_ mode: LoadPlan.Mode) {
        self =
            switch mode {
            case .echo: .echo
            case .closed: .closed
            case .rate: .rate
            case .stream: .stream
            case .connect: .connect
            case .idle: .idle
            case .cycle: .cycle
            case .push: .push
            case .storm: .storm
            case .script: .script
            }
    }
}

// SPDX-License-Identifier: Apache-2.0
public import Foundation
import Glibc
public import Reactor
import Synchronization
import Wire

/// Sends dashboards each second what happens, all from one look at it.
///
/// One thread for all of them, which is there while there are any. Nobody waits for a dashboard that takes nothing.
public final class LiveHall: Sendable {
    /// How many dashboards there may be.
    public static let seatsMax = 16
    /// From one look to the next.
    static let paceMilliseconds: UInt64 = 1_000
    /// The least time between two looks, which a dashboard may bring about by its messages.
    static let leastMilliseconds: UInt64 = 250
    /// A look that has taken long is followed by so many times as long a pause, so that it has a fifth of a core.
    static let pausesPerLook: UInt64 = 4
    /// The longest such pause, since on a busy machine a look takes long without doing much.
    static let pauseMillisecondsMax: UInt64 = 5_000
    /// How long Closes may take to go out when the process ends.
    static let farewellMilliseconds: UInt64 = 500

    private enum Message: Sendable {
        /// A dashboard has come, with this socket.
        case arrival(Int32)
        /// The hall closes.
        case stop
    }

    private struct State {
        /// Dashboards that are there or on their way in.
        var count = 0
        var isRunning = false
        var isStopped = false
        var thread: ReactorThread?
    }

    private let patienceMilliseconds: UInt64
    private let source: @Sendable ([LiveQuery]) -> [Data]?
    private let door: Mailbox<Message>
    private let state = Mutex(State())

    /// A hall without anybody.
    ///
    /// - Parameter source: what there is now, as JSON for each query; nil where that can't be said. It is called on
    ///   the hall's thread and may wait.
    /// - Throws: `SystemError` where there is no descriptor left to reach that thread by.
    public convenience init(
        source: @escaping @Sendable ([LiveQuery]) -> [Data]?
    ) throws(SystemError) {
        try self.init(patienceMilliseconds: LiveSeat.patienceMilliseconds, source: source)
    }

    /// The same where a dashboard may take nothing for so long.
    init(
        patienceMilliseconds: UInt64, source: @escaping @Sendable ([LiveQuery]) -> [Data]?
    ) throws(SystemError) {
        self.patienceMilliseconds = patienceMilliseconds
        self.source = source
        door = try Mailbox()
    }

    deinit {
        for case .arrival(let descriptor) in door.take() { close(descriptor) }
    }

    /// Keeps a seat, which `seat` or `giveBack` has to follow; false where there is none left.
    func reserve() -> Bool {
        state.withLock { state in
            guard !state.isStopped, state.count < Self.seatsMax else { return false }
            state.count += 1
            return true
        }
    }

    /// Gives a seat back that was kept and is not needed.
    func giveBack() { state.withLock { $0.count -= 1 } }

    /// Takes a socket over whose opening handshake is done, for a seat that was kept.
    func seat(_ descriptor: Int32) {
        let isTaken = state.withLock { state in
            if state.isStopped { return false }
            if !state.isRunning {
                state.thread?.join()
                state.thread = try? ReactorThread.start(name: "sluice-live") { [self] in run() }
                state.isRunning = state.thread != nil
            }
            if state.isRunning { door.post(.arrival(descriptor)) }
            return state.isRunning
        }
        if isTaken { return }
        close(descriptor)
        giveBack()
    }

    /// Ends all with a Close that says to come again, and lets nobody in any more.
    public func stop() {
        let thread = state.withLock { state in
            state.isStopped = true
            return state.thread
        }
        door.post(.stop)
        thread?.join()
    }

    /// Whether anybody sits there.
    var isRunning: Bool { state.withLock { $0.isRunning } }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    /// The thread ends where nobody is left.
    private func endsHere(_ room: inout LiveRoom) -> Bool {
        let left = room.takeLeft()
        return state.withLock { state in
            state.count -= left
            guard room.isEmpty, state.count == 0 || state.isStopped else { return false }
            state.isRunning = false
            return true
        }
    }

    private func run() {
        var room = LiveRoom(patienceMilliseconds: patienceMilliseconds)
        while true {
            room.wait(door.descriptor)
            var now = Clock.nowMilliseconds()
            for case .arrival(let descriptor) in door.take() {
                room.add(descriptor, nowMilliseconds: now)
            }
            if isStopped { room.sayFarewell() }
            room.serve(nowMilliseconds: now)
            let queries = room.due(nowMilliseconds: now)
            if !queries.isEmpty {
                let texts = source(queries)
                let start = now
                now = Clock.nowMilliseconds()
                room.send(texts, askedAt: start, nowMilliseconds: now)
            }
            if endsHere(&room) { return }
        }
    }
}

/// The dashboards that are there.
struct LiveRoom {
    private let patienceMilliseconds: UInt64
    private var seats: [LiveSeat] = []
    /// Those whom the last look is for.
    private var asking: [LiveSeat] = []
    /// How many have left since this was last asked for.
    private var leftCount = 0
    /// When all have something again.
    private var nextMilliseconds: UInt64 = 0
    /// Before that nobody has.
    private var notBeforeMilliseconds: UInt64 = 0
    private var ready: [Int32: Int16] = [:]

    init(patienceMilliseconds: UInt64) { self.patienceMilliseconds = patienceMilliseconds }

    var isEmpty: Bool { seats.isEmpty }

    mutating func takeLeft() -> Int {
        defer { leftCount = 0 }
        return leftCount
    }

    mutating func add(_ descriptor: Int32, nowMilliseconds now: UInt64) {
        // The first one has something at once.
        if seats.isEmpty { nextMilliseconds = now }
        seats.append(
            LiveSeat(
                descriptor, patienceMilliseconds: patienceMilliseconds, nowMilliseconds: now))
    }

    /// Waits until somebody comes, somebody says or takes something, or something is due.
    mutating func wait(_ door: Int32) {
        var waitFor = [pollfd(fd: door, events: Int16(POLLIN), revents: 0)]
        for seat in seats {
            waitFor.append(pollfd(fd: seat.descriptor, events: seat.events, revents: 0))
        }
        _ = poll(&waitFor, nfds_t(waitFor.count), pause(Clock.nowMilliseconds()))
        ready = [:]
        for entry in waitFor.dropFirst() where entry.revents != 0 {
            ready[entry.fd] = entry.revents
        }
    }

    private func pause(_ now: UInt64) -> Int32 {
        if seats.isEmpty { return -1 }
        let isDue = seats.contains { $0.isDue && $0.isIdle }
        var next = isDue ? notBeforeMilliseconds : max(nextMilliseconds, notBeforeMilliseconds)
        for seat in seats { next = min(next, seat.deadlineMilliseconds ?? .max) }
        return next > now ? Int32(clamping: next - now) : 0
    }

    /// Reads from those who say something, sends on to those who take something, and lets those go who are over.
    mutating func serve(nowMilliseconds now: UInt64) {
        for seat in seats {
            guard let flags = ready[seat.descriptor] else { continue }
            if flags & Int16(POLLOUT) != 0 { seat.flush(nowMilliseconds: now) }
            if flags & Int16(POLLIN | POLLHUP | POLLERR) != 0 { seat.read(nowMilliseconds: now) }
        }
        letGo(now)
    }

    private mutating func letGo(_ now: UInt64) {
        let before = seats.count
        seats.removeAll { $0.isOver || $0.deadlineMilliseconds.map { now >= $0 } ?? false }
        leftCount += before - seats.count
    }

    /// What those want to see who are to have something now; those who have not taken the last are left out.
    mutating func due(nowMilliseconds now: UInt64) -> [LiveQuery] {
        guard now >= notBeforeMilliseconds else { return [] }
        let isTime = now >= nextMilliseconds
        asking = seats.filter { $0.isIdle && (isTime || $0.isDue) }
        if isTime { nextMilliseconds = now + LiveHall.paceMilliseconds }
        return asking.map(\.query)
    }

    /// Sends what a look has found that was begun at `start`.
    mutating func send(_ texts: [Data]?, askedAt start: UInt64, nowMilliseconds now: UInt64) {
        let pause = min(
            LiveHall.pauseMillisecondsMax,
            max(LiveHall.leastMilliseconds, (now - start) * LiveHall.pausesPerLook))
        notBeforeMilliseconds = now + pause
        for (index, seat) in asking.enumerated() {
            seat.isDue = false
            // Where a reactor does not turn, an empty object says so.
            let text = texts.flatMap { $0.indices.contains(index) ? $0[index] : nil }
            seat.send(text ?? Data("{}".utf8), nowMilliseconds: now)
        }
        asking = []
        letGo(now)
    }

    /// Tells all to come again, and waits for a moment until that has gone out.
    mutating func sayFarewell() {
        let now = Clock.nowMilliseconds()
        for seat in seats { seat.close(.serviceRestart, nowMilliseconds: now) }
        let end = now + LiveHall.farewellMilliseconds
        while Clock.nowMilliseconds() < end, seats.contains(where: { !$0.isOver }) {
            var waitFor = seats.filter { !$0.isOver }.map {
                pollfd(fd: $0.descriptor, events: $0.events, revents: 0)
            }
            _ = poll(&waitFor, nfds_t(waitFor.count), 50)
            let now = Clock.nowMilliseconds()
            for seat in seats where !seat.isOver {
                seat.flush(nowMilliseconds: now)
                seat.read(nowMilliseconds: now)
            }
        }
        leftCount += seats.count
        seats = []
    }
}

// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import Wire

/// One connection: its relay, and what else is known of it.
struct Connection: ~Copyable {
    var relay: Relay
    /// Set until the tunnel is open, or the first request is an ordinary one.
    var opening: Opening?
    /// Set while the connection carries ordinary requests.
    var exchange: ExchangePointer?
    let notes: ConnectionNotes
}

/// One reactor with its connections, made and run on a thread of its own.
///
/// Nothing here is shared but the `Crew`'s immutable values and mailboxes.
struct Worker: ~Copyable {
    static let clientTag: UInt8 = 0
    static let backendTag: UInt8 = 1
    static let upstreamTag: UInt8 = 2
    /// Connections accepted in one turn, so that a flood leaves relays their turn.
    static let acceptsPerTurn = 64
    /// How long a listener is left alone while descriptors are short: a look costs two calls.
    static let fullPauseMilliseconds: UInt64 = 50
    /// Connections that one reactor can have.
    static let connectionsMax = 4_000_000

    let index: Int
    let crew: Crew
    let space: UnsafeMutablePointer<Workspace>
    var poller: Poller
    var connections: Slab<Connection>
    var timers: TimerWheel
    /// Connections to endpoints for ordinary requests, those in use and the idle ones.
    var upstreams: Slab<UpstreamConnection>
    var upstreamPool = UpstreamPool()
    /// Until when the idle ones are kept.
    var upstreamTimers: TimerWheel
    /// When relays go on that wait for their rate; finer than those of deadlines, to flow evenly.
    var paceTimers: TimerWheel
    /// What ordinary requests are read into and written with.
    var exchanges = ExchangeStore()
    /// What is served by now.
    var snapshot: Snapshot
    var acceptors: [Acceptor]
    /// How many turns there were.
    var turnNumber: UInt64 = 0
    /// Relays that used up their byte budget and go on in the next turn.
    var unfinished: [Token] = []
    /// Sessions that OpenSSL still keeps.
    var settling = Settling()
    /// Handshakes that wait for their turn.
    var deferredHandshakes: [Token] = []
    var handshakesLeft = 0
    /// Drains that have relays to tell yet.
    var drains: [DrainTask] = []
    /// Set while the process drains: what is left at its deadline is cut.
    var leaving: Drain?
    var drainDeadlineMilliseconds: UInt64? { leaving?.deadlineMilliseconds }
    var isCut = false

    /// A listener as one reactor sees it.
    final class Acceptor {
        var entrance: Entrance
        var backoff = AcceptBackoff()
        /// How many to accept at once: more after a turn in which as many were there.
        var burst = 1
        /// The turn in which it was last asked.
        var lastTurn: UInt64 = 0
        /// The journal knows that connections have to wait, until one was accepted again.
        var hasWarned = false
        /// Set while the listener is left alone for want of descriptors.
        var resumeMilliseconds: UInt64?

        init(_ entrance: Entrance) { self.entrance = entrance }
    }

    /// A reactor on the calling thread, which has to stay the one that uses it.
    init(
        index: Int, crew: Crew, snapshot: Snapshot, entrances: [Entrance],
        poller: consuming Poller
    ) {
        self.index = index
        self.crew = crew
        self.snapshot = snapshot
        self.poller = poller
        let settings = snapshot.settings
        // Room for more costs nothing until it is used, and a reload may want it.
        connections = Slab(capacity: Worker.connectionsMax)
        upstreams = Slab(capacity: Worker.connectionsMax)
        let now = Clock.nowMilliseconds()
        timers = TimerWheel(now: now)
        upstreamTimers = TimerWheel(now: now)
        paceTimers = TimerWheel(tickMilliseconds: 16, now: now)
        acceptors = entrances.map(Acceptor.init)
        space = .allocate(capacity: 1)
        space.initialize(
            to: Workspace(
                receiveCapacity: settings.relayBufferBytes, patience: settings.patience))
    }

    deinit {
        space.deinitialize(count: 1)
        space.deallocate()
    }

    static let mailboxToken = Token.fixed(0)

    static func listenerToken(_ index: Int) -> Token {
        Token.fixed(UInt32(truncatingIfNeeded: index) + 1)
    }

    /// Turns until a drain has ended or everything was cut.
    mutating func run() {
        let door = crew.mailboxes[index].descriptor
        guard poller.add(door, Worker.mailboxToken, .levelRead) else {
            crew.loads[index].exclude()
            crew.journal.event(LogEvent(.error, "Reactor \(index) has no room in epoll."))
            return
        }
        for acceptor in acceptors { resume(acceptor) }
        while !isOver {
            turn()
        }
        cutAll()
        for task in drains { task.drain.told(by: 1, count: 0) }
        drains = []
        // What was handed over meanwhile is nobody's.
        for message in crew.mailboxes[index].take() { turnDown(message) }
    }

    private var isOver: Bool {
        guard !isCut, let leaving else { return isCut }
        return connections.count == 0 && !leaving.isListening
    }

    private mutating func turn() {
        let before = Clock.nowMilliseconds()
        var timeout = timers.millisecondsUntilNext(now: before)
        let idleTimeout = upstreamTimers.millisecondsUntilNext(now: before)
        if idleTimeout >= 0 && (timeout < 0 || idleTimeout < timeout) { timeout = idleTimeout }
        if paceTimers.count > 0 {
            let paceTimeout = paceTimers.millisecondsUntilNext(now: before)
            timeout = timeout < 0 ? paceTimeout : min(timeout, paceTimeout)
        }
        if !unfinished.isEmpty || !deferredHandshakes.isEmpty { timeout = 0 }
        timeout = soonest(timeout)
        if drains.contains(where: \.isScanning) { timeout = 0 }
        // Nobody tells when the last of the others has stopped listening. Whether they have is not asked
        // here: they might do so just after `isOver` was, and before this.
        if leaving != nil && connections.count == 0 { timeout = timeout < 0 ? 5 : min(timeout, 5) }
        let count = poller.wait(timeoutMilliseconds: timeout)
        let now = Clock.nowMilliseconds()
        space.pointee.nowMilliseconds = now
        turnNumber &+= 1
        handshakesLeft = snapshot.settings.handshakesPerTurn
        let goingOn = unfinished
        if !goingOn.isEmpty { unfinished = [] }
        var index = 0
        while index < count {
            dispatch(poller.event(index))
            index &+= 1
        }
        for token in goingOn { goOn(token) }
        if !deferredHandshakes.isEmpty { runDeferredHandshakes() }
        while let token = timers.popExpired(now: now) { timeIsUp(token) }
        while let token = upstreamTimers.popExpired(now: now) { idleTimeIsUp(token) }
        if paceTimers.count > 0 {
            while let token = paceTimers.popExpired(now: now) { goOn(token) }
        }
        if settling.nextMilliseconds != nil { settle(now) }
        if !drains.isEmpty { runDrains(now) }
        resumeAcceptors(now)
        connections.releaseRetired()
        upstreams.releaseRetired()
        exchanges.releaseRetired()
        if let deadline = drainDeadlineMilliseconds, now >= deadline { isCut = true }
    }

    /// The earliest of the timers, the listeners left alone, and the end of a drain.
    private func soonest(_ timeout: Int32) -> Int32 {
        var deadline = min(
            drainDeadlineMilliseconds ?? .max, settling.nextMilliseconds ?? .max)
        for drain in drains { deadline = min(deadline, drain.nextMilliseconds) }
        for index in 0..<acceptors.count {
            deadline = min(deadline, acceptors[index].resumeMilliseconds ?? .max)
        }
        if deadline == .max { return timeout }
        let now = space.pointee.nowMilliseconds
        let left = deadline > now ? Int32(truncatingIfNeeded: min(deadline - now, 60_000)) : 0
        return timeout < 0 ? left : min(timeout, left)
    }

    private mutating func dispatch(_ event: Event) {
        let token = event.token
        if token.tag == Worker.upstreamTag {
            upstreamIsReady(token.tagged(0), event.flags)
            return
        }
        guard let connection = connections.pointer(token) else {
            if token.tag == .max { dispatchFixed(token) }
            return
        }
        let side: Side = token.tag == Worker.clientTag ? .client : .backend
        if connection.pointee.relay.isOpen {
            let verdict = connection.pointee.relay.ready(side, event.flags, space)
            if !verdict.isEmpty { obey(verdict, token) }
        } else if let exchange = connection.pointee.exchange {
            exchangeIsReady(connection, token.tagged(Worker.clientTag), exchange, event.flags)
        } else {
            openingIsReady(connection, token, side, event.flags)
        }
    }

    private mutating func dispatchFixed(_ token: Token) {
        if token == Worker.mailboxToken {
            for message in crew.mailboxes[index].take() { receive(message) }
            return
        }
        for acceptor in acceptors where token == Worker.listenerToken(acceptor.entrance.number) {
            accept(acceptor)
        }
    }

    /// Does what a relay asks for.
    mutating func obey(_ verdict: Relay.Verdict, _ token: Token) {
        if verdict.contains(.ended) {
            finish(token)
            return
        }
        if verdict.contains(.deadline), let connection = connections.pointer(token) {
            timers.arm(
                token.tagged(Worker.clientTag), at: connection.pointee.relay.deadlineMilliseconds)
        }
        if verdict.contains(.again) { unfinished.append(token) }
        if verdict.contains(.paused), let connection = connections.pointer(token) {
            paceTimers.reserve(index: Int(token.index))
            paceTimers.arm(
                token.tagged(Worker.clientTag),
                at: connection.pointee.relay.resumeMilliseconds)
        }
    }

    private mutating func goOn(_ token: Token) {
        if let connection = connections.pointer(token), let exchange = connection.pointee.exchange {
            goOn(connection, token, exchange)
            return
        }
        for side in [Side.client, .backend] {
            guard let connection = connections.pointer(token), connection.pointee.relay.isOpen
            else { return }
            var verdict = connection.pointee.relay.ready(side, [], space)
            // Both sides are looked at in each turn, so one entry is enough.
            if side == .client && verdict.contains(.again) {
                unfinished.append(token)
                verdict.remove(.again)
            } else if verdict.contains(.again), unfinished.last == token {
                verdict.remove(.again)
            }
            if !verdict.isEmpty { obey(verdict, token) }
        }
    }

    private mutating func timeIsUp(_ token: Token) {
        guard let connection = connections.pointer(token) else { return }
        if connection.pointee.relay.isOpen {
            obey(connection.pointee.relay.deadlinePassed(space), token)
        } else if let exchange = connection.pointee.exchange {
            exchangeTimeIsUp(connection, token, exchange)
        } else {
            openingTimeIsUp(connection, token)
        }
    }

    private mutating func receive(_ message: WorkerMessage) {
        switch message {
        case .adopt(let descriptor, let client, let entrance):
            adopt(descriptor, client: client, entrance: entrance)
        case .use(let snapshot, let entrances, let done):
            use(snapshot, entrances)
            done.post(index)
        case .leave(let drain): leave(drain)
        case .drain(let drain): begin(drain)
        case .list(let filter, let first, let answer):
            answer.post(list(filter, from: first))
        case .end(let token, let code, let answer): answer.post(end(token, code: code))
        case .place(let queue, let waiter): placeIsFree(queue, waiter)
        case .beat(let answer): answer.post(index)
        case .cut:
            isCut = true
        }
    }

    /// Closes the connection and writes its record.
    mutating func finish(_ token: Token) {
        guard let connection = connections.pointer(token) else { return }
        timers.cancel(token)
        paceTimers.cancel(token)
        connection.pointee.relay.release(space)
        let notes = connection.pointee.notes
        notes.letEndpointGo()
        if notes.isCounted { notes.plan?.tally.closed() }
        notes.admission?.leave(notes.client, nowMilliseconds: space.pointee.nowMilliseconds)
        letClientGo(notes)
        if let drain = notes.drain {
            drain.closed(isCut: !connection.pointee.relay.ending.isOver)
        }
        if let exchange = connection.pointee.exchange {
            letUpstreamGo(exchange)
            letKeptGo(exchange)
            exchanges.retire(exchange)
        }
        if let exchange = connection.pointee.exchange, exchange.pointee.phase != .head {
            reportRequest(connection, exchange, isWhole: false)
        } else {
            report(connection, token.tagged(Worker.clientTag))
        }
        connection.pointee.exchange = nil
        // The sockets close when the slot is released, behind the last event of this batch.
        connections.retire(token)
        crew.loads[index].closed()
    }

    /// Closes whatever is left.
    private mutating func cutAll() {
        var last = -1
        while let token = connections.nextLive(after: last) {
            last = Int(token.index)
            finish(token)
        }
        connections.releaseRetired()
    }
}

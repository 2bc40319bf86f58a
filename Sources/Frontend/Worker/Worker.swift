// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Proxy
import Reactor
import Splice
import Synchronization
import TLS

/// One reactor: its loop runs on a thread of its own, and gives each event to the part that it is for.
struct Worker: ~Copyable {
    static let mailboxToken = Token.fixed(0)
    /// Relays whose time is up in one turn: some 20 µs each, where they end.
    private static let tunnelTimersPerTurn = 256

    let state: StatePointer
    private var acceptors: Acceptors
    private var isCut = false
    /// It was noted how long the last turn took.
    private var hasMeasured = true
    /// The thread that made it, and that alone uses it.
    private let thread = pthread_self()

    /// A reactor on the calling thread, which has to stay the one that uses it.
    init(
        index: Int, crew: Crew, snapshot: Snapshot, entrances: [Entrance],
        poller: consuming Poller
    ) {
        state = .allocate(capacity: 1)
        state.initialize(
            to: WorkerState(index: index, crew: crew, snapshot: snapshot, poller: poller))
        acceptors = Acceptors(state, entrances)
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    private var mailbox: Mailbox<WorkerMessage> {
        state.pointee.crew.mailboxes[state.pointee.index]
    }

    /// Turns until a drain has ended or everything was cut.
    mutating func run() {
        guard state.pointee.poller.add(mailbox.descriptor, Worker.mailboxToken, .levelRead) else {
            state.pointee.crew.loads[state.pointee.index].exclude()
            state.pointee.crew.journal.event(
                LogEvent(.error, "Reactor \(state.pointee.index) has no room in epoll."))
            return
        }
        acceptors.watch()
        while !isOver { turn() }
        cutAll()
        state.pointee.drains.endAll()
        // What was handed over meanwhile is nobody's.
        for message in mailbox.take() { turnDown(message) }
    }

    private var isOver: Bool {
        guard !isCut, let leaving = state.pointee.leaving else { return isCut }
        return isEmpty && !leaving.isListening
    }

    /// Nobody is connected, and no tunnel is left: one whose client's connection is gone is no client's any more.
    private var isEmpty: Bool {
        state.pointee.clients.count == 0 && state.pointee.tunnels.count == 0
    }

    // MARK: A turn

    private mutating func turn() {
        let count = state.pointee.poller.wait(timeoutMilliseconds: timeout())
        let now = Clock.nowMilliseconds()
        if !hasMeasured { Metering(state).turned(until: now) }
        handle(count, now: now)
    }

    /// Does what so many events ask for, which the poller has just reported, and what is due by `now`.
    mutating func handle(_ count: Int, now: UInt64) {
        assert(pthread_equal(thread, pthread_self()) != 0, "a reactor turns on another's thread")
        state.pointee.space.pointee.nowMilliseconds = now
        state.pointee.turnNumber &+= 1
        state.pointee.handshakesLeft = state.pointee.snapshot.settings.handshakesPerTurn
        var goingOn: [Token]?
        if !state.pointee.unfinished.isEmpty { goingOn = state.pointee.takeUnfinished() }
        // Upstreams first: what one has said while it was idle answers nobody, so it must be known before a
        // request of the same turn goes to it.
        dispatchEvents(count) { $0 == TokenTag.upstream }
        dispatchEvents(count) { $0 != TokenTag.upstream }
        if let goingOn {
            for token in goingOn { goOn(token) }
        }
        if !state.pointee.deferredHandshakes.isEmpty {
            SessionOpening(state).runDeferredHandshakes()
        }
        runTimers(now)
        if now >= state.pointee.faultsEndMilliseconds {
            state.pointee.faultsEndMilliseconds = .max
            lookAtFaults(from: 0, nil)
        }
        if state.pointee.settling.nextMilliseconds != nil { settle() }
        let released = state.pointee.space.pointee.records.takeReleasedCount()
        if released > 0 {
            state.pointee.crew.settledCount.wrappingAdd(released, ordering: .relaxed)
            state.pointee.burst.released(released, nowMilliseconds: now)
        }
        if state.pointee.burst.isWorthIt {
            state.pointee.burst.giveBack(
                waiting: state.pointee.settling.count, nowMilliseconds: now,
                SessionMemory.giveBackKept)
        }
        if !state.pointee.drains.isEmpty { DrainKeeper(state).run() }
        if state.pointee.hasToFlush { MultiplexKeeper(state).flush() }
        acceptors.resumeDue()
        assert(state.pointee.work.isEmpty, "a turn ends with work in its queue")
        assert(state.pointee.heads.isSent, "a turn ends with a head that nobody has sent")
        assert(
            state.pointee.space.pointee.records.outputCount == 0,
            "a turn ends with records that nobody has sent")
        state.pointee.releaseRetired()
        if state.pointee.spareDueMilliseconds != .max { state.pointee.giveBackSpare() }
        if let leaving = state.pointee.leaving, now >= leaving.deadlineMilliseconds {
            isCut = true
        }
    }

    /// How long the next wait may take; -1 for as long as nothing happens.
    private mutating func timeout() -> Int32 {
        hasMeasured = false
        if !state.pointee.unfinished.isEmpty || !state.pointee.deferredHandshakes.isEmpty
            || state.pointee.hasToFlush
        {
            return 0
        }
        let hasDrains = !state.pointee.drains.isEmpty
        if hasDrains && state.pointee.drains.isScanning { return 0 }
        var wait = WaitTime()
        // Where the next turn follows at once, this one's end is measured then.
        Metering(state).turned(until: wait.now)
        hasMeasured = true
        wait.limit(by: state.pointee.sessionTimers)
        wait.limit(by: state.pointee.requestTimers)
        wait.limit(by: state.pointee.upstreamTimers)
        wait.limit(by: state.pointee.tunnelTimers)
        wait.limit(by: state.pointee.paceTimers)
        wait.limit(by: state.pointee.recheckTimers)
        wait.limit(until: state.pointee.settling.nextMilliseconds ?? .max)
        if state.pointee.burst.isWorthIt {
            wait.limit(
                until: state.pointee.burst.nextMilliseconds(waiting: state.pointee.settling.count))
        }
        wait.limit(until: state.pointee.faultsEndMilliseconds)
        if hasDrains { wait.limit(until: state.pointee.drains.nextMilliseconds) }
        wait.limit(until: acceptors.resumeMilliseconds)
        wait.limit(until: state.pointee.spareDueMilliseconds)
        if let leaving = state.pointee.leaving {
            wait.limit(until: leaving.deadlineMilliseconds)
            // Nobody tells when the last of the others has stopped listening. Whether they have is not
            // asked here: they might do so just after `isOver` was, and before this.
            if isEmpty { wait.limit(to: 5) }
        }
        return wait.milliseconds
    }

    @inline(__always)
    private mutating func dispatchEvents(_ count: Int, where isMeant: (UInt8) -> Bool) {
        var index = 0
        while index < count {
            let event = state.pointee.poller.event(index)
            if isMeant(event.token.tag) { dispatch(event) }
            index &+= 1
        }
    }

    private mutating func dispatch(_ event: Event) {
        let token = event.token
        switch token.tag {
        case TokenTag.client:
            guard let client = state.pointee.clients.pointer(token) else { return }
            switch client.pointee {
            case .tunnel(let tunnel):
                let verdict = tunnel.pointee.relay.ready(
                    .client, event.flags, state.pointee.space)
                if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
            case .session(let session):
                SessionKeeper(state).isReady(session, event.flags)
                RequestExecutor(state).run()
            }
        case TokenTag.tunnel:
            guard let tunnel = state.pointee.tunnels.pointer(token) else { return }
            let verdict = tunnel.pointee.relay.ready(.backend, event.flags, state.pointee.space)
            if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
        case TokenTag.upstream:
            UpstreamKeeper(state).isReady(token.tagged(0), event.flags)
            RequestExecutor(state).run()
        default: dispatchFixed(token)
        }
    }

    private mutating func dispatchFixed(_ token: Token) {
        if token == Worker.mailboxToken {
            for message in mailbox.take() {
                receive(message)
                RequestExecutor(state).run()
            }
            return
        }
        acceptors.accept(token)
    }

    private func goOn(_ token: Token) {
        let slot = token.tagged(0)
        if token.tag == TokenTag.tunnel {
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { return }
            tunnel.pointee.goesOnLater = false
            TunnelKeeper(state).goOn(tunnel)
        } else if token.tag == TokenTag.request {
            guard let request = state.pointee.requests.pointer(slot) else { return }
            request.pointee.goesOnLater = false
            RequestExecutor(state).pump(request, slot)
            RequestExecutor(state).run()
        } else if let session = state.pointee.clients.pointer(token)?.pointee.session {
            session.pointee.goesOnLater = false
            SessionKeeper(state).goOn(session)
            RequestExecutor(state).run()
        }
    }

    private func runTimers(_ now: UInt64) {
        while let token = state.pointee.sessionTimers.popExpired(now: now) {
            guard let session = state.pointee.clients.pointer(token)?.pointee.session else {
                continue
            }
            SessionKeeper(state).timeIsUp(session)
            RequestExecutor(state).run()
        }
        while let token = state.pointee.requestTimers.popExpired(now: now) {
            RequestExecutor(state).timeIsUp(token)
            RequestExecutor(state).run()
        }
        // Thousands of relays may have one end, as that of their tokens: the others have their turns in between.
        var left = Self.tunnelTimersPerTurn
        while left > 0, let token = state.pointee.tunnelTimers.popExpired(now: now) {
            left -= 1
            TunnelKeeper(state).timeIsUp(token)
        }
        while let token = state.pointee.upstreamTimers.popExpired(now: now) {
            UpstreamKeeper(state).timeIsUp(token)
            RequestExecutor(state).run()
        }
        while let token = state.pointee.paceTimers.popExpired(now: now) {
            guard let tunnel = state.pointee.tunnels.pointer(token) else { continue }
            TunnelKeeper(state).goOn(tunnel)
        }
        while let token = state.pointee.recheckTimers.popExpired(now: now) {
            RecheckKeeper(state).timeIsUp(token)
            RequestExecutor(state).run()
        }
    }

    /// Gives relays the faults that they are to have now, so many as a turn has time for.
    private func lookAtFaults(from first: Int, _ done: Mailbox<Int>?) {
        if let next = TunnelKeeper(state).lookAtFaults(from: first) {
            mailbox.post(.faults(from: next, done: done))
        } else {
            done?.post(state.pointee.index)
        }
    }

    /// Takes sessions from OpenSSL that are old enough, a bounded number of them.
    private func settle() {
        let delay = state.pointee.settings.settleMilliseconds
        var left = Settling.perTurn
        while left > 0, let entry = state.pointee.settling.popDue(state.pointee.now) {
            guard state.pointee.settings.releases else { continue }
            left -= 1
            let outcome = release(entry.token)
            switch outcome {
            case .notNow: state.pointee.settling.retry(entry, state.pointee.now, delay)
            case .released, .never, nil: break
            }
        }
    }

    /// Takes the session of a connection from OpenSSL; nil where there is none any more.
    private func release(_ token: Token) -> ReleaseOutcome? {
        let slot = token.tagged(0)
        switch token.tag {
        case TokenTag.upstream:
            return state.pointee.upstreams.pointer(slot)?.pointee.leg.tls?.releaseOpenSSL()
        case TokenTag.tunnel:
            return state.pointee.tunnels.pointer(slot)?.pointee.relay.backend.tls?.releaseOpenSSL()
        default: break
        }
        guard let client = state.pointee.clients.pointer(token) else { return nil }
        return switch client.pointee {
        case .tunnel(let tunnel): tunnel.pointee.relay.client.tls?.releaseOpenSSL()
        case .session(let session): session.pointee.stream.leg.tls?.releaseOpenSSL()
        }
    }

    // MARK: Messages

    private mutating func receive(_ message: WorkerMessage) {
        switch message {
        case .adopt(let descriptor, let client, let entrance):
            // It may have been accepted just before the other reactor learned of the drain.
            if let leaving = state.pointee.leaving, !leaving.plan.isReplaced {
                turnAway(descriptor)
            } else {
                SessionKeeper(state).begin(descriptor, peer: client, entrance: entrance)
            }
        case .use(let snapshot, let entrances, let done):
            use(snapshot, entrances)
            done.post(state.pointee.index)
        case .leave(let drain): leave(drain)
        case .drain(let drain): DrainKeeper(state).begin(drain)
        case .stop(let drain): DrainKeeper(state).stop(drain)
        case .list(let filter, let first, let answer):
            answer.post(TunnelKeeper(state).list(filter, from: first))
        case .survey(let first, let answer):
            let survey = LiveSurveyor(state).survey(from: first)
            if let next = survey.next { mailbox.post(.survey(from: next, answer: answer)) }
            answer.post(survey)
        case .takeStock(let first, let done):
            if let next = StockTaker(state).take(from: first) {
                mailbox.post(.takeStock(from: next, done: done))
            } else {
                done.post(state.pointee.index)
            }
        case .tap(let plan, let first, let done):
            if let next = TapKeeper(state).begin(plan, from: first) {
                mailbox.post(.tap(plan, from: next, done: done))
            } else {
                done.post(state.pointee.index)
            }
        case .untap(let plan, let first, let done):
            if let next = TapKeeper(state).end(plan, from: first) {
                mailbox.post(.untap(plan, from: next, done: done))
            } else {
                done.post(state.pointee.index)
            }
        case .faults(let first, let done): lookAtFaults(from: first, done)
        case .end(let token, let code, let answer):
            answer.post(TunnelKeeper(state).end(token, code: code))
        case .find(let name, let answer):
            answer.post(
                state.pointee.names.slot(of: name).map {
                    RelayID(worker: state.pointee.index, token: $0)
                })
        case .extend(let token, let wanted, let answer):
            answer.post(TunnelKeeper(state).extend(token, by: wanted))
        case .endAll(let filter, let first, let code, let text, let answer):
            answer.post(
                TunnelKeeper(state).end(filter, from: first, code: code, text: text))
        case .moveOut(let order, let first, let errand, let answer):
            if errand.begin() { answer.post(RelayMover(state).moveOut(order, from: first)) }
        case .takeOver(let parcels, let reactor, let errand, let answer):
            if errand.begin() {
                answer.post(
                    (reactor, parcels.map { ($0.index, RelayMover(state).takeOver($0)) }))
            }
        case .pauseListening(let end, let done):
            acceptors.pauseAll(untilMilliseconds: end)
            done.post(state.pointee.index)
        case .place(let queue, let waiter): PlaceWaiting(state).placeIsFree(queue, waiter)
        case .passwordJudged(let token, let verdict): RequestJudge(state).goOn(token, verdict)
        case .beat(let answer): answer.post(state.pointee.index)
        case .cut: isCut = true
        }
    }

    /// Answers what nobody is left to do.
    func turnDown(_ message: WorkerMessage) {
        switch message {
        case .adopt(let descriptor, _, _): turnAway(descriptor)
        case .use(_, _, let done): done.post(state.pointee.index)
        case .leave(let drain):
            drain.stoppedListening()
            drain.looked()
            drain.told(by: 1, count: 0)
        case .drain(let drain):
            drain.looked()
            drain.told(by: 1, count: 0)
        case .list(_, _, let answer): answer.post(RelayList(relays: [], next: nil))
        case .survey(_, let answer): answer.post(LiveSurvey())
        case .takeStock(_, let done): done.post(state.pointee.index)
        case .tap(_, _, let done), .untap(_, _, let done): done.post(state.pointee.index)
        case .faults(_, let done): done?.post(state.pointee.index)
        case .end(_, _, let answer): answer.post(.noRelay)
        case .find(_, let answer): answer.post(nil)
        case .extend(_, _, let answer): answer.post(.noRelay)
        case .endAll(_, _, _, _, let answer): answer.post(EndedRelays(count: 0, next: nil))
        case .moveOut(_, _, let errand, let answer):
            if errand.begin() { answer.post(MovedOut()) }
        case .takeOver(let parcels, let reactor, let errand, let answer):
            if errand.begin() {
                answer.post(
                    (reactor, parcels.map { ($0.index, .refused("its reactor has ended")) }))
            }
        case .pauseListening(_, let done): done.post(state.pointee.index)
        case .place(let queue, _):
            queue.served()
            queue.callNext()
        case .beat(let answer): answer.post(state.pointee.index)
        case .stop, .passwordJudged, .cut: break
        }
    }

    /// Closes a connection that was counted but not taken.
    private func turnAway(_ descriptor: Int32) {
        _ = Socket(adopting: descriptor)
        state.pointee.crew.loads[state.pointee.index].closed()
    }

    /// Serves by another snapshot from now on; whoever was judged by the old one keeps to it.
    private mutating func use(_ snapshot: Snapshot, _ entrances: [Entrance]) {
        if state.pointee.leaving != nil { return }
        let engine = state.pointee.settings.records.name
        state.pointee.snapshot = snapshot
        state.pointee.space.pointee.patience = snapshot.settings.patience
        if snapshot.settings.records.name != engine {
            state.pointee.space.pointee.records.use(snapshot.settings.records)
        }
        state.pointee.space.pointee.records.releaseBusy(snapshot.settings.releases)
        state.pointee.space.pointee.resize(
            receiveCapacity: snapshot.settings.relayBufferBytes)
        acceptors.use(entrances)
    }

    /// Stops listening and begins to end everything.
    private mutating func leave(_ drain: Drain) {
        if state.pointee.leaving != nil {
            drain.stoppedListening()
            drain.told(by: 1, count: 0)
            return
        }
        // Whoever still comes in is served as the last there.
        state.pointee.leaving = drain
        acceptors.close(drain.plan)
        drain.stoppedListening()
        DrainKeeper(state).leave(drain)
    }

    /// Closes whatever is left.
    private func cutAll() {
        var last = -1
        while let token = state.pointee.clients.nextLive(after: last) {
            last = Int(token.index)
            guard let client = state.pointee.clients.pointer(token) else { continue }
            switch client.pointee {
            case .tunnel(let tunnel): TunnelKeeper(state).close(tunnel)
            case .session(let session): cut(session)
            }
        }
        // Those whose client's connection is gone or carries several.
        last = -1
        while let slot = state.pointee.tunnels.nextLive(after: last) {
            last = Int(slot.index)
            if let tunnel = state.pointee.tunnels.pointer(slot) {
                TunnelKeeper(state).close(tunnel)
            }
        }
        state.pointee.releaseRetired()
    }

    private func cut(_ session: SessionPointer) {
        let detail = "Sluice has stopped before the answer was complete"
        if case .multiplexing = session.pointee.stage {
            MultiplexKeeper(state).close(session, .disconnected(detail))
            return
        }
        guard let request = session.pointee.stream.request else {
            SessionKeeper(state).close(session)
            return
        }
        state.pointee.requests.pointer(request)?.pointee.facts.detail = detail
        state.pointee.work.push(.request(request, .clientGone))
        RequestExecutor(state).run()
    }
}

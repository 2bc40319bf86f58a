// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Router
import Splice
import TLS
import Wire

/// Carries out what the lives of requests ask for, and tells them what has come of it.
///
/// What follows from an action at once is told in the same loop, so that it never calls itself. Two ways
/// lead in: the queue of the turn (`run`), for what others find out while they still look at the request;
/// and `clientIsReady`, `mayStand` and `pump`, which tell the life at once and are the last that their
/// callers do with the request. Nobody touches a request again behind the actions that it was given.
/// `BodyPump` calls back only to set the timer (`armProgress`), which tells the life nothing.
struct RequestExecutor {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }
    private var now: UInt64 { state.pointee.now }
    private var settings: FrontendSettings { state.pointee.settings }
    private var journal: Journal { state.pointee.crew.journal }

    /// Does all that waits in the queue of the turn.
    func run() {
        while let work = state.pointee.work.pop() {
            switch work {
            case .request(let token, let event):
                guard let request = state.pointee.requests.pointer(token) else { continue }
                assert(
                    request.pointee.stream.request == token,
                    "a request belongs to a stream that serves another")
                tell(request, token, event)
            case .session(let token):
                guard let session = state.pointee.clients.pointer(token)?.pointee.session else {
                    continue
                }
                SessionKeeper(state).readOn(session)
            }
        }
    }

    private func push(_ token: Token, _ event: RequestLife.Event) {
        state.pointee.work.push(.request(token, event))
    }

    /// Tells a life what has happened, does what it asks for, and so on with what comes of that.
    private func tell(_ request: RequestPointer, _ token: Token, _ event: RequestLife.Event) {
        var actions = request.pointee.life.handle(event)
        while let next = carryOut(actions, request, token) {
            actions = request.pointee.life.handle(next)
            assert(!actions.isEmpty, "what has come of an action does not fit the phase")
        }
        assert(holdsWhatItSays(request), "a request does not hold what its phase says")
    }

    /// Whether what a request holds is what its life says; behind its end others have seen to that.
    private func holdsWhatItSays(_ request: RequestPointer) -> Bool {
        switch request.pointee.life.phase {
        case .tunnelled, .over: return true
        default: break
        }
        let holdings = request.pointee.life.holdings
        return holdings.contains(.place) == (request.pointee.places.group != nil)
            && holdings.contains(.line) == (request.pointee.places.line != nil)
            && holdings.contains(.upstream) == (request.pointee.upstream?.connection != nil)
    }

    /// Moves bodies, and does what comes of it; nothing may be done with the request behind it.
    func pump(_ request: RequestPointer, _ token: Token) {
        if let event = BodyPump(state).pump(request) { tell(request, token, event) }
    }

    /// Does what a life asks for, in the order of the bits.
    ///
    /// - Returns: what has come of it, where that is known at once: of one action at most.
    private func carryOut(
        _ actions: RequestLife.Actions, _ request: RequestPointer, _ token: Token
    ) -> RequestLife.Event? {
        if actions.isEmpty { return nil }
        if !actions.isDisjoint(with: .counts) { count(actions, request) }
        if !actions.isDisjoint(with: .ends) {
            if actions.contains(.dropUpstream) { dropUpstream(request) }
            if actions.contains(.keepUpstream) { UpstreamKeeper(state).takeBack(request) }
            if actions.contains(.giveBack) { request.pointee.places.giveEndpointBack() }
            if actions.contains(.leaveLine) { request.pointee.places.leaveLine() }
            if actions.contains(.answer) { answer(request) }
            if actions.contains(.cutAnswer) { cutAnswer(request) }
        }
        if actions.contains(.passHead) { BodyPump(state).passHead(request) }
        if !actions.isDisjoint(with: .seeks) { return seek(actions, request, token) }
        var event: RequestLife.Event?
        if actions.contains(.sendHead) { event = sendHead(request) }
        if actions.contains(.arm) { arm(request, isPumped: actions.contains(.pump)) }
        if actions.contains(.pump) {
            assert(event == nil, "two things follow from one event")
            event = BodyPump(state).pump(request)
        }
        if actions.contains(.openTunnel) {
            TunnelKeeper(state).open(request, token)
        } else if actions.contains(.finish) {
            finish(request, token)
        }
        return event
    }

    /// Tells the upstream's picker how its endpoint does.
    private func count(_ actions: RequestLife.Actions, _ request: RequestPointer) {
        guard let group = request.pointee.places.group else { return }
        let endpoint = request.pointee.places.endpoint
        let good = RequestLife.Actions.countConnection + .countAnswer
        // Mostly nothing was wrong before, and so nothing changes.
        if actions.intersection(.counts).isSubset(of: good), group.picker.isWell(endpoint) {
            return
        }
        if actions.contains(.countConnectFailure),
            let failure = request.pointee.upstream?.search.lastFailure
        {
            let sentence = failure.refusal(group.endpoints[endpoint].label).sentence
            group.failed(endpoint, sentence, nowMilliseconds: now, journal)
        }
        if actions.contains(.countConnection) {
            group.succeeded(endpoint, nowMilliseconds: now, journal)
        }
        if actions.contains(.countAnswerFailure) {
            group.answerFailed(endpoint, answerTrouble(request), nowMilliseconds: now, journal)
        }
        if actions.contains(.countAnswer) {
            group.answered(endpoint, nowMilliseconds: now, journal)
        }
        if actions.contains(.countUndecided) {
            group.picker.undecided(endpoint, nowMilliseconds: now)
        }
    }

    /// What was wrong with the answer to an upgrade, in words.
    private func answerTrouble(_ request: RequestPointer) -> String {
        switch request.pointee.life.phase {
        case .over(let cause?): Refusal(cause, of: request).sentence
        case .exchanging: "The upgrade was answered with \(request.pointee.facts.status)."
        default: Refusal(.noAnswer, of: request).sentence
        }
    }

    // MARK: Places and connections

    /// Looks for a place at an endpoint, or for a connection to it.
    ///
    /// - Returns: what was found.
    private func seek(
        _ actions: RequestLife.Actions, _ request: RequestPointer, _ token: Token
    ) -> RequestLife.Event {
        if actions.contains(.claim) { return claim(request, token) }
        if actions.contains(.claimAnother) {
            // Else the last connect has failed, which is known.
            if actions.contains(.countAnswerFailure) {
                request.pointee.upstream?.search.failed(.noAnswer)
            }
            return claimAnother(request)
        }
        if actions.contains(.connect) {
            return UpstreamKeeper(state).takeIdle(request, token) ? .found : dial(request, token)
        }
        // It goes out once more, on a connection of its own, and keeps its place at the endpoint.
        request.pointee.body.isCut = false
        // What was wrong with the connection before says nothing about this one.
        request.pointee.upstream?.mayReuse = !request.pointee.isUpgrade
        let deadline = now + state.pointee.snapshot.connect(request.pointee.facts.plan)
        request.pointee.upstream?.search.restart(deadlineMilliseconds: deadline)
        return dial(request, token)
    }

    private func claim(_ request: RequestPointer, _ token: Token) -> RequestLife.Event {
        if claimKept(request, token) { return .claimedWithConnection }
        if let index = request.pointee.upstream?.search.claim(nowMilliseconds: now) {
            take(index, request)
            return .claimed
        }
        // Nobody who wants a WebSocket ends its side while it waits.
        if request.pointee.isUpgrade && request.pointee.stream.isHangingUp { return .clientGone }
        if PlaceWaiting(state).join(request, token) { return .joined }
        let cause = request.pointee.upstream?.search.exhaustion(nowMilliseconds: now)
        return .exhausted(cause ?? .unresolved)
    }

    /// Claims a place for the connection that is this client's alone, if it still may carry the request.
    private func claimKept(_ request: RequestPointer, _ token: Token) -> Bool {
        let stream = request.pointee.stream
        guard let kept = stream.kept, let group = request.pointee.upstream?.search.group
        else { return false }
        let slot = state.pointee.upstreams.pointer(kept)
        let index = slot.flatMap { slot in
            group.endpoints.firstIndex { $0 === slot.pointee.endpoint }
        }
        let hasLogin = slot?.pointee.hasLogin ?? false
        // One that was logged in waits for a request to its endpoint, whatever else is asked for
        // meanwhile.
        if index == nil && hasLogin && !request.pointee.isUpgrade { return false }
        guard let slot, let index, hasLogin || !request.pointee.isUpgrade,
            slot.pointee.isAlone(request.pointee.facts.client, group),
            slot.pointee.isVerified(
                as: state.pointee.snapshot.destination(of: slot.pointee.endpoint, in: group)),
            slot.pointee.isSound(for: request),
            // Those that wait for a place are not overtaken, but by who is within a login.
            request.pointee.upstream?.search.claim(only: index, mayOvertake: hasLogin) == true
        else {
            stream.letKeptGo(state)
            return false
        }
        stream.takeKept()
        slot.pointee.carry(token, state.pointee.snapshot.settings.headLimits)
        UpstreamKeeper(state).attach(kept, to: request)
        take(index, request)
        return true
    }

    private func claimAnother(_ request: RequestPointer) -> RequestLife.Event {
        guard let index = request.pointee.upstream?.search.claimAnother(nowMilliseconds: now) else {
            return .exhausted(request.pointee.upstream?.search.lastFailure?.cause ?? .noAnswer)
        }
        take(index, request)
        return .claimed
    }

    private func take(_ index: Int, _ request: RequestPointer) {
        guard let group = request.pointee.upstream?.search.group else { return }
        request.pointee.take(index, of: group, nowMilliseconds: now)
    }

    /// Begins to connect to the next address of the endpoint.
    private func dial(_ request: RequestPointer, _ token: Token) -> RequestLife.Event {
        guard let address = request.pointee.upstream?.search.nextAddress() else {
            noteShortage(request)
            return .noAddress(request.pointee.upstream?.search.lastFailure?.cause ?? .unresolved)
        }
        switch UpstreamKeeper(state).dial(address, request, token) {
        case .begun(let mayStand): return .dialling(mayStand: mayStand)
        case .failed(let failure):
            request.pointee.upstream?.search.failed(failure)
            return .attemptFailed
        }
    }

    /// Tells the operator of what was missing for a connection to an endpoint, which is not to blame.
    private func noteShortage(_ request: RequestPointer) {
        guard case .shortage(let shortage)? = request.pointee.upstream?.search.lastFailure else {
            return
        }
        let label = request.pointee.upstream?.search.label ?? ""
        journal.note(shortage, dialing: label, nowMilliseconds: now)
    }

    private func dropUpstream(_ request: RequestPointer) {
        guard let carrier = request.pointee.upstream?.connection else { return }
        UpstreamKeeper(state).detach(from: request)
        UpstreamKeeper(state).close(carrier)
    }

    /// A connection that was being opened may stand.
    func mayStand(_ request: RequestPointer, _ token: Token) {
        if let event = sendHead(request) { tell(request, token, event) }
    }

    /// Sends the head; on a connection that is being opened, if it stands by now.
    ///
    /// - Returns: what has come of it; nil where the connection stood before, and where it does not yet.
    private func sendHead(_ request: RequestPointer) -> RequestLife.Event? {
        guard let carrier = request.pointee.upstream?.connection,
            let slot = state.pointee.upstreams.pointer(carrier)
        else { return nil }
        let isFresh = !slot.pointee.isConnected
        if isFresh, slot.pointee.destination != nil {
            switch UpstreamHandshake(state).advance(
                slot, introduction: { introduction(request, isFresh: true) ?? [] })
            {
            case .underWay: return nil
            case .done: break
            case .failed(let failure):
                request.pointee.upstream?.search.failed(failure)
                return .attemptFailed
            }
        }
        // What of the body travels with it has gone on when the head has.
        let bodyCount = UInt64(request.pointee.extras?.firstBody.count ?? 0)
        if !request.pointee.isUpgrade, request.pointee.asked.head.fields.logsConnectionIn {
            slot.pointee.noteLogin(of: request.pointee.facts.client)
        }
        writeHead(request, slot, isFresh: isFresh)
        defer { state.pointee.heads.writer.clear() }
        let start = state.pointee.heads.writer.start
        let count = state.pointee.heads.writer.count
        request.pointee.movedMilliseconds = now
        if let upgrade = request.pointee.upgrade { upgrade.marks.sentMilliseconds = now }
        // Nobody has asked for more of the body before.
        request.pointee.body.movedMilliseconds = now
        guard isFresh, slot.pointee.destination == nil else {
            if isFresh { UpstreamKeeper(state).stands(slot, carrier) }
            if slot.pointee.leg.putAll(start, count: count, space) {
                request.pointee.body.transfer.bytesSent += bodyCount
            } else {
                // Its end is read next, and then it is tried once more.
                request.pointee.body.isCut = true
                slot.pointee.leg.note(.hangup)
            }
            if !isFresh { return nil }
            noteSent(request)
            return .headSent
        }
        switch slot.pointee.leg.socket.send(start, count: count) {
        case .moved(let moved):
            if moved < count { slot.pointee.leg.put(start + moved, count: count - moved, space) }
            slot.pointee.isConnected = true
            request.pointee.body.transfer.bytesSent += bodyCount
            noteSent(request)
            return .headSent
        case .failed(let code):
            let failure = DialFailure(code)
            request.pointee.upstream?.search.failed(failure)
            return .attemptFailed
        case .blocked, .ended: return nil
        }
    }

    /// The head has gone out on a new connection.
    private func noteSent(_ request: RequestPointer) {
        if let upgrade = request.pointee.upgrade, upgrade.marks.recorded != nil {
            upgrade.marks.recorded?.sent = Clock.nowNanoseconds()
        }
    }

    /// What a new connection says first of the client; nil where nothing is said.
    private func introduction(_ request: RequestPointer, isFresh: Bool) -> [UInt8]? {
        guard isFresh, let version = request.pointee.upstream?.search.group.introduction else {
            return nil
        }
        return Introduction.bytes(
            version, of: request.pointee.stream, client: request.pointee.facts.client)
    }

    /// Writes the head as this endpoint gets it, and what came along of the body.
    private func writeHead(
        _ request: RequestPointer, _ slot: UnsafeMutablePointer<UpstreamConnection>, isFresh: Bool
    ) {
        let stream = request.pointee.stream
        state.pointee.heads.begin()
        guard let plan = request.pointee.facts.plan else { return }
        // Where TLS is spoken, it stood in front of the handshake.
        if slot.pointee.destination == nil, let first = introduction(request, isFresh: isFresh) {
            state.pointee.heads.writer.append(first)
        }
        let told = plan.request.tellsOfRequest ? ToldFacts(request.pointee) : nil
        if let upgrade = request.pointee.upgrade {
            UpstreamRequest.write(
                upgrade, plan: plan,
                endpoint: slot.pointee.endpoint, hop: stream.facts.pointee.hop,
                trace: request.pointee.facts.trace, told: told,
                granted: request.pointee.extras?.granted, into: &state.pointee.heads.writer)
            return
        }
        stream.write(
            request.pointee.asked, path: request.pointee.extras?.path, plan: plan,
            endpoint: slot.pointee.endpoint, trace: request.pointee.facts.trace, told: told,
            granted: request.pointee.extras?.granted, into: &state.pointee.heads.writer)
        if let first = request.pointee.extras?.firstBody, !first.isEmpty {
            state.pointee.heads.writer.append(first)
        }
    }

    // MARK: Answers of our own, and ends

    /// Answers with what Sluice itself has to say.
    private func answer(_ request: RequestPointer) {
        let stream = request.pointee.stream
        if case .over(let cause?) = request.pointee.life.phase {
            request.pointee.makeExtras().own = OwnAnswer(Refusal(cause, of: request))
        }
        guard let own = request.pointee.extras?.own else { return }
        request.pointee.facts.status = own.status
        if let refusal = own.refusal {
            request.pointee.facts.proxyError = refusal.proxyError
            request.pointee.facts.detail = refusal.sentence
        }
        if request.pointee.isUpgrade, own.isPassedOn {
            stream.isPersistent = false
            stream.preparePassage()
        } else if request.pointee.isUpgrade, let refusal = own.refusal {
            // Who was granted keeps what the other server has said of its login.
            let answer = refusal.bytes(
                date: state.pointee.heads.date.now(), with: request.pointee.extras?.cookies ?? [])
            stream.send(answer, space)
            return
        }
        // A body that nobody reads would be taken for the next request.
        if !request.pointee.body.isDone { stream.isPersistent = false }
        stream.answers(request.pointee.method)
        state.pointee.heads.begin()
        own.write(
            date: state.pointee.heads.date.now(),
            policyLine: stream.policyLine + (request.pointee.extras?.cookies ?? []),
            persistence: request.pointee.persistence, to: request.pointee.method,
            told: AnswerTold.made(by: own.edits, of: request), into: &state.pointee.heads.writer)
        stream.sendWritten(state)
    }

    /// Has the client see that its answer is not whole.
    private func cutAnswer(_ request: RequestPointer) {
        if case .over(let cause?) = request.pointee.life.phase {
            let refusal = Refusal(cause, of: request)
            request.pointee.facts.proxyError = refusal.proxyError
            request.pointee.facts.detail = refusal.sentence
        }
        request.pointee.answer.isCut = true
        // A stream that ends in order would look whole where only its end says how long it is.
        request.pointee.stream.truncate(isReset: request.pointee.answer.endsWithConnection)
    }

    /// The request is over: its record is written, and the next one may come.
    private func finish(_ request: RequestPointer, _ token: Token) {
        let stream = request.pointee.stream
        var isGone = false
        if case .over(.clientGone?) = request.pointee.life.phase { isGone = true }
        assert(
            request.pointee.upstream?.connection == nil,
            "a request ends with a connection to the upstream")
        assert(
            request.pointee.places.group == nil && request.pointee.places.line == nil,
            "a request ends without giving its place back")
        request.pointee.places.giveBack(nowMilliseconds: now)
        let isCut = request.pointee.answer.isCut
        let isRefusedUpgrade = request.pointee.isUpgrade && !request.pointee.answer.hasHead
        Metering(state).ended(request)
        Recorder(state).ended(request, isGone: isGone)
        state.pointee.heads.takeBack(request.pointee.takeMemory())
        let endsAtOnce = isGone || isCut && request.pointee.answer.endsWithConnection
        state.pointee.retireRequest(token)
        if endsAtOnce {
            stream.end(.closes, state)
        } else if stream.isPersistent && !isCut && !isRefusedUpgrade && !stream.isUnwritable {
            stream.end(.goesOn, state)
        } else {
            stream.end(.leaves, state)
        }
    }

    // MARK: Events

    /// The client's socket has something to say while a request is in progress.
    func clientIsReady(_ token: Token, _ flags: Readiness) {
        guard let request = state.pointee.requests.pointer(token) else { return }
        let stream = request.pointee.stream
        stream.note(flags)
        let isWaitingUpgrade = request.pointee.isUpgrade && request.pointee.life.phase.isWaiting
        // Nobody who wants a WebSocket ends its side while it waits.
        if flags.contains(.broken) || isWaitingUpgrade && flags.contains(.hangup) {
            push(token, .clientGone)
            return
        }
        if flags.contains(.writable) && stream.isBlocked {
            request.pointee.movedMilliseconds = now
            stream.drain(space)
        }
        // It may have ended its side only, and still read; or be gone, which shows in sending.
        if flags.contains(.hangup) && request.pointee.life.deadline == .progress {
            armProgress(request)
        }
        pump(request, token)
    }

    // MARK: Deadlines

    /// Sets the timer to the time that runs; who moves bodies next sees to that of bodies.
    private func arm(_ request: RequestPointer, isPumped: Bool = false) {
        switch request.pointee.life.deadline {
        case .none: break
        case .place: arm(request, at: PlaceWaiting(state).nextLook(request))
        case .attempt:
            let search = request.pointee.upstream?.search
            arm(request, at: search?.attemptDeadline(nowMilliseconds: now) ?? now)
        case .upgradeAnswer:
            arm(request, at: now + state.pointee.snapshot.upgrade(request.pointee.facts.plan))
        case .progress:
            // That of an attempt to connect is over.
            if !request.pointee.life.isOnReused { request.pointee.timer.forget() }
            if !isPumped { armProgress(request) }
        }
    }

    /// Makes sure that the timer fires no later than what is awaited now may take.
    func armProgress(_ request: RequestPointer) {
        let awaited = awaited(request)
        var deadline = awaited.deadline
        if awaited.what == .client {
            // That a client takes what was sent before is no event: it is looked at in eighths of its time.
            let time = deadline &- request.pointee.movedMilliseconds
            deadline = min(deadline, now + max(1, time / 8))
        }
        if request.pointee.timer.hasToBeSet(by: deadline) { arm(request, at: deadline) }
    }

    /// Sets the timer of a request.
    private func arm(_ request: RequestPointer, at deadline: UInt64) {
        request.pointee.timer.wasSet(to: deadline)
        assert(state.pointee.requests.pointer(request.pointee.slot) == request)
        state.pointee.requestTimers.arm(request.pointee.slot, at: deadline)
    }

    /// What a request in progress waits for.
    private enum Awaited {
        case answer, answerBody, body, client
    }

    /// What a request in progress waits for, and until when.
    private func awaited(_ request: RequestPointer) -> (deadline: UInt64, what: Awaited) {
        let times = state.pointee.snapshot
        let plan = request.pointee.facts.plan
        let stream = request.pointee.stream
        let moved = request.pointee.movedMilliseconds
        if stream.isHangingUp { return (moved + times.lingerMilliseconds, .client) }
        // The client owes bytes of the body: so many that none is waiting to be taken upstream.
        let isBodyAwaited =
            !request.pointee.body.isDone && !request.pointee.body.isCut
            && !UpstreamKeeper(state).holds(request)
        let bodyDeadline = request.pointee.body.movedMilliseconds + times.body(plan)
        if !request.pointee.life.hasAnswer {
            return isBodyAwaited
                ? (bodyDeadline, .body)
                : (moved + times.answer(plan), .answer)
        }
        if stream.isBlocked { return (moved + times.body(plan), .client) }
        let deadline = moved + times.answerBody(plan)
        if isBodyAwaited && bodyDeadline < deadline { return (bodyDeadline, .body) }
        return (deadline, .answerBody)
    }

    /// Gives a client its time anew that takes what it was sent before.
    private func lookAtClient(_ request: RequestPointer) {
        guard case .client = awaited(request).what else { return }
        let sight = request.pointee.taking.look(
            own: request.pointee.movedMilliseconds, request.pointee.stream.carriage())
        if sight != .taking { return }
        request.pointee.movedMilliseconds = now
        request.pointee.taking.follow(own: now)
    }

    /// The timer has fired while a request is in progress.
    func timeIsUp(_ token: Token) {
        guard let request = state.pointee.requests.pointer(token) else { return }
        request.pointee.timer.forget()
        switch request.pointee.life.deadline {
        case .none: AccessGate(state).timeIsUp(request, token)
        case .place:
            if PlaceWaiting(state).lookAgain(request) {
                arm(request)
            } else {
                let cause = request.pointee.upstream?.search.exhaustion(nowMilliseconds: now)
                push(token, .exhausted(cause ?? .endpointsFull))
            }
        case .attempt:
            let isShaking =
                request.pointee.upstream?.connection
                .flatMap { state.pointee.upstreams.pointer($0) }?.pointee.isShakingHands ?? false
            request.pointee.upstream?.search.failed(isShaking ? .handshakeTimedOut : .timedOut)
            let end = request.pointee.upstream?.search.deadlineMilliseconds ?? 0
            push(token, .attemptTimedOut(isLast: now >= end))
        case .upgradeAnswer: push(token, .failed(.answerTimeout))
        case .progress:
            lookAtClient(request)
            let (deadline, awaited) = awaited(request)
            if now < deadline {
                armProgress(request)
                return
            }
            switch awaited {
            case .answer: push(token, .failed(.answerTimeout))
            case .answerBody: push(token, .failed(.answerStalled))
            case .body: push(token, .failed(.bodyTimeout))
            case .client:
                let stream = request.pointee.stream
                if !stream.isHangingUp {
                    request.pointee.facts.detail =
                        "the client read nothing for too long (timeouts.body)"
                }
                stream.truncate()
                push(token, .clientGone)
            }
        }
    }
}

extension RequestLife.Phase {
    fileprivate var isWaiting: Bool {
        if case .waiting = self { return true }
        return false
    }
}

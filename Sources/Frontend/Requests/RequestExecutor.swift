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
/// It never calls itself: what follows from an action waits in the queue of the turn, and nobody
/// touches a request again behind the actions that it was given.
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
                    request.pointee.session.pointee.request == token,
                    "a request belongs to a session that serves another")
                carryOut(request.pointee.life.handle(event), request, token)
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

    /// Does what a life asks for, in the order of the bits.
    private func carryOut(
        _ actions: RequestLife.Actions, _ request: RequestPointer, _ token: Token
    ) {
        if actions.isEmpty { return }
        if !actions.isDisjoint(with: .counts) { count(actions, request) }
        if !actions.isDisjoint(with: .ends) {
            if actions.contains(.dropUpstream) { dropUpstream(request) }
            if actions.contains(.keepUpstream) { UpstreamKeeper(state).takeBack(request) }
            if actions.contains(.giveBack) { request.pointee.places.giveEndpointBack() }
            if actions.contains(.leaveLine) { request.pointee.places.leaveLine() }
            if actions.contains(.answer) { answer(request) }
            if actions.contains(.cutAnswer) { cutAnswer(request) }
        }
        if !actions.isDisjoint(with: .seeks) {
            if actions.contains(.claim) { claim(request, token) }
            if actions.contains(.claimAnother) { claimAnother(request, token) }
            if actions.contains(.connect) { connect(request, token) }
            if actions.contains(.connectAnew) { connectAnew(request, token) }
        }
        if actions.contains(.sendHead) { sendHead(request, token) }
        if actions.contains(.arm) { arm(request, isPumped: actions.contains(.pump)) }
        if actions.contains(.pump) { BodyPump(state).pump(request, token) }
        if actions.contains(.openTunnel) {
            TunnelKeeper(state).open(request, token)
        } else if actions.contains(.finish) {
            finish(request, token)
        }
    }

    /// Tells the upstream's picker how its endpoint does.
    func count(_ actions: RequestLife.Actions, _ request: RequestPointer) {
        if actions.isDisjoint(with: .counts) { return }
        guard let group = request.pointee.places.group else { return }
        let endpoint = request.pointee.places.endpoint
        if actions.contains(.countConnectFailure), let failure = request.pointee.search?.lastFailure
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
    }

    /// What was wrong with the answer to an upgrade, in words.
    private func answerTrouble(_ request: RequestPointer) -> String {
        switch request.pointee.life.phase {
        case .over(let cause?): Refusal(cause, of: request).sentence
        case .exchanging: "The upgrade was answered with \(request.pointee.facts.status)."
        default: Refusal(.noAnswer, of: request).sentence
        }
    }

    // MARK: Places

    private func claim(_ request: RequestPointer, _ token: Token) {
        if claimKept(request) {
            push(token, .claimed)
            return
        }
        if let index = request.pointee.search?.claim(nowMilliseconds: now) {
            take(index, request)
            push(token, .claimed)
        } else if PlaceWaiting(state).join(request, token) {
            push(token, .joined)
        } else {
            let cause = request.pointee.search?.exhaustion(nowMilliseconds: now)
            push(token, .exhausted(cause ?? .unresolved))
        }
    }

    /// Claims a place for the connection that is this client's alone, if it still may carry the request.
    private func claimKept(_ request: RequestPointer) -> Bool {
        let session = request.pointee.session
        guard let kept = session.pointee.reader.kept, let group = request.pointee.search?.group
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
            slot.pointee.isSound(for: request),
            // Those that wait for a place are not overtaken, but by who is within a login.
            request.pointee.search?.claim(only: index, mayOvertake: hasLogin) == true
        else {
            SessionKeeper(state).letKeptGo(session)
            return false
        }
        session.pointee.reader.kept = nil
        slot.pointee.owner = token(of: request)
        request.pointee.upstream = kept
        request.pointee.isOnReused = true
        take(index, request)
        return true
    }

    private func claimAnother(_ request: RequestPointer, _ token: Token) {
        guard let index = request.pointee.search?.claimAnother(nowMilliseconds: now) else {
            push(token, .exhausted(.noAnswer))
            return
        }
        take(index, request)
        push(token, .claimed)
    }

    private func take(_ index: Int, _ request: RequestPointer) {
        guard let group = request.pointee.search?.group else { return }
        request.pointee.places.take(index, of: group)
        request.pointee.facts.endpoint = group.endpoints[index]
    }

    private func token(of request: RequestPointer) -> Token? {
        request.pointee.session.pointee.request
    }

    // MARK: Connections

    private func connect(_ request: RequestPointer, _ token: Token) {
        let upstreams = UpstreamKeeper(state)
        if request.pointee.upstream != nil || upstreams.takeIdle(request, token) {
            push(token, .found)
            return
        }
        guard let address = request.pointee.search?.nextAddress() else {
            noteShortage(request)
            push(token, .noAddress(request.pointee.search?.lastFailure?.cause ?? .unresolved))
            return
        }
        switch upstreams.dial(address, request, token) {
        case .begun(let mayStand): push(token, .dialling(mayStand: mayStand))
        case .failed(let failure):
            request.pointee.search?.failed(failure)
            push(token, .attemptFailed(failure.cause))
        }
    }

    /// Tells the operator of what was missing for a connection to an endpoint, which is not to blame.
    private func noteShortage(_ request: RequestPointer) {
        guard case .shortage(let shortage)? = request.pointee.search?.lastFailure else { return }
        // The one that tries an endpoint behind its cool-down has found nothing out about it.
        request.pointee.places.group?.picker
            .undecided(request.pointee.places.endpoint, nowMilliseconds: now)
        let label = request.pointee.search?.label ?? ""
        journal.note(shortage, dialing: label, nowMilliseconds: now)
    }

    /// The request goes out once more, on a connection of its own; it keeps its place at the endpoint.
    private func connectAnew(_ request: RequestPointer, _ token: Token) {
        request.pointee.mustBeFresh = true
        request.pointee.isUpCut = false
        request.pointee.search?.restart(deadlineMilliseconds: now + settings.connectMilliseconds)
        connect(request, token)
    }

    private func dropUpstream(_ request: RequestPointer) {
        guard let carrier = request.pointee.upstream else { return }
        request.pointee.upstream = nil
        UpstreamKeeper(state).close(carrier)
    }

    /// Sends the head; on a connection that is being opened, if it stands by now.
    func sendHead(_ request: RequestPointer, _ token: Token) {
        guard let carrier = request.pointee.upstream,
            let slot = state.pointee.upstreams.pointer(carrier)
        else { return }
        let isFresh = !slot.pointee.isConnected
        if !request.pointee.isUpgrade, request.pointee.asked.head.fields.logsConnectionIn {
            slot.pointee.noteLogin(of: request.pointee.facts.client)
        }
        writeHead(request, slot.pointee.endpoint, isFresh: isFresh)
        let start = state.pointee.heads.writer.start
        let count = state.pointee.heads.writer.count
        request.pointee.movedMilliseconds = now
        // Nobody has asked for more of the body before.
        request.pointee.bodyMovedMilliseconds = now
        guard isFresh else {
            slot.pointee.requestCount += 1
            if !slot.pointee.leg.put(start, count: count, space) {
                // Its end is read next, and then it is tried once more.
                request.pointee.isUpCut = true
                slot.pointee.leg.note(.hangup)
            }
            return
        }
        switch slot.pointee.leg.socket.send(start, count: count) {
        case .moved(let moved):
            if moved < count { slot.pointee.leg.put(start + moved, count: count - moved, space) }
            slot.pointee.isConnected = true
            slot.pointee.requestCount += 1
            push(token, .headSent)
        case .failed(let code):
            let failure = DialFailure(code)
            request.pointee.search?.failed(failure)
            push(token, .attemptFailed(failure.cause))
        case .blocked, .ended: break
        }
    }

    /// Writes the head as this endpoint gets it, and what came along of the body.
    private func writeHead(_ request: RequestPointer, _ endpoint: Endpoint, isFresh: Bool) {
        let session = request.pointee.session
        state.pointee.heads.writer.clear()
        guard let plan = request.pointee.facts.plan else { return }
        if isFresh, let version = request.pointee.search?.group.introduction {
            state.pointee.heads.writer.append(
                Introduction.bytes(version, of: session, client: request.pointee.facts.client))
        }
        if let upgrade = request.pointee.upgrade {
            state.pointee.heads.writer.append(
                UpstreamRequest.bytes(
                    of: upgrade.request, path: upgrade.path, plan: plan, endpoint: endpoint,
                    hop: session.pointee.facts.hop, key: upgrade.ownKey))
            return
        }
        session.pointee.reader.passage?.write(
            request.pointee.asked, path: request.pointee.path, plan: plan, endpoint: endpoint,
            into: &state.pointee.heads.writer)
        if !request.pointee.firstBody.isEmpty {
            state.pointee.heads.writer.append(request.pointee.firstBody)
        }
    }

    // MARK: Answers of our own, and ends

    /// Answers with what Sluice itself has to say.
    private func answer(_ request: RequestPointer) {
        let session = request.pointee.session
        if case .over(let cause?) = request.pointee.life.phase {
            request.pointee.own = OwnAnswer(Refusal(cause, of: request))
        }
        guard let own = request.pointee.own else { return }
        request.pointee.facts.status = own.status
        if let refusal = own.refusal {
            request.pointee.facts.proxyError = refusal.proxyError
            request.pointee.facts.detail = refusal.sentence
        }
        let sessions = SessionKeeper(state)
        if request.pointee.isUpgrade, let refusal = own.refusal {
            sessions.send(session, refusal)
            return
        }
        // A body that nobody reads would be taken for the next request.
        if !request.pointee.up.isDone { session.pointee.reader.isPersistent = false }
        state.pointee.heads.writer.clear()
        own.write(
            date: state.pointee.heads.date.now(),
            policyLine: session.pointee.reader.passage?.policyLine ?? [],
            persistence: request.pointee.persistence, omitsBody: request.pointee.method == .head,
            into: &state.pointee.heads.writer)
        sessions.sendWritten(session)
    }

    /// Has the client see that its answer is not whole.
    private func cutAnswer(_ request: RequestPointer) {
        if case .over(let cause?) = request.pointee.life.phase {
            let refusal = Refusal(cause, of: request)
            request.pointee.facts.proxyError = refusal.proxyError
            request.pointee.facts.detail = refusal.sentence
        }
        request.pointee.isCut = true
        let session = request.pointee.session
        session.pointee.leg.isTruncated = true
        // A stream that ends in order would look whole where only its end says how long it is.
        if request.pointee.endsWithConnection { session.pointee.leg.socket.setResetOnClose() }
    }

    /// The request is over: its record is written, and the next one may come.
    private func finish(_ request: RequestPointer, _ token: Token) {
        let session = request.pointee.session
        var isGone = false
        if case .over(.clientGone?) = request.pointee.life.phase { isGone = true }
        assert(request.pointee.upstream == nil, "a request ends with a connection to the upstream")
        assert(
            request.pointee.places.group == nil && request.pointee.places.line == nil,
            "a request ends without giving its place back")
        request.pointee.places.giveBack(nowMilliseconds: now)
        if isGone && request.pointee.facts.detail.isEmpty {
            request.pointee.facts.detail = request.pointee.goneDetail
        }
        let isCut = request.pointee.isCut
        let isRefusedUpgrade = request.pointee.isUpgrade && !request.pointee.hasAnswerHead
        Recorder(state).ended(
            request, ownBytes: request.pointee.own?.body.count ?? 0, isWhole: !isGone && !isCut)
        state.pointee.heads.takeBack(request.pointee.takeMemory())
        let endsAtOnce = isGone || isCut && request.pointee.endsWithConnection
        session.pointee.request = nil
        state.pointee.requests.retire(token)
        let sessions = SessionKeeper(state)
        if endsAtOnce {
            sessions.close(session)
        } else if session.pointee.reader.isPersistent && !isCut && !isRefusedUpgrade
            && !session.pointee.leg.isUnwritable
        {
            sessions.arm(session, at: now + settings.keepAliveMilliseconds)
            state.pointee.work.push(.session(session.pointee.client))
        } else {
            sessions.leave(session)
        }
    }

    // MARK: Events

    /// The client's socket has something to say while a request is in progress.
    func clientIsReady(_ token: Token, _ flags: Readiness) {
        guard let request = state.pointee.requests.pointer(token) else { return }
        let session = request.pointee.session
        session.pointee.leg.note(flags)
        let isWaitingUpgrade = request.pointee.isUpgrade && request.pointee.life.phase.isWaiting
        // Nobody who wants a WebSocket ends its side while it waits.
        if flags.contains(.broken) || isWaitingUpgrade && flags.contains(.hangup) {
            push(token, .clientGone)
            return
        }
        if flags.contains(.writable) && !session.pointee.leg.held.isEmpty {
            request.pointee.movedMilliseconds = now
            _ = session.pointee.leg.drain(space)
        }
        // It may have ended its side only, and still read; or be gone, which shows in sending.
        if flags.contains(.hangup) && request.pointee.life.deadline == .progress {
            armProgress(request)
        }
        BodyPump(state).pump(request, token)
    }

    /// Goes on with what the last turn had no time for.
    func goOn(_ token: Token) {
        guard let request = state.pointee.requests.pointer(token) else { return }
        BodyPump(state).pump(request, token)
    }

    // MARK: Deadlines

    /// Sets the timer to the time that runs; who moves bodies next sees to that of bodies.
    private func arm(_ request: RequestPointer, isPumped: Bool = false) {
        let sessions = SessionKeeper(state)
        let session = request.pointee.session
        switch request.pointee.life.deadline {
        case .none: break
        case .place:
            sessions.arm(session, at: PlaceWaiting(state).nextLook(request))
        case .attempt:
            let deadline = request.pointee.search?.attemptDeadline(nowMilliseconds: now) ?? now
            sessions.arm(session, at: deadline)
        case .upgradeAnswer: sessions.arm(session, at: now + settings.upgradeMilliseconds)
        case .progress:
            // That of an attempt to connect is over.
            if !request.pointee.isOnReused { session.pointee.armedMilliseconds = 0 }
            if !isPumped { armProgress(request) }
        }
    }

    /// Makes sure that the timer fires no later than what is awaited now may take.
    func armProgress(_ request: RequestPointer) {
        let deadline = patience(request).deadline
        let session = request.pointee.session
        let armed = session.pointee.armedMilliseconds
        if deadline < armed || armed == 0 { SessionKeeper(state).arm(session, at: deadline) }
    }

    /// What a request in progress waits for.
    private enum Awaited {
        case answer, answerBody, body, client
    }

    /// What a request in progress waits for, and until when.
    private func patience(_ request: RequestPointer) -> (deadline: UInt64, awaited: Awaited) {
        let settings = state.pointee.snapshot.settings
        let session = request.pointee.session
        let moved = request.pointee.movedMilliseconds
        if session.pointee.leg.isHangingUp {
            return (moved + settings.patience.lingerMilliseconds, .client)
        }
        // The client owes bytes of the body: so many that none is waiting to be taken upstream.
        let isBodyAwaited =
            !request.pointee.up.isDone && !request.pointee.isUpCut
            && !UpstreamKeeper(state).holds(request)
        let bodyDeadline = request.pointee.bodyMovedMilliseconds + settings.bodyMilliseconds
        if !request.pointee.life.hasAnswer {
            return isBodyAwaited
                ? (bodyDeadline, .body)
                : (moved + settings.answerMilliseconds, .answer)
        }
        if !session.pointee.leg.held.isEmpty {
            return (moved + settings.bodyMilliseconds, .client)
        }
        let deadline = moved + settings.answerBodyMilliseconds
        if isBodyAwaited && bodyDeadline < deadline { return (bodyDeadline, .body) }
        return (deadline, .answerBody)
    }

    /// The timer has fired while a request is in progress.
    func timeIsUp(_ token: Token) {
        guard let request = state.pointee.requests.pointer(token) else { return }
        switch request.pointee.life.deadline {
        case .none: break
        case .place:
            if PlaceWaiting(state).lookAgain(request) {
                arm(request)
            } else {
                let cause = request.pointee.search?.exhaustion(nowMilliseconds: now)
                push(token, .exhausted(cause ?? .endpointsFull))
            }
        case .attempt:
            request.pointee.search?.failed(.timedOut)
            let end = request.pointee.search?.deadlineMilliseconds ?? 0
            push(token, .attemptTimedOut(isLast: now >= end))
        case .upgradeAnswer: push(token, .failed(.answerTimeout))
        case .progress:
            let (deadline, awaited) = patience(request)
            if now < deadline {
                armProgress(request)
                return
            }
            switch awaited {
            case .answer: push(token, .failed(.answerTimeout))
            case .answerBody: push(token, .failed(.answerStalled))
            case .body: push(token, .failed(.bodyTimeout))
            case .client:
                let session = request.pointee.session
                if !session.pointee.leg.isHangingUp {
                    request.pointee.facts.detail =
                        "the client read nothing for too long (timeouts.body)"
                }
                session.pointee.leg.isTruncated = true
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

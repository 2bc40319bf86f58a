// SPDX-License-Identifier: Apache-2.0
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Takes clients' connections from their first byte to a judged request, and from their last answer
/// to their close.
struct SessionKeeper {
    let state: StatePointer

    /// Heads that are read in one turn of one connection, so that a pipeline leaves the others theirs.
    private static let headsPerTurn = 32

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }
    private var now: UInt64 { state.pointee.now }
    private var settings: FrontendSettings { state.pointee.settings }

    // MARK: Begin and end

    /// Takes up a connection that was accepted and counted.
    func begin(_ descriptor: Int32, peer: Address, entrance: Entrance) {
        // It has TCP_NODELAY from its listener.
        var leg = Leg(Socket(adopting: descriptor))
        var facts = ClientFacts(
            peer: peer, listener: entrance.facts, acceptedMilliseconds: now)
        var stage = ClientSession.Stage.sniffing(isDeferred: false)
        if entrance.facts.expectsProxyHeader {
            stage = .introduction
        } else if !ClientCounts(state).admit(&facts) {
            state.pointee.crew.loads[state.pointee.index].closed()
            return
        }
        var deadline = now + settings.headMilliseconds
        if let store = entrance.certificates {
            leg.tls = TLSSession.accepting(store.initial, through: space.pointee.records)
            if leg.tls == nil {
                turnAway(&facts)
                return
            }
            deadline = now + settings.clientHelloMilliseconds
        }
        let made = ClientSession(
            leg: leg, facts: facts, stage: stage, limits: settings.headLimits)
        guard let slot = state.pointee.sessions.insert(made),
            let session = state.pointee.sessions.pointer(slot)
        else {
            turnAway(&facts)
            return
        }
        guard let client = state.pointee.clients.insert(.session(session)) else {
            state.pointee.sessions.retire(slot)
            turnAway(&facts)
            return
        }
        session.pointee.slot = slot
        session.pointee.client = client
        Metering(state).connected(by: session.pointee.facts.listener)
        state.pointee.sessionTimers.reserve(index: Int(client.index))
        arm(session, at: deadline)
        if !state.pointee.poller.add(descriptor, client.tagged(TokenTag.client), .edgeBoth) {
            close(session)
        }
    }

    private func turnAway(_ facts: inout ClientFacts) {
        ClientCounts(state).release(&facts)
        state.pointee.crew.loads[state.pointee.index].closed()
    }

    /// Says nothing more: what was sent is delivered, and what still comes is read off, for a while.
    func leave(_ session: SessionPointer) {
        assert(session.pointee.stream.request == nil, "a session leaves within a request")
        letKeptGo(session)
        session.pointee.stage = .leaving(Leaving())
        if session.pointee.stream.leg.leave(space) {
            close(session)
            return
        }
        armLeaving(session)
        // What has come already makes no event any more.
        if session.pointee.stream.leg.isReadable && !session.pointee.stream.leg.hasEnded {
            state.pointee.goOnLater(session)
        }
    }

    /// Closes the connection, on which no request is in progress.
    func close(_ session: SessionPointer) {
        assert(session.pointee.stream.request == nil, "a session closes within a request")
        assert(
            state.pointee.sessions.pointer(session.pointee.slot) == session,
            "a session is closed twice")
        letKeptGo(session)
        let client = session.pointee.client
        Metering(state).disconnected(from: session.pointee.facts.listener)
        Metering(state).leftHandshake(session)
        state.pointee.sessionTimers.cancel(client)
        session.pointee.stream.leg.release(space)
        ClientCounts(state).release(&session.pointee.facts)
        // The socket closes when the slot is released, behind the last event of this batch.
        state.pointee.sessions.retire(session.pointee.slot)
        state.pointee.clients.retire(client)
        // Tunnels on streams of HTTP/2 live on until their upstreams have been told.
        state.pointee.crew.loads[state.pointee.index]
            .closed(hasUpstream: session.pointee.upstreamCount > 0)
    }

    /// Closes the idle connection to an endpoint that was kept for this client.
    func letKeptGo(_ session: SessionPointer) {
        guard let kept = session.pointee.kept else { return }
        session.pointee.kept = nil
        UpstreamKeeper(state).close(kept)
    }

    /// Notes in the log why a connection ends on which no request was read.
    func note(_ session: SessionPointer, _ detail: String) {
        var facts = RequestFacts(
            client: session.pointee.facts.peer,
            beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
        facts.detail = detail
        Recorder(state).refused(session, facts)
    }

    /// Answers with a refusal that closes the connection, where no request was taken up.
    ///
    /// - Parameters:
    ///   - session: the connection.
    ///   - refusal: the answer.
    ///   - facts: what the log says of the request; nil where nothing is known of it.
    ///   - method: its method, since an answer to HEAD has no body.
    func refuse(
        _ session: SessionPointer, _ refusal: Refusal, _ facts: RequestFacts? = nil,
        to method: Method = .get
    ) {
        var facts =
            facts
            ?? RequestFacts(
                client: session.pointee.facts.peer,
                beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
        facts.status = refusal.status
        facts.proxyError = refusal.proxyError
        facts.detail = refusal.sentence
        send(session, refusal, to: method)
        Metering(state).refused(session, facts)
        Recorder(state).refused(session, facts)
        leave(session)
    }

    // MARK: Events

    /// The socket of a session has something to say.
    func isReady(_ session: SessionPointer, _ flags: Readiness) {
        switch session.pointee.stage {
        case .leaving: readOff(session, flags)
        case .serving:
            if let token = session.pointee.stream.request {
                RequestExecutor(state).clientIsReady(token, flags)
                return
            }
            session.pointee.stream.leg.note(flags)
            if flags.contains(.broken) {
                noteHalfHead(session)
                close(session)
                return
            }
            if flags.contains(.writable) { _ = session.pointee.stream.leg.drain(space) }
            readOn(session)
        case .multiplexing: MultiplexKeeper(state).isReady(session, flags)
        case .introduction, .sniffing, .handshaking, .misaddressed:
            session.pointee.stream.leg.note(flags)
            if flags.contains(.writable) { _ = session.pointee.stream.leg.drain(space) }
            SessionOpening(state).advance(session)
        }
    }

    /// Reads what the last turn had no time for.
    func goOn(_ session: SessionPointer) {
        if case .leaving = session.pointee.stage {
            readOff(session, [])
        } else if case .multiplexing = session.pointee.stage {
            MultiplexKeeper(state).isReady(session, [])
        } else {
            readOn(session)
        }
    }

    /// The time of a session that leaves: for what is held as long as for any answer's bytes, and then
    /// `linger`.
    private func armLeaving(_ session: SessionPointer) {
        if session.pointee.stream.leg.held.isEmpty {
            arm(session, at: now + space.pointee.patience.lingerMilliseconds)
            return
        }
        _ = look(session)
        arm(session, at: now + state.pointee.settings.bodyMilliseconds)
    }

    /// Looks at whether a client takes what is left for it, or what was sent before that.
    private func look(_ session: SessionPointer) -> TakingWatch.Sight {
        guard case .leaving(var leaving) = session.pointee.stage else { return .nothing }
        defer { session.pointee.stage = .leaving(leaving) }
        return session.pointee.stream.leg.look(&leaving)
    }

    private func readOff(_ session: SessionPointer, _ flags: Readiness) {
        guard case .leaving(var leaving) = session.pointee.stage else { return }
        let heldBefore = session.pointee.stream.leg.held.count
        let progress = session.pointee.stream.leg.readOff(&leaving, flags, space)
        session.pointee.stage = .leaving(leaving)
        // The client has taken some of what is held: the time begins anew.
        if session.pointee.stream.leg.held.count < heldBefore { armLeaving(session) }
        switch progress {
        case .waiting: break
        case .again: state.pointee.goOnLater(session)
        case .over: close(session)
        }
    }

    /// The timer of a session has fired.
    func timeIsUp(_ session: SessionPointer) {
        session.pointee.timer.forget()
        // The deadlines of a request are its own.
        if session.pointee.stream.request != nil { return }
        let deadline = session.pointee.deadlineMilliseconds
        if now < deadline {
            arm(session, at: deadline)
            return
        }
        switch session.pointee.stage {
        case .introduction:
            note(session, "no header of the PROXY protocol came in time")
            close(session)
        case .sniffing, .handshaking:
            note(
                session,
                session.pointee.stream.leg.tls == nil
                    ? "no request came in time (timeouts.head)" : "the TLS handshake took too long")
            close(session)
        case .misaddressed: SessionOpening(state).answerPlain(session, head: nil)
        case .serving:
            if session.pointee.reader.hasBegun {
                refuse(session, .headTimeout, refusedFacts(session))
            } else {
                leave(session)
            }
        case .multiplexing: MultiplexKeeper(state).timeIsUp(session)
        case .leaving: if !takesWhatIsLeft(session) { close(session) }
        }
    }

    /// Gives a client its time anew that takes what was sent before what is held for it.
    private func takesWhatIsLeft(_ session: SessionPointer) -> Bool {
        if session.pointee.stream.leg.held.isEmpty || look(session) != .taking { return false }
        armLeaving(session)
        return true
    }

    /// The process goes away: the session ends with the answer that it waits for.
    ///
    /// Where another process serves its address, whoever has come in is still served here.
    func processLeaves(_ session: SessionPointer, isReplaced: Bool) {
        if let token = session.pointee.stream.request {
            session.pointee.stream.isPersistent = false
            if !isReplaced { state.pointee.work.push(.request(token, .processLeaves)) }
            return
        }
        let hasServed = session.pointee.reader.requestCount > 0
        switch session.pointee.stage {
        case .leaving: break
        case .multiplexing:
            MultiplexKeeper(state).processLeaves(session, isReplaced: isReplaced)
        case .serving where session.pointee.reader.parser.byteCount > 0:
            if hasServed || !isReplaced { refuse(session, .draining, refusedFacts(session)) }
        case .serving where hasServed: leave(session)
        default: if !isReplaced { close(session) }
        }
    }

    /// Says until when what is awaited has to come.
    func arm(_ session: SessionPointer, at deadline: UInt64) {
        session.pointee.deadlineMilliseconds = deadline
        guard session.pointee.timer.hasToBeSet(by: deadline) else { return }
        let client = session.pointee.client
        assert(state.pointee.clients.pointer(client) != nil, "a timer for who has gone")
        state.pointee.sessionTimers.arm(client, at: deadline)
    }

    // MARK: Requests

    /// Reads towards the next request head, and judges it when it is whole.
    func readOn(_ session: SessionPointer) {
        while case .serving = session.pointee.stage, session.pointee.stream.request == nil,
            // The answers to the requests before have to leave first.
            session.pointee.stream.leg.held.isEmpty
        {
            let hasUnread = !session.pointee.stream.unread.bytes.isEmpty
            if !hasUnread && session.pointee.stream.leg.hasEnded {
                clientLeft(session)
                return
            }
            guard hasUnread || session.pointee.stream.leg.isReadable else { return }
            let mayRead = session.pointee.reader.mayRead(
                inTurn: state.pointee.turnNumber, countMax: Self.headsPerTurn)
            guard mayRead else {
                state.pointee.goOnLater(session)
                return
            }
            if hasUnread {
                let unread = session.pointee.stream.unread.bytes
                let goesOn = unread.withUnsafeBytes { takeHead(session, $0, isUnread: true) }
                if !goesOn { return }
                continue
            }
            let received = session.pointee.stream.leg.receive(space)
            if received.count > 0 && !take(session, received) { return }
        }
    }

    /// The client has ended its side between two requests, or within a head.
    private func clientLeft(_ session: SessionPointer) {
        guard session.pointee.reader.requestCount > 0 else {
            close(session)
            return
        }
        noteHalfHead(session)
        leave(session)
    }

    /// Notes that a client has left within a head, unless it was the first one of its connection.
    private func noteHalfHead(_ session: SessionPointer) {
        guard session.pointee.reader.requestCount > 0, session.pointee.reader.parser.byteCount > 0
        else { return }
        note(session, "the client left within a request head")
    }

    /// Takes bytes of a head that were just received.
    ///
    /// - Returns: whether more are to be read; else a request was taken up, or the session ends.
    func take(_ session: SessionPointer, _ received: Leg.Received) -> Bool {
        takeHead(
            session, UnsafeRawBufferPointer(start: received.bytes, count: received.count),
            isUnread: false)
    }

    /// Takes bytes of a head.
    ///
    /// - Returns: whether more are to be read; else a request was taken up, or the session ends.
    private func takeHead(
        _ session: SessionPointer, _ bytes: UnsafeRawBufferPointer, isUnread: Bool
    ) -> Bool {
        let isFirst = session.pointee.reader.parser.byteCount == 0
        if isFirst { session.pointee.reader.parser.lend(state.pointee.heads.lend()) }
        switch session.pointee.reader.parser.append(bytes) {
        case .needsMore:
            if isUnread { session.pointee.stream.unread.drop(bytes.count) }
            // The time of the first head runs since the connection was ready for it.
            // An empty line is no begin of a request: the time between two goes on.
            if isFirst && session.pointee.reader.requestCount > 0
                && session.pointee.reader.parser.byteCount > 0
            {
                arm(session, at: now + settings.headMilliseconds)
            }
            return true
        case .failed(let fault):
            refuse(session, Refusal(fault), refusedFacts(session))
            return false
        case .complete(let head, let consumed):
            // What stands behind it is held already, or is held now.
            if isUnread {
                session.pointee.stream.unread.drop(consumed)
            } else {
                session.pointee.stream.unread.hold(
                    UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
            }
            RequestJudge(state).judge(ClientStream(session), head)
            return false
        }
    }

    /// What is noted of a request whose head is refused: its time counts since it was read, but for
    /// the first one.
    func refusedFacts(_ session: SessionPointer) -> RequestFacts {
        let isFirst = session.pointee.reader.requestCount == 0
        return RequestFacts(
            client: session.pointee.facts.peer,
            beganMilliseconds: isFirst ? session.pointee.facts.acceptedMilliseconds : now)
    }

    // MARK: Sending

    /// Sends a refusal that closes the connection.
    func send(_ session: SessionPointer, _ refusal: Refusal, to method: Method = .get) {
        send(session, refusal.bytes(date: state.pointee.heads.date.now(), to: method))
    }

    /// Sends bytes to the client; what its socket does not take is held.
    func send(_ session: SessionPointer, _ bytes: [UInt8]) {
        ClientStream(session).send(bytes, space)
    }
}

extension RequestReader {
    /// Whether a head is awaited in earnest: the first one of the connection, or one that has begun.
    fileprivate var hasBegun: Bool { requestCount == 0 || parser.byteCount > 0 }
}

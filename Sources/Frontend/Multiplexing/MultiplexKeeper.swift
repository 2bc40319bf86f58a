// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Takes connections that speak HTTP/2 from the end of their handshake to their close: hands bytes to
/// and fro, gives each stream its request, and each request its stream's events.
struct MultiplexKeeper {
    let state: StatePointer

    /// Rounds in which one turn looks at streams that have something for their connection.
    private static let roundsPerTurn = 4
    /// Bytes of one stream that are handed to its connection before any of them was produced.
    private static let handedBytesMax = 64 * 1024
    /// What is handed over in one piece.
    private static let pieceBytes = 16 * 1024

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }
    private var now: UInt64 { state.pointee.now }
    private var sessions: SessionKeeper { SessionKeeper(state) }

    // MARK: The connection

    /// A handshake is done in which HTTP/2 was agreed on.
    func begin(_ session: SessionPointer) {
        session.pointee.stage = .multiplexing(
            Multiplex(
                state.pointee.snapshot.multiplexing, state.pointee.multiplexMemory,
                nowMilliseconds: now))
        markDirty(session)
        // It was under way when the process began to leave: it may say what it came for.
        if state.pointee.leaving != nil { processLeaves(session, isReplaced: true) }
    }

    /// Takes bytes that were opened, and does what comes of them.
    func take(_ session: SessionPointer, _ received: Leg.Received) {
        guard case .multiplexing(let multiplex) = session.pointee.stage else { return }
        multiplex.connection.receive(
            UnsafeRawBufferPointer(start: received.bytes, count: received.count),
            milliseconds: Int64(truncatingIfNeeded: now))
        takeEvents(session, multiplex)
        markDirty(session)
    }

    /// The socket has something to say, or the turn has come to go on.
    func isReady(_ session: SessionPointer, _ flags: Readiness) {
        guard case .multiplexing = session.pointee.stage else { return }
        session.pointee.stream.leg.note(flags)
        if flags.contains(.writable) {
            _ = session.pointee.stream.leg.drain(space)
            markDirty(session)
        }
        var budget = space.pointee.pumpBytesMax
        while session.pointee.stream.leg.isReadable, !session.pointee.stream.leg.hasEnded {
            if budget <= 0 {
                state.pointee.goOnLater(session)
                return
            }
            let received = session.pointee.stream.leg.receive(space)
            budget -= received.rawCount
            if received.count > 0 { take(session, received) }
            guard case .multiplexing = session.pointee.stage else { return }
        }
        if session.pointee.stream.leg.hasEnded || session.pointee.stream.leg.isUnwritable {
            close(session)
        }
    }

    /// The timer of a session has fired that speaks HTTP/2.
    func timeIsUp(_ session: SessionPointer) {
        guard case .multiplexing(let multiplex) = session.pointee.stage else { return }
        if multiplex.connection.end != nil {
            // It does not take what was to be said to it.
            close(session)
            return
        }
        if let announced = multiplex.announcedMilliseconds {
            if now >= announced + Multiplex.noticeMilliseconds { multiplex.connection.shutDown() }
        } else if multiplex.streams.isEmpty {
            multiplex.connection.shutDown()
        }
        markDirty(session)
    }

    /// The process goes away: no stream is opened any more, and those that are open end.
    func processLeaves(_ session: SessionPointer, isReplaced: Bool) {
        guard case .multiplexing(let multiplex) = session.pointee.stage,
            multiplex.announcedMilliseconds == nil
        else { return }
        multiplex.announcedMilliseconds = now
        multiplex.connection.announceShutdown()
        markDirty(session)
        sessions.arm(session, at: now + Multiplex.noticeMilliseconds)
        if isReplaced { return }
        for slot in multiplex.streams {
            if let request = state.pointee.substreams.pointer(slot)?.pointee.stream.request {
                state.pointee.work.push(.request(request, .processLeaves))
            }
        }
    }

    /// Closes the connection with all its streams; requests are told first.
    func close(_ session: SessionPointer, _ detail: String? = nil) {
        guard case .multiplexing(let multiplex) = session.pointee.stage else { return }
        for slot in multiplex.streams {
            guard let substream = state.pointee.substreams.pointer(slot) else { continue }
            substream.pointee.isClosed = true
            cut(substream, detail)
        }
        RequestExecutor(state).run()
        for slot in multiplex.streams {
            guard let substream = state.pointee.substreams.pointer(slot) else { continue }
            // Its tunnel lives on until its upstream has been told.
            substream.pointee.tunnel?.pointee.client = .gone
            discard(substream)
        }
        multiplex.streams = []
        sessions.close(session)
    }

    /// Has whoever uses a stream know that its peer is gone.
    private func cut(_ substream: SubstreamPointer, _ detail: String?) {
        substream.pointee.feed.reset(&space.pointee.pool)
        if let tunnel = substream.pointee.tunnel {
            let verdict = tunnel.pointee.relay.ready(.client, [.readable, .hangup], space)
            if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
        } else if let token = substream.pointee.stream.request {
            substream.pointee.stream.leg.isUnwritable = true
            if let detail {
                state.pointee.requests.pointer(token)?.pointee.facts.detail = detail
            }
            state.pointee.work.push(.request(token, .clientGone))
        }
    }

    // MARK: What has come

    private func takeEvents(_ session: SessionPointer, _ multiplex: Multiplex) {
        while let event = multiplex.connection.nextEvent() {
            switch event.kind {
            case .request(let isLast):
                open(session, multiplex, event.stream, isLast: isLast)
                continue
            case .over:
                continue
            case .goAway, .pong: continue
            case .data, .trailers, .end, .drained, .sent, .closed: break
            }
            let token = Token(rawValue: event.tag)
            guard let substream = state.pointee.substreams.pointer(token),
                substream.pointee.id == event.stream
            else {
                if case .closed = event.kind { multiplex.connection.forget(event.stream) }
                continue
            }
            take(event.kind, substream, multiplex)
            RequestExecutor(state).run()
        }
    }

    private func take(
        _ event: HTTP2Event.Kind, _ substream: SubstreamPointer, _ multiplex: Multiplex
    ) {
        let id = substream.pointee.id
        switch event {
        case .data:
            let arrived = multiplex.connection.arrived(id)
            if substream.pointee.isLeft {
                // Nobody wants the rest of the body.
                multiplex.connection.consume(id, arrived.count)
                return
            }
            substream.pointee.feed.put(UnsafeRawBufferPointer(arrived), &space.pointee.pool)
            multiplex.connection.take(id, arrived.count)
            tell(substream, .readable)
        case .trailers:
            // Of a request they go nowhere: there is no place for them in front of its chunks' end.
            if let head = multiplex.connection.takeTrailers(id) {
                state.pointee.multiplexMemory.recycle(head)
            }
        case .end:
            substream.pointee.feed.end()
            tell(
                substream, substream.pointee.tunnel == nil ? .readable : [.readable, .hangup])
        case .drained: substream.pointee.feed.notify()
        case .sent:
            substream.pointee.isSent = true
            if substream.pointee.isLeft { endPeersSide(substream, multiplex) }
        case .closed(let end):
            substream.pointee.isClosed = true
            if end != .complete { cut(substream, nil) }
            if substream.pointee.isLeft { discard(substream) }
        case .request, .goAway, .pong, .over: break
        }
    }

    /// Reports to whoever uses a stream.
    private func tell(_ substream: SubstreamPointer, _ flags: Readiness) {
        if let tunnel = substream.pointee.tunnel {
            let verdict = tunnel.pointee.relay.ready(.client, flags, space)
            if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
        } else if let token = substream.pointee.stream.request {
            RequestExecutor(state).clientIsReady(token, flags)
        }
    }

    // MARK: Streams

    /// A request has come: it gets a stream, and is judged.
    private func open(
        _ session: SessionPointer, _ multiplex: Multiplex, _ id: HTTP2Stream, isLast: Bool
    ) {
        guard let head = multiplex.connection.takeHead(id),
            let slot = state.pointee.insertSubstream(session, id),
            let substream = state.pointee.substreams.pointer(slot)
        else {
            multiplex.connection.reset(id, .refusedStream)
            return
        }
        multiplex.connection.setTag(id, slot.rawValue)
        multiplex.streams.append(slot)
        if isLast { substream.pointee.feed.end() }
        let stream = ClientStream(session, substream)
        var facts = RequestFacts(
            client: session.pointee.facts.peer, beganMilliseconds: now)
        facts.method = head.text(of: head.method)
        if let fault = head.fault {
            refuse(stream, Refusal(tooLarge: fault, state.pointee.settings.headLimits), facts)
        } else {
            switch SubstreamRequest.kind(of: head) {
            case .otherProtocol: refuse(stream, .otherProtocol, facts)
            case .plainConnect: refuse(stream, .plainConnect, facts)
            case .unsound: refuse(stream, .unsoundHead, facts)
            case .usual: judge(stream, head, isLast: isLast, facts)
            }
        }
        state.pointee.multiplexMemory.recycle(head)
        RequestExecutor(state).run()
    }

    private func judge(
        _ stream: ClientStream, _ head: HTTP2Head, isLast: Bool, _ facts: RequestFacts
    ) {
        state.pointee.heads.begin()
        SubstreamRequest.write(head, isLast: isLast, into: &state.pointee.heads.writer)
        var parser = RequestHeadParser(limits: state.pointee.settings.headLimits)
        parser.lend(state.pointee.heads.lend())
        let writer = UnsafeRawBufferPointer(
            start: state.pointee.heads.writer.start, count: state.pointee.heads.writer.count)
        let progress = parser.append(writer)
        state.pointee.heads.writer.clear()
        switch progress {
        case .complete(let head, _): RequestJudge(state).judge(stream, head)
        case .failed(let fault): refuse(stream, Refusal(fault), facts)
        case .needsMore:
            refuse(
                stream, Refusal(HeadFault(status: 400, sentence: "The request has no end.")), facts)
        }
    }

    /// Answers with a refusal where no request was taken up.
    func refuse(_ stream: ClientStream, _ refusal: Refusal, _ facts: RequestFacts) {
        var facts = facts
        facts.status = refusal.status
        facts.proxyError = refusal.proxyError
        facts.detail = refusal.sentence
        stream.send(refusal.bytes(date: state.pointee.heads.date.now()), space)
        Recorder(state).refused(stream.session, facts)
        stream.end(.leaves, state)
    }

    /// The request on a stream is over, or its tunnel.
    func leave(_ substream: SubstreamPointer, isInOrder: Bool) {
        substream.pointee.isLeft = true
        substream.pointee.stream.request = nil
        substream.pointee.tunnel = nil
        if case .multiplexing(let multiplex) = substream.pointee.session.pointee.stage {
            let id = substream.pointee.id
            if substream.pointee.isClosed {
                discard(substream)
                return
            }
            if !isInOrder || !substream.pointee.answer.hasHead {
                multiplex.connection.reset(
                    id, substream.pointee.answer.hasHead ? .internalError : .cancel)
            } else if substream.pointee.isSent {
                endPeersSide(substream, multiplex)
            }
            markDirty(substream.pointee.session)
        }
        substream.pointee.feed.notify()
    }

    /// All was said on a stream, and what the peer would still send is of no use (RFC 9113 §8.1).
    private func endPeersSide(_ substream: SubstreamPointer, _ multiplex: Multiplex) {
        let id = substream.pointee.id
        if !multiplex.connection.hasPeerEnded(id) { multiplex.connection.reset(id, .noError) }
    }

    /// Lets a stream go of which the peer knows that it is over.
    private func discard(_ substream: SubstreamPointer) {
        let session = substream.pointee.session
        let slot = substream.pointee.slot
        substream.pointee.stream.leg.release(space)
        if case .multiplexing(let multiplex) = session.pointee.stage {
            multiplex.connection.forget(substream.pointee.id)
            multiplex.streams.removeAll { $0 == slot }
            if multiplex.streams.isEmpty && multiplex.announcedMilliseconds == nil
                && !multiplex.isEnding
            {
                sessions.arm(session, at: now + state.pointee.settings.keepAliveMilliseconds)
            }
        }
        state.pointee.substreams.retire(slot)
    }

    // MARK: What is to be sent

    private func markDirty(_ session: SessionPointer) {
        guard case .multiplexing(let multiplex) = session.pointee.stage, !multiplex.isDirty else {
            return
        }
        multiplex.isDirty = true
        state.pointee.dirtySessions.append(session.pointee.client)
    }

    /// Sends what streams and connections have, in a bounded number of rounds.
    func flush() {
        var rounds = 0
        while rounds < Self.roundsPerTurn,
            !state.pointee.outbox.isEmpty || !state.pointee.dirtySessions.isEmpty
        {
            rounds += 1
            var waiting: [Token] = []
            for tag in state.pointee.outbox.take() {
                let token = Token(rawValue: tag)
                if hand(over: token) { waiting.append(token) }
            }
            var dirty: [Token] = []
            swap(&dirty, &state.pointee.dirtySessions)
            for token in dirty {
                guard let session = state.pointee.clients.pointer(token)?.pointee.session else {
                    continue
                }
                produce(session)
            }
            for token in waiting { resume(token) }
            RequestExecutor(state).run()
        }
    }

    /// Hands what a stream has over to its connection.
    ///
    /// - Returns: whether somebody waits for it to be sent.
    private func hand(over token: Token) -> Bool {
        guard let substream = state.pointee.substreams.pointer(token) else { return false }
        substream.pointee.feed.looked()
        guard case .multiplexing(let multiplex) = substream.pointee.session.pointee.stage,
            !substream.pointee.isClosed
        else { return false }
        markDirty(substream.pointee.session)
        let id = substream.pointee.id
        multiplex.connection.giveBack(id, substream.pointee.feed.takeReadCount())
        let leg = leg(of: substream)
        let heldBefore = leg.pointee.held.count
        let memory = space.pointee.received
        while !leg.pointee.held.isEmpty,
            multiplex.connection.heldBytes(id) < Self.handedBytesMax
        {
            let count = leg.pointee.takeHeld(into: memory, capacity: Self.pieceBytes, space)
            multiplex.connection.send(id, UnsafeRawBufferPointer(start: memory, count: count))
        }
        if heldBefore > leg.pointee.held.count, let request = substream.pointee.stream.request {
            state.pointee.requests.pointer(request)?.pointee.movedMilliseconds = now
        }
        if leg.pointee.held.isEmpty,
            substream.pointee.isLeft || substream.pointee.feed.isShut,
            substream.pointee.answer.wantsEnd
        {
            let trailers = substream.pointee.answer.trailers
            multiplex.connection.finish(id, trailers: trailers)
            substream.pointee.answer.ended()
        }
        if heldBefore > 0 { substream.pointee.isBlocked = true }
        return substream.pointee.isBlocked
    }

    /// Where the leg of a stream is.
    private func leg(of substream: SubstreamPointer) -> UnsafeMutablePointer<Leg> {
        if let tunnel = substream.pointee.tunnel, tunnel.pointee.relay.client.feed != nil {
            return withUnsafeMutablePointer(to: &tunnel.pointee.relay.client) { $0 }
        }
        return withUnsafeMutablePointer(to: &substream.pointee.stream.leg) { $0 }
    }

    /// Has a stream go on whose bytes have left, or waits until they have.
    private func resume(_ token: Token) {
        guard let substream = state.pointee.substreams.pointer(token), !substream.pointee.isClosed,
            case .multiplexing(let multiplex) = substream.pointee.session.pointee.stage
        else { return }
        if multiplex.connection.heldBytes(substream.pointee.id) > 0 {
            multiplex.connection.tellWhenDrained(substream.pointee.id)
        } else if !leg(of: substream).pointee.held.isEmpty {
            substream.pointee.feed.notify()
        } else {
            substream.pointee.isBlocked = false
            // Nobody has more to send where it was left.
            if !substream.pointee.isLeft { tell(substream, .writable) }
        }
    }

    /// Sends what the connection has, as far as the socket takes it.
    private func produce(_ session: SessionPointer) {
        guard case .multiplexing(let multiplex) = session.pointee.stage else { return }
        multiplex.isDirty = false
        let room = UnsafeMutableRawBufferPointer(
            start: space.pointee.opened, count: space.pointee.openedCapacity)
        while session.pointee.stream.leg.held.isEmpty,
            !session.pointee.stream.leg.isUnwritable
        {
            let count = multiplex.connection.produce(into: room)
            if count == 0 { break }
            session.pointee.stream.leg.put(space.pointee.opened, count: count, space)
        }
        takeEvents(session, multiplex)
        if multiplex.connection.end != nil && !multiplex.isEnding {
            multiplex.isEnding = true
            sessions.arm(session, at: now + space.pointee.patience.lingerMilliseconds)
        }
        if session.pointee.stream.leg.isUnwritable {
            close(session)
        } else if multiplex.connection.isOver, session.pointee.stream.leg.held.isEmpty {
            end(session, multiplex)
        }
    }

    /// The connection is over: what is left of its streams is told, and the socket closes in order.
    private func end(_ session: SessionPointer, _ multiplex: Multiplex) {
        note(multiplex.connection.end, session)
        for slot in multiplex.streams {
            guard let substream = state.pointee.substreams.pointer(slot) else { continue }
            substream.pointee.isClosed = true
            cut(substream, nil)
        }
        RequestExecutor(state).run()
        for slot in multiplex.streams {
            guard let substream = state.pointee.substreams.pointer(slot) else { continue }
            substream.pointee.tunnel?.pointee.client = .gone
            discard(substream)
        }
        sessions.leave(session)
    }

    /// Says in the log why a connection was ended, where that was the peer's fault.
    private func note(_ end: HTTP2ConnectionEnd?, _ session: SessionPointer) {
        switch end {
        case .violation(let code, let reason)?:
            let detail = reason.isEmpty ? code.description : "\(code): \(reason)"
            sessions.note(session, "the client has broken the rules of HTTP/2 (\(detail))")
        case .abuse(let abuse)?:
            sessions.note(
                session, "the client does too much of one thing in HTTP/2: \(abuse.words)")
        case .notHTTP2?:
            sessions.note(session, "the client agreed on HTTP/2 (ALPN) and does not speak it")
        case .complete?, .terminated?, nil: break
        }
    }
}

extension Refusal {
    /// An extended CONNECT asks for something else than a WebSocket (RFC 8441 §4, RFC 9220).
    static let otherProtocol = Refusal(
        status: 501, proxyError: .httpRequestError,
        sentence:
            "CONNECT asks for a protocol other than websocket, which is all that is served here.")

    /// A CONNECT asks for a tunnel to a host of the client's choice.
    static let plainConnect: Refusal = {
        var refusal = Refusal(
            status: 405, proxyError: .httpRequestError,
            sentence:
                "CONNECT asks for a tunnel to a host of its own choice, which is not served here.")
        refusal.extraFields = [("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
        return refusal
    }()

    /// What a head of HTTP/2 asks for holds a space or a control character.
    static let unsoundHead = Refusal(
        status: 400, proxyError: .httpRequestError,
        sentence: "The method, the path or the host holds a space or a control character.")

    /// A head of HTTP/2 has more than it may (RFC 6585 §5).
    init(tooLarge fault: HTTP2Head.Fault, _ limits: HeadLimits) {
        let sentence =
            switch fault {
            case .tooManyBytes:
                "The request head is longer than \(limits.bytesMax) bytes (limits.headBytes)."
            case .tooManyFields:
                "The request head has more than \(limits.fieldsMax) fields (limits.headFields)."
            }
        self.init(status: 431, proxyError: .httpRequestError, sentence: sentence)
    }
}

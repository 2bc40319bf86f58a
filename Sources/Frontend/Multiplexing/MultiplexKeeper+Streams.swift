// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice
import Wire

/// Streams of a connection: each has its request, and its request or tunnel has its events.
extension MultiplexKeeper {
    // MARK: What has come

    func takeEvents(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        while let event = multiplex.pointee.connection.nextEvent() {
            switch event.kind {
            case .request(let isLast):
                open(session, multiplex, event.stream, isLast: isLast)
                continue
            case .malformed(let code):
                noteMalformed(session, multiplex, event.stream, code)
                continue
            case .over:
                continue
            case .goAway, .pong: continue
            case .data, .trailers, .end, .drained, .sent, .closed: break
            }
            let token = Token(rawValue: event.tag)
            guard let substream = state.pointee.substreams.pointer(token),
                substream.pointee.id == event.stream, substream.pointee.session == session
            else {
                if case .closed = event.kind { multiplex.pointee.connection.forget(event.stream) }
                continue
            }
            take(event.kind, substream, multiplex)
            RequestExecutor(state).run()
        }
    }

    private func take(
        _ event: HTTP2Event.Kind, _ substream: SubstreamPointer, _ multiplex: MultiplexPointer
    ) {
        let id = substream.pointee.id
        switch event {
        case .data:
            let arrived = multiplex.pointee.connection.arrived(id)
            if substream.pointee.life.isLeft {
                // Nobody wants the rest of the body.
                multiplex.pointee.connection.consume(id, arrived.count)
                return
            }
            // Whoever reads them finds them where they are.
            let feed = substream.pointee.feed
            feed.lend(arrived, &space.pointee.pool)
            tell(substream, .readable)
            feed.keepLent(&space.pointee.pool)
            multiplex.pointee.connection.take(id, arrived.count)
        case .trailers:
            // They go on with the end of the body, which comes next.
            let trailers = multiplex.pointee.connection.takeTrailers(id)
            if let unwanted = substream.pointee.trailers.take() {
                state.pointee.multiplexMemory.recycle(unwanted)
            }
            substream.pointee.trailers = trailers
        case .end:
            substream.pointee.feed.end()
            tell(
                substream, substream.pointee.tunnel == nil ? .readable : [.readable, .hangup])
        case .drained: substream.pointee.feed.notify()
        case .sent: advance(substream, .sent, multiplex)
        case .closed(let end):
            var cause = Cause.disconnected(nil)
            if case .resetHere(let code) = end { cause = .disconnected(Self.violation(code)) }
            advance(substream, .closed(isComplete: end == .complete), multiplex, cause)
            tellOfOrderlyEnd(substream)
        case .request, .malformed, .goAway, .pong, .over: break
        }
    }

    /// Reports to whoever uses a stream.
    func tell(_ substream: SubstreamPointer, _ flags: Readiness) {
        if let tunnel = substream.pointee.tunnel {
            let verdict = tunnel.pointee.relay.ready(.client, flags, space)
            if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
        } else if let token = substream.pointee.stream.request {
            RequestExecutor(state).clientIsReady(token, flags)
        }
    }

    /// Tells a tunnel whose stream has ended in order that its last bytes have left: nothing else would.
    private func tellOfOrderlyEnd(_ substream: SubstreamPointer) {
        guard substream.pointee.life == .closed, substream.pointee.tunnel != nil else { return }
        substream.pointee.isBlocked = false
        tell(substream, .writable)
    }

    // MARK: Streams

    /// A request has come: it gets a stream, and is judged.
    private func open(
        _ session: SessionPointer, _ multiplex: MultiplexPointer, _ id: HTTP2Stream, isLast: Bool
    ) {
        // It may have been cancelled behind its head: nobody else hears of it then.
        guard multiplex.pointee.connection.isOpen(id) else {
            multiplex.pointee.connection.forget(id)
            return
        }
        guard let head = multiplex.pointee.connection.takeHead(id),
            let slot = state.pointee.insertSubstream(session, multiplex, id),
            let substream = state.pointee.substreams.pointer(slot)
        else {
            multiplex.pointee.connection.reset(id, .refusedStream)
            return
        }
        multiplex.pointee.connection.setTag(id, slot.rawValue)
        substream.pointee.place = multiplex.pointee.streams.count
        multiplex.pointee.streams.append(slot)
        if multiplex.pointee.streams.count == 1 { arm(session, multiplex) }
        if isLast { substream.pointee.feed.end() }
        // A tunnel has to learn that nothing will come, though it can do nothing then but end.
        substream.pointee.stream.leg.isReadable = isLast && !head.protocolName.isEmpty
        substream.pointee.answer.isToHead = SubstreamRequest.isHead(head)
        let stream = ClientStream(session, substream)
        if let fault = head.fault {
            let refusal = Refusal(tooLarge: fault, state.pointee.settings.headLimits)
            refuse(stream, refusal, facts(of: head, session))
        } else {
            switch SubstreamRequest.kind(of: head) {
            case .otherProtocol: refuse(stream, .otherProtocol, facts(of: head, session))
            case .plainConnect: refuse(stream, .plainConnect, facts(of: head, session))
            case .unsound: refuse(stream, .unsoundHead, facts(of: head, session))
            case .usual: judge(stream, head, isLast: isLast)
            }
        }
        state.pointee.multiplexMemory.recycle(head)
        // Those that come before the client knows it are served (RFC 9113 §6.8).
        if stream.isSpent(state) { announceEnd(session, multiplex) }
        RequestExecutor(state).run()
    }

    private func judge(_ stream: ClientStream, _ asked: borrowing HTTP2Head, isLast: Bool) {
        state.pointee.heads.begin()
        SubstreamRequest.write(
            asked, isLast: isLast, keys: &state.pointee.webSocketKeys,
            into: &state.pointee.heads.writer)
        var parser = RequestHeadParser(limits: state.pointee.settings.headLimits)
        parser.lend(state.pointee.heads.lend())
        let writer = UnsafeRawBufferPointer(
            start: state.pointee.heads.writer.start, count: state.pointee.heads.writer.count)
        let progress = parser.append(writer)
        state.pointee.heads.writer.clear()
        switch progress {
        case .complete(let head, _): RequestJudge(state).judge(stream, head)
        case .failed(let fault):
            refuse(stream, Refusal(fault), facts(of: asked, stream.session))
        case .needsMore:
            let fault = HeadFault(status: 400, sentence: "The request has no end.")
            refuse(stream, Refusal(fault), facts(of: asked, stream.session))
        }
    }

    /// What can be said in the log of a request that is refused for its head.
    private func facts(of head: borrowing HTTP2Head, _ session: SessionPointer) -> RequestFacts {
        var facts = RequestFacts(client: session.pointee.facts.peer, beganMilliseconds: now)
        facts.method = head.text(of: head.method)
        facts.note(host: head.bytes(of: head.authority), target: head.bytes(of: head.path))
        return facts
    }

    /// Says in the log that a request was reset for its head.
    private func noteMalformed(
        _ session: SessionPointer, _ multiplex: MultiplexPointer, _ id: HTTP2Stream,
        _ code: HTTP2ErrorCode
    ) {
        if let head = multiplex.pointee.connection.takeHead(id) {
            var noted = facts(of: head, session)
            noted.detail = Self.violation(code)
            Metering(state).refused(session, noted)
            Recorder(state).refused(session, noted)
            state.pointee.multiplexMemory.recycle(head)
        }
        multiplex.pointee.connection.forget(id)
    }

    /// Why a stream was reset that nobody here has given up.
    private static func violation(_ code: HTTP2ErrorCode) -> String {
        "the request breaks the rules of HTTP/2 (\(code)), so its stream was reset"
    }

    /// Answers with a refusal where no request was taken up.
    func refuse(_ stream: ClientStream, _ refusal: Refusal, _ facts: RequestFacts) {
        var facts = facts
        facts.status = refusal.status
        facts.proxyError = refusal.proxyError
        facts.detail = refusal.sentence
        stream.send(refusal.bytes(date: state.pointee.heads.date.now()), space)
        Metering(state).refused(stream.session, facts)
        Recorder(state).refused(stream.session, facts)
        stream.end(.leaves, state)
    }

    /// The request on a stream is over, or its tunnel.
    func leave(_ substream: SubstreamPointer, isInOrder: Bool) {
        guard let multiplex = substream.pointee.session.pointee.multiplex else {
            assertionFailure("a stream has outlived its connection")
            return
        }
        let hasHead = substream.pointee.answer.hasHead
        // What would be a RST of TCP is CANCEL for a tunnel (RFC 8441 §5).
        let isCutShort = hasHead && substream.pointee.tunnel == nil
        substream.pointee.stream.request = nil
        substream.pointee.tunnel = nil
        advance(
            substream, .userLeft(hasSaidAll: isInOrder && hasHead), multiplex,
            code: isCutShort ? .internalError : .cancel)
        if substream.pointee.life == .gone { return }
        awaitEnd(of: substream, multiplex)
        markDirty(substream.pointee.session)
        substream.pointee.feed.notify()
    }

    /// Tells the life of a stream what has happened, and does what it says.
    ///
    /// - Parameters:
    ///   - substream: the stream.
    ///   - event: what has happened.
    ///   - multiplex: its connection.
    ///   - cause: what its user is told, if it is.
    ///   - code: with what it is reset, if it is.
    func advance(
        _ substream: SubstreamPointer, _ event: StreamLife.Event, _ multiplex: MultiplexPointer,
        _ cause: Cause = .disconnected(nil), code: HTTP2ErrorCode = .cancel
    ) {
        switch substream.pointee.life.handle(event) {
        case .none: break
        case .endPeersSide: endPeersSide(substream, multiplex)
        case .reset: multiplex.pointee.connection.reset(substream.pointee.id, code)
        case .cutUser: cut(substream, cause, behindReset: event != .connectionGone)
        case .discard: discard(substream, multiplex)
        }
    }

    /// All was said on a stream, and what the peer would still send is of no use (RFC 9113 §8.1).
    private func endPeersSide(_ substream: SubstreamPointer, _ multiplex: MultiplexPointer) {
        let id = substream.pointee.id
        if multiplex.pointee.connection.hasPeerEnded(id) { return }
        multiplex.pointee.connection.reset(id, .noError)
        // It may be told amid the production that has sent the end.
        markDirty(substream.pointee.session)
    }

    /// Lets go of a stream, and gives back what it holds: what `StreamLife` says once.
    private func discard(_ substream: SubstreamPointer, _ multiplex: MultiplexPointer) {
        assert(!substream.pointee.feed.isLending, "bytes are read that are about to be given back")
        let session = substream.pointee.session
        let slot = substream.pointee.slot
        substream.pointee.stream.leg.release(space)
        if let trailers = substream.pointee.trailers.take() {
            state.pointee.multiplexMemory.recycle(trailers)
        }
        multiplex.pointee.connection.forget(substream.pointee.id)
        remove(substream, from: multiplex)
        if multiplex.pointee.streams.isEmpty {
            multiplex.pointee.idleDueMilliseconds =
                now + state.pointee.settings.keepAliveMilliseconds
            arm(session, multiplex)
        }
        state.pointee.substreams.retire(slot)
    }

    /// Takes a stream out of its connection's list; the last one gets its place there.
    private func remove(_ substream: SubstreamPointer, from multiplex: MultiplexPointer) {
        let place = substream.pointee.place
        assert(
            multiplex.pointee.streams[place] == substream.pointee.slot,
            "a stream is not where it should be"
        )
        guard let last = multiplex.pointee.streams.popLast(),
            place < multiplex.pointee.streams.count
        else {
            return
        }
        multiplex.pointee.streams[place] = last
        state.pointee.substreams.pointer(last)?.pointee.place = place
    }
}

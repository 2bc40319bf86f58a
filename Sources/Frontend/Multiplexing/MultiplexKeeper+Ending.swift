// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice

/// Deadlines of a connection that speaks HTTP/2, and its end.
extension MultiplexKeeper {
    /// The timer of a session has fired that speaks HTTP/2.
    func timeIsUp(_ session: SessionPointer) {
        guard let multiplex = session.pointee.multiplex else { return }
        if multiplex.pointee.connection.end != nil {
            // It does not take what was to be said to it.
            close(session, .disconnected(nil))
            return
        }
        if let due = multiplex.pointee.overDueMilliseconds, now >= due {
            // What keeps it is a head that does not end, or a peer that takes nothing.
            end(session, multiplex)
            return
        }
        let isNoticed = multiplex.pointee.announcedMilliseconds.map {
            now >= $0 + Multiplex.noticeMilliseconds
        }
        if isNoticed
            ?? (multiplex.pointee.streams.isEmpty && now >= multiplex.pointee.idleDueMilliseconds)
        {
            multiplex.pointee.isShutDown = true
            multiplex.pointee.connection.shutDown()
        }
        endHalfHead(session, multiplex)
        resetThoseLeft(session, multiplex)
        markDirty(session)
        if !multiplex.pointee.streams.isEmpty && isSilent(session, multiplex) {
            sessions.note(session, Self.silence)
            close(session, .unresponsive)
            return
        }
        arm(session, multiplex)
    }

    /// Sets the timer of a connection for what is due next.
    func arm(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        if multiplex.pointee.isEnding { return }
        var due: UInt64?
        if let announced = multiplex.pointee.announcedMilliseconds, !multiplex.pointee.isShutDown {
            due = announced + Multiplex.noticeMilliseconds
        } else if multiplex.pointee.streams.isEmpty && !multiplex.pointee.isShutDown {
            due = multiplex.pointee.idleDueMilliseconds
        }
        if let other = otherDeadline(multiplex) { due = min(due ?? other, other) }
        if !multiplex.pointee.streams.isEmpty,
            let rules = session.pointee.facts.listener.multiplexing?.rules
        {
            // Behind an answer the next silence counts from then on, and the timer is not moved for it.
            let ping =
                multiplex.pointee.question.map {
                    min($0.dueMilliseconds, now + rules.pingAfterMilliseconds)
                } ?? multiplex.pointee.heardMilliseconds + rules.pingAfterMilliseconds
            due = min(due ?? ping, ping)
        }
        if let due { sessions.arm(session, at: due) }
    }

    // MARK: Whether the client is there

    private static let silence =
        "the client does not answer a PING of HTTP/2 (listen[].http2.pingTimeout)"

    /// Asks a client of which nothing comes whether it is there.
    ///
    /// What it was sent before the PING it has to take first: as long as it takes some of that, the
    /// question stands.
    ///
    /// - Returns: whether it owes the answer for too long.
    private func isSilent(_ session: SessionPointer, _ multiplex: MultiplexPointer) -> Bool {
        guard let rules = session.pointee.facts.listener.multiplexing?.rules else { return false }
        let carriage = session.pointee.stream.leg.carriage()
        guard var question = multiplex.pointee.question else {
            if now < multiplex.pointee.heardMilliseconds + rules.pingAfterMilliseconds {
                return false
            }
            multiplex.pointee.connection.ping(milliseconds: Int64(truncatingIfNeeded: now))
            multiplex.pointee.question = Multiplex.Question(
                dueMilliseconds: now + rules.pingTimeoutMilliseconds, carriage: carriage)
            return false
        }
        if now < question.dueMilliseconds { return false }
        let before = question.carriage
        if before.takenBytes >= before.sentBytes || carriage.takenBytes <= before.takenBytes {
            return true
        }
        question.carriage.takenBytes = carriage.takenBytes
        question.dueMilliseconds = now + rules.pingTimeoutMilliseconds
        multiplex.pointee.question = question
        return false
    }

    /// Tells a tunnel's relay how far the connection is that its client's stream is on.
    func noteCarriage(_ tunnel: TunnelPointer) {
        guard case .stream(let token) = tunnel.pointee.client,
            let substream = state.pointee.substreams.pointer(token)
        else { return }
        substream.pointee.feed.carriage = substream.pointee.session.pointee.stream.leg.carriage()
    }

    // MARK: Announcing the end

    /// The process goes away: no stream is opened any more, and those that are open end.
    func processLeaves(_ session: SessionPointer, isReplaced: Bool) {
        guard let multiplex = session.pointee.multiplex else { return }
        announceEnd(session, multiplex)
        if isReplaced { return }
        for slot in multiplex.pointee.streams {
            if let request = state.pointee.substreams.pointer(slot)?.pointee.stream.request {
                state.pointee.work.push(.request(request, .processLeaves))
            }
        }
    }

    /// Tells the client that the connection will end: it opens no further streams once it knows that, and
    /// those that are open go on (RFC 9113 §6.8).
    func announceEnd(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        guard multiplex.pointee.announcedMilliseconds == nil else { return }
        multiplex.pointee.announcedMilliseconds = now
        multiplex.pointee.connection.announceShutdown()
        markDirty(session)
        arm(session, multiplex)
    }

    // MARK: The end

    /// Why a connection ends before its streams have.
    enum Cause {
        /// The client is not there any more, or is not spoken to any more; what is noted of its requests.
        case disconnected(String?)
        /// The client does not answer.
        case unresponsive
    }

    /// Closes the connection with all its streams.
    func close(_ session: SessionPointer, _ cause: Cause) {
        guard let multiplex = session.pointee.multiplex else { return }
        letStreamsGo(session, multiplex, cause)
        sessions.close(session)
    }

    /// The connection is over: what is left of its streams is told, and the socket closes in order.
    func end(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        letStreamsGo(session, multiplex, .disconnected(nil))
        sessions.leave(session)
    }

    /// Has whoever uses a stream of a connection know that the connection is gone: requests first.
    private func letStreamsGo(
        _ session: SessionPointer, _ multiplex: MultiplexPointer, _ cause: Cause
    ) {
        note(multiplex.pointee.connection.end, session)
        multiplex.pointee.isEnding = true
        for slot in multiplex.pointee.streams {
            guard let substream = state.pointee.substreams.pointer(slot) else { continue }
            advance(substream, .connectionGone, multiplex, cause)
        }
        RequestExecutor(state).run()
        for slot in multiplex.pointee.streams {
            guard let substream = state.pointee.substreams.pointer(slot) else { continue }
            // Its tunnel lives on until its upstream has been told.
            substream.pointee.tunnel?.pointee.client = .gone
            assert(substream.pointee.stream.request == nil, "a request outlives its connection")
            advance(substream, .givenUp, multiplex)
        }
    }

    /// Has whoever uses a stream know that its client is gone.
    ///
    /// What came on the stream before its connection ended still goes on to a tunnel's upstream, as it does
    /// where the client has a connection for its socket alone; behind a reset nothing does.
    func cut(_ substream: SubstreamPointer, _ cause: Cause, behindReset: Bool) {
        var isUnresponsive = false
        var detail: String?
        switch cause {
        case .disconnected(let text): detail = text
        case .unresponsive:
            isUnresponsive = true
            detail = Self.silence
        }
        if substream.pointee.tunnel == nil || behindReset || isUnresponsive {
            substream.pointee.feed.reset(&space.pointee.pool)
        } else {
            substream.pointee.feed.end()
        }
        if let tunnel = substream.pointee.tunnel {
            let verdict =
                isUnresponsive && !tunnel.pointee.relay.ending.hasBegun
                ? tunnel.pointee.relay.clientIsUnresponsive(space)
                : tunnel.pointee.relay.clientIsGone(space)
            if !verdict.isEmpty { TunnelKeeper(state).obey(verdict, tunnel) }
        } else if let token = substream.pointee.stream.request {
            substream.pointee.stream.leg.isUnwritable = true
            if let detail {
                state.pointee.requests.pointer(token)?.pointee.facts.detail = detail
            }
            state.pointee.work.push(.request(token, .clientGone))
        }
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

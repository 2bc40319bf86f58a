// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice

/// Takes connections that speak HTTP/2 from the end of their handshake to their close: hands bytes to
/// and fro, gives each stream its request, and each request its stream's events.
///
/// Its streams are in `MultiplexKeeper+Streams`, its timer, PING and end in `MultiplexKeeper+Ending`, and
/// what a client has to finish in time in `MultiplexKeeper+Deadlines`.
struct MultiplexKeeper {
    let state: StatePointer

    /// Rounds in which one turn looks at streams that have something for their connection.
    private static let roundsPerTurn = 4
    /// Bytes of one stream that are handed to its connection before any of them was produced.
    private static let handedBytesMax = 64 * 1024

    init(_ state: StatePointer) { self.state = state }

    var space: UnsafeMutablePointer<Workspace> { state.pointee.space }
    var now: UInt64 { state.pointee.now }
    var sessions: SessionKeeper { SessionKeeper(state) }

    // MARK: The connection

    /// A handshake is done in which HTTP/2 was agreed on.
    func begin(_ session: SessionPointer) {
        guard let policy = session.pointee.facts.listener.multiplexing?.policy else {
            preconditionFailure("a listener has agreed on HTTP/2 that does not speak it")
        }
        session.pointee.stage = .multiplexing(
            Multiplex(
                policy, state.pointee.multiplexMemory, nowMilliseconds: now,
                idleDueMilliseconds: now + state.pointee.settings.headMilliseconds))
        markDirty(session)
        // It was under way when the process began to leave: it may say what it came for.
        if state.pointee.leaving != nil { processLeaves(session, isReplaced: true) }
    }

    /// Takes bytes that were opened, and does what comes of them.
    func take(_ session: SessionPointer, _ received: Leg.Received) {
        guard case .multiplexing(let multiplex) = session.pointee.stage else { return }
        multiplex.heardMilliseconds = now
        multiplex.question = nil
        multiplex.connection.receive(
            UnsafeRawBufferPointer(start: received.bytes, count: received.count),
            milliseconds: Int64(truncatingIfNeeded: now))
        takeEvents(session, multiplex)
        awaitHead(session, multiplex)
        markDirty(session)
    }

    /// The socket has something to say, or the turn has come to go on.
    func isReady(_ session: SessionPointer, _ flags: Readiness) {
        guard case .multiplexing = session.pointee.stage else { return }
        session.pointee.stream.leg.note(flags)
        // The last turn may have ended with its budget for what is sent.
        if flags.isEmpty { markDirty(session) }
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
            if isCongested(session) { return }
            let received = session.pointee.stream.leg.receive(space)
            budget -= received.rawCount
            if received.count > 0 { take(session, received) }
            guard case .multiplexing = session.pointee.stage else { return }
        }
        if session.pointee.stream.leg.hasEnded || session.pointee.stream.leg.isUnwritable {
            close(session, .disconnected(nil))
        }
    }

    /// Whether nothing more is read because the client does not take what its frames have brought about.
    ///
    /// It is read again when its socket has taken what waits; or in the next turn, if that can be sent in this one.
    private func isCongested(_ session: SessionPointer) -> Bool {
        guard case .multiplexing(let multiplex) = session.pointee.stage,
            multiplex.connection.isCongested
        else { return false }
        if session.pointee.stream.leg.held.isEmpty {
            markDirty(session)
            state.pointee.goOnLater(session)
        }
        return true
    }

    // MARK: What is to be sent

    func markDirty(_ session: SessionPointer) {
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
            state.pointee.outbox.take(into: &state.pointee.flushing.streams)
            // Those that wait for what they handed over move to the front.
            var waitingCount = 0
            for index in state.pointee.flushing.streams.indices {
                let tag = state.pointee.flushing.streams[index]
                guard hand(over: Token(rawValue: tag)) else { continue }
                state.pointee.flushing.streams[waitingCount] = tag
                waitingCount += 1
            }
            state.pointee.flushing.sessions.removeAll(keepingCapacity: true)
            swap(&state.pointee.flushing.sessions, &state.pointee.dirtySessions)
            for index in state.pointee.flushing.sessions.indices {
                let token = state.pointee.flushing.sessions[index]
                guard let session = state.pointee.clients.pointer(token)?.pointee.session else {
                    continue
                }
                produce(session)
            }
            for index in 0..<waitingCount {
                resume(Token(rawValue: state.pointee.flushing.streams[index]))
            }
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
            !substream.pointee.life.isClosed
        else { return false }
        markDirty(substream.pointee.session)
        let id = substream.pointee.id
        multiplex.connection.giveBack(id, substream.pointee.feed.takeReadCount())
        let leg = leg(of: substream)
        let heldBefore = leg.pointee.held.count
        let most = Self.handedBytesMax - multiplex.connection.heldBytes(id)
        if !leg.pointee.held.isEmpty, most > 0 {
            let isTaken = multiplex.connection.send(
                id, upTo: min(leg.pointee.held.count, most)
            ) { room in
                guard let start = room.baseAddress else { return 0 }
                return leg.pointee.takeHeld(
                    into: start.assumingMemoryBound(to: UInt8.self), capacity: room.count, space)
            }
            // Nothing can be sent on it any more.
            if !isTaken { leg.pointee.held.discard(pool: &space.pointee.pool) }
        }
        if heldBefore > leg.pointee.held.count, let request = substream.pointee.stream.request {
            state.pointee.requests.pointer(request)?.pointee.movedMilliseconds = now
        }
        if leg.pointee.held.isEmpty,
            substream.pointee.life.isLeft || substream.pointee.feed.isShut,
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
        guard let substream = state.pointee.substreams.pointer(token),
            !substream.pointee.life.isClosed,
            case .multiplexing(let multiplex) = substream.pointee.session.pointee.stage
        else { return }
        if multiplex.connection.heldBytes(substream.pointee.id) > 0 {
            multiplex.connection.tellWhenDrained(substream.pointee.id)
        } else if !leg(of: substream).pointee.held.isEmpty {
            substream.pointee.feed.notify()
        } else {
            substream.pointee.isBlocked = false
            // Nobody has more to send where it was left, or where nothing waited for room.
            if substream.pointee.life.isLeft
                || substream.pointee.tunnel?.pointee.relay.isAtRest == true
            {
                return
            }
            tell(substream, .writable)
        }
    }

    /// Sends what the connection has, as far as the socket takes it.
    private func produce(_ session: SessionPointer) {
        guard case .multiplexing(let multiplex) = session.pointee.stage else { return }
        multiplex.isDirty = false
        if multiplex.produced.turn != state.pointee.turnNumber {
            multiplex.produced = (state.pointee.turnNumber, 0)
        }
        while session.pointee.stream.leg.held.isEmpty,
            !session.pointee.stream.leg.isUnwritable
        {
            // Streams read on once their bytes were produced, so this bounds what is read for them too.
            let budget = space.pointee.pumpBytesMax - multiplex.produced.count
            if budget <= 0 {
                state.pointee.goOnLater(session)
                break
            }
            let count = multiplex.connection.produce(
                into: UnsafeMutableRawBufferPointer(
                    start: space.pointee.opened, count: min(budget, space.pointee.openedCapacity)))
            if count == 0 { break }
            multiplex.produced.count += count
            session.pointee.stream.leg.put(space.pointee.opened, count: count, space)
        }
        takeEvents(session, multiplex)
        if multiplex.connection.end != nil && !multiplex.isEnding {
            multiplex.isEnding = true
            sessions.arm(session, at: now + space.pointee.patience.lingerMilliseconds)
        }
        if session.pointee.stream.leg.isUnwritable {
            close(session, .disconnected(nil))
        } else if multiplex.connection.isOver, session.pointee.stream.leg.held.isEmpty {
            end(session, multiplex)
        }
    }
}

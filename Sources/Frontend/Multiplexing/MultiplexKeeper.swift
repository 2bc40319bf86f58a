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
            MultiplexOwner(
                Multiplex(
                    policy, state.pointee.multiplexMemory, Self.source(state), nowMilliseconds: now,
                    idleDueMilliseconds: now + state.pointee.settings.headMilliseconds)))
        markDirty(session)
        // It was under way when the process began to leave: it may say what it came for.
        if state.pointee.leaving != nil { processLeaves(session, isReplaced: true) }
    }

    /// Takes bytes that were opened, and does what comes of them.
    func take(_ session: SessionPointer, _ received: Leg.Received) {
        guard let multiplex = session.pointee.multiplex else { return }
        read(received, multiplex)
        tellOfWhatWasRead(session, multiplex)
    }

    private func read(_ received: Leg.Received, _ multiplex: MultiplexPointer) {
        multiplex.pointee.connection.receive(
            UnsafeRawBufferPointer(start: received.bytes, count: received.count),
            milliseconds: Int64(truncatingIfNeeded: now))
    }

    private func tellOfWhatWasRead(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        multiplex.pointee.heardMilliseconds = now
        multiplex.pointee.question = nil
        takeEvents(session, multiplex)
        awaitHead(session, multiplex)
        markDirty(session, multiplex)
    }

    /// The socket has something to say, or the turn has come to go on.
    func isReady(_ session: SessionPointer, _ flags: Readiness) {
        guard let multiplex = session.pointee.multiplex else { return }
        session.pointee.stream.leg.note(flags)
        // The last turn may have ended with its budget for what is sent.
        if flags.isEmpty { markDirty(session, multiplex) }
        if flags.contains(.writable) {
            _ = session.pointee.stream.leg.drain(space)
            markDirty(session, multiplex)
        }
        // Streams are told of all that has come, so that a message which came in several reads leaves in one.
        var budget = space.pointee.pumpBytesMax
        var hasRead = false
        while session.pointee.stream.leg.isReadable, !session.pointee.stream.leg.hasEnded {
            if budget <= 0 {
                state.pointee.goOnLater(session)
                break
            }
            if isCongested(session, multiplex) { break }
            let received = session.pointee.stream.leg.receive(space)
            budget -= received.rawCount
            if received.count > 0 {
                read(received, multiplex)
                hasRead = true
            }
        }
        if hasRead { tellOfWhatWasRead(session, multiplex) }
        guard case .multiplexing = session.pointee.stage else { return }
        if session.pointee.stream.leg.hasEnded || session.pointee.stream.leg.isUnwritable {
            close(session, .disconnected(nil))
        }
    }

    /// Whether nothing more is read because the client does not take what its frames have brought about.
    ///
    /// It is read again when its socket has taken what waits; or in the next turn, if that can be sent in this one.
    private func isCongested(_ session: SessionPointer, _ multiplex: MultiplexPointer) -> Bool {
        guard multiplex.pointee.connection.isCongested else { return false }
        if session.pointee.stream.leg.held.isEmpty {
            markDirty(session, multiplex)
            state.pointee.goOnLater(session)
        }
        return true
    }

    // MARK: What is to be sent

    func markDirty(_ session: SessionPointer) {
        if let multiplex = session.pointee.multiplex { markDirty(session, multiplex) }
    }

    func markDirty(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        if multiplex.pointee.isDirty { return }
        multiplex.pointee.isDirty = true
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

    /// Tells a stream's connection of what has become of the stream: what was read of it, that it has
    /// something to be sent, or its end.
    ///
    /// - Returns: whether somebody waits for it to be sent.
    private func hand(over token: Token) -> Bool {
        guard let substream = state.pointee.substreams.pointer(token) else { return false }
        substream.pointee.feed.looked()
        if substream.pointee.life.isClosed { return false }
        let multiplex = substream.pointee.multiplex
        markDirty(substream.pointee.session, multiplex)
        let id = substream.pointee.id
        multiplex.pointee.connection.giveBack(id, substream.pointee.feed.takeReadCount())
        let leg = leg(of: substream)
        if !leg.pointee.held.isEmpty {
            substream.pointee.isBlocked = true
            // Where nothing can be sent on it any more, nobody is to wait for that.
            if !multiplex.pointee.connection.offer(id) {
                leg.pointee.discardHeld(space)
            }
        }
        if substream.pointee.life.isLeft || substream.pointee.feed.isShut,
            substream.pointee.answer.wantsEnd
        {
            // The end stands behind what is held.
            let trailers = substream.pointee.answer.trailers
            multiplex.pointee.connection.finish(id, trailers: trailers)
            substream.pointee.answer.ended()
        }
        return substream.pointee.isBlocked
    }

    /// Where connections find what their streams have to be sent.
    private static func source(_ state: StatePointer) -> HTTP2BodySource {
        HTTP2BodySource(
            owner: state,
            count: { owner, tag, id in
                let keeper = MultiplexKeeper(owner.assumingMemoryBound(to: WorkerState.self))
                guard let substream = keeper.substream(tag, id) else { return 0 }
                return keeper.leg(of: substream).pointee.held.count
            },
            take: { owner, tag, id, place, count in
                let keeper = MultiplexKeeper(owner.assumingMemoryBound(to: WorkerState.self))
                guard let substream = keeper.substream(tag, id) else { return 0 }
                return keeper.take(count, of: substream, to: place)
            })
    }

    /// The stream of this tag and number.
    private func substream(_ tag: UInt64, _ id: Int32) -> SubstreamPointer? {
        let substream = state.pointee.substreams.pointer(Token(rawValue: tag))
        return substream?.pointee.id.id == id ? substream : nil
    }

    private func take(
        _ count: Int, of substream: SubstreamPointer, to place: UnsafeMutableRawPointer
    ) -> Int {
        // It may not have been handed over since it was given bytes, and there is room again all the same.
        substream.pointee.isBlocked = true
        if let request = substream.pointee.stream.request {
            state.pointee.requests.pointer(request)?.pointee.movedMilliseconds = now
        }
        return leg(of: substream).pointee.takeHeld(
            into: place.assumingMemoryBound(to: UInt8.self), capacity: count, space)
    }

    /// Where the leg of a stream is.
    func leg(of substream: SubstreamPointer) -> UnsafeMutablePointer<Leg> {
        if let tunnel = substream.pointee.tunnel, tunnel.pointee.relay.client.feed != nil {
            return withUnsafeMutablePointer(to: &tunnel.pointee.relay.client) { $0 }
        }
        return withUnsafeMutablePointer(to: &substream.pointee.stream.leg) { $0 }
    }

    /// Has a stream go on whose bytes have left, or waits until they have.
    private func resume(_ token: Token) {
        guard let substream = state.pointee.substreams.pointer(token),
            !substream.pointee.life.isClosed
        else { return }
        if !leg(of: substream).pointee.held.isEmpty {
            substream.pointee.multiplex.pointee.connection.tellWhenDrained(substream.pointee.id)
            return
        }
        substream.pointee.isBlocked = false
        // Nobody has more to send where it was left, or where nothing waited for room.
        if substream.pointee.life.isLeft
            || substream.pointee.tunnel?.pointee.relay.isAtRest == true
        {
            return
        }
        tell(substream, .writable)
    }

    /// Sends what the connection has, as far as the socket takes it.
    private func produce(_ session: SessionPointer) {
        guard let multiplex = session.pointee.multiplex else { return }
        multiplex.pointee.isDirty = false
        if multiplex.pointee.produced.turn != state.pointee.turnNumber {
            multiplex.pointee.produced = (state.pointee.turnNumber, 0)
        }
        while session.pointee.stream.leg.held.isEmpty,
            !session.pointee.stream.leg.isUnwritable
        {
            // Streams read on once their bytes were produced, so this bounds what is read for them too.
            let budget = space.pointee.pumpBytesMax - multiplex.pointee.produced.count
            if budget <= 0 {
                state.pointee.goOnLater(session)
                break
            }
            let count = multiplex.pointee.connection.produce(
                into: UnsafeMutableRawBufferPointer(
                    start: space.pointee.opened, count: min(budget, space.pointee.openedCapacity)))
            if count == 0 { break }
            multiplex.pointee.produced.count += count
            session.pointee.stream.leg.put(space.pointee.opened, count: count, space)
        }
        takeEvents(session, multiplex)
        if multiplex.pointee.connection.end != nil && !multiplex.pointee.isEnding {
            multiplex.pointee.isEnding = true
            sessions.arm(session, at: now + space.pointee.patience.lingerMilliseconds)
        }
        if session.pointee.stream.leg.isUnwritable {
            close(session, .disconnected(nil))
        } else if multiplex.pointee.connection.isOver, session.pointee.stream.leg.held.isEmpty {
            end(session, multiplex)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Ledger
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Where one request was read, and where its answer goes: all that a request knows of its client's
/// session.
///
/// A session that speaks HTTP/1.1 has one stream at a time, which is its whole connection: its
/// `StreamState` lies within the session. One that speaks HTTP/2 has several, each a `Substream`.
/// Requests, bodies, answers and the opening of tunnels use nothing else of a session. Timers and turns
/// are the request's own; whether another request may follow is the stream's.
struct ClientStream {
    let session: SessionPointer
    private let own: StreamStatePointer
    /// What else a stream of HTTP/2 has; nil in HTTP/1.1.
    private let substream: SubstreamPointer?

    /// The stream of a session that has one.
    init(_ session: SessionPointer) {
        self.session = session
        own = withUnsafeMutablePointer(to: &session.pointee.stream) { $0 }
        substream = nil
    }

    /// One stream of a session that speaks HTTP/2.
    init(_ session: SessionPointer, _ substream: SubstreamPointer) {
        self.session = session
        own = withUnsafeMutablePointer(to: &substream.pointee.stream) { $0 }
        self.substream = substream
    }

    /// Whether it is one of several: its own end is the end of what is sent on it.
    var isMultiplexed: Bool { substream != nil }
    /// When what it carries began: the connection in HTTP/1.1, since nothing else had the client do there
    /// before it asked for a WebSocket; else the stream.
    var beganMilliseconds: UInt64 {
        substream?.pointee.beganMilliseconds ?? session.pointee.facts.acceptedMilliseconds
    }

    /// Who the client is, and how it came; valid as long as the session.
    ///
    /// A pointer, since a property that lends its value would allocate where nothing is optimised.
    var facts: UnsafePointer<ClientFacts> {
        withUnsafeMutablePointer(to: &session.pointee.facts) { UnsafePointer($0) }
    }
    /// The token of the client's socket.
    var client: Token { session.pointee.client }
    /// The request in progress on it.
    var request: Token? { own.pointee.request }
    /// The client's own end of the TCP connection; nil where it has none.
    var localAddress: Address? { session.pointee.stream.leg.socket.localAddress }

    // MARK: The request's body

    /// The next bytes of the client, where they may be changed in place; nil while there are none.
    func nextPiece(
        _ space: UnsafeMutablePointer<Workspace>
    ) -> UnsafeMutableBufferPointer<UInt8>? {
        if !own.pointee.unread.bytes.isEmpty {
            let count = min(own.pointee.unread.bytes.count, space.pointee.openedCapacity)
            let opened = UnsafeMutableBufferPointer(start: space.pointee.opened, count: count)
            _ = opened.update(fromContentsOf: own.pointee.unread.bytes.prefix(count))
            own.pointee.unread.drop(count)
            return opened
        }
        while own.pointee.leg.isReadable && !own.pointee.leg.hasEnded {
            let received = own.pointee.leg.receive(space)
            if received.count > 0 {
                return UnsafeMutableBufferPointer(start: received.bytes, count: received.count)
            }
        }
        return nil
    }

    /// Puts bytes back that belong to what follows the request.
    func unread(_ bytes: UnsafeRawBufferPointer) { own.pointee.unread.putBack(bytes) }

    /// Whether bytes have come behind the request's head that nobody has read.
    var hasEarlyBytes: Bool { !own.pointee.unread.bytes.isEmpty }
    /// Whether the client will send nothing more.
    var hasEnded: Bool { own.pointee.leg.hasEnded }
    /// Whether the client has ended its side, though not all that it sent may have been read.
    var isHangingUp: Bool { own.pointee.leg.isHangingUp }

    /// The lines of the trailers behind the request's body, on a stream of HTTP/2; nil if there are none.
    func takeTrailers(_ state: StatePointer) -> [UInt8]? {
        guard let substream, let head = substream.pointee.trailers.take() else { return nil }
        let lines = SubstreamRequest.lines(of: head)
        state.pointee.multiplexMemory.recycle(head)
        return lines
    }

    // MARK: The answer

    /// Whether the client has to take what was sent before more is sent.
    var isBlocked: Bool { !own.pointee.leg.held.isEmpty }
    /// How far the client's connection is.
    func carriage() -> Carriage { session.pointee.stream.leg.carriage() }
    /// Whether nothing can be sent any more.
    var isUnwritable: Bool { own.pointee.leg.isUnwritable }

    /// Sends `count` bytes to the client; what it does not take is held, and `isBlocked` until it is gone.
    func send(
        _ start: UnsafePointer<UInt8>, count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) {
        if let substream {
            send(UnsafeRawBufferPointer(start: start, count: count), on: substream, space)
            return
        }
        // What is sealed at once has to fit into the records' output.
        let pieceMax = space.pointee.openedCapacity
        var offset = 0
        while offset < count {
            let piece = min(pieceMax, count &- offset)
            own.pointee.leg.put(start + offset, count: piece, space)
            offset &+= piece
        }
    }

    /// The same with an array.
    func send(_ bytes: [UInt8], _ space: UnsafeMutablePointer<Workspace>) {
        bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            send(start, count: buffer.count, space)
        }
    }

    /// Sends what was written of a head, and what was put behind it.
    func sendWritten(_ state: StatePointer) {
        send(
            state.pointee.heads.writer.start, count: state.pointee.heads.writer.count,
            state.pointee.space)
        state.pointee.heads.writer.clear()
    }

    /// Makes bytes ready to leave together with those that follow; all of them together have to fit into
    /// `Workspace.openedCapacity`, and `flush` sends them.
    func seal(
        _ start: UnsafePointer<UInt8>, count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) {
        if substream != nil {
            send(start, count: count, space)
        } else {
            own.pointee.leg.seal(start, count: count, space)
        }
    }

    /// Sends the heads that the bytes begin with, and holds what belongs to the body.
    private func send(
        _ bytes: UnsafeRawBufferPointer, on substream: SubstreamPointer,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        guard let multiplex = session.pointee.multiplex else { return }
        if own.pointee.leg.isUnwritable { return }
        let body = substream.pointee.answer.sendHeads(
            bytes, substream.pointee.id, multiplex.pointee.connection)
        substream.pointee.feed.notify()
        guard let start = body.baseAddress, body.count > 0 else { return }
        own.pointee.leg.put(
            start.assumingMemoryBound(to: UInt8.self), count: body.count, space)
    }

    /// Says how the body of the answer ends: `lastChunk` holds its trailers.
    func setTrailers(_ lastChunk: [UInt8]) { substream?.pointee.answer.takeTrailers(lastChunk) }

    /// Says to what method the answer is.
    func answers(_ method: Method) { substream?.pointee.answer.isToHead = method == .head }

    /// Sends what was made ready.
    func flush(_ space: UnsafeMutablePointer<Workspace>) {
        own.pointee.leg.flushRecords(space)
    }

    /// Has the client see that what it got is not whole; with `isReset` not even the stream ends in
    /// order, where its end says how long the answer is.
    ///
    /// One stream of several is reset in any case, by `MultiplexKeeper.leave`.
    func truncate(isReset: Bool = false) {
        own.pointee.leg.isTruncated = true
        if isReset && substream == nil { own.pointee.leg.socket.setResetOnClose() }
    }

    /// Whether another request may follow on it.
    var isPersistent: Bool {
        get { own.pointee.isPersistent }
        nonmutating set { own.pointee.isPersistent = newValue }
    }
    /// Requests on the connection, the present one included.
    var requestCount: Int { session.pointee.reader.requestCount }
    /// The line of answers that binds the client to https; empty for none.
    var policyLine: [UInt8] { session.pointee.passage?.policyLine ?? [] }

    /// Writes an ordinary request as the upstream gets it.
    func write(
        _ request: borrowing OrdinaryRequest, path: [UInt8]?, plan: RoutePlan, endpoint: Endpoint,
        trace: TraceSpan, told: ToldFacts?, granted: [UInt8]?, into writer: inout HeadWriter
    ) {
        // What other streams have asked for meanwhile may have other lines.
        session.pointee.passage?.prepare(for: request)
        session.pointee.passage?.write(
            request, path: path, plan: plan, endpoint: endpoint, trace: trace, told: told,
            granted: granted, into: &writer)
    }

    /// Makes what is said of the way of its requests, where that was not done before.
    func preparePassage() {
        if session.pointee.passage == nil {
            session.pointee.passage = Passage(session.pointee.facts.hop)
        }
    }

    // MARK: Connections to endpoints that are this client's alone

    /// An idle connection that is this client's alone.
    var kept: Token? { session.pointee.kept }

    /// Takes the idle connection that is this client's alone, which the request uses now.
    func takeKept() { session.pointee.kept = nil }

    /// Keeps an idle connection for this client alone, in place of another.
    func keep(_ carrier: Token, _ state: StatePointer) {
        letKeptGo(state)
        session.pointee.kept = carrier
    }

    /// Closes the idle connection that is this client's alone.
    func letKeptGo(_ state: StatePointer) { SessionKeeper(state).letKeptGo(session) }

    // MARK: Events

    /// Takes note of what an event has reported.
    func note(_ flags: Readiness) { own.pointee.leg.note(flags) }

    /// Sends what the client did not take before.
    func drain(_ space: UnsafeMutablePointer<Workspace>) { _ = own.pointee.leg.drain(space) }

    // MARK: Begin and end

    /// A request that was read on it takes it.
    func begin(_ request: Token) {
        assert(own.pointee.request == nil, "a stream carries two requests")
        own.pointee.request = request
    }

    /// Counts a request; it may be the last.
    func countRequest() { session.pointee.reader.requestCount += 1 }

    /// Whether the connection has carried as many requests as it may.
    func isSpent(_ state: StatePointer) -> Bool {
        session.pointee.reader.requestCount
            >= state.pointee.snapshot.settings.requestsPerConnectionMax
    }

    /// What becomes of the connection behind a request.
    enum Sequel {
        /// It carries the next request.
        case goesOn
        /// It ends in order, once the client has all that was sent.
        case leaves
        /// It is closed at once.
        case closes
    }

    /// The request is over.
    func end(_ sequel: Sequel, _ state: StatePointer) {
        own.pointee.request = nil
        if let substream {
            let isWhole = !own.pointee.leg.isTruncated
            MultiplexKeeper(state).leave(substream, isInOrder: sequel != .closes && isWhole)
            return
        }
        let sessions = SessionKeeper(state)
        switch sequel {
        case .goesOn:
            sessions.arm(
                session, at: state.pointee.now + state.pointee.settings.keepAliveMilliseconds)
            state.pointee.work.push(.session(session.pointee.client))
        case .leaves: sessions.leave(session)
        case .closes: sessions.close(session)
        }
    }

    /// A connection that was a session's.
    struct HandOver: ~Copyable {
        /// Its end of the relay.
        var leg: Leg
        let client: Tunnel.ClientEnd
        let facts: ClientFacts
        /// The client's bytes behind its request.
        let early: ArraySlice<UInt8>
    }

    /// Gives its end away to a tunnel: with the connection, whose session is over then, or the end of one
    /// stream of a connection that goes on.
    func handOver(_ state: StatePointer) -> HandOver {
        if let substream {
            var leg = Leg(.none())
            swap(&leg, &own.pointee.leg)
            own.pointee.request = nil
            // The connection is counted once, and its session gives that back.
            var facts = session.pointee.facts
            facts.acceptedMilliseconds = substream.pointee.beganMilliseconds
            facts.isCounted = false
            facts.certificate = nil
            return HandOver(
                leg: leg, client: .stream(substream.pointee.slot), facts: facts, early: [])
        }
        letKeptGo(state)
        var leg = Leg(.none())
        swap(&leg, &own.pointee.leg)
        session.pointee.facts.certificate = nil
        let handOver = HandOver(
            leg: leg, client: .socket(session.pointee.client), facts: session.pointee.facts,
            early: own.pointee.unread.bytes)
        state.pointee.sessionTimers.cancel(session.pointee.client)
        state.pointee.sessions.retire(session.pointee.slot)
        return handOver
    }
}

extension SessionKeeper {
    /// Answers with a refusal that closes the connection, where no request was taken up.
    func refuse(
        _ stream: ClientStream, _ refusal: Refusal, _ facts: RequestFacts, to method: Method
    ) {
        if stream.isMultiplexed {
            MultiplexKeeper(state).refuse(stream, refusal, facts)
        } else {
            refuse(stream.session, refusal, facts, to: method)
        }
    }

    /// Closes the connection of a stream without a request.
    func close(_ stream: ClientStream) {
        if stream.isMultiplexed {
            stream.end(.closes, state)
        } else {
            close(stream.session)
        }
    }
}

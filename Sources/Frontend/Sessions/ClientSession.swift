// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import TLS
import Wire

/// Who is at the other end of a client's socket, and how they came.
///
/// It goes along from the session to the tunnel that follows it.
struct ClientFacts {
    var acceptedMilliseconds: UInt64
    /// Who connected: to us, or to the balancer that said so.
    var peer: Address
    let listener: ListenerFacts
    var tls: TLSFacts?
    /// What the client has shown of itself in the handshake, until a tunnel takes the connection over.
    var certificate: ClientCertificate?
    /// The connection counts among those of its peer, which is given back when it closes.
    var isCounted = false

    init(peer: Address, listener: ListenerFacts, acceptedMilliseconds: UInt64) {
        self.peer = peer
        self.listener = listener
        self.acceptedMilliseconds = acceptedMilliseconds
    }

    /// Whether its requests come on streams of HTTP/2 (ALPN `h2`, RFC 9113 §3.2).
    var isHTTP2: Bool { tls?.isHTTP2 ?? false }

    /// The way its requests come.
    @inline(__always)
    var hop: Hop {
        Hop(
            client: peer, isSecure: listener.isSecure,
            strictTransportSecurity: listener.strictTransportSecurity,
            isHTTP2: isHTTP2,
            trusted: listener.trusts(peer) ? listener.trustedProxies : [], tls: tls,
            certificate: certificate)
    }
}

/// A client's connection, from accept until it closes or, in HTTP/1.1, a tunnel takes over.
struct ClientSession: ~Copyable {
    /// Where the session is.
    enum Stage {
        /// The header is read in which a load balancer says who has connected.
        case introduction
        /// The first byte is awaited: TLS, or something that isn't.
        case sniffing(isDeferred: Bool)
        /// The TLS handshake; deferred while it waits for its turn
        /// (`FrontendSettings.handshakesPerTurn`). What came of the ClientHello is kept for the log.
        case handshaking(isDeferred: Bool, HelloRecords)
        /// Plain HTTP came on a TLS port; its head is read to be able to name the right URL.
        case misaddressed
        /// Requests are read, one after the other.
        case serving
        /// Requests come on streams of HTTP/2.
        case multiplexing(MultiplexOwner)
        /// All is said; the client may read it.
        case leaving(Leaving)
    }

    /// Its socket in `WorkerState.clients`.
    var client = Token(rawValue: 0)
    /// Its own slot in `WorkerState.sessions`.
    var slot = Token(rawValue: 0)
    /// Its one stream of requests in HTTP/1.1; in HTTP/2 the whole connection.
    var stream: StreamState
    var facts: ClientFacts
    var stage: Stage
    var reader: RequestReader
    /// An idle connection to an endpoint that has been told who this client is.
    var kept: Token?
    /// Connections to endpoints that its requests and tunnels use: of one at most in HTTP/1.1.
    private(set) var upstreamCount = 0
    /// What is said of the client to upstreams, and to it; nil before the first ordinary request.
    var passage: Passage?
    /// When its TLS handshake was completed; 0 where it has none.
    var securedMilliseconds: UInt64 = 0
    /// Until when what it waits for has to come, where no request is in progress.
    var deadlineMilliseconds: UInt64 = 0
    /// Its timer, which fires no later than that.
    var timer = LazyTimer()
    /// It stands in `WorkerState.unfinished`.
    var goesOnLater = false

    /// What it has of HTTP/2, while it speaks that; valid until its stage changes.
    var multiplex: MultiplexPointer? {
        if case .multiplexing(let owner) = stage { owner.pointer } else { nil }
    }

    init(
        leg: consuming Leg, facts: consuming ClientFacts, stage: Stage, limits: HeadLimits
    ) {
        stream = StreamState(leg)
        self.facts = facts
        self.stage = stage
        reader = RequestReader(limits: limits)
    }

    /// A connection to an endpoint is in use for it now.
    ///
    /// - Returns: whether it is the first, whose descriptor was claimed when the client came.
    mutating func hasTakenUpstream() -> Bool {
        upstreamCount += 1
        return upstreamCount == 1
    }

    /// A connection to an endpoint is not in use for it any more.
    ///
    /// - Returns: whether it was the last, so that a descriptor for the next one has to be claimed.
    mutating func hasLeftUpstream() -> Bool {
        assert(upstreamCount > 0, "a session gives back a connection that it did not have")
        upstreamCount -= 1
        return upstreamCount == 0
    }
}

typealias SessionPointer = UnsafeMutablePointer<ClientSession>

/// How requests are read off a connection, one after the other (RFC 9112 §9.3).
struct RequestReader: ~Copyable {
    var parser: RequestHeadParser
    /// Requests on this connection, the present one included.
    var requestCount = 0
    /// Requests that were read in the turn of this number.
    private var readInTurn = 0
    private var turnNumber: UInt64 = 0

    init(limits: HeadLimits) { parser = RequestHeadParser(limits: limits) }

    /// Whether it may read one more request in this turn, so that a pipeline leaves the others theirs.
    mutating func mayRead(inTurn turn: UInt64, countMax: Int) -> Bool {
        if turn != turnNumber {
            turnNumber = turn
            readInTurn = 0
        }
        if readInTurn >= countMax { return false }
        readInTurn += 1
        return true
    }
}

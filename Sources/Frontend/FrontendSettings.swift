// SPDX-License-Identifier: Apache-2.0
public import Splice
public import TLS
public import Wire

/// Bounds and deadlines of the Frontend; durations in milliseconds.
///
/// Whoever makes them says each: what holds where a configuration is silent is written there, and
/// nowhere else.
public struct FrontendSettings: Sendable {
    /// From accept to a complete ClientHello.
    public var clientHelloMilliseconds: UInt64
    /// From accept to the end of the handshake.
    public var handshakeMilliseconds: UInt64
    /// From the handshake to a complete request head.
    public var headMilliseconds: UInt64
    /// For connecting to the upstream, all endpoints and addresses together.
    public var connectMilliseconds: UInt64
    /// From the request sent upstream to its answer.
    public var upgradeMilliseconds: UInt64
    /// From an ordinary request sent upstream to the head of its answer.
    public var answerMilliseconds: UInt64
    /// Without a byte of a request's body from the client, or of an answer's taken by it.
    public var bodyMilliseconds: UInt64
    /// Without a byte of an answer's body from the upstream.
    public var answerBodyMilliseconds: UInt64
    /// From an answer to the first byte of the next request on its connection.
    public var keepAliveMilliseconds: UInt64
    /// Requests that one client connection may carry.
    public var requestsPerConnectionMax: Int
    /// Whether sessions go on without OpenSSL's object at all.
    public var releases: Bool
    /// From the end of a handshake until the session does so, unless it is busy before.
    ///
    /// Connections that end before pay nothing for it.
    public var settleMilliseconds = Self.usualSettleMilliseconds
    /// Who seals and opens records of sessions that have released OpenSSL's object.
    public var records: RecordEngine
    /// For the ends of relays.
    public var patience: Patience
    /// Bounds of request and response heads.
    public var headLimits: HeadLimits
    /// Handshake steps that one reactor takes in one turn of its loop.
    public var handshakesPerTurn: Int
    /// Connections of all reactors together.
    public var connectionsMax: Int
    /// What one client may have of connections, counted before any request; `relays` has no meaning.
    public var clientLimits: AdmissionLimits
    /// Bytes of one `recv`, and so what is held for one direction of a relay.
    public var relayBufferBytes: Int
    /// What holds for the traces of requests; nil where nothing is traced.
    public var tracing: TracingRules?

    /// How long a session keeps OpenSSL's object where nobody says otherwise; no setting concerns it.
    public static let usualSettleMilliseconds: UInt64 = 1_000
    /// As good as no limit of connections: that of open files is reached before, and there are no more
    /// slots.
    public static let connectionsUnlimited = WorkerState.connectionsMax

    /// Bounds and deadlines, in the order of a connection's life; durations in milliseconds.
    public init(
        clientHelloMilliseconds: UInt64, handshakeMilliseconds: UInt64, headMilliseconds: UInt64,
        connectMilliseconds: UInt64, upgradeMilliseconds: UInt64, answerMilliseconds: UInt64,
        bodyMilliseconds: UInt64, answerBodyMilliseconds: UInt64, keepAliveMilliseconds: UInt64,
        requestsPerConnectionMax: Int, releases: Bool, records: RecordEngine,
        patience: Patience, headLimits: HeadLimits,
        handshakesPerTurn: Int, connectionsMax: Int, clientLimits: AdmissionLimits,
        relayBufferBytes: Int, tracing: TracingRules?
    ) {
        self.clientHelloMilliseconds = clientHelloMilliseconds
        self.handshakeMilliseconds = handshakeMilliseconds
        self.headMilliseconds = headMilliseconds
        self.connectMilliseconds = connectMilliseconds
        self.upgradeMilliseconds = upgradeMilliseconds
        self.answerMilliseconds = answerMilliseconds
        self.bodyMilliseconds = bodyMilliseconds
        self.answerBodyMilliseconds = answerBodyMilliseconds
        self.keepAliveMilliseconds = keepAliveMilliseconds
        self.requestsPerConnectionMax = requestsPerConnectionMax
        self.releases = releases
        self.records = records
        self.patience = patience
        self.headLimits = headLimits
        self.handshakesPerTurn = handshakesPerTurn
        self.connectionsMax = connectionsMax
        self.clientLimits = clientLimits
        self.relayBufferBytes = relayBufferBytes
        self.tracing = tracing
    }
}

// SPDX-License-Identifier: Apache-2.0
public import Splice
public import Wire

/// Bounds and deadlines of the Frontend; durations in milliseconds.
public struct FrontendSettings: Sendable {
    /// From accept to a complete ClientHello.
    public var clientHelloMilliseconds: UInt64 = 5_000
    /// From accept to the end of the handshake.
    public var handshakeMilliseconds: UInt64 = 10_000
    /// From the handshake to a complete request head.
    public var headMilliseconds: UInt64 = 10_000
    /// For connecting to the upstream, all endpoints and addresses together.
    public var connectMilliseconds: UInt64 = 5_000
    /// From the request sent upstream to its answer.
    public var upgradeMilliseconds: UInt64 = 30_000
    /// From an ordinary request sent upstream to the head of its answer.
    public var answerMilliseconds: UInt64 = 120_000
    /// Without a byte of a request's body from the client, or of an answer's taken by it.
    public var bodyMilliseconds: UInt64 = 30_000
    /// Without a byte of an answer's body from the upstream.
    public var answerBodyMilliseconds: UInt64 = 3_600_000
    /// From an answer to the first byte of the next request on its connection.
    public var keepAliveMilliseconds: UInt64 = 75_000
    /// Requests that one client connection may carry.
    public var requestsPerConnectionMax = 10_000
    /// From the end of a handshake until the session goes on without OpenSSL's object.
    ///
    /// Connections that end before pay nothing for it.
    public var settleMilliseconds: UInt64 = 1_000
    /// For the ends of relays.
    public var patience = Patience()
    /// Bounds of request and response heads.
    public var headLimits = HeadLimits()
    /// Handshake steps that one reactor takes in one turn of its loop.
    public var handshakesPerTurn = 16
    /// Connections of all reactors together.
    ///
    /// As good as no limit: that of open files is reached before.
    public var connectionsMax = 4_000_000
    /// What one client may have of connections, counted before any request; `relays` has no meaning.
    public var clientLimits = AdmissionLimits()
    /// Bytes of one `recv`, and so what is held for one direction of a relay.
    ///
    /// 127 KiB with the records' overhead just fit into two segments of the loopback device.
    public var relayBufferBytes = 127 * 1024

    /// The defaults.
    public init() {}
}

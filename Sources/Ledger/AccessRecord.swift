// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import TLS
public import Wire

/// What is known of a relay or request: the material of one access line.
///
/// Query strings and cookies never get here: tokens travel there.
public struct AccessRecord: Sendable {
    /// Which moment in the life of a request or relay the record is of.
    public enum Kind: Sendable {
        /// A request was answered, or a connection ended before it had a tunnel.
        case request
        /// A relay has opened.
        case opened
        /// A relay has ended.
        case ended
    }

    /// The moment that it is of; it decides which of the other values are there.
    public var kind = Kind.request
    /// The relay; nil where there is none.
    public var relay: RelayID?
    /// The name that it keeps; none for most.
    public var relayName = RelayName.none
    /// When it began, in milliseconds since 1970: an ordinary request, or anything on a stream of
    /// HTTP/2, when it was read; all else when the connection was accepted.
    public var acceptedWallMilliseconds: UInt64 = 0
    /// From then to what has happened.
    public var durationMilliseconds: UInt64 = 0
    /// When it has happened, in milliseconds since 1970.
    public var happenedWallMilliseconds: UInt64 {
        acceptedWallMilliseconds &+ durationMilliseconds
    }
    /// Who connected, or whom the load balancer or a trusted proxy names.
    public var client: Address
    /// The address of the listener that the client has connected to, as bound.
    public var listener: Address
    /// What the TLS handshake told; nil on a plain listener or before it was done.
    public var tls: TLSFacts?
    /// The method of an ordinary request, or of one for a WebSocket that the upstream has answered
    /// otherwise than with 101; empty for a tunnel.
    public var method = ""
    /// The host that was asked for, without port.
    public var host = ""
    /// The path that was asked for, without query.
    public var path = ""
    /// The route's pattern; empty when none was found.
    public var route = ""
    /// The endpoint that was asked last, also where it could not be reached; empty when none was.
    public var upstream = ""
    /// The begin of what an ordinary request asked to upgrade to, which was passed over; empty for
    /// nothing.
    public var otherUpgrade = ""
    /// Whether a WebSocket was asked for that the upstream has answered as an ordinary request.
    public var triedUpgrade = false
    /// The HTTP status that the client was sent; 0 for none.
    public var status = 0
    /// The error type, where Sluice has refused the request.
    public var proxyError: ProxyError?
    /// The error type as the log names it (RFC 9209 §2.3); empty for none.
    public var errorName: String { proxyError?.rawValue ?? "" }
    /// Who the client has proven to be; empty where the route does not ask.
    public var user = ""
    /// The key of the rule below `routes[].access` that has refused the request; empty where none has.
    public var accessRule = ""
    /// What faults have done to it on purpose.
    public var faults: FaultKinds = []
    /// Whether Sluice has answered that the upstream could not be had; the upstream itself may be a
    /// gateway too, and answer with the same status.
    public var isUpstreamFault = false
    /// A sentence on what went wrong, where something did.
    public var detail = ""
    /// From the client to the upstream.
    public var up = DirectionCounts()
    /// From the upstream to the client.
    public var down = DirectionCounts()
    /// How long the client took to answer Pings.
    public var clientRoundTrip = RoundTrip()
    /// How long the upstream took.
    public var upstreamRoundTrip = RoundTrip()
    /// The Close code the relay ended with; 0 for none, 1005 for a Close without one.
    public var closeCode: UInt16 = 0
    /// Who began the end.
    public var initiator = Initiator.none
    /// Why the relay ended; `none` for other records.
    public var reason = EndReason.none
    /// The trace that it belongs to; that of its request for a WebSocket.
    public var trace = TraceID.none
    /// The trace's name, 32 hexadecimal digits; empty for none.
    public var traceName: String { trace.isNone ? "" : trace.description }

    /// Whether it came on a stream of HTTP/2 (ALPN `h2`); else by HTTP/1.1.
    public var isHTTP2: Bool { tls?.isHTTP2 ?? false }
    /// Whether the upstream has answered a request for a WebSocket as an ordinary one.
    public var isRefusedUpgrade: Bool { triedUpgrade && status != 101 && proxyError == nil }

    /// A record of a connection that was just accepted.
    public init(client: Address, listener: Address) {
        self.client = client
        self.listener = listener
    }
}

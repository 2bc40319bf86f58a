// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import Splice
import Synchronization
public import TLS
import Wire

/// What is known of a relay or request: the material of one access line.
///
/// Query strings and cookies never get here: tokens travel there.
public struct AccessRecord: Sendable {
    /// What has happened.
    public enum Kind: Sendable {
        /// A request was answered, or a connection ended before it had a tunnel.
        case request
        /// A relay has opened.
        case opened
        /// A relay has ended.
        case ended
    }

    /// What has happened.
    public var kind = Kind.request
    /// The relay; nil where there is none.
    public var relay: RelayID?
    /// When the connection was accepted, in milliseconds since 1970.
    public var acceptedWallMilliseconds: UInt64 = 0
    /// From accept to what has happened.
    public var durationMilliseconds: UInt64 = 0
    /// Who connected.
    public var client: Address
    /// The listener's address.
    public var listener: Address
    /// What the TLS handshake told; nil on a plain listener or before it was done.
    public var tls: TLSFacts?
    /// The method of an ordinary request; empty for a WebSocket.
    public var method = ""
    /// The host that was asked for, without port.
    public var host = ""
    /// The path that was asked for, without query.
    public var path = ""
    /// The route's pattern; empty when none was found.
    public var route = ""
    /// The endpoint that served; empty when none did.
    public var upstream = ""
    /// Whether a WebSocket was asked for that the upstream has answered as an ordinary request.
    public var triedUpgrade = false
    /// The HTTP status that the client was sent; 0 for none.
    public var status = 0
    /// The error type of RFC 9209 §2.3, where an answer is Sluice's own.
    public var proxyError = ""
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
    /// Why it ended.
    public var reason = EndReason.none

    /// A record of a connection that was just accepted.
    public init(client: Address, listener: Address) {
        self.client = client
        self.listener = listener
    }
}

/// Something an operator should know that is no relay's end.
public struct LogEvent: Sendable {
    /// How much it matters.
    public enum Level: String, Sendable {
        /// Nothing is wrong.
        case info
        /// Something is, but the service goes on.
        case warning
        /// Something asked for could not be done.
        case error
    }
    /// How much it matters.
    public let level: Level
    /// A whole sentence.
    public let sentence: String

    /// An event of this weight.
    public init(_ level: Level, _ sentence: String) {
        self.level = level
        self.sentence = sentence
    }
}

/// What the one who writes things down wants to hear of, which may change while Sluice runs.
public final class JournalWishes: Sendable {
    private let bits = Atomic<UInt8>(7)

    /// All of it.
    public init() {}

    /// Says what is wanted from now on.
    public func set(requests: Bool, relayOpens: Bool, relayEnds: Bool) {
        bits.store(
            (requests ? 1 : 0) | (relayOpens ? 2 : 0) | (relayEnds ? 4 : 0), ordering: .relaxed)
    }

    /// Whether anything is.
    public var isAnything: Bool { bits.load(ordering: .relaxed) != 0 }

    fileprivate func has(_ bit: UInt8) -> Bool { bits.load(ordering: .relaxed) & bit != 0 }
}

/// Where the reactors put what is to be written down.
///
/// Neither may block.
public struct Journal: Sendable {
    /// Takes the record of a relay or request.
    public let access: @Sendable (AccessRecord) -> Void
    /// What is wanted; what is not is not made.
    private let wishes: JournalWishes
    /// Whether records of requests and of connections without a tunnel are wanted.
    public var takesRequests: Bool { wishes.has(1) }
    /// Whether a record is wanted when a relay opens.
    public var takesRelayOpens: Bool { wishes.has(2) }
    /// Whether a record is wanted when a relay ends.
    public var takesRelayEnds: Bool { wishes.has(4) }
    /// What of the machine's or the process's means was said to be at an end.
    public let shortages: ShortageNotes
    /// Takes an event.
    public let event: @Sendable (LogEvent) -> Void

    /// A journal of two functions that only hand over.
    public init(
        access: @escaping @Sendable (AccessRecord) -> Void,
        event: @escaping @Sendable (LogEvent) -> Void, wishes: JournalWishes = JournalWishes(),
        shortages: ShortageNotes = ShortageNotes()
    ) {
        self.shortages = shortages
        self.access = access
        self.event = event
        self.wishes = wishes
    }
}

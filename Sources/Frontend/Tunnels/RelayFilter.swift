// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor

/// Which relays are asked for; nil for all.
public struct RelayFilter: Sendable, Codable, Equatable {
    /// The pattern of the route that they were opened by; of any when nil.
    public var route: String?
    /// The label of the endpoint that they lead to; to any when nil.
    public var endpoint: String?
    /// The client's address without its port.
    public var client: String?
    /// The port that the client connected from; any when nil.
    public var clientPort: UInt16?
    /// Who the client has proven to be, or the subject of its token, which another rule may have named otherwise;
    /// anybody when nil.
    public var subject: String?

    /// A filter that lets all relays pass.
    public init() {}

    func takes(_ asked: borrowing TunnelFacts) -> Bool {
        (route == nil || route == asked.route) && (endpoint == nil || endpoint == asked.upstream)
            && (client == nil || client == asked.client.hostString)
            && (clientPort == nil || clientPort == asked.client.port)
            && (subject == nil || subject == asked.user || subject == asked.tokenSubject)
    }
}

/// What has become of the wish to end one relay.
public enum EndedRelay: Sendable, Equatable {
    /// It was told.
    case told
    /// It is ending already, with a code of its own.
    case isEnding
    /// There is no such relay.
    case noRelay
}

/// How many relays of a piece were ended.
struct EndedRelays: Sendable {
    let count: Int
    /// The slot to go on from; nil when all were seen.
    let next: Int?
}

/// A piece of one reactor's relays.
struct RelayList: Sendable {
    /// Relays that one piece may hold.
    static let relaysMax = 256

    let relays: [RelayFacts]
    /// The slot to go on from; nil when all were seen.
    let next: Int?
}

// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import Splice

/// The name of a relay while it lives: `worker-slot-generation`.
public struct RelayID: Sendable, Hashable, CustomStringConvertible {
    let worker: Int
    let token: Token

    init(worker: Int, token: Token) {
        self.worker = worker
        self.token = token
    }

    /// Reads what `description` wrote; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let worker = UInt16(parts[0]), let slot = UInt32(parts[1]),
            let generation = UInt32(parts[2]), generation < Token.generationCount
        else { return nil }
        self.init(worker: Int(worker), token: Token(index: slot, generation: generation))
    }

    /// The parts of the name.
    public var numbers: (worker: UInt64, slot: UInt64, generation: UInt64) {
        (UInt64(worker), UInt64(token.index), UInt64(token.generation))
    }

    /// The name as people pass it on.
    public var description: String { "\(worker)-\(token.index)-\(token.generation)" }
}

/// Which relays are asked for; nil for all.
public struct RelayFilter: Sendable {
    /// The route's pattern.
    public var route: String?
    /// The endpoint's label.
    public var endpoint: String?
    /// The client's address without its port.
    public var client: String?

    /// All relays.
    public init() {}

    func takes(_ asked: borrowing TunnelFacts) -> Bool {
        (route == nil || route == asked.route) && (endpoint == nil || endpoint == asked.upstream)
            && (client == nil || client == asked.client.hostString)
    }
}

/// What is known of a live relay.
public struct RelayFacts: Sendable {
    /// Its name.
    public let id: RelayID
    /// Who connected.
    public let client: Address
    /// The route's pattern.
    public let route: String
    /// The path that was asked for.
    public let path: String
    /// The endpoint's label.
    public let endpoint: String
    /// Since the client connected.
    public let ageMilliseconds: UInt64
    /// From the client to the upstream.
    public let up: DirectionCounts
    /// From the upstream to the client.
    public let down: DirectionCounts
    /// How long the client took to answer Pings.
    public let clientRoundTrip: RoundTrip
    /// Whether Closes are being exchanged.
    public let isEnding: Bool
}

/// A piece of one reactor's relays.
struct RelayList: Sendable {
    /// Relays that one piece may hold.
    static let relaysMax = 256

    let relays: [RelayFacts]
    /// The slot to go on from; nil when all were seen.
    let next: Int?
}

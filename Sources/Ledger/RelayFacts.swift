// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// The name of a relay while it lives: `worker-slot-generation`.
public struct RelayID: Sendable, Hashable, CustomStringConvertible {
    /// Whose it is, among the reactors.
    public let worker: Int
    /// The slot of its tunnel in that reactor, with its generation.
    public let token: Token

    /// The name of the relay in this slot of that reactor.
    public init(worker: Int, token: Token) {
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

/// What is known of a live relay.
public struct RelayFacts: Sendable {
    /// The name by which an operator can end it.
    public let id: RelayID
    /// The name that it keeps, as its app was told; none for most.
    public let name: RelayName
    /// The client's address: who connected, or whom a trusted proxy names.
    public let client: Address
    /// Who the client has proven to be; empty where the route did not ask.
    public let user: String
    /// Whether the client has it on a stream of HTTP/2.
    public let isHTTP2: Bool
    /// The pattern of the route that it was opened by, as people wrote it.
    public let route: String
    /// The path that was asked for.
    public let path: String
    /// The label of the endpoint that it leads to, as people wrote it.
    public let endpoint: String
    /// When the client connected or, in HTTP/2, when the WebSocket's stream began; by the monotonic clock.
    ///
    /// Relays of several reactors are put in order by this and not by their ages, which each reactor takes at
    /// a moment of its own.
    public let acceptedMilliseconds: UInt64
    /// How long ago that was.
    public let ageMilliseconds: UInt64
    /// From the client to the upstream.
    public let up: DirectionCounts
    /// From the upstream to the client.
    public let down: DirectionCounts
    /// How long the client took to answer Pings.
    public let clientRoundTrip: RoundTrip
    /// When it ends with the token that let it in, in milliseconds since 1970; nil where it does not.
    public let endMilliseconds: UInt64?
    /// Whether Closes are being exchanged.
    public let isEnding: Bool

    /// What is known of the relay of this name.
    public init(
        id: RelayID, name: RelayName = .none, client: Address, user: String = "", isHTTP2: Bool,
        route: String, path: String,
        endpoint: String, acceptedMilliseconds: UInt64, nowMilliseconds: UInt64,
        up: DirectionCounts,
        down: DirectionCounts,
        clientRoundTrip: RoundTrip, endMilliseconds: UInt64? = nil, isEnding: Bool
    ) {
        self.id = id
        self.name = name
        self.client = client
        self.user = user
        self.isHTTP2 = isHTTP2
        self.route = route
        self.path = path
        self.endpoint = endpoint
        self.acceptedMilliseconds = acceptedMilliseconds
        ageMilliseconds = nowMilliseconds - min(acceptedMilliseconds, nowMilliseconds)
        self.up = up
        self.down = down
        self.clientRoundTrip = clientRoundTrip
        self.endMilliseconds = endMilliseconds
        self.isEnding = isEnding
    }
}

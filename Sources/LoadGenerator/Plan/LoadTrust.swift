// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import TLS

/// Which certificates of servers a load takes.
public enum LoadTrust: Sendable, Equatable {
    /// Any.
    case anything
    /// Those of the authorities in a PEM file.
    case file(String)
    /// Those of the system's authorities, and of the authorities in these files.
    case systemAnd([String])
}

/// A field of the opening request that the plan adds.
public struct LoadField: Sendable, Equatable {
    /// The name as it is sent.
    public let name: String
    /// The value as it is sent.
    public let value: String

    /// A field by name and value.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// How the connections of a load are made.
public struct LoadDialing: Sendable {
    /// Which certificates are taken.
    public var trust = LoadTrust.anything
    /// The certificate and key that are shown to a server that asks for one.
    public var identity: IdentityFiles?
    /// The name that TLS asks for and verifies; nil for the URL's host.
    public var serverName: String?
    /// Further fields of the opening request, in their order.
    public var fields: [LoadField] = []
    /// The subprotocols that are offered (RFC 6455 §1.9).
    public var subprotocols: [String] = []
    /// Whether permessage-deflate is offered (RFC 7692), without context takeover.
    public var offersDeflate = false
    /// The addresses that connections leave from, one after the other; empty for the system's choice.
    public var sources: [Address] = []
    /// Of connections in `connect` that can take up an earlier TLS session, how many do: 0 to 1.
    public var resumedShare = 1.0
    /// How long it takes until all connections are begun; 0 begins them as fast as handshakes are done.
    public var rampSeconds = 0.0

    /// The system's choice of everything, and any certificate.
    public init() {}
}

/// How clients come back whose connection is gone.
public struct BackOff: Sendable, Equatable {
    /// The pause before the first attempt.
    public var firstSeconds: Double
    /// The longest pause; each is twice the one before, up to this.
    public var longestSeconds: Double
    /// The share of each pause that is drawn at random: 0 for none, 1 for all of it.
    public var jitter: Double

    /// A back-off by its three numbers.
    public init(firstSeconds: Double, longestSeconds: Double, jitter: Double) {
        self.firstSeconds = firstSeconds
        self.longestSeconds = longestSeconds
        self.jitter = jitter
    }

    /// The pause before an attempt, in nanoseconds.
    ///
    /// - Parameters:
    ///   - attempt: 0 for the first.
    ///   - random: 0 to 1.
    /// - Returns: the pause.
    func nanoseconds(beforeAttempt attempt: Int, random: Double) -> UInt64 {
        var pause = firstSeconds
        for _ in 0..<min(attempt, 64) where pause < longestSeconds { pause *= 2 }
        pause = min(pause, longestSeconds)
        let drawn = pause * (1 - jitter) + pause * jitter * random
        return UInt64(max(0, drawn) * 1e9)
    }
}

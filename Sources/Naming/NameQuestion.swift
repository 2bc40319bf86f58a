// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// What a name is asked for.
public enum NameQuestion: Sendable, Hashable, CustomStringConvertible {
    /// The IPv4 and IPv6 addresses of a host (A and AAAA records, hosts files).
    case addresses(String)
    /// The hosts and ports of a service such as `_ws._tcp.example.com` (SRV records, RFC 2782).
    case services(String)

    /// The name that is asked about, whatever it is asked for.
    public var name: String {
        switch self {
        case .addresses(let name), .services(let name): name
        }
    }

    /// The question as an endpoint is written.
    public var description: String {
        switch self {
        case .addresses(let name): name
        case .services(let name): "srv:\(name)"
        }
    }
}

/// One place where a service is to be found (RFC 2782).
public struct ServiceRecord: Sendable, Hashable {
    /// The host's name, without a dot at its end.
    public var host: String
    /// The TCP port on which the service listens there.
    public var port: UInt16
    /// Lower ones come first.
    public var priority: UInt16
    /// The share among those of one priority.
    public var weight: UInt16

    /// An SRV record (RFC 2782); the lowest priority serves first.
    public init(host: String, port: UInt16, priority: UInt16, weight: UInt16) {
        self.host = host
        self.port = port
        self.priority = priority
        self.weight = weight
    }
}

/// What a name stands for.
public enum NameContent: Sendable, Equatable {
    /// Addresses with port 0, the best first.
    case addresses([Address])
    /// Records, sorted by priority, host and port.
    case services([ServiceRecord])

    /// The same in an order that does not change from answer to answer.
    public var sorted: NameContent {
        guard case .addresses(let addresses) = self else { return self }
        return .addresses(addresses.sorted { $0.description < $1.description })
    }
}

/// What a name stands for, and for how long that may be believed.
public struct NameAnswer: Sendable, Equatable {
    /// What the name stands for; never empty.
    public let content: NameContent
    /// For how many seconds; nil where nobody says, as in a hosts file.
    public let ttlSeconds: UInt32?

    /// An answer of both.
    public init(content: NameContent, ttlSeconds: UInt32?) {
        self.content = content
        self.ttlSeconds = ttlSeconds
    }
}

/// Why nothing was found.
public struct NameFault: Error, Sendable, Equatable {
    /// What was looked up and what went wrong.
    public let sentence: String
    /// Whether servers have let us wait; then the system's own ways would wait for them once more.
    public let isTimeout: Bool

    /// A fault of both.
    public init(_ sentence: String, isTimeout: Bool = false) {
        self.sentence = sentence
        self.isTimeout = isTimeout
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Where to listen or to connect: an IPv4 or IPv6 address with a port, or a unix socket's path.
///
/// A plain value; only a long unix path owns heap memory. The IPv4 addresses that a dual-stack
/// socket shows as `::ffff:a.b.c.d` are IPv4 here.
public struct Address: Sendable, Hashable {
    enum Kind: UInt8, Sendable {
        case ipv4, ipv6, unix
        /// IPv6 and IPv4 at once, or IPv4 alone where the system has no IPv6.
        case everywhere
    }

    let kind: Kind
    /// The address in host byte order; of IPv4 the low 32 bits of `low`.
    let high: UInt64
    let low: UInt64
    /// The interface of a link-local IPv6 address.
    let scope: UInt32
    /// The TCP port; 0 for a unix socket.
    public let port: UInt16
    /// The path of a unix socket, else empty.
    ///
    /// A leading `@` names the abstract name space.
    public let path: String

    init(kind: Kind, high: UInt64 = 0, low: UInt64 = 0, scope: UInt32 = 0, port: UInt16) {
        self.kind = kind
        self.high = high
        self.low = low
        self.scope = scope
        self.port = port
        self.path = ""
    }

    init(unixPath path: String) {
        kind = .unix
        high = 0
        low = 0
        scope = 0
        port = 0
        self.path = path
    }

    /// An IPv4 address from its four numbers.
    public static func ipv4(
        _ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, port: UInt16
    ) -> Address {
        let value = UInt64(a) << 24 | UInt64(b) << 16 | UInt64(c) << 8 | UInt64(d)
        return Address(kind: .ipv4, low: value, port: port)
    }

    /// An IPv6 address from its two halves.
    public static func ipv6(high: UInt64, low: UInt64, port: UInt16) -> Address {
        Address(kind: .ipv6, high: high, low: low, port: port)
    }

    /// This machine, by IPv4 (127.0.0.1) or IPv6 (::1).
    public static func loopback(port: UInt16, isIPv6: Bool = false) -> Address {
        isIPv6 ? Address(kind: .ipv6, low: 1, port: port) : .ipv4(127, 0, 0, 1, port: port)
    }

    /// The same address with another port; a unix socket stays as it is.
    public func with(port: UInt16) -> Address {
        if kind == .unix { return self }
        return Address(kind: kind, high: high, low: low, scope: scope, port: port)
    }

    /// Whom limits for one client count together: an IPv4 address, or the /64 network of an IPv6 one,
    /// which is what one customer gets (RFC 6177 §2).
    public var subscriber: Address {
        switch kind {
        case .ipv4: with(port: 0)
        case .ipv6, .everywhere: Address(kind: .ipv6, high: high, port: 0)
        case .unix: Address(unixPath: "")
        }
    }

    /// The four bytes of an IPv4 address as one number; nil for another.
    public var ipv4: UInt32? { kind == .ipv4 ? UInt32(truncatingIfNeeded: low) : nil }
    /// The halves of an IPv6 address; nil for another.
    public var ipv6: (high: UInt64, low: UInt64)? { kind == .ipv6 ? (high, low) : nil }
    /// A number of the `subscriber` that is the same in every process; nil for a unix socket.
    public var subscriberNumber: UInt64? {
        switch kind {
        case .ipv4: low
        case .ipv6, .everywhere: high ^ 1 << 63
        case .unix: nil
        }
    }

    /// Whether it is a unix socket.
    public var isUnix: Bool { kind == .unix }
    /// Whether it is an IPv6 address.
    public var isIPv6: Bool { kind == .ipv6 || kind == .everywhere }
    /// Whether it stands for all addresses of the machine.
    public var isWildcard: Bool {
        kind == .everywhere || kind != .unix && high == 0 && low == 0
    }
    /// Whether nobody can listen there while somebody listens at the other address; `[::]` and `:port` take IPv4
    /// too.
    public func standsInTheWay(of other: Address) -> Bool {
        if self == other { return true }
        if isUnix || other.isUnix || port != other.port { return false }
        return isWildcard && (isIPv6 || !other.isIPv6 || other.isWildcard)
            || other.isWildcard && (other.isIPv6 || !isIPv6)
    }
    /// Whether only this machine can reach it.
    public var isLoopback: Bool {
        switch kind {
        case .ipv4: low >> 24 == 127
        case .ipv6: high == 0 && low == 1
        case .unix: true
        case .everywhere: false
        }
    }
}

/// Why a text is no address.
public struct AddressFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong and what would be right.
    public let sentence: String
    /// Why the text is no address, as a sentence.
    public var description: String { sentence }
}

// SPDX-License-Identifier: Apache-2.0

/// The header as Sluice writes it to upstreams.
extension ProxyHeader {
    /// The versions of the protocol.
    public enum Version: Sendable, Equatable {
        /// A line of text: addresses and ports alone.
        case one
        /// Binary, with what else is known of the client's connection.
        case two
    }

    /// What version 2 says of a client that came by TLS (§2.2.5).
    public struct Security: Sendable, Equatable {
        /// The version as OpenSSL names it: `TLSv1.3`.
        public let version: String
        /// The cipher suite's name.
        public let cipher: String
        /// The name that the client asked for (SNI); nil for none.
        public let serverName: String?
        /// The protocol both agreed on (ALPN); nil for none.
        public let applicationProtocol: String?

        /// What a header of version 2 says of TLS; nil for what the client did not send.
        public init(
            version: String, cipher: String, serverName: String?, applicationProtocol: String?
        ) {
            self.version = version
            self.cipher = cipher
            self.serverName = serverName
            self.applicationProtocol = applicationProtocol
        }
    }

    /// The header of a connection.
    ///
    /// Both addresses are of one family there, so beside an IPv6 address an IPv4 one is written as
    /// mapped (RFC 4291 §2.5.5.2). Where one of them is none, or a text, the header says that the
    /// addresses are not known.
    ///
    /// - Parameters:
    ///   - version: which form.
    ///   - source: who connected.
    ///   - destination: whom it connected to.
    ///   - security: how, if by TLS; only version 2 says it.
    /// - Returns: the bytes.
    public static func bytes(
        _ version: Version, from source: Source, to destination: Source, security: Security? = nil
    ) -> [UInt8] {
        switch version {
        case .one: text(source, destination)
        case .two:
            binary(command: 1, addresses(source, destination), security.map(fields) ?? [])
        }
    }

    /// The header of a connection that is nobody's but Sluice's own, such as a health check (LOCAL).
    public static func ownBytes(_ version: Version) -> [UInt8] {
        switch version {
        case .one: text(.none, .none)
        case .two: binary(command: 0, (family: 0, bytes: []), [])
        }
    }

    // MARK: Version 1

    private static func text(_ source: Source, _ destination: Source) -> [UInt8] {
        let known = addresses(source, destination)
        guard known.family != 0 else { return Array("PROXY UNKNOWN\r\n".utf8) }
        let isIPv4 = known.family == 0x11
        let size = isIPv4 ? 4 : 16
        func host(_ start: Int) -> String {
            let bytes = known.bytes[start..<start + size]
            if isIPv4 { return bytes.map(String.init).joined(separator: ".") }
            let groups = stride(from: bytes.startIndex, to: bytes.endIndex, by: 2)
            return groups.map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }
                .joined(separator: ":")
        }
        func port(_ start: Int) -> UInt16 {
            UInt16(known.bytes[start]) << 8 | UInt16(known.bytes[start + 1])
        }
        let line =
            "PROXY \(isIPv4 ? "TCP4" : "TCP6") \(host(0)) \(host(size))"
            + " \(port(2 * size)) \(port(2 * size + 2))\r\n"
        return Array(line.utf8)
    }

    // MARK: Version 2

    /// Family and transport, and both addresses and ports as they stand in version 2.
    private static func addresses(
        _ source: Source, _ destination: Source
    ) -> (family: UInt8, bytes: [UInt8]) {
        if case .ipv4(let from, let fromPort) = source, case .ipv4(let to, let toPort) = destination
        {
            return (
                0x11,
                bigEndian(UInt64(from), 4) + bigEndian(UInt64(to), 4)
                    + bigEndian(UInt64(fromPort), 2) + bigEndian(UInt64(toPort), 2)
            )
        }
        guard let from = mapped(source), let to = mapped(destination) else { return (0, []) }
        return (
            0x21, from.address + to.address + bigEndian(from.port, 2) + bigEndian(to.port, 2)
        )
    }

    /// An address in the form of IPv6.
    private static func mapped(_ source: Source) -> (address: [UInt8], port: UInt64)? {
        switch source {
        case .ipv4(let value, let port):
            (bigEndian(0, 8) + bigEndian(0xFFFF_0000_0000 | UInt64(value), 8), UInt64(port))
        case .ipv6(let high, let low, let port):
            (bigEndian(high, 8) + bigEndian(low, 8), UInt64(port))
        case .text, .none: nil
        }
    }

    private static func binary(
        command: UInt8, _ addresses: (family: UInt8, bytes: [UInt8]), _ fields: [UInt8]
    ) -> [UInt8] {
        let length = addresses.bytes.count + fields.count
        return signature + [0x20 | command, addresses.family] + bigEndian(UInt64(length), 2)
            + addresses.bytes + fields
    }

    /// PP2_TYPE_ALPN, PP2_TYPE_AUTHORITY and PP2_TYPE_SSL with version and cipher.
    private static func fields(_ security: Security) -> [UInt8] {
        // PP2_CLIENT_SSL; that no certificate of the client was verified is any number but 0.
        let ssl =
            [0x01] + bigEndian(1, 4) + field(0x21, security.version)
            + field(0x23, security.cipher)
        return (security.applicationProtocol.map { field(0x01, $0) } ?? [])
            + (security.serverName.map { field(0x02, $0) } ?? [])
            + [0x20] + bigEndian(UInt64(ssl.count), 2) + ssl
    }

    private static func field(_ type: UInt8, _ value: String) -> [UInt8] {
        // Names of hosts and protocols have 255 bytes at most.
        let bytes = Array(value.utf8.prefix(255))
        return [type] + bigEndian(UInt64(bytes.count), 2) + bytes
    }

    private static func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }
}

// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

extension Address: CustomStringConvertible {
    private static let unixPathBytesMax = 107

    /// Reads `127.0.0.1:80`, `[::1]:80`, `:8080` (all addresses) or `unix:/path`.
    ///
    /// Names are not looked up here: that takes time, and `Resolver` does it.
    public init(parsing text: String) throws(AddressFault) {
        if text.hasPrefix("unix:") {
            self = try Address.unix(text.dropFirst(5), in: text)
            return
        }
        guard let colon = text.lastIndex(of: ":") else {
            throw AddressFault(
                sentence: "“\(text)” has no port: write it as 127.0.0.1:8443 or [::1]:8443")
        }
        let host = text[..<colon]
        let port = try Address.port(text[text.index(after: colon)...], in: text)
        if host.isEmpty {
            self.init(kind: .everywhere, port: port)
        } else if host.hasPrefix("[") || host.hasSuffix("]") {
            guard host.hasPrefix("["), host.hasSuffix("]"), host.count > 2,
                let address = Address(ipv6: host.dropFirst().dropLast(), port: port)
            else { throw AddressFault(sentence: "“\(host)” is no IPv6 address") }
            self = address
        } else if host.contains(":") {
            throw AddressFault(
                sentence: "“\(text)”: an IPv6 address stands in brackets, as in [::1]:8443")
        } else if let address = Address(ipv4: host, port: port) {
            self = address
        } else {
            throw AddressFault(sentence: "“\(host)” is no IPv4 address and no name is allowed here")
        }
    }

    /// Reads an IPv4 or IPv6 address without port and brackets; nil when it is none.
    public init?(host: String, port: UInt16) {
        let host = host[...]
        guard let address = Address(ipv4: host, port: port) ?? Address(ipv6: host, port: port)
        else { return nil }
        self = address
    }

    /// The address without port and brackets; of a unix socket the path.
    public var hostString: String {
        switch kind {
        case .unix:
            return path
        case .ipv4:
            return String(unsafeUninitializedCapacity: 15) { text in
                text.baseAddress.map(writeIPv4(to:)) ?? 0
            }
        case .ipv6, .everywhere:
            var address = in6_addr()
            withUnsafeMutableBytes(of: &address) { bytes in
                bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
                bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
                inet_ntop(AF_INET6, &address, buffer.baseAddress, 64).map { String(cString: $0) }
            }
            return (text ?? "::") + (scope == 0 ? "" : "%\(scope)")
        }
    }

    /// The form that `init(parsing:)` reads.
    public var description: String {
        switch kind {
        case .unix: "unix:\(path)"
        case .ipv4: "\(hostString):\(port)"
        case .ipv6: "[\(hostString)]:\(port)"
        case .everywhere: ":\(port)"
        }
    }

    /// The far end of a connection as people read it: without a port where none is known, as of a
    /// client that a proxy has named.
    public var peerDescription: String {
        port == 0 && kind != .unix ? hostString : description
    }

    /// Room that `writeText` may need.
    public static var textBytesMax: Int { unixPathBytesMax + 16 }

    /// Writes what `peerDescription` says to memory for `textBytesMax` bytes, without a string for IPv4.
    ///
    /// - Returns: how many bytes it took.
    public func writeText(to memory: UnsafeMutablePointer<UInt8>) -> Int {
        guard kind == .ipv4 else {
            var text = peerDescription
            return text.withUTF8 { bytes in
                let count = min(bytes.count, Self.textBytesMax)
                if let start = bytes.baseAddress { memory.update(from: start, count: count) }
                return count
            }
        }
        var count = writeIPv4(to: memory)
        if port != 0 {
            memory[count] = UInt8(ascii: ":")
            count += 1
            Self.write(UInt32(port), to: memory, at: &count)
        }
        return count
    }

    /// Writes the four numbers of an IPv4 address, 15 bytes at most, and says how many.
    private func writeIPv4(to memory: UnsafeMutablePointer<UInt8>) -> Int {
        let bits = UInt32(truncatingIfNeeded: low)
        var count = 0
        Self.write(bits >> 24, to: memory, at: &count)
        for shift: UInt32 in [16, 8, 0] {
            memory[count] = UInt8(ascii: ".")
            count += 1
            Self.write(bits >> shift & 255, to: memory, at: &count)
        }
        return count
    }

    /// Writes a number below 100,000 in decimal digits.
    private static func write(
        _ number: UInt32, to memory: UnsafeMutablePointer<UInt8>, at count: inout Int
    ) {
        var divisor: UInt32 = number >= 10_000 ? 10_000 : number >= 1_000 ? 1_000 : 100
        if number < 100 { divisor = number >= 10 ? 10 : 1 }
        while divisor > 0 {
            memory[count] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / divisor % 10)
            count += 1
            divisor /= 10
        }
    }

    private init?(ipv4 text: Substring, port: UInt16) {
        var address = in_addr()
        guard inet_pton(AF_INET, String(text), &address) == 1 else { return nil }
        self.init(kind: .ipv4, low: UInt64(UInt32(bigEndian: address.s_addr)), port: port)
    }

    private init?(ipv6 text: Substring, port: UInt16) {
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var scope: UInt32 = 0
        if parts.count == 2 {
            scope = UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
            if scope == 0 { return nil }
        }
        var address = in6_addr()
        guard inet_pton(AF_INET6, String(parts[0]), &address) == 1 else { return nil }
        self.init(ipv6: address, scope: scope, port: port)
    }

    init(ipv6 address: in6_addr, scope: UInt32, port: UInt16) {
        let (high, low) = withUnsafeBytes(of: address) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        if high == 0 && low >> 32 == 0xFFFF {
            self.init(kind: .ipv4, low: low & 0xFFFF_FFFF, port: port)
        } else {
            self.init(kind: .ipv6, high: high, low: low, scope: scope, port: port)
        }
    }

    private static func port(
        _ digits: Substring, in text: String
    ) throws(AddressFault) -> UInt16 {
        guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(digits) else {
            throw AddressFault(
                sentence: "“\(text)” ends with “\(digits)”, where a port from 0 to 65535 belongs")
        }
        return port
    }

    private static func unix(
        _ path: Substring, in text: String
    ) throws(AddressFault) -> Address {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw AddressFault(sentence: "“\(text)” names no path: write it as unix:/run/app.sock")
        }
        guard path.utf8.count <= unixPathBytesMax else {
            throw AddressFault(
                sentence: "the path of “\(text)” is longer than \(unixPathBytesMax) bytes, "
                    + "which is all that a unix socket's address holds")
        }
        return Address(unixPath: String(path))
    }
}

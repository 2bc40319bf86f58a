// SPDX-License-Identifier: Apache-2.0

/// The header with which a load balancer says who has connected to it: the PROXY protocol, versions
/// 1 and 2 (HAProxy's proxy-protocol.txt §2).
public enum ProxyHeader: Sendable, Equatable {
    /// Who connected, as far as it is said.
    public enum Source: Sendable, Equatable {
        /// Version 1: an address in words, and a port.
        case text(host: String, port: UInt16)
        /// Version 2: an IPv4 address in host byte order.
        case ipv4(UInt32, port: UInt16)
        /// Version 2: the two halves of an IPv6 address.
        case ipv6(high: UInt64, low: UInt64, port: UInt16)
        /// Nobody: the balancer itself (LOCAL), or a family that has no address (UNKNOWN, UNSPEC, UNIX).
        case none
    }

    /// More bytes are needed.
    case needsMore
    /// The bytes are no such header.
    case failed(String)
    /// It takes so many bytes.
    case complete(length: Int, Source)

    /// Bytes that a header may have: all that balancers add to version 2 fits in.
    public static let byteCountMax = 4_096

    static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    /// The longest line of version 1, with its end.
    private static let lineMax = 107

    /// Reads the header at the begin of a connection.
    public static func read(_ bytes: [UInt8]) -> ProxyHeader {
        if bytes.isEmpty { return .needsMore }
        if bytes[0] == signature[0] { return readBinary(bytes) }
        return readText(bytes)
    }

    private static func readText(_ bytes: [UInt8]) -> ProxyHeader {
        let prefix = Array("PROXY ".utf8)
        let known = min(bytes.count, prefix.count)
        guard bytes[..<known] == prefix[..<known] else { return .failed("it begins otherwise") }
        guard let end = bytes.prefix(lineMax).firstIndex(of: 0x0A) else {
            return bytes.count >= lineMax ? .failed("its line is too long") : .needsMore
        }
        guard bytes[end - 1] == 0x0D else { return .failed("its line ends without CR") }
        guard let line = String(validating: bytes[..<(end - 1)], as: UTF8.self) else {
            return .failed("its line is no text")
        }
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        if words.count >= 2, words[1] == "UNKNOWN" { return .complete(length: end + 1, .none) }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6",
            let port = port(words[4]), self.port(words[5]) != nil,
            words[2].contains(":") == (words[1] == "TCP6")
        else { return .failed("its line is no PROXY TCP4, TCP6 or UNKNOWN") }
        return .complete(length: end + 1, .text(host: String(words[2]), port: port))
    }

    /// A port in digits without leading zeros.
    private static func port(_ text: Substring) -> UInt16? {
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), text == "0" || !text.hasPrefix("0")
        else { return nil }
        return UInt16(text)
    }

    private static func readBinary(_ bytes: [UInt8]) -> ProxyHeader {
        let known = min(bytes.count, signature.count)
        guard bytes[..<known] == signature[..<known] else { return .failed("it begins otherwise") }
        guard bytes.count >= 16 else { return .needsMore }
        guard bytes[12] >> 4 == 2 else { return .failed("its version is not 2") }
        let length = 16 + Int(number(bytes, 14, 2))
        guard length <= byteCountMax else { return .failed("it is longer than 4096 bytes") }
        guard bytes.count >= length else { return .needsMore }
        switch bytes[12] & 0x0F {
        case 0: return .complete(length: length, .none)
        case 1: break
        default: return .failed("its command is neither LOCAL nor PROXY")
        }
        switch bytes[13] {
        case 0x11:
            guard length >= 28 else { return .failed("it is too short for IPv4") }
            return .complete(
                length: length,
                .ipv4(
                    UInt32(truncatingIfNeeded: number(bytes, 16, 4)),
                    port: UInt16(truncatingIfNeeded: number(bytes, 24, 2))))
        case 0x21:
            guard length >= 52 else { return .failed("it is too short for IPv6") }
            return .complete(
                length: length,
                .ipv6(
                    high: number(bytes, 16, 8), low: number(bytes, 24, 8),
                    port: UInt16(truncatingIfNeeded: number(bytes, 48, 2))))
        default: return .complete(length: length, .none)
        }
    }

    private static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> UInt64 {
        bytes[start..<start + count].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The host and port of a `Host` field or an authority, in the one form that is compared.
///
/// Accepted are DNS names (letters, digits, `-`, `_`), IPv4 addresses and IPv6 addresses in
/// brackets. User information, percent-escapes and everything else RFC 3986 would allow are
/// refused: no browser sends them, and no two servers read them alike.
public struct HostName: Sendable, Equatable {
    /// The name in lower case, without port, brackets and trailing dot.
    public let name: String
    /// The port, if one was given.
    public let port: UInt16?
    /// Whether the name is an IPv6 address, which stands in brackets on the wire.
    public let isIPv6: Bool

    /// Reads `host` or `host:port`.
    public init(parsing text: ArraySlice<UInt8>) throws(HeadFault) {
        guard let first = text.first else { throw .bad("The host is empty.") }
        let end: Int
        if first == UInt8(ascii: "[") {
            guard let bracket = text.firstIndex(of: UInt8(ascii: "]")) else {
                throw .bad("The host has an opening bracket without a closing one.")
            }
            let address = text[(text.startIndex + 1)..<bracket]
            guard HostName.isIPv6Address(address) else {
                throw .bad("The host in brackets is not an IPv6 address.")
            }
            name = address.lowercasedString()
            isIPv6 = true
            end = bracket + 1
        } else {
            end = text.firstIndex(of: Octet.colon) ?? text.endIndex
            var host = text[..<end]
            if host.last == Octet.dot { host.removeLast() }
            guard HostName.isName(host) else {
                throw .bad("The host is not a name or address.")
            }
            name = host.lowercasedString()
            isIPv6 = false
        }
        port = try HostName.parsePort(text[end...])
    }

    /// The host of a request that names none.
    static let nameless = HostName(name: "", port: nil, isIPv6: false)

    /// Whether it is this machine as seen from itself: `localhost` and the names below it (RFC 6761
    /// §6.3), 127.0.0.0/8 and `::1`.
    public var isLoopback: Bool {
        // Of a sound address of noughts, colons and a last 1 there is only one.
        if isIPv6 {
            return name.hasSuffix("1") && name.dropLast().allSatisfy { $0 == "0" || $0 == ":" }
        }
        return name == "localhost" || name.hasSuffix(".localhost")
            || name.hasPrefix("127.") && HostName.isIPv4Address(Array(name.utf8)[...])
    }

    init(name: String, port: UInt16?, isIPv6: Bool) {
        self.name = name
        self.port = port
        self.isIPv6 = isIPv6
    }

    /// Where a name stands that is in the form compared already: lower case, no trailing dot.
    ///
    /// - Returns: its place, and the port or 0; nil where it may be another form, or none at all.
    static func plainName(
        _ bytes: Span<UInt8>, _ text: Range<Int>
    ) -> (name: Range<Int>, port: UInt16)? {
        var index = text.lowerBound
        var label = index
        while index < text.upperBound, bytes[index] != Octet.colon {
            let byte = bytes[index]
            if byte == Octet.dot {
                guard 1...63 ~= index &- label else { return nil }
                label = index &+ 1
            } else if byte &- 0x61 >= 26, !Octet.isDigit(byte), byte != UInt8(ascii: "-"),
                byte != UInt8(ascii: "_")
            {
                return nil
            }
            index &+= 1
        }
        guard 1...63 ~= index &- label, index - text.lowerBound <= 253 else { return nil }
        let name = text.lowerBound..<index
        if index == text.upperBound { return (name, 0) }
        let digits = bytes.extracting(index + 1..<text.upperBound)
        guard 1...5 ~= digits.count else { return nil }
        for place in digits.indices where !Octet.isDigit(digits[place]) { return nil }
        guard let port = UInt16(exactly: digits.decimalValue), port > 0 else { return nil }
        return (name, port)
    }

    private static func parsePort(_ text: ArraySlice<UInt8>) throws(HeadFault) -> UInt16? {
        guard let colon = text.first else { return nil }
        let digits = text.dropFirst()
        guard colon == Octet.colon, 1...5 ~= digits.count, digits.allSatisfy(Octet.isDigit),
            let port = UInt16(exactly: digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }), port > 0
        else {
            throw .bad("The host's port is not a number from 1 to 65535.")
        }
        return port
    }

    private static func isName(_ host: ArraySlice<UInt8>) -> Bool {
        guard 1...253 ~= host.count else { return false }
        var labelBytes = 0
        for byte in host {
            if byte == Octet.dot {
                guard 1...63 ~= labelBytes else { return false }
                labelBytes = 0
                continue
            }
            guard
                byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || Octet.isDigit(byte)
                    || Octet.lowercased(byte) &- 0x61 < 26
            else { return false }
            labelBytes += 1
        }
        return 1...63 ~= labelBytes
    }

    /// RFC 4291 §2.2, without a zone, which has a meaning on one machine only.
    private static func isIPv6Address(_ text: ArraySlice<UInt8>) -> Bool {
        guard 2...45 ~= text.count else { return false }
        var groups = 0
        var hasGap = false
        var index = text.startIndex
        if text.starts(with: "::".utf8) {
            hasGap = true
            index += 2
            if index == text.endIndex { return true }
        }
        while true {
            let end = text[index...].firstIndex(of: Octet.colon) ?? text.endIndex
            let group = text[index..<end]
            if end == text.endIndex, group.contains(Octet.dot) {
                guard isIPv4Address(group) else { return false }
                groups += 2
                break
            }
            guard 1...4 ~= group.count, group.allSatisfy({ Octet.hexValue($0) != nil }) else {
                return false
            }
            groups += 1
            if end == text.endIndex { break }
            index = end + 1
            guard index < text.endIndex else { return false }
            if text[index] == Octet.colon {
                if hasGap { return false }
                hasGap = true
                index += 1
                if index == text.endIndex { break }
            }
        }
        return hasGap ? groups < 8 : groups == 8
    }

    private static func isIPv4Address(_ text: ArraySlice<UInt8>) -> Bool {
        let parts = text.split(separator: Octet.dot, omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                1...3 ~= part.count && part.allSatisfy(Octet.isDigit)
                    && (part.count == 1 || part.first != 0x30)
                    && part.reduce(0) { $0 * 10 + Int($1 - 0x30) } < 256
            }
    }
}

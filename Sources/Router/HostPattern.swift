// SPDX-License-Identifier: Apache-2.0

/// Which hosts a route serves: any, one name, or one label in front of a name.
///
/// A pattern is made once, from configuration, and is already in the form in which hosts are looked
/// up: lower case, without port, brackets or trailing dot.
public enum HostPattern: Sendable, Hashable {
    /// Every host, also one that no other route names.
    case any
    /// This name or address and no other.
    case exact(String)
    /// One label, whatever it is, in front of this name: `*.example.com` holds `example.com`.
    case wildcard(String)

    /// Reads a pattern as it stands in configuration; nothing and `*` are any host.
    public init(parsing text: String?) throws(PatternFault) {
        guard let text, text != "*" else {
            self = .any
            return
        }
        if text.hasPrefix("*.") {
            self = .wildcard(try Self.name(text, from: 2))
        } else if text.hasPrefix("[") || text.utf8.count(where: { $0 == UInt8(ascii: ":") }) > 1 {
            self = .exact(try Self.addressLiteral(text))
        } else {
            self = .exact(try Self.name(text, from: 0))
        }
    }

    private static func addressLiteral(_ text: String) throws(PatternFault) -> String {
        var bytes = Array(text.utf8)
        var columnOfFirst = 1
        if bytes.first == UInt8(ascii: "[") {
            guard bytes.last == UInt8(ascii: "]") else {
                throw PatternFault(
                    "a host stands here without a port, as in [::1]", at: bytes.count)
            }
            bytes = Array(bytes.dropFirst().dropLast())
            columnOfFirst = 2
        }
        for (offset, byte) in bytes.enumerated() where !byte.mayStandInAddress {
            throw PatternFault("this is no IPv6 address", at: columnOfFirst + offset)
        }
        return lowercase(bytes)
    }

    private static func name(_ text: String, from start: Int) throws(PatternFault) -> String {
        var bytes = Array(text.utf8.dropFirst(start))
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        var labelLength = 0
        for (offset, byte) in bytes.enumerated() {
            let column = start + offset + 1
            if byte == UInt8(ascii: ".") {
                try checkLabel(labelLength, at: column)
                labelLength = 0
                continue
            }
            try checkCharacter(byte, at: column)
            labelLength += 1
        }
        try checkLabel(labelLength, at: max(1, start + bytes.count))
        guard bytes.count <= 253 else {
            throw PatternFault("a host name has at most 253 characters", at: start + 254)
        }
        return lowercase(bytes)
    }

    private static func checkLabel(_ length: Int, at column: Int) throws(PatternFault) {
        if length == 0 {
            throw PatternFault("a label of a host name is never empty", at: column)
        }
        if length > 63 {
            throw PatternFault("a label of a host name has at most 63 characters", at: column)
        }
    }

    private static func checkCharacter(_ byte: UInt8, at column: Int) throws(PatternFault) {
        switch byte {
        case UInt8(ascii: "*"):
            throw PatternFault(
                "'*' stands only for the whole first label, as in *.example.com", at: column)
        case UInt8(ascii: ":"):
            throw PatternFault("a host stands here without a port", at: column)
        case UInt8(ascii: "/"):
            throw PatternFault("a host stands here without scheme and path", at: column)
        case 0x80...:
            throw PatternFault("write an international name in its xn-- form", at: column)
        default:
            guard byte.mayStandInName else {
                throw PatternFault("this character cannot stand in a host name", at: column)
            }
        }
    }

    private static func lowercase(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}

extension HostPattern: CustomStringConvertible {
    /// The pattern as it would be written in configuration.
    public var description: String {
        switch self {
        case .any: "*"
        case .exact(let name): name
        case .wildcard(let name): "*.\(name)"
        }
    }
}

extension UInt8 {
    fileprivate var mayStandInName: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    fileprivate var mayStandInAddress: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66, UInt8(ascii: ":"), UInt8(ascii: "."): true
        default: false
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Which paths a route serves: one path, or everything below a prefix.
///
/// `/chat` is exact. `/chat/*` is `/chat/` and whatever stands below it, but not `/chat` itself; `/*`
/// is every path. The bytes are in the one form in which request paths are looked up (DESIGN §7, one
/// path): escapes of unreserved characters decoded, the others with upper-case digits, characters
/// beyond ASCII as escapes of their UTF-8.
public struct PathPattern: Sendable, Hashable {
    /// The canonical path; for a prefix everything up to and with the last slash.
    public let bytes: [UInt8]
    /// Whether everything below `bytes` matches too.
    public let isPrefix: Bool
    /// Segments that may be anything but empty, each of which is `-` in `bytes`.
    public let captures: [PathCapture]

    /// Reads a pattern as it stands in configuration.
    ///
    /// With `isRewrite` it says what stands in place of a path, and may hold an escaped slash. `captures` were taken
    /// out of it before.
    public init(
        parsing text: String, isRewrite: Bool = false, captures: [PathCapture] = []
    ) throws(PatternFault) {
        self.captures = captures
        var source = Array(text.utf8)
        guard source.first == UInt8(ascii: "/") else {
            throw PatternFault("a path begins with '/'", at: 1)
        }
        isPrefix = source.suffix(2).elementsEqual("/*".utf8)
        if isPrefix { source.removeLast() }
        bytes = try Self.canonical(source, mayEscapeSlash: isRewrite)
        try Self.refuseDotSegments(in: bytes, of: source)
    }

    private static func canonical(
        _ source: [UInt8], mayEscapeSlash: Bool
    ) throws(PatternFault) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.count)
        var index = 0
        while index < source.count {
            let byte = source[index]
            if byte == UInt8(ascii: "%") {
                bytes += try escape(source, at: index, mayBeSlash: mayEscapeSlash)
                index += 3
                continue
            }
            if byte >= 0x80 {
                bytes += escaped(byte)
            } else {
                try checkCharacter(byte, at: index + 1)
                bytes.append(byte)
            }
            index += 1
        }
        return bytes
    }

    /// Decodes the escape at `index` where it hides an unreserved character (RFC 3986 §6.2.2.2).
    private static func escape(
        _ source: [UInt8], at index: Int, mayBeSlash: Bool
    ) throws(PatternFault) -> [UInt8] {
        guard index + 2 < source.count, let high = source[index + 1].hexDigitValue,
            let low = source[index + 2].hexDigitValue
        else {
            throw PatternFault("'%' begins an escape of two hexadecimal digits", at: index + 1)
        }
        let value = high << 4 | low
        switch value {
        case 0:
            throw PatternFault(
                "requests with this escape are refused, so it never matches", at: index + 1)
        case UInt8(ascii: "/"), UInt8(ascii: "\\"):
            if mayBeSlash { return escaped(value) }
            throw PatternFault(
                "a request with this escape takes the route that it would take with '/' there, so this"
                    + " never matches", at: index + 1)
        default:
            return value.isUnreserved ? [value] : escaped(value)
        }
    }

    private static func checkCharacter(_ byte: UInt8, at column: Int) throws(PatternFault) {
        switch byte {
        case UInt8(ascii: "*"):
            throw PatternFault(
                "'*' stands only for everything below, as the last segment in /chat/*; "
                    + "write %2A for the character", at: column)
        case UInt8(ascii: "?"):
            throw PatternFault("routes look at the path only, not at a query", at: column)
        case UInt8(ascii: "#"):
            throw PatternFault("a fragment never reaches a server", at: column)
        case UInt8(ascii: "\\"):
            throw PatternFault("a path is written with '/'", at: column)
        default:
            guard byte.mayStandInPath else {
                let text = String(decoding: escaped(byte), as: UTF8.self)
                throw PatternFault("this character stands in a path as \(text)", at: column)
            }
        }
    }

    /// Dot segments are resolved in requests before look-up, so a pattern with one never matches.
    ///
    /// With parameters behind it (`..;a`) a request is refused, since some servers drop those.
    private static func refuseDotSegments(
        in bytes: [UInt8], of source: [UInt8]
    ) throws(PatternFault) {
        let slash = UInt8(ascii: "/")
        let segments = bytes.split(separator: slash, omittingEmptySubsequences: false)
        // An escaped slash stays one, so there are as many segments in the source.
        let written = source.split(separator: slash, omittingEmptySubsequences: false)
        for (segment, source) in zip(segments, written) {
            let name = segment.prefix { $0 != UInt8(ascii: ";") }
            if name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) {
                throw PatternFault(
                    "'.' and '..' are resolved in requests, so this never matches",
                    at: source.startIndex + 1)
            }
        }
    }

    private static func escaped(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}

extension PathPattern: CustomStringConvertible {
    /// The pattern as it would be written in configuration.
    public var description: String {
        let text = String(decoding: bytes, as: UTF8.self) + (isPrefix ? "*" : "")
        if captures.isEmpty { return text }
        var segments = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        for capture in captures where capture.segment + 1 < segments.count {
            segments[capture.segment + 1] = "{\(capture.name)}"
        }
        return segments.joined(separator: "/")
    }
}

extension UInt8 {
    fileprivate var hexDigitValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x41 + 10
        case 0x61...0x66: self - 0x61 + 10
        default: nil
        }
    }

    /// Whether it is an unreserved character (RFC 3986 §2.3).
    fileprivate var isUnreserved: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }

    /// RFC 3986 §3.3: `pchar` without escapes, and the slash between segments.
    fileprivate var mayStandInPath: Bool {
        isUnreserved || "/!$&'()*+,;=:@".utf8.contains(self)
    }
}

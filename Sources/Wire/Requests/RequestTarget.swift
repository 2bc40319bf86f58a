// SPDX-License-Identifier: Apache-2.0

/// A request's target in two forms: the canonical path, by which requests are routed, and the path
/// that goes on, which is what was sent wherever that is possible.
///
/// In the canonical form escapes of unreserved characters are resolved, all others have
/// uppercase digits, characters that need an escape have one, and dot segments are gone. Making
/// a canonical path canonical again changes nothing. The path that goes on has the same canonical
/// form (RFC 3986 §6.2.2), so that an upstream that normalises sees what was routed; in it only dot
/// segments are resolved and bytes outside ASCII escaped, since clients sign paths as they send
/// them. Paths over which two servers could differ (`%00`, a backslash, `..` above the root) are
/// refused; of those with an escaped slash, slashes in a row or parameters `EscapedSlash.readings` tells what
/// else they could be taken for.
public struct RequestTarget: Sendable, Equatable {
    /// The canonical path; it begins with `/`.
    public let path: [UInt8]
    /// The path that goes on; it begins with `/` and has as many segments as `path`.
    public let sentPath: [UInt8]
    /// What stands behind the `?`, with bytes outside ASCII escaped; nil without one.
    public let query: [UInt8]?
    /// Host and port as an absolute target (`http://host/path`) gives them, else nil.
    public let authority: [UInt8]?
    /// Whether the path holds `%2F` or `%5C`, which some servers take for a slash.
    public let hasEscapedSlash: Bool
    /// Whether a server could take the path for another one: `EscapedSlash.readings` are those.
    public let hasOtherReadings: Bool

    /// Reads a target in origin form or, as a proxy's client may send it, in absolute form.
    public init(parsing target: some Collection<UInt8>) throws(HeadFault) {
        for byte in target where byte <= Octet.space || byte == 0x7F || byte == Octet.hash {
            throw .bad("The target holds a character that must be percent-encoded.")
        }
        let bytes = Array(target)
        var rest = bytes[...]
        if rest.first == Octet.slash {
            authority = nil
        } else {
            guard let start = RequestTarget.authorityStart(bytes) else {
                throw .bad("The target is neither a path that begins with '/' nor a URL.")
            }
            let end =
                bytes[start...].firstIndex { $0 == Octet.slash || $0 == Octet.questionMark }
                ?? bytes.endIndex
            guard end > start else { throw .bad("The URL in the request line has no host.") }
            authority = Array(bytes[start..<end])
            rest = bytes[end...]
        }
        let mark = rest.firstIndex(of: Octet.questionMark)
        query = mark.map { RequestTarget.escapingBytesOutsideASCII(rest[($0 + 1)...]) }
        let path = rest[..<(mark ?? rest.endIndex)]
        if path.isEmpty {
            self.path = [Octet.slash]
            sentPath = [Octet.slash]
            hasEscapedSlash = false
            hasOtherReadings = false
            return
        }
        let normalized = try RequestTarget.normalizeEscapes(path)
        self.path = try RequestTarget.removeDotSegments(normalized)
        hasOtherReadings = EscapedSlash.hasOtherReadings(self.path)
        hasEscapedSlash = hasOtherReadings && EscapedSlash.isIn(self.path)
        let escaped = RequestTarget.escapingBytesOutsideASCII(path)
        // A dot segment that is resolved takes at least its slash along.
        sentPath =
            self.path.count == normalized.count
            ? escaped : try RequestTarget.removeDotSegments(escaped)
    }

    init(
        path: [UInt8], sentPath: [UInt8], query: [UInt8]?, hasEscapedSlash: Bool,
        hasOtherReadings: Bool
    ) {
        self.path = path
        self.sentPath = sentPath
        self.query = query
        self.hasEscapedSlash = hasEscapedSlash
        self.hasOtherReadings = hasOtherReadings
        authority = nil
    }

    /// Where the path of a target in origin form ends, if it is canonical as it stands.
    ///
    /// It answers nil also where it only could be otherwise, or could be read otherwise: every escape, a dot
    /// that begins a segment, slashes in a row, and a `;`. That the target holds neither control characters nor `#`, the parser has seen to.
    static func canonicalPathEnd(_ bytes: Span<UInt8>, _ target: Range<Int>) -> Int? {
        guard !target.isEmpty, bytes[target.lowerBound] == Octet.slash else { return nil }
        var previous = Octet.slash
        for index in target.lowerBound + 1..<target.upperBound {
            let byte = bytes[index]
            if byte == Octet.questionMark { return index }
            guard Octet.isPathCharacter(byte) || byte == Octet.slash,
                byte != Octet.semicolon,
                previous != Octet.slash || byte != Octet.dot && byte != Octet.slash
            else { return nil }
            previous = byte
        }
        return target.upperBound
    }

    /// The canonical form of a path that a configuration names.
    ///
    /// Here all characters outside ASCII, and the space, are allowed and become escapes.
    public static func canonicalPath(_ path: String) throws(HeadFault) -> [UInt8] {
        let bytes = Array(path.utf8)
        for byte in bytes where byte < Octet.space || byte == 0x7F {
            throw .bad("The path holds a control character.")
        }
        guard bytes.first == Octet.slash else { throw .bad("The path does not begin with '/'.") }
        guard !bytes.contains(Octet.questionMark), !bytes.contains(Octet.hash) else {
            throw .bad("The path holds a '?' or '#'; a path ends before them.")
        }
        return try removeDotSegments(normalizeEscapes(bytes[...]))
    }

    /// Where the authority begins, behind the scheme of an absolute target.
    private static func authorityStart(_ bytes: [UInt8]) -> Int? {
        for scheme in ["http://", "https://", "ws://", "wss://"]
        where bytes.prefix(scheme.utf8.count).equalsIgnoringCase(scheme) {
            return scheme.utf8.count
        }
        return nil
    }

    private static func normalizeEscapes(_ path: ArraySlice<UInt8>) throws(HeadFault) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        var index = path.startIndex
        while index < path.endIndex {
            let byte = path[index]
            index += 1
            var decoded = byte
            if byte == Octet.percent {
                guard index + 2 <= path.endIndex, let high = Octet.hexValue(path[index]),
                    let low = Octet.hexValue(path[index + 1])
                else {
                    throw .bad("The path has a '%' without two hexadecimal digits behind it.")
                }
                decoded = high << 4 | low
                index += 2
            } else if Octet.isPathCharacter(byte) || byte == Octet.slash {
                output.append(byte)
                continue
            } else if byte == Octet.backslash {
                // Browsers make a slash of it, and so do some servers; others take it for a letter.
                throw .bad("The path holds a backslash; one that is meant is written as %5C.")
            }
            switch decoded {
            case 0: throw .bad("The path holds an escaped NUL (%00).")
            case _ where Octet.isUnreserved(decoded): output.append(decoded)
            default: appendEscape(of: decoded, to: &output)
            }
        }
        return output
    }

    /// The bytes with those outside ASCII as escapes, and everything else as it is.
    private static func escapingBytesOutsideASCII(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        guard bytes.contains(where: { $0 >= 0x80 }) else { return Array(bytes) }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            if byte < 0x80 { output.append(byte) } else { appendEscape(of: byte, to: &output) }
        }
        return output
    }

    private static func appendEscape(of byte: UInt8, to output: inout [UInt8]) {
        output.append(Octet.percent)
        output.append(Octet.hexDigit(byte >> 4))
        output.append(Octet.hexDigit(byte & 15))
    }

    /// RFC 3986 §5.2.4, but `..` above the root is a fault and not the root.
    ///
    /// A dot may be escaped (`%2e`); nothing else is changed.
    static func removeDotSegments(_ path: [UInt8]) throws(HeadFault) -> [UInt8] {
        guard path.contains(where: { $0 == Octet.dot || $0 == Octet.percent }) else { return path }
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        var start = 1
        while start <= path.count {
            let end = path[start...].firstIndex(of: Octet.slash) ?? path.count
            let segment = path[start..<end]
            let isLast = end == path.count
            switch dots(in: segment) {
            case 1:
                if isLast { output.append(Octet.slash) }
            case 2:
                guard let parent = output.lastIndex(of: Octet.slash) else {
                    throw .bad("The path climbs above the root with '..'.")
                }
                output.removeSubrange(parent...)
                if isLast { output.append(Octet.slash) }
            default:
                guard dots(in: segment.prefix { $0 != Octet.semicolon }) == 0 else {
                    // Some servers drop what stands behind ';' and then see a dot segment.
                    throw .bad("The path has a dot segment with parameters.")
                }
                output.append(Octet.slash)
                output.append(contentsOf: segment)
            }
            start = end + 1
        }
        return output
    }

    /// 1 for `.`, 2 for `..`, 0 for any other segment.
    private static func dots(in segment: ArraySlice<UInt8>) -> Int {
        var rest = segment
        var count = 0
        while let first = rest.first {
            if first == Octet.dot {
                rest = rest.dropFirst()
            } else if EscapedSlash.isEscape(rest, UInt8(ascii: "2"), UInt8(ascii: "e")) {
                rest = rest.dropFirst(3)
            } else {
                return 0
            }
            count += 1
            if count > 2 { return 0 }
        }
        return count
    }
}

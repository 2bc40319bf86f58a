// SPDX-License-Identifier: Apache-2.0

/// A request's target with its path in the one form that routing and forwarding both see.
///
/// In the canonical form escapes of unreserved characters are resolved, all others have
/// uppercase digits, characters that need an escape have one, and dot segments are gone. Making
/// a canonical path canonical again changes nothing. Paths over which two servers could differ
/// (`%2F`, `%00`, a backslash, `..` above the root) are refused.
public struct RequestTarget: Sendable, Equatable {
    /// The canonical path; it begins with `/`.
    public let path: [UInt8]
    /// What stands behind the `?`, untouched; nil without one.
    public let query: [UInt8]?
    /// Host and port as an absolute target (`http://host/path`) gives them, else nil.
    public let authority: [UInt8]?

    /// Reads a target in origin form or, as a proxy's client may send it, in absolute form.
    public init(parsing target: some Collection<UInt8>) throws(HeadFault) {
        for byte in target where byte <= Octet.space || byte >= 0x7F || byte == Octet.hash {
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
        query = mark.map { Array(rest[($0 + 1)...]) }
        let path = rest[..<(mark ?? rest.endIndex)]
        self.path = path.isEmpty ? [Octet.slash] : try RequestTarget.canonical(path)
    }

    init(path: [UInt8], query: [UInt8]?) {
        self.path = path
        self.query = query
        authority = nil
    }

    /// Where the path of a target in origin form ends, if it is canonical as it stands.
    ///
    /// It answers nil also where it only could be otherwise: every escape, and a dot that begins a
    /// segment. That the target is visible ASCII without `#`, the parser has seen to.
    static func canonicalPathEnd(_ bytes: Span<UInt8>, _ target: Range<Int>) -> Int? {
        guard !target.isEmpty, bytes[target.lowerBound] == Octet.slash else { return nil }
        var previous = Octet.slash
        for index in target.lowerBound + 1..<target.upperBound {
            let byte = bytes[index]
            if byte == Octet.questionMark { return index }
            guard Octet.isPathCharacter(byte) || byte == Octet.slash,
                byte != Octet.dot || previous != Octet.slash
            else { return nil }
            previous = byte
        }
        return target.upperBound
    }

    /// The canonical form of a path that a configuration names.
    ///
    /// Here characters outside ASCII are allowed and become escapes.
    public static func canonicalPath(_ path: String) throws(HeadFault) -> [UInt8] {
        let bytes = Array(path.utf8)
        for byte in bytes where byte < Octet.space || byte == 0x7F {
            throw .bad("The path holds a control character.")
        }
        guard bytes.first == Octet.slash else { throw .bad("The path does not begin with '/'.") }
        guard !bytes.contains(Octet.questionMark), !bytes.contains(Octet.hash) else {
            throw .bad("The path holds a '?' or '#'; a path ends before them.")
        }
        return try canonical(bytes[...])
    }

    /// Where the authority begins, behind the scheme of an absolute target.
    private static func authorityStart(_ bytes: [UInt8]) -> Int? {
        for scheme in ["http://", "https://", "ws://", "wss://"]
        where bytes.prefix(scheme.utf8.count).equalsIgnoringCase(scheme) {
            return scheme.utf8.count
        }
        return nil
    }

    private static func canonical(_ path: ArraySlice<UInt8>) throws(HeadFault) -> [UInt8] {
        try removeDotSegments(normalizeEscapes(path))
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
            }
            switch decoded {
            case 0: throw .bad("The path holds an escaped NUL (%00).")
            case Octet.slash: throw .bad("The path holds an escaped slash (%2F).")
            case Octet.backslash: throw .bad("The path holds a backslash.")
            case _ where Octet.isUnreserved(decoded):
                output.append(decoded)
            default:
                output.append(Octet.percent)
                output.append(Octet.hexDigit(decoded >> 4))
                output.append(Octet.hexDigit(decoded & 15))
            }
        }
        return output
    }

    /// RFC 3986 §5.2.4, but `..` above the root is a fault and not the root.
    private static func removeDotSegments(_ path: [UInt8]) throws(HeadFault) -> [UInt8] {
        guard path.contains(Octet.dot) else { return path }
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
        segment.count <= 2 && segment.allSatisfy { $0 == Octet.dot } ? segment.count : 0
    }
}

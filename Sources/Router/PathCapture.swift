// SPDX-License-Identifier: Apache-2.0

/// A segment of a path that a route takes whatever it is, and that has a name: `{station}` in `/ocpp/{station}`.
public struct PathCapture: Sendable, Hashable {
    /// The name between the braces.
    public let name: String
    /// Which segment it is: 0 is the one behind the first slash.
    public let segment: Int

    /// The bytes of a segment of a path that begins with a slash; nil where the path has fewer.
    public static func range(of segment: Int, in path: Span<UInt8>) -> Range<Int>? {
        var left = segment
        var start = 1
        while start <= path.count {
            var end = start
            while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
            if left == 0 { return start..<end }
            left -= 1
            start = end + 1
        }
        return nil
    }

    /// Takes the captures out of a pattern as it was written, so that each stands there as `-`.
    ///
    /// - Throws: `PatternFault` where braces are anything but one whole segment with a name of its own.
    public static func take(
        outOf text: String
    ) throws(PatternFault) -> (plain: String, captures: [PathCapture]) {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") })
        else { return (text, []) }
        var captures: [PathCapture] = []
        var plain: [Substring] = []
        var column = 1
        for (index, segment) in text.split(separator: "/", omittingEmptySubsequences: false)
            .enumerated()
        {
            defer { column += segment.utf8.count + 1 }
            guard segment.contains(where: { $0 == "{" || $0 == "}" }) else {
                plain.append(segment)
                continue
            }
            let name = segment.dropFirst().dropLast()
            guard index > 0, segment.first == "{", segment.last == "}", isName(name) else {
                throw PatternFault(
                    "braces stand around a whole segment with a name of letters, digits and '_', as in"
                        + " /ocpp/{station}; write %7B and %7D for the characters", at: column)
            }
            guard !captures.contains(where: { $0.name == name }) else {
                throw PatternFault("the name {\(name)} stands there a second time", at: column)
            }
            captures.append(PathCapture(name: String(name), segment: index - 1))
            plain.append("-")
        }
        return (plain.joined(separator: "/"), captures)
    }

    private static func isName(_ name: Substring) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): true
                default: false
                }
            }
    }
}

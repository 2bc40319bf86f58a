// SPDX-License-Identifier: Apache-2.0

/// What a canonical path with `%2F` or `%5C` in it could be taken for.
///
/// RFC 3986 §2.2 has `%2F` and `/` as two things, and APIs depend on it. Some servers decode a path
/// before they split it, and some take a backslash for a slash, as browsers do. Whoever routes by
/// path has to make sure that all these readings are one route's.
public enum EscapedSlash {
    /// Whether the path holds one.
    public static func isIn(_ path: [UInt8]) -> Bool {
        var index = path.startIndex
        while let percent = path[index...].firstIndex(of: Octet.percent) {
            if slash(at: percent, path) != nil { return true }
            index = percent + 1
        }
        return false
    }

    /// The paths that a server could see: with the escapes of one kind or of both read as slashes; each
    /// of them with slashes in a row as they are, and as one; and each of those with the dot segments that
    /// this makes as they are, and resolved.
    ///
    /// Slashes in a row matter: `/a//../b` is `/a/b`, but `/b` where they are taken for one first.
    ///
    /// - Returns: nil where one of them would climb above the root or has a dot segment with parameters.
    public static func readings(of path: [UInt8]) -> [[UInt8]]? {
        let slashes = decoded(path, slash: true, backslash: false)
        let backslashes = decoded(path, slash: false, backslash: true)
        var all = [decoded(path, slash: true, backslash: true)]
        for reading in [slashes, backslashes] where reading != path && reading != all[0] {
            all.append(reading)
        }
        for reading in all {
            let merged = mergingSlashes(reading)
            if merged != reading { all.append(merged) }
        }
        for reading in all {
            guard let resolved = try? RequestTarget.removeDotSegments(reading) else { return nil }
            if resolved != reading { all.append(resolved) }
        }
        return all
    }

    private static func mergingSlashes(_ path: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        for byte in path where byte != Octet.slash || output.last != Octet.slash {
            output.append(byte)
        }
        return output
    }

    private static func decoded(_ path: [UInt8], slash: Bool, backslash: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        var index = path.startIndex
        while index < path.endIndex {
            let kind = path[index] == Octet.percent ? Self.slash(at: index, path) : nil
            if let kind, kind == Octet.slash ? slash : backslash {
                output.append(Octet.slash)
                index += 3
            } else {
                output.append(path[index])
                index += 1
            }
        }
        return output
    }

    /// Which of both the escape at that place stands for.
    private static func slash(at index: Int, _ path: [UInt8]) -> UInt8? {
        let rest = path[index...]
        if isEscape(rest, UInt8(ascii: "2"), UInt8(ascii: "f")) { return Octet.slash }
        return isEscape(rest, UInt8(ascii: "5"), UInt8(ascii: "c")) ? Octet.backslash : nil
    }

    /// Whether there stands an escape of these two digits, the second one in lower case.
    static func isEscape(_ rest: ArraySlice<UInt8>, _ high: UInt8, _ low: UInt8) -> Bool {
        guard rest.count >= 3, rest.first == Octet.percent else { return false }
        let index = rest.startIndex
        return rest[index + 1] == high && rest[index + 2] | 0x20 == low
    }
}

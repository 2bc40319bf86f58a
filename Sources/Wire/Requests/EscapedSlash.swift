// SPDX-License-Identifier: Apache-2.0

/// What a canonical path could be taken for that has `%2F` or `%5C` in it, slashes in a row, or parameters.
///
/// RFC 3986 §2.2 has `%2F` and `/` as two things, and APIs depend on it. Some servers decode a path
/// before they split it, and some take a backslash for a slash, as browsers do. Many take slashes in a row
/// for one, and some drop what stands behind a `;` in a segment. Whoever routes by path has to make sure that
/// all these readings are one route's.
public enum EscapedSlash {
    /// Whether a server could take the path for another one.
    static func hasOtherReadings(_ path: [UInt8]) -> Bool {
        var previous: UInt8 = 0
        for byte in path {
            if byte == Octet.semicolon || byte == Octet.slash && previous == Octet.slash {
                return true
            }
            previous = byte
        }
        return isIn(path)
    }

    /// Whether the path holds `%2F` or `%5C`.
    public static func isIn(_ path: [UInt8]) -> Bool {
        var index = path.startIndex
        while let percent = path[index...].firstIndex(of: Octet.percent) {
            if slash(at: percent, path) != nil { return true }
            index = percent + 1
        }
        return false
    }

    /// The paths that a server could see: with the escapes of one kind or of both read as slashes; each
    /// of them with the parameters of its segments (`;…`), and without; those with slashes in a row as they
    /// are, and as one; and each of those with the dot segments that this makes as they are, and resolved.
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
        func add(_ readings: [[UInt8]]) {
            for reading in readings where reading != path && !all.contains(reading) {
                all.append(reading)
            }
        }
        // By a server that decodes nothing before it splits.
        add([withoutParameters(path), mergingSlashes(path)])
        add(all.map(withoutParameters))
        add(all.map(mergingSlashes))
        // Without its parameters a segment may be empty, or slashes in a row be one before they are dropped.
        add(all.map(withoutParameters))
        for reading in all {
            guard let resolved = try? RequestTarget.removeDotSegments(reading) else { return nil }
            if resolved != reading { all.append(resolved) }
        }
        return all
    }

    /// Each segment up to its first `;`.
    private static func withoutParameters(_ path: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        var isParameter = false
        for byte in path {
            if byte == Octet.slash { isParameter = false }
            if byte == Octet.semicolon { isParameter = true }
            if !isParameter { output.append(byte) }
        }
        return output
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

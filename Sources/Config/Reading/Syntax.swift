// SPDX-License-Identifier: Apache-2.0

/// The small grammars that several settings share.
enum Syntax {
    /// Letters, digits, `-`, `_` and dots between labels that are not empty.
    static func isHostName(_ text: Substring) -> Bool {
        guard text.utf8.count <= 253 else { return false }
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        // A trailing dot says that the name is complete.
        let meant =
            labels.count > 1 && labels.last?.isEmpty == true ? labels.dropLast() : labels[...]
        return meant.allSatisfy { label in
            (1...63).contains(label.count)
                && label.allSatisfy { $0.isLetter || $0.isDigit || "-_".utf8.contains($0) }
        }
    }

    /// The path that a text without its first slash is for, as `/chat/*` for `chat/*`; nil where that is no plain
    /// one.
    static func path(from text: String) -> String? {
        var segments = text.split(separator: "/", omittingEmptySubsequences: false)
        if segments.last == "*" { segments.removeLast() }
        let isPlain = segments.allSatisfy { segment in
            segment.utf8.contains { $0 != UInt8(ascii: ".") }
                && segment.utf8.allSatisfy { $0.isLetter || $0.isDigit || "-_.~".utf8.contains($0) }
        }
        return isPlain ? "/\(text)" : nil
    }

    /// Four numbers of 0 to 255 without leading zeros.
    static func isIPv4(_ text: Substring) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                UInt8(decimal: part) != nil && (part.count == 1 || !part.hasPrefix("0"))
            }
    }

    /// RFC 4291 §2.2: eight groups, or fewer with one `::`; the last two may be an IPv4 address.
    static func isIPv6(_ text: Substring) -> Bool {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return false }
        var groupCount = 0
        for (index, half) in halves.enumerated() where !half.isEmpty {
            guard let count = groups(half, mayEndInIPv4: index == halves.count - 1) else {
                return false
            }
            groupCount += count
        }
        return halves.count == 2 ? groupCount <= 7 : groupCount == 8
    }

    private static func groups(_ text: Substring, mayEndInIPv4: Bool) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var count = 0
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, isIPv4(part) {
                count += 2
            } else if (1...4).contains(part.utf8.count), part.utf8.allSatisfy(\.isHexDigit) {
                count += 1
            } else {
                return nil
            }
        }
        return count
    }
}

extension FixedWidthInteger {
    /// Reads decimal digits and nothing else: no sign, no separators.
    init?(decimal text: Substring) {
        guard !text.isEmpty, text.utf8.allSatisfy(\.isDigit) else { return nil }
        self.init(text)
    }
}

extension UInt8 {
    var isDigit: Bool { (0x30...0x39).contains(self) }
    var isLetter: Bool { (0x41...0x5A).contains(self & 0xDF) }
    var isHexDigit: Bool { isDigit || (0x41...0x46).contains(self & 0xDF) }
}

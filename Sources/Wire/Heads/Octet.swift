// SPDX-License-Identifier: Apache-2.0

/// The character classes of RFC 9110 §5.6 and RFC 3986 §2, one test each.
///
/// Sets of ASCII characters are two 64-bit masks, so that a test is a shift and needs no table.
enum Octet {
    static let tab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0A
    static let carriageReturn: UInt8 = 0x0D
    static let space: UInt8 = 0x20
    static let hash: UInt8 = 0x23
    static let percent: UInt8 = 0x25
    static let comma: UInt8 = 0x2C
    static let dot: UInt8 = 0x2E
    static let slash: UInt8 = 0x2F
    static let colon: UInt8 = 0x3A
    static let semicolon: UInt8 = 0x3B
    static let questionMark: UInt8 = 0x3F
    static let backslash: UInt8 = 0x5C

    /// tchar: letters, digits and ``!#$%&'*+-.^_`|~``.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        isIn(byte, 0x03FF_6CFA_0000_0000, 0x57FF_FFFF_C7FF_FFFE)
    }

    /// What may stand in a field's value: HTAB, space, visible ASCII and obs-text.
    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool {
        byte >= 0x20 ? byte != 0x7F : byte == tab
    }

    /// CR, LF or NUL, which no reader may let pass in a value (RFC 9110 §5.5).
    @inline(__always)
    static func endsValue(_ byte: UInt8) -> Bool {
        byte == carriageReturn || byte == lineFeed || byte == 0
    }

    @inline(__always)
    static func isSpaceOrTab(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// Letters, digits and `-._~`.
    @inline(__always)
    static func isUnreserved(_ byte: UInt8) -> Bool {
        isIn(byte, 0x03FF_6000_0000_0000, 0x47FF_FFFE_87FF_FFFE)
    }

    /// unreserved, sub-delims, `:` and `@`: what may stand unescaped in a path's segment.
    @inline(__always)
    static func isPathCharacter(_ byte: UInt8) -> Bool {
        isIn(byte, 0x2FFF_7FD2_0000_0000, 0x47FF_FFFE_87FF_FFFF)
    }

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// The value of a hexadecimal digit, or nil.
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte &- 0x30 }
        let letter = byte | 0x20
        return letter &- 0x61 < 6 ? letter &- 0x61 &+ 10 : nil
    }

    /// The uppercase hexadecimal digit of a value below 16.
    static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? 0x30 &+ value : 0x41 &+ value &- 10
    }

    @inline(__always)
    private static func isIn(_ byte: UInt8, _ low: UInt64, _ high: UInt64) -> Bool {
        let mask = byte < 64 ? low : high
        return byte < 128 && (mask &>> UInt64(byte & 63)) & 1 != 0
    }
}

extension Collection where Element == UInt8 {
    /// Whether the bytes are this ASCII text, letters compared without regard to case.
    func equalsIgnoringCase(_ lowercase: String) -> Bool {
        let text = lowercase.utf8
        guard count == text.count else { return false }
        return zip(self, text).allSatisfy { Octet.lowercased($0) == Octet.lowercased($1) }
    }

    /// The bytes with their letters in lower case, as text.
    func lowercasedString() -> String {
        String(decoding: map(Octet.lowercased), as: UTF8.self)
    }
}

extension ArraySlice<UInt8> {
    /// The slice without spaces and tabs at both ends.
    func trimmed() -> ArraySlice<UInt8> {
        var slice = self
        while let first = slice.first, Octet.isSpaceOrTab(first) { slice.removeFirst() }
        while let last = slice.last, Octet.isSpaceOrTab(last) { slice.removeLast() }
        return slice
    }
}

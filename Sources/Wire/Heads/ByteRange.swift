// SPDX-License-Identifier: Apache-2.0

/// A place among the bytes of a head, in eight bytes: no head is longer than 2^32 of them.
struct ByteRange: Sendable, Equatable {
    private let start: UInt32
    private let length: UInt32

    static let empty = ByteRange(0..<0)

    @inline(__always)
    init(_ range: Range<Int>) {
        start = UInt32(range.lowerBound)
        length = UInt32(range.count)
    }

    @inline(__always) var lowerBound: Int { Int(start) }
    @inline(__always) var count: Int { Int(length) }
    @inline(__always) var isEmpty: Bool { length == 0 }
    @inline(__always) var range: Range<Int> { Int(start)..<Int(start) + Int(length) }
}

/// Searches eight bytes at a time.
enum Bytes {
    /// Where a byte first stands in a span, from `start` on; its count where it does not.
    @inline(__always)
    static func firstIndex(of byte: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int {
        let pattern = 0x0101_0101_0101_0101 &* UInt64(byte)
        var index = start
        let last = bytes.count &- 8
        while index <= last {
            let difference = word(bytes, index) ^ pattern
            // The lowest bit that is set marks the first byte that is zero (and may be wrong above).
            let zeros = (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
            if zeros != 0 { return index &+ zeros.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < bytes.count, bytes[index] != byte { index &+= 1 }
        return index
    }

    /// Whether all bytes of a part may stand in a field's value.
    ///
    /// In an answer's value only CR, LF and NUL may not: other control characters do no harm, and a
    /// proxy may keep them (RFC 9110 §5.5).
    @inline(__always)
    static func areFieldValue(
        _ bytes: Span<UInt8>, _ range: Range<Int>, inAnswer: Bool = false
    ) -> Bool {
        var index = range.lowerBound
        while index &+ 8 <= range.upperBound {
            if mayHoldControl(word(bytes, index)),
                !areValueBytes(bytes, index..<index &+ 8, inAnswer)
            {
                return false
            }
            index &+= 8
        }
        if index == range.upperBound { return true }
        let rest = index..<range.upperBound
        // Bytes that were looked at, or spaces, make eight of the last ones.
        if range.count >= 8 {
            if !mayHoldControl(word(bytes, range.upperBound &- 8)) { return true }
        } else if index &+ 8 <= bytes.count, !mayHoldControl(part(bytes, rest)) {
            return true
        }
        return areValueBytes(bytes, rest, inAnswer)
    }

    private static func areValueBytes(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ inAnswer: Bool
    ) -> Bool {
        for place in range where !Octet.isFieldValue(bytes[place]) {
            if !inAnswer || Octet.endsValue(bytes[place]) { return false }
        }
        return true
    }

    /// The bytes of a part of less than eight, with spaces behind them; in the span there are eight.
    @inline(__always)
    private static func part(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
        let word = word(bytes, range.lowerBound)
        let others = UInt64.max &<< UInt64(range.count &* 8)
        return word & ~others | 0x2020_2020_2020_2020 & others
    }

    /// Whether one of eight bytes is a control character, HTAB included.
    @inline(__always)
    private static func mayHoldControl(_ word: UInt64) -> Bool {
        let controls = (word &- 0x2020_2020_2020_2020) & ~word
        let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
        let deletes = (delete &- 0x0101_0101_0101_0101) & ~delete
        return (controls | deletes) & 0x8080_8080_8080_8080 != 0
    }

    /// Where the token that begins at `start` ends, which is before `end`, or there.
    @inline(__always)
    static func tokenEnd(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
        var index = start
        while true {
            // Names are letters and dashes, mostly.
            while index &+ 8 <= end {
                let others = othersThanLettersAndDashes(word(bytes, index))
                if others != 0 {
                    index &+= others.trailingZeroBitCount &>> 3
                    break
                }
                index &+= 8
            }
            let stop = min(index &+ 8, end)
            while index < stop, Octet.isToken(bytes[index]) { index &+= 1 }
            if index < stop || index == end { return index }
        }
    }

    /// The highest bit of each of eight bytes that is neither a letter nor `-`.
    @inline(__always)
    private static func othersThanLettersAndDashes(_ word: UInt64) -> UInt64 {
        let low = word & 0x7F7F_7F7F_7F7F_7F7F
        let lower = low | 0x2020_2020_2020_2020
        // Bytes below 0x80 carry into their own highest bit only: from `a` on, and from `{` on.
        let letters =
            (lower &+ 0x1F1F_1F1F_1F1F_1F1F) & ~(lower &+ 0x0505_0505_0505_0505)
        let dashes = ~((low ^ 0x2D2D_2D2D_2D2D_2D2D) &+ 0x7F7F_7F7F_7F7F_7F7F)
        return ~(letters | dashes) & 0x8080_8080_8080_8080 | word & 0x8080_8080_8080_8080
    }

    /// Whether a token of at least eight bytes is this text of the same length, of lowercase letters,
    /// digits and `-`; letters compared without regard to case.
    @inline(__always)
    static func areEqual(_ token: Span<UInt8>, lowercase text: UnsafeBufferPointer<UInt8>) -> Bool {
        let last = token.count &- 8
        var index = 0
        while true {
            let expected = unsafe UnsafeRawPointer(text.baseAddress.unsafelyUnwrapped)
                .loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
            // A byte of a token that differs in this bit alone is the upper case of a letter.
            if word(token, index) | 0x2020_2020_2020_2020 != expected { return false }
            if index == last { return true }
            // The last word overlaps the one before, where their length is no multiple of eight.
            index = min(index &+ 8, last)
        }
    }

    /// Whether a part is this ASCII text, letters compared without regard to case.
    static func areEqual(
        _ bytes: Span<UInt8>, _ range: Range<Int>, ignoringCase text: StaticString
    ) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        let expected = unsafe UnsafeBufferPointer(start: text.utf8Start, count: range.count)
        for offset in 0..<range.count {
            let byte = Octet.lowercased(bytes[range.lowerBound &+ offset])
            if unsafe byte != expected[offset] { return false }
        }
        return true
    }

    /// Eight bytes, the first one lowest; whoever asks has seen that there are as many.
    @inline(__always)
    static func word(_ bytes: Span<UInt8>, _ index: Int) -> UInt64 {
        assert(index >= 0 && index &+ 8 <= bytes.count)
        return unsafe bytes.bytes.unsafeLoadUnaligned(
            fromUncheckedByteOffset: index, as: UInt64.self
        ).littleEndian
    }
}

extension Span where Element == UInt8 {
    /// The number that at most 19 digits stand for; that they are digits the caller knows.
    var decimalValue: UInt64 {
        var value: UInt64 = 0
        for index in indices { value = value &* 10 &+ UInt64(self[index] &- 0x30) }
        return value
    }
}

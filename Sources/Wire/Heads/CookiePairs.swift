// SPDX-License-Identifier: Apache-2.0

/// A cookie in a field of a request, as places among the field's bytes.
struct CookiePair {
    /// What stands between two semicolons.
    let whole: Range<Int>
    /// Its name; nil where no `=` stands there, which makes no cookie.
    let name: Range<Int>?
    /// What stands behind the first `=`; empty without one.
    let value: Range<Int>
}

/// The cookies of a field, in their order (RFC 6265 §4.2.1): whoever looks for one has the same names.
///
/// Browsers send no white space before the `=`. Where another client does, apps take it away, and what their libraries call
/// white space is more than spaces and tabs. So all that no name has (§4.1.1) but visible ASCII goes at a name's ends.
struct CookiePairs: Sequence, IteratorProtocol {
    private let bytes: [UInt8]
    private var at: Int
    private let end: Int

    /// Those of the field whose value stands there.
    init(_ bytes: [UInt8], _ value: Range<Int>) {
        self.bytes = bytes
        at = value.lowerBound
        end = value.upperBound
    }

    mutating func next() -> CookiePair? {
        guard at <= end else { return nil }
        let start = at
        var equals: Int?
        while at < end, bytes[at] != UInt8(ascii: ";") {
            if equals == nil, bytes[at] == UInt8(ascii: "=") { equals = at }
            at &+= 1
        }
        defer { at &+= 1 }
        guard let equals else {
            return CookiePair(whole: start..<at, name: nil, value: at..<at)
        }
        var last = at
        while last > equals &+ 1, Self.isBlank(bytes[last &- 1]) { last &-= 1 }
        return CookiePair(
            whole: start..<at, name: bare(start, equals), value: equals &+ 1..<last)
    }

    /// A name without what stands around it.
    private func bare(_ start: Int, _ end: Int) -> Range<Int> {
        var (start, end) = (start, end)
        while start < end, Self.mayBeSpace(bytes[start]) { start &+= 1 }
        while end > start, Self.mayBeSpace(bytes[end &- 1]) { end &-= 1 }
        return start..<end
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// Whether some library may take a byte for white space, or for a part of it: all but visible ASCII.
    static func mayBeSpace(_ byte: UInt8) -> Bool { byte <= 0x20 || byte >= 0x7F }
}

// SPDX-License-Identifier: Apache-2.0

/// The extensions that `Sec-WebSocket-Extensions` offers or grants (RFC 6455 §9.1).
///
/// Parameters are read, because a quoted one may hold a comma, and then left alone: what they
/// mean is between the two peers. Each element is judged by itself.
struct ExtensionList {
    /// The names of the sound elements in order over all fields of a head, in lower case.
    private(set) var names: [String] = []
    /// Where each of them stands with its parameters.
    private(set) var places: [Range<Int>] = []
    /// Whether an element breaks the grammar; it is not among the others.
    private(set) var hasFault = false
    /// Whether one of the fields has no element at all.
    private(set) var hasEmptyField = false

    /// Reads the fields of a head.
    init(_ fields: FieldList) {
        guard fields.known.has(.secWebSocketExtensions) else { return }
        let span = fields.bytes.span
        for field in fields.fields where field.known == .secWebSocketExtensions && field.isExact {
            var reader = ElementReader(field.value)
            var isEmpty = true
            while let start = reader.nextStart(span) {
                isEmpty = false
                if let name = reader.takeExtension(span) {
                    names.append(String(decoding: name, as: UTF8.self))
                    places.append(start..<reader.lastEnd)
                } else {
                    hasFault = true
                    reader.skipElement(span, from: start)
                }
            }
            if isEmpty { hasEmptyField = true }
        }
    }

    /// The sound elements as one list.
    func text(of fields: FieldList) -> [UInt8] {
        var text: [UInt8] = []
        for place in places {
            if !text.isEmpty { text += [Octet.comma, Octet.space] }
            text += fields.bytes[place]
        }
        return text
    }
}

/// A place in a list of extensions, which only moves forward but for `skipElement`.
private struct ElementReader {
    private var position: Int
    private let end: Int
    /// Where the last token or quoted string ended.
    private(set) var lastEnd: Int

    init(_ value: Range<Int>) {
        position = value.lowerBound
        end = value.upperBound
        lastEnd = position
    }

    /// Where the next element begins; nil at the end of the list.
    mutating func nextStart(_ bytes: Span<UInt8>) -> Int? {
        // Empty elements are to be put up with (RFC 9110 §5.6.1.2).
        while take(Octet.comma, bytes) {}
        return position < end ? position : nil
    }

    /// Reads `token *( ";" token [ "=" ( token / quoted-string ) ] )` up to a comma or the end, and
    /// returns the token in lower case; nil where something else stands there.
    mutating func takeExtension(_ bytes: Span<UInt8>) -> [UInt8]? {
        let start = position
        guard takeToken(bytes) else { return nil }
        var name: [UInt8] = []
        for index in start..<position { name.append(Octet.lowercased(bytes[index])) }
        while take(Octet.semicolon, bytes) {
            guard takeToken(bytes) else { return nil }
            guard take(UInt8(ascii: "="), bytes) else { continue }
            guard takeToken(bytes) || takeQuoted(bytes) else { return nil }
        }
        return position == end || bytes[position] == Octet.comma ? name : nil
    }

    /// Goes to the comma that ends the element which began there, or to the end.
    mutating func skipElement(_ bytes: Span<UInt8>, from start: Int) {
        position = start
        while position < end, bytes[position] != Octet.comma {
            // A quoted string that does not end takes all the rest with it.
            if !takeQuoted(bytes) && position < end { position += 1 }
        }
    }

    private mutating func skipBlanks(_ bytes: Span<UInt8>) {
        while position < end, Octet.isSpaceOrTab(bytes[position]) { position += 1 }
    }

    private mutating func take(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
        skipBlanks(bytes)
        guard position < end, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func takeToken(_ bytes: Span<UInt8>) -> Bool {
        skipBlanks(bytes)
        let start = position
        while position < end, Octet.isToken(bytes[position]) { position += 1 }
        if position > start { lastEnd = position }
        return position > start
    }

    /// Reads a quoted string; what begins as one and does not end reaches to the end of the list.
    private mutating func takeQuoted(_ bytes: Span<UInt8>) -> Bool {
        let quote = UInt8(ascii: "\"")
        guard position < end, bytes[position] == quote else { return false }
        position += 1
        while position < end {
            let byte = bytes[position]
            position += byte == Octet.backslash ? 2 : 1
            if byte == quote {
                lastEnd = position
                return true
            }
        }
        position = end
        return false
    }
}

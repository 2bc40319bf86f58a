// SPDX-License-Identifier: Apache-2.0

/// One field line, as two ranges into its `FieldList`'s bytes.
public struct HeadField: Sendable, Equatable {
    let namePlace: ByteRange
    let valuePlace: ByteRange
    /// Which field it is, or is taken for where `isExact` is false.
    public let known: KnownField
    /// Whether the name is that of `known` as it stands, and not with `_` or `.` for `-`.
    public let isExact: Bool

    init(name: Range<Int>, value: Range<Int>, known: KnownField, isExact: Bool) {
        namePlace = ByteRange(name)
        valuePlace = ByteRange(value)
        self.known = known
        self.isExact = isExact
    }

    /// Where the name stands.
    public var name: Range<Int> { namePlace.range }
    /// Where the value stands, without the white space around it.
    public var value: Range<Int> { valuePlace.range }
}

/// The fields of a head, in the order in which they came, over the head's own bytes.
///
/// A field is two ranges and not two strings, so that a head costs two allocations however many
/// fields it has. Every name is a token and no value holds CR, LF or NUL, nor, in a request,
/// another control character but HTAB: the parser sees to that.
public struct FieldList: Sendable {
    /// The whole head as it was received; behind it may stand what was derived from it.
    public internal(set) var bytes: [UInt8]
    /// The field lines in order.
    public internal(set) var fields: [HeadField]
    /// The known fields that are there by their exact name.
    public internal(set) var known: KnownFields
    /// Those of them that came more than once.
    let repeated: KnownFields

    /// Fields over the bytes that they point into.
    init(bytes: [UInt8], fields: [HeadField], known: KnownFields, repeated: KnownFields) {
        self.bytes = bytes
        self.fields = fields
        self.known = known
        self.repeated = repeated
    }

    /// Its memory, to be used for another head by whoever lets the list go: while both are there, a change copies it.
    public var memory: HeadMemory {
        var memory = HeadMemory()
        memory.bytes = bytes
        memory.fields = fields
        return memory
    }

    /// Gives the memory back to be used for another head; nothing else may be asked then.
    public mutating func takeMemory() -> HeadMemory {
        var memory = HeadMemory()
        swap(&memory.bytes, &bytes)
        swap(&memory.fields, &fields)
        return memory
    }

    /// Whether these bytes of the head are the same as others.
    public func isEqual(_ range: Range<Int>, to other: [UInt8]) -> Bool {
        guard range.count == other.count else { return false }
        let span = bytes.span
        for offset in 0..<other.count where span[range.lowerBound &+ offset] != other[offset] {
            return false
        }
        return true
    }

    /// A field's name as sent.
    public func name(of field: HeadField) -> ArraySlice<UInt8> { bytes[field.name] }

    /// A field's value as sent.
    public func value(of field: HeadField) -> ArraySlice<UInt8> { bytes[field.value] }

    /// The value of a known field that came once; nil where it did not come, or more than once.
    func only(_ field: KnownField) -> HeadField? {
        guard known.has(field), !repeated.has(field) else { return nil }
        for index in 0..<fields.count where fields[index].known == field && fields[index].isExact {
            return fields[index]
        }
        return nil
    }

    /// Whether a field has this name, given in lower case.
    public func isNamed(_ field: HeadField, _ name: String) -> Bool {
        if field.namePlace.count != name.utf8.count { return false }
        var index = field.namePlace.lowerBound
        for byte in name.utf8 {
            if Octet.lowercased(bytes[index]) != byte { return false }
            index &+= 1
        }
        return true
    }

    /// The value of the first field of this name, given in lower case.
    public func first(_ name: String) -> ArraySlice<UInt8>? {
        for field in fields where isNamed(field, name) { return bytes[field.value] }
        return nil
    }

    /// How many fields have this name, given in lower case.
    public func count(of name: String) -> Int {
        var count = 0
        for field in fields where isNamed(field, name) { count += 1 }
        return count
    }

    /// The values of all fields of this name, given in lower case.
    public func all(_ name: String) -> [ArraySlice<UInt8>] {
        var values: [ArraySlice<UInt8>] = []
        for field in fields where isNamed(field, name) { values.append(bytes[field.value]) }
        return values
    }

    /// The first value of this name as text; bytes that are not UTF-8 are replaced.
    public func string(_ name: String) -> String? {
        first(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the comma-separated lists of all fields of this name hold a token, compared
    /// without regard to case (RFC 9110 §5.6.1).
    public func listContains(_ name: String, token: String) -> Bool {
        for field in fields where isNamed(field, name) {
            for element in bytes[field.value].split(separator: Octet.comma)
            where element.trimmed().equalsIgnoringCase(token) {
                return true
            }
        }
        return false
    }

    /// Whether the message asks for, or grants, a WebSocket (RFC 6455 §4.1).
    public var upgradesToWebSocket: Bool {
        guard known.has(.upgrade) else { return false }
        let span = bytes.span
        for index in 0..<fields.count
        where fields[index].known == .upgrade && fields[index].isExact {
            var elements = ListElements(fields[index].value)
            while let element = elements.next(span) {
                if Bytes.areEqual(span, element, ignoringCase: "websocket") { return true }
            }
        }
        return false
    }

    /// Whether the `Upgrade` fields, which are one list however many they are (RFC 9110 §5.3), name
    /// `websocket` and nothing else.
    var namesOnlyWebSocket: Bool {
        var count = 0
        let span = bytes.span
        for field in fields where field.known == .upgrade && field.isExact {
            var elements = ListElements(field.value)
            while let element = elements.next(span) {
                guard Bytes.areEqual(span, element, ignoringCase: "websocket") else { return false }
                count += 1
            }
        }
        return count > 0
    }

    /// Whether one of the fields of that name is a list without elements.
    public func hasEmptyList(_ known: KnownField) -> Bool {
        guard self.known.has(known) else { return false }
        for field in fields where field.known == known && field.isExact {
            var elements = ListElements(field.value)
            if elements.next(bytes.span) == nil { return true }
        }
        return false
    }

    /// Whether the message says that it has no body: no coding, and no length but zero.
    var saysNoBody: Bool {
        if known.has(.transferEncoding) { return false }
        return !known.has(.contentLength)
            || all("content-length").allSatisfy { $0.allSatisfy { $0 == 0x30 } }
    }

    /// The elements of the comma-separated lists of all fields of this name, in lower case.
    public func tokens(_ name: String) -> [String] {
        var tokens: [String] = []
        for field in fields where isNamed(field, name) {
            for element in bytes[field.value].split(separator: Octet.comma) {
                let token = element.trimmed()
                if !token.isEmpty { tokens.append(token.lowercasedString()) }
            }
        }
        return tokens
    }

    /// The same list without the fields that do not pass.
    func keeping(_ passes: (HeadField) -> Bool) -> FieldList {
        FieldList(
            bytes: bytes, fields: fields.filter(passes), known: known, repeated: repeated)
    }
}

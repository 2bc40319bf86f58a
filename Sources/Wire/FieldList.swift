// SPDX-License-Identifier: Apache-2.0

/// One field line, as two ranges into its `FieldList`'s bytes.
public struct HeadField: Sendable, Equatable {
    /// Where the name stands.
    public let name: Range<Int>
    /// Where the value stands, without the white space around it.
    public let value: Range<Int>
}

/// The fields of a head, in the order in which they came, over the head's own bytes.
///
/// A field is two ranges and not two strings, so that a head costs two allocations however many
/// fields it has. Every name is a token and no value holds CR, LF, NUL or another control
/// character but HTAB: the parser sees to that.
public struct FieldList: Sendable {
    /// The whole head as it was received.
    public let bytes: [UInt8]
    /// The field lines in order.
    public let fields: [HeadField]

    /// Fields over the bytes that they point into.
    init(bytes: [UInt8], fields: [HeadField]) {
        self.bytes = bytes
        self.fields = fields
    }

    /// A field's name as sent.
    public func name(of field: HeadField) -> ArraySlice<UInt8> { bytes[field.name] }

    /// A field's value as sent.
    public func value(of field: HeadField) -> ArraySlice<UInt8> { bytes[field.value] }

    /// Whether a field has this name, given in lower case.
    public func isNamed(_ field: HeadField, _ name: String) -> Bool {
        if field.name.count != name.utf8.count { return false }
        var index = field.name.lowerBound
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

    /// The same list without the fields whose name does not pass.
    func keeping(_ passes: (ArraySlice<UInt8>) -> Bool) -> FieldList {
        FieldList(bytes: bytes, fields: fields.filter { passes(bytes[$0.name]) })
    }

    /// The names that `Connection` lists: they hold for this hop only (RFC 9110 §7.6.1).
    public var connectionOptions: [String] { tokens("connection") }
}

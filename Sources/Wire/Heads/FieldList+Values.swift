// SPDX-License-Identifier: Apache-2.0

/// Values by name, as places among the bytes: nothing is copied and nothing allocated.
extension FieldList {
    /// Where the value of the first field of this name, given in lower case, stands.
    public func valueRange(_ name: [UInt8]) -> Range<Int>? {
        for index in 0..<fields.count where isNamed(fields[index].namePlace, name) {
            return fields[index].value
        }
        return nil
    }

    /// Where the value of a cookie stands (RFC 6265 §4.2.1): of the first of this name, whose case
    /// matters; nil when there is none.
    public func cookieRange(_ name: [UInt8]) -> Range<Int>? {
        for index in 0..<fields.count where isNamed(fields[index].namePlace, Self.cookie) {
            let end = fields[index].value.upperBound
            var start = fields[index].valuePlace.lowerBound
            while start < end {
                var stop = start
                while stop < end, bytes[stop] != UInt8(ascii: ";") { stop &+= 1 }
                if let value = cookieValue(start, stop, name) { return value }
                start = stop &+ 1
            }
        }
        return nil
    }

    /// How many fields an application could take for one of this name, as CGI does: `_` and `.` stand for `-`.
    public func countTaken(for name: String) -> Int {
        let names = FieldNames([name])
        var count = 0
        for index in 0..<fields.count where names.contains(bytes.span, fields[index].name) {
            count += 1
        }
        return count
    }

    private static let cookie = Array("cookie".utf8)

    private func isNamed(_ place: ByteRange, _ name: [UInt8]) -> Bool {
        guard place.count == name.count else { return false }
        for offset in 0..<name.count
        where Octet.lowercased(bytes[place.lowerBound &+ offset]) != name[offset] {
            return false
        }
        return true
    }

    /// Where the value stands, if what stands from `start` to `end` is the pair of that name.
    private func cookieValue(_ start: Int, _ end: Int, _ name: [UInt8]) -> Range<Int>? {
        var (start, end) = (start, end)
        while start < end, isBlank(bytes[start]) { start &+= 1 }
        while end > start, isBlank(bytes[end &- 1]) { end &-= 1 }
        guard end &- start > name.count else { return nil }
        for offset in 0..<name.count where bytes[start &+ offset] != name[offset] { return nil }
        start &+= name.count
        return bytes[start] == UInt8(ascii: "=") ? start &+ 1..<end : nil
    }

    private func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}

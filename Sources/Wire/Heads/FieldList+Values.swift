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
            for pair in CookiePairs(bytes, fields[index].value) {
                if let own = pair.name, isEqual(own, name) { return pair.value }
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

    private func isEqual(_ place: Range<Int>, _ name: [UInt8]) -> Bool {
        guard place.count == name.count else { return false }
        for offset in 0..<name.count where bytes[place.lowerBound &+ offset] != name[offset] {
            return false
        }
        return true
    }
}

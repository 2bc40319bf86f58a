// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// Fields to be sent, built up one by one; can be emptied and used again.
///
/// What may not stand in HTTP/2 does not get in: names are put in lower case, and fields that are about
/// one connection of HTTP/1.1 are left out (RFC 9113 §8.2.2).
public struct HTTP2Fields: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var fields: [HTTP2Field] = []

    /// No fields.
    public init() {}

    /// How many fields there are.
    public var count: Int { fields.count }

    /// How many bytes its memory has room for.
    var byteCapacity: Int { bytes.capacity }

    /// Leaves out all fields; the memory stays.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
    }

    /// Adds a field; false, and nothing is added, if the name is no token, the value has CR, LF, NUL
    /// or white space at an end, or the field is one that HTTP/2 does not allow.
    @discardableResult
    public mutating func append(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) -> Bool {
        let start = bytes.count
        bytes.append(contentsOf: name)
        let isLawful = bytes.withUnsafeMutableBufferPointer { all in
            for index in start..<all.count { all[index] = HTTP2Head.lowercased(all[index]) }
            let lowered = UnsafeBufferPointer(rebasing: all[start...])
            return Self.isLawfulName(lowered) && Self.isLawfulValue(value)
        }
        guard isLawful else {
            bytes.removeSubrange(start...)
            return false
        }
        let valueStart = bytes.count
        bytes.append(contentsOf: value)
        fields.append(
            HTTP2Field(
                name: HTTP2Place(start..<valueStart), value: HTTP2Place(valueStart..<bytes.count)))
        return true
    }

    /// The same for bytes in collections.
    @discardableResult
    public mutating func append(
        name: some Collection<UInt8>, value: some Collection<UInt8>
    ) -> Bool {
        Array(name).withUnsafeBytes { name in
            Array(value).withUnsafeBytes { append(name: name, value: $0) }
        }
    }

    /// The same for text.
    @discardableResult
    public mutating func append(_ name: String, _ value: String) -> Bool {
        append(name: name.utf8, value: value.utf8)
    }

    /// Adds a pseudo field, which stands in front of all others (RFC 9113 §8.3).
    mutating func appendPseudo(_ name: String, _ value: String) {
        let start = bytes.count
        bytes += name.utf8
        let valueStart = bytes.count
        bytes += value.utf8
        fields.append(
            HTTP2Field(
                name: HTTP2Place(start..<valueStart), value: HTTP2Place(valueStart..<bytes.count)))
    }

    private static func isLawfulName(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        guard name.count > 0, name[0] != UInt8(ascii: ":"),
            nghttp2_check_header_name(name.baseAddress, name.count) != 0
        else { return false }
        switch name.count {
        case 7: return !HTTP2Head.equal(name, "upgrade")
        case 10:
            return !HTTP2Head.equal(name, "connection") && !HTTP2Head.equal(name, "keep-alive")
        case 16: return !HTTP2Head.equal(name, "proxy-connection")
        case 17: return !HTTP2Head.equal(name, "transfer-encoding")
        default: return true
        }
    }

    /// In an answer's value only CR, LF and NUL may not stand, and no white space at its ends.
    private static func isLawfulValue(_ value: UnsafeRawBufferPointer) -> Bool {
        guard let first = value.first, let last = value.last else { return true }
        for end in [first, last] where end == 0x20 || end == 0x09 { return false }
        for byte in value where byte == 0 || byte == 0x0A || byte == 0x0D { return false }
        return true
    }

    /// Hands the fields to nghttp2, which copies them, behind one of `:status` if there is a status.
    func withVector<Result>(
        status: Int?, _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        let room = fields.count + 1
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { text in
            withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: room) { vector in
                bytes.withUnsafeBufferPointer { bytes in
                    // nghttp2 takes pointers to bytes that it does not change.
                    var empty: UInt8 = 0
                    return withUnsafeMutablePointer(to: &empty) { nothing in
                        let base = UnsafeMutablePointer(mutating: bytes.baseAddress) ?? nothing
                        var count = 0
                        if let status, let start = text.baseAddress {
                            vector.initializeElement(at: 0, to: Self.pair(status, start))
                            count = 1
                        }
                        for field in fields {
                            vector.initializeElement(
                                at: count,
                                to: nghttp2_nv(
                                    name: base + field.name.range.lowerBound,
                                    value: base + field.value.range.lowerBound,
                                    namelen: field.name.count, valuelen: field.value.count,
                                    flags: 0))
                            count += 1
                        }
                        return body(UnsafePointer(vector.baseAddress), count)
                    }
                }
            }
        }
    }

    private static func pair(_ status: Int, _ text: UnsafeMutablePointer<UInt8>) -> nghttp2_nv {
        let name: StaticString = ":status"
        for index in 0..<7 { text[index] = name.utf8Start[index] }
        text[7] = UInt8(0x30 + status / 100 % 10)
        text[8] = UInt8(0x30 + status / 10 % 10)
        text[9] = UInt8(0x30 + status % 10)
        return nghttp2_nv(name: text, value: text + 7, namelen: 7, valuelen: 3, flags: 0)
    }
}

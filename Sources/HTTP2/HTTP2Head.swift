// SPDX-License-Identifier: Apache-2.0

/// A place among the bytes of a head.
public struct HTTP2Place: Sendable, Hashable {
    private let start: UInt32
    private let length: UInt32

    /// The place of nothing, at the start.
    public static let empty = HTTP2Place(0..<0)

    init(_ range: Range<Int>) {
        start = UInt32(truncatingIfNeeded: range.lowerBound)
        length = UInt32(truncatingIfNeeded: range.count)
    }

    /// The place as a range of indices into `HTTP2Head.bytes`.
    public var range: Range<Int> { Int(start)..<Int(start) + Int(length) }
    /// How many bytes it has.
    public var count: Int { Int(length) }
    /// Whether nothing stands there.
    public var isEmpty: Bool { length == 0 }
}

/// A field: its name, which is a token in lower case, and its value.
public struct HTTP2Field: Sendable, Hashable {
    /// Where the name stands.
    public let name: HTTP2Place
    /// Where the value stands; it has no white space around it, and no CR, LF, NUL or other control
    /// character but HTAB.
    public let value: HTTP2Place
}

/// The head of a request, or its trailers, over bytes of its own.
///
/// It is well-formed by RFC 9113 §8.2 and §8.3, with two exceptions: a plain CONNECT has no path and
/// no scheme, and a head with a `fault` is cut short. `:path` begins with `/`, or is `*` with OPTIONS,
/// if the scheme is `http` or `https`.
///
/// The memory of a head that is of no more use may go back by `HTTP2Memory.recycle`.
public final class HTTP2Head {
    /// Why a head can't be used as a request, only be answered.
    public enum Fault: Sendable, Hashable {
        /// It has more than `HTTP2Limits.headBytesMax` bytes; 431 says so.
        case tooManyBytes
        /// It has more than `HTTP2Limits.headFieldsMax` fields; 431 says so.
        case tooManyFields
    }

    /// All names and values.
    ///
    /// Behind each name stands `: `, and behind each value CR and LF.
    public var bytes: [UInt8] = []
    /// The fields in order, without the pseudo fields, `host` and all but one `cookie`.
    public var fields: [HTTP2Field] = []
    /// The value of `:method`.
    public internal(set) var method = HTTP2Place.empty
    /// The value of `:scheme`; empty with a plain CONNECT.
    public internal(set) var scheme = HTTP2Place.empty
    /// The value of `:authority`, or of `host` where there is none; where there are both, they are
    /// the same.
    public internal(set) var authority = HTTP2Place.empty
    /// The value of `:path`; empty with a plain CONNECT.
    public internal(set) var path = HTTP2Place.empty
    /// The value of `:protocol`; empty unless it is an extended CONNECT (RFC 8441 §4).
    public internal(set) var protocolName = HTTP2Place.empty
    /// Why it can only be answered; nil for nearly all.
    public internal(set) var fault: Fault?

    private var host = HTTP2Place.empty
    /// The bytes as a head of HTTP/1.1 would have them.
    private(set) var size = 0
    private var cookieCount = 0

    init() {}

    /// The bytes of a place.
    public func bytes(of place: HTTP2Place) -> ArraySlice<UInt8> { bytes[place.range] }

    /// The text of a place; bytes that are not UTF-8 are replaced.
    public func text(of place: HTTP2Place) -> String {
        String(decoding: bytes[place.range], as: UTF8.self)
    }

    /// Makes it empty; the memory stays.
    func clear() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        method = .empty
        scheme = .empty
        authority = .empty
        path = .empty
        protocolName = .empty
        host = .empty
        fault = nil
        size = 0
        cookieCount = 0
    }

    /// Takes one field as it was decoded; one that is too much is counted and not kept.
    func add(
        name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>, _ limits: HTTP2Limits
    ) {
        size &+= name.count &+ value.count &+ 4
        let isPseudo = name.count > 0 && name[0] == UInt8(ascii: ":")
        let isCookie = Self.equal(name, "cookie")
        if isCookie { cookieCount += 1 }
        if size > limits.headBytesMax {
            fault = fault ?? .tooManyBytes
        } else if !isPseudo, fields.count >= limits.headFieldsMax, !isCookie || cookieCount == 1 {
            fault = fault ?? .tooManyFields
        }
        // What is known of the target serves the log, so a pseudo field is kept if it is a short one.
        if fault != nil, !isPseudo || value.count > 4_096 { return }
        let start = bytes.count
        bytes.append(contentsOf: name)
        bytes.append(UInt8(ascii: ":"))
        bytes.append(UInt8(ascii: " "))
        let valueStart = bytes.count
        bytes.append(contentsOf: value)
        let place = HTTP2Place(valueStart..<bytes.count)
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
        if isPseudo {
            setPseudo(name, place)
        } else if Self.equal(name, "host") {
            host = place
        } else {
            let namePlace = HTTP2Place(start..<start &+ name.count)
            fields.append(HTTP2Field(name: namePlace, value: place))
        }
    }

    private func setPseudo(_ name: UnsafeBufferPointer<UInt8>, _ place: HTTP2Place) {
        // nghttp2 lets no other pseudo field of a request pass.
        switch name.count > 1 ? name[1] : 0 {
        case UInt8(ascii: "m"): method = place
        case UInt8(ascii: "s"): scheme = place
        case UInt8(ascii: "a"): authority = place
        case UInt8(ascii: "p"):
            if name.count == 5 { path = place } else { protocolName = place }
        default: break
        }
    }

    /// Puts a complete head in order; false if it is malformed in a way that nghttp2 lets pass:
    /// `:authority` and `host` differ (RFC 9113 §8.3.1).
    func finish() -> Bool {
        if !host.isEmpty {
            if authority.isEmpty {
                authority = host
            } else if !isSameIgnoringCase(authority, host) {
                return false
            }
        }
        if cookieCount > 1 { joinCookies() }
        return true
    }

    private func isSameIgnoringCase(_ first: HTTP2Place, _ second: HTTP2Place) -> Bool {
        guard first.count == second.count else { return false }
        for (left, right) in zip(first.range, second.range)
        where Self.lowercased(bytes[left]) != Self.lowercased(bytes[right]) {
            return false
        }
        return true
    }

    /// `cookie` may come in parts, which are one field in HTTP/1.1 (RFC 9113 §8.2.3).
    private func joinCookies() {
        let nameStart = bytes.count
        bytes.append(contentsOf: Array("cookie: ".utf8))
        let start = bytes.count
        var first: Int?
        for index in fields.indices where isCookie(fields[index].name) {
            if first == nil {
                first = index
            } else {
                bytes.append(UInt8(ascii: ";"))
                bytes.append(UInt8(ascii: " "))
            }
            let part = fields[index].value.range
            bytes.reserveCapacity(bytes.count + part.count)
            for place in part { bytes.append(bytes[place]) }
        }
        guard let first else { return }
        let joined = HTTP2Field(
            name: HTTP2Place(nameStart..<nameStart + 6), value: HTTP2Place(start..<bytes.count))
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
        fields[first] = joined
        var kept = first + 1
        for index in first + 1..<fields.count where !isCookie(fields[index].name) {
            fields[kept] = fields[index]
            kept += 1
        }
        fields.removeSubrange(kept...)
    }

    private func isCookie(_ name: HTTP2Place) -> Bool {
        bytes.withUnsafeBufferPointer {
            Self.equal(UnsafeBufferPointer(rebasing: $0[name.range]), "cookie")
        }
    }

    static func equal(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount else { return false }
        for index in 0..<bytes.count where bytes[index] != text.utf8Start[index] { return false }
        return true
    }

    static func lowercased(_ byte: UInt8) -> UInt8 {
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
    }
}

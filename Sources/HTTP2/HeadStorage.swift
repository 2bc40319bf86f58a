// SPDX-License-Identifier: Apache-2.0

/// What a head is made of, field by field as they are decoded.
struct HeadStorage {
    var bytes: [UInt8] = []
    var fields: [HTTP2Field] = []
    private(set) var method = HTTP2Place.empty
    private(set) var scheme = HTTP2Place.empty
    private(set) var authority = HTTP2Place.empty
    private(set) var path = HTTP2Place.empty
    private(set) var protocolName = HTTP2Place.empty
    private(set) var fault: HTTP2Head.Fault?
    private var host = HTTP2Place.empty
    /// The bytes as a head of HTTP/1.1 would have them.
    private var size = 0
    private var cookieCount = 0

    /// Whether it is a CONNECT, plain or extended.
    var isConnect: Bool {
        bytes.withUnsafeBufferPointer {
            HTTP2Head.equal(UnsafeBufferPointer(rebasing: $0[method.range]), "CONNECT")
        }
    }

    /// Makes it empty; the memory stays.
    mutating func clear() {
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
    mutating func add(
        name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>, _ limits: HTTP2Limits
    ) {
        size &+= name.count &+ value.count &+ 4
        let isPseudo = name.count > 0 && name[0] == UInt8(ascii: ":")
        let isCookie = HTTP2Head.equal(name, "cookie")
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
        } else if HTTP2Head.equal(name, "host") {
            host = place
        } else {
            let namePlace = HTTP2Place(start..<start &+ name.count)
            fields.append(HTTP2Field(name: namePlace, value: place))
        }
    }

    private mutating func setPseudo(_ name: UnsafeBufferPointer<UInt8>, _ place: HTTP2Place) {
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
    mutating func finish() -> Bool {
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
        where HTTP2Head.lowercased(bytes[left]) != HTTP2Head.lowercased(bytes[right]) {
            return false
        }
        return true
    }

    /// `cookie` may come in parts, which are one field in HTTP/1.1 (RFC 9113 §8.2.3).
    private mutating func joinCookies() {
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
            HTTP2Head.equal(UnsafeBufferPointer(rebasing: $0[name.range]), "cookie")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Router
import Wire

/// A cookie that brings clients back to the endpoint that they had.
public struct StickyRule: Sendable, Equatable {
    /// The cookie's name.
    public let cookie: String
    /// What stands behind its value, beside `HttpOnly` and `Secure`: `; Path=/; SameSite=Lax`.
    public let attributes: String
    private let name: [UInt8]

    /// A cookie of this name with these attributes, each with `; ` in front.
    public init(cookie: String, attributes: String) {
        self.cookie = cookie
        self.attributes = attributes
        name = Array(cookie.utf8)
    }

    /// The number in a request's cookie; nil where it has none, or another value.
    func number(in fields: FieldList) -> UInt64? {
        guard let range = fields.cookieRange(name), range.count == 16 else { return nil }
        var number: UInt64 = 0
        for byte in fields.bytes[range] {
            switch byte {
            case 0x30...0x39: number = number << 4 | UInt64(byte - 0x30)
            case 0x61...0x66: number = number << 4 | UInt64(byte - 0x61 + 10)
            default: return nil
            }
        }
        return number
    }

    /// The line that has a client keep a number.
    func line(_ number: UInt64, isSecure: Bool) -> [UInt8] {
        let digits = String(number, radix: 16)
        let value = String(repeating: "0", count: 16 - digits.count) + digits
        return Array(
            "Set-Cookie: \(cookie)=\(value)\(attributes); HttpOnly\(isSecure ? "; Secure" : "")\r\n"
                .utf8)
    }
}

extension EndpointGroup {
    /// A number for an endpoint that is the same in every process.
    ///
    /// It has no key: who guesses both names can tell that the guess is right.
    static func stickyNumber(_ label: String, of upstream: String) -> UInt64 {
        StableHash.of("\(upstream)\n\(label)\nsticky")
    }

    /// The endpoint of a number; nil where there is none any more.
    func endpoint(ofSticky number: UInt64) -> Int? {
        endpoints.indices.first { stickyNumbers[$0] == number }
    }
}

extension Request {
    /// The line of the answer that has the client come back to the endpoint that serves it; nil where it would come
    /// back anyway, or the upstream has no such rule; and the cookies of another server that has granted the request.
    func stickyLine() -> [UInt8]? {
        guard let cookies = extras?.cookies, !cookies.isEmpty else { return ownStickyLine() }
        return cookies + (ownStickyLine() ?? [])
    }

    private func ownStickyLine() -> [UInt8]? {
        guard let group = places.group, let rule = group.sticky else { return nil }
        let number = group.stickyNumbers[places.endpoint]
        if upstream?.search.sticky == number { return nil }
        let fields = upgrade?.request.head.fields ?? asked.head.fields
        let hop = stream.facts.pointee.hop
        let scheme = hop.trusted.isEmpty ? hop.scheme : Forwarding.scheme(of: fields, hop)
        return rule.line(number, isSecure: scheme == "https")
    }
}

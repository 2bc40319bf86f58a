// SPDX-License-Identifier: Apache-2.0

/// A user and a password as `Authorization: Basic` has them (RFC 7617 §2).
public struct BasicCredentials: Sendable, Equatable {
    /// The user's name, without a colon.
    public let user: [UInt8]
    /// The password, which may hold any byte but control characters.
    public let password: [UInt8]

    /// Longer ones are nobody's.
    static let bytesMax = 1_024

    /// Reads the one `Authorization` of a request; nil where there is none, several, one of another scheme, or one
    /// that is not what RFC 7617 says.
    public init?(_ fields: FieldList) {
        guard fields.known.has(.authorization) else { return nil }
        let values = fields.all("authorization")
        guard values.count == 1 else { return nil }
        self.init(value: values[0])
    }

    /// Reads the value of the field.
    init?(value: ArraySlice<UInt8>) {
        let scheme = value.prefix { $0 != Octet.space }
        guard scheme.count == 5, zip(scheme, "basic".utf8).allSatisfy({ $0 | 0x20 == $1 }) else {
            return nil
        }
        let token = value.dropFirst(5).drop { $0 == Octet.space }
        guard token.count <= Self.bytesMax, let text = Self.decoded(token),
            let colon = text.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            !text.contains(where: { $0 < 0x20 || $0 == 0x7F })
        else { return nil }
        user = Array(text[..<colon])
        password = Array(text[(colon + 1)...])
    }

    /// The bytes of base64 (RFC 4648 §4), whole and padded; nil for anything else.
    static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard !text.isEmpty, text.count % 4 == 0 else { return nil }
        let padding = text.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        for byte in text.dropLast(padding) {
            guard let value = value(of: byte) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
                bits &= 1 << UInt32(count) - 1
            }
        }
        // Bits that belong to no byte are zero, so that each text has one form.
        return bits == 0 ? bytes : nil
    }

    private static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case 0x41...0x5A: byte - 0x41
        case 0x61...0x7A: byte - 0x61 + 26
        case 0x30...0x39: byte - 0x30 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}

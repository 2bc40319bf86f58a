// SPDX-License-Identifier: Apache-2.0

extension HeadWriter {
    /// Writes bytes in base64 (RFC 4648 §4), padded.
    public mutating func append(base64 bytes: [UInt8]) {
        append(Base64.encoded(bytes))
    }
}

/// Base64 (RFC 4648 §4).
enum Base64 {
    private static let digits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Bytes in base64, padded.
    static func encoded(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            let first = UInt32(bytes[index]) << 16
            let second = count > 1 ? UInt32(bytes[index + 1]) << 8 : 0
            let group = first | second | (count > 2 ? UInt32(bytes[index + 2]) : 0)
            for place in 0..<4 {
                let digit = digits[Int(group >> UInt32(18 - 6 * place) & 0x3F)]
                text.append(place <= count ? digit : UInt8(ascii: "="))
            }
            index += 3
        }
        return text
    }
}

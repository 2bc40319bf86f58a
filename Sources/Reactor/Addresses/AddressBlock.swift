// SPDX-License-Identifier: Apache-2.0

/// Addresses that have their first bits in common, as `10.0.0.0/8` (RFC 4632 §3.1, RFC 4291 §2.3),
/// one address, or all who come through a socket file.
public struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
    let kind: Address.Kind
    let high: UInt64
    let low: UInt64
    /// How many bits count; of IPv4 up to 32.
    let length: Int

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, `::1` or `unix`.
    public init(parsing text: String) throws(AddressFault) {
        if text == "unix" {
            (kind, high, low, length) = (.unix, 0, 0, 0)
            return
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = Address(host: String(parts[0]), port: 0), address.scope == 0 else {
            throw AddressFault(
                sentence: "“\(text)” is none of 10.0.0.0/8, 2001:db8::/32, ::1 or unix")
        }
        // An IPv4 address in the form of IPv6 is IPv4 here, so its length would mean another one.
        let isMapped = parts[0].contains(":") && address.kind == .ipv4
        let most = address.kind == .ipv4 ? 32 : 128
        var length = most
        if parts.count == 2 {
            let digits = parts[1]
            guard !isMapped, (1...3).contains(digits.utf8.count),
                digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let number = Int(digits),
                number <= most
            else {
                throw AddressFault(
                    sentence: "“\(text)” ends with “/\(digits)”, where a number of bits from 0 to "
                        + "\(most) belongs")
            }
            length = number
        }
        kind = address.kind
        self.length = length
        (high, low) = Self.prefix(address, length)
        if high != address.high || low != address.low {
            throw AddressFault(
                sentence: "“\(text)” has bits behind the first \(length): "
                    + "the block is written “\(description)”")
        }
    }

    /// Whether an address is one of them.
    public func contains(_ address: Address) -> Bool {
        if address.kind != kind { return false }
        return kind == .unix || Self.prefix(address, length) == (high, low)
    }

    /// The first bits of an address, and zeros behind them.
    private static func prefix(_ address: Address, _ length: Int) -> (high: UInt64, low: UInt64) {
        if address.kind == .ipv4 {
            return (0, length == 0 ? 0 : address.low & (UInt64.max << UInt64(32 - length)))
        }
        let highMask = length == 0 ? 0 : UInt64.max << UInt64(64 - min(length, 64))
        let lowMask = length <= 64 ? 0 : UInt64.max << UInt64(128 - length)
        return (address.high & highMask, address.low & lowMask)
    }

    /// The form that `init(parsing:)` reads.
    public var description: String {
        if kind == .unix { return "unix" }
        let host = Address(kind: kind, high: high, low: low, port: 0).hostString
        return "\(host)/\(length)"
    }
}

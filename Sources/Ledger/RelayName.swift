// SPDX-License-Identifier: Apache-2.0

/// A name that a relay keeps for as long as it lives, whichever reactor or process it is in.
///
/// `RelayID` says where a relay is, and is known once it is open; this is known before its upstream is asked.
public struct RelayName: Sendable, Hashable, CustomStringConvertible {
    /// No name, as most relays have.
    public static let none = RelayName(bits: 0)

    /// Random bits; 0 for none.
    public let bits: UInt64

    /// The name of these bits.
    public init(bits: UInt64) { self.bits = bits }

    /// Reads what `description` wrote; nil for anything else.
    public init?(_ text: String) {
        let isName =
            text.utf8.count == 16
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard isName, let bits = UInt64(text, radix: 16), bits != 0 else { return nil }
        self.bits = bits
    }

    /// Whether it is none.
    @inline(__always)
    public var isNone: Bool { bits == 0 }

    /// The name as apps get it: 16 hexadecimal digits in lower case; empty for none.
    public var description: String {
        if isNone { return "" }
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// How somebody says which relay is meant.
public enum RelayReference: Sendable, Hashable, CustomStringConvertible {
    /// By where it is now.
    case id(RelayID)
    /// By the name that it keeps.
    case name(RelayName)

    /// Reads an ID or a name; nil for anything else.
    public init?(_ text: String) {
        if let id = RelayID(text) {
            self = .id(id)
        } else if let name = RelayName(text) {
            self = .name(name)
        } else {
            return nil
        }
    }

    /// What `init` reads.
    public var description: String {
        switch self {
        case .id(let id): id.description
        case .name(let name): name.description
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Names one use of one slot of a slab: the user data of an event.
///
/// Index and generation say which slot and which of its tenants: once the tenant is retired, an
/// event that still carries its token hits nothing. The tag says in which slab the slot is. Indices that no slab reaches serve for what lives outside of slabs (see `fixed`).
public struct Token: Equatable, Hashable, Sendable {
    /// Generations count modulo this.
    public static let generationCount: UInt32 = 1 << 24

    /// Index in the low 32 bits, then 24 bits of generation, then the tag.
    public let rawValue: UInt64

    /// Takes back what an event or a message carried.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Puts the parts together; of `generation` the low 24 bits count.
    public init(index: UInt32, generation: UInt32, tag: UInt8 = 0) {
        rawValue =
            UInt64(index) | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(tag) << 56
    }

    /// A token for a descriptor that is in no slab: a listener, a mailbox.
    ///
    /// `number` counts down from the top of the index range, which no slab's capacity reaches.
    public static func fixed(_ number: UInt32) -> Token {
        Token(index: .max - number, generation: 0, tag: .max)
    }

    /// Which slot.
    public var index: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    /// Which tenant of the slot.
    public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & 0xFF_FFFF }
    /// Which slab; what its numbers mean is its user's to say.
    public var tag: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 56) }

    /// The same index and generation, as a slot of another slab or in none in particular.
    public func tagged(_ tag: UInt8) -> Token {
        Token(rawValue: rawValue & 0x00FF_FFFF_FFFF_FFFF | UInt64(tag) << 56)
    }
}

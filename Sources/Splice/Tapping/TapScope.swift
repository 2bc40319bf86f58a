// SPDX-License-Identifier: Apache-2.0

/// What a tap is told of the relays that it listens to.
public struct TapScope: Sendable, Equatable {
    /// Connections of a relay.
    public struct Legs: OptionSet, Sendable {
        /// One bit for each member.
        public let rawValue: UInt8
        /// Legs with the given bits set.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The connection to the client.
        public static let client = Legs(rawValue: 1)
        /// The connection to the upstream.
        public static let upstream = Legs(rawValue: 2)
        /// Both.
        public static let all: Legs = [.client, .upstream]
    }

    /// The most bytes of one frame's payload that a tap may ask for.
    public static let payloadBytesMax = 1 << 20
    /// How much of a compressed frame is told in any case where payloads are: without all of it, nothing behind it
    /// can be inflated (RFC 7692 §7.2.2).
    static let compressedBytesMax = 1 << 20
    /// Bytes of a Close that are told also without payloads: its code (RFC 6455 §5.5.1).
    static let closeCodeBytes = 2

    /// A frame is told if it stands on one of these connections; one that is relayed stands on both.
    public var legs = Legs.all
    /// A bit for each opcode, bit 1 for text; a continuation counts as its message, and bit 0 stands for those whose
    /// message began before the tap.
    public var opcodes: UInt16 = .max
    /// Bytes of a frame's payload that are told; 0 for headers alone.
    public var payloadBytes = 0

    /// All frames of both connections, without payload.
    public init() {}

    /// How many leading bytes of a frame's payload are told.
    func payloadBytes(of opcode: UInt8, isCompressed: Bool) -> UInt64 {
        if payloadBytes == 0 { return opcode == 8 ? UInt64(Self.closeCodeBytes) : 0 }
        return UInt64(isCompressed ? max(payloadBytes, Self.compressedBytesMax) : payloadBytes)
    }

    /// Whether frames of an opcode are told on these connections.
    func takes(_ opcode: UInt8, on legs: Legs) -> Bool {
        opcodes >> UInt16(opcode & 0x0F) & 1 == 1 && !self.legs.isDisjoint(with: legs)
    }

    /// Whether a frame is told only because later ones can't be inflated without it.
    func needsAsContext(isCompressed: Bool) -> Bool { isCompressed && payloadBytes > 0 }
}

/// Which way a frame goes, and who has made it.
public struct TapWay: OptionSet, Sendable {
    /// One bit for each member.
    public let rawValue: UInt8
    /// A way with the given bits set.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Toward the client; else toward the upstream.
    public static let down = TapWay(rawValue: 1)
    /// Sluice has made it: a Ping or a Close of its own.
    public static let own = TapWay(rawValue: 2)
    /// It goes on to nobody: the answer to a Ping of Sluice's, or what comes behind a Close of Sluice's.
    public static let swallowed = TapWay(rawValue: 4)

    /// The connections that the frame stands on.
    var legs: TapScope.Legs {
        let source: TapScope.Legs = contains(.down) ? .upstream : .client
        let destination: TapScope.Legs = contains(.down) ? .client : .upstream
        if contains(.own) { return destination }
        return contains(.swallowed) ? source : .all
    }
}

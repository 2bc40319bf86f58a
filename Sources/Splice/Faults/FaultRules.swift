// SPDX-License-Identifier: Apache-2.0

/// Which faults are done to the relays of a route; each number is 0 where its fault is left out.
public struct FaultRules: Sendable, Equatable {
    /// A chance or a share: so many of a million.
    public static let certain: UInt32 = 1_000_000

    /// To what a delay belongs, and where a connection may be cut.
    public enum Level: UInt8, Sendable {
        /// Each frame is delayed as a whole, and cut within its payload.
        case frames
        /// The bytes go on in pieces of up to `FaultLine.pieceBytesMax`, which know nothing of frames.
        case bytes
    }

    /// By how much later bytes arrive, in each direction.
    public var latencyMilliseconds: UInt64 = 0
    /// By how much the latency varies, to both sides; the order of bytes stays.
    public var jitterMilliseconds: UInt64 = 0
    /// How many bytes pass in a second, in each direction.
    public var bytesPerSecond: UInt64 = 0
    /// For how long nothing passes, from the moment on in which the faults begin for a relay.
    public var stallMilliseconds: UInt64 = 0
    /// From the begin of one stall to the next; 0 for no second one.
    public var stallEveryMilliseconds: UInt64 = 0
    /// With what chance a frame is the one within which the connection ends.
    public var cut: UInt32 = 0
    /// With what chance a frame is the one at which the connection is reset.
    public var reset: UInt32 = 0
    /// With what chance a request for a WebSocket is refused.
    public var refuse: UInt32 = 0
    /// With what chance a relay or request has faults at all.
    public var share = certain
    /// To what delays belong.
    public var level = Level.frames

    /// No faults.
    public init() {}

    /// Whether anything is done to a relay that is open.
    var concernsRelays: Bool {
        latencyMilliseconds | jitterMilliseconds | bytesPerSecond | stallMilliseconds > 0
            || cut | reset > 0
    }
}

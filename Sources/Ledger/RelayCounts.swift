// SPDX-License-Identifier: Apache-2.0

/// What one direction of a relay has carried.
public struct DirectionCounts: Sendable, Equatable {
    /// Frames, control frames included.
    public var frames: UInt64 = 0
    /// Data messages that passed whole.
    public var messages: UInt64 = 0
    /// Payload bytes of data frames.
    public var payloadBytes: UInt64 = 0
    /// All bytes that went on, frame headers included.
    public var bytes: UInt64 = 0

    /// Counts of a direction in which nothing has passed.
    public init() {}
}

/// How long a peer took to answer Pings, in microseconds.
public struct RoundTrip: Sendable, Equatable {
    /// Pings that were answered.
    public var count: UInt32 = 0
    /// The last one's time.
    public var lastMicroseconds: UInt32 = 0
    /// The longest time that an answer took.
    public var maximumMicroseconds: UInt32 = 0

    /// No Ping was answered yet.
    public init() {}

    /// Takes note of an answer.
    public mutating func note(_ microseconds: UInt64) {
        count &+= 1
        lastMicroseconds = UInt32(clamping: microseconds)
        maximumMicroseconds = max(maximumMicroseconds, lastMicroseconds)
    }
}

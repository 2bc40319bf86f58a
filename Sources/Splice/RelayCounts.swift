// SPDX-License-Identifier: Apache-2.0
import Wire

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

    /// Nothing yet.
    public init() {}
}

extension Relay {
    /// What went from the client to the upstream.
    public var upCounts: DirectionCounts { Self.counts(of: up) }

    /// What went from the upstream to the client.
    public var downCounts: DirectionCounts { Self.counts(of: down) }

    private static func counts(of flow: Flow) -> DirectionCounts {
        var counts = DirectionCounts()
        counts.frames = flow.scanner.frames
        counts.messages = flow.scanner.messages
        counts.payloadBytes = flow.scanner.payloadBytes
        counts.bytes = flow.bytes
        return counts
    }
}

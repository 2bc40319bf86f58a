// SPDX-License-Identifier: Apache-2.0

/// What one direction of a relay has carried.
public struct DirectionCounts: Sendable, Equatable {
    /// Frames, control frames included.
    public let frames: UInt64
    /// Data messages that passed whole.
    public let messages: UInt64
    /// Payload bytes of data frames.
    public let payloadBytes: UInt64
    /// All bytes that went on, frame headers included.
    public let bytes: UInt64
}

extension Relay {
    /// What went from the client to the upstream.
    public var upCounts: DirectionCounts { Self.counts(of: up) }

    /// What went from the upstream to the client.
    public var downCounts: DirectionCounts { Self.counts(of: down) }

    private static func counts(of flow: Flow) -> DirectionCounts {
        DirectionCounts(
            frames: flow.scanner.frames, messages: flow.scanner.messages,
            payloadBytes: flow.scanner.payloadBytes, bytes: flow.bytes)
    }
}

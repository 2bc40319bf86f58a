// SPDX-License-Identifier: Apache-2.0

/// The frame kinds that RFC 6455 §5.2 defines; every other value is reserved.
public enum Opcode: UInt8, Sendable, Equatable {
    /// A further frame of a message already begun.
    case continuation = 0
    /// The first frame of a text message.
    case text = 1
    /// The first frame of a binary message.
    case binary = 2
    /// The Close frame, after which its sender sends nothing more.
    case close = 8
    /// A Ping, to be answered by a Pong with the same payload.
    case ping = 9
    /// A Pong, asked for or not.
    case pong = 10

    /// Whether this is a control frame: at most 125 bytes and never fragmented.
    public var isControl: Bool { rawValue >= 8 }
}

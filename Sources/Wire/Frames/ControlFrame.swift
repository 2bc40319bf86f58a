// SPDX-License-Identifier: Apache-2.0

/// The control frames that Sluice sends of its own, written whole into the caller's bytes.
///
/// Toward the upstream Sluice is the client, so there a mask key must be given, an
/// unpredictable one (RFC 6455 §5.3); toward the client it must be nil.
public enum ControlFrame {
    /// The most bytes a control frame takes: header, mask key and 125 bytes of payload.
    public static let byteCountMax = 131

    /// Writes a Close frame and says how many bytes it took.
    ///
    /// The reason is cut to 123 bytes, between two characters. A code that must not stand on
    /// the wire gives a Close without a payload, which is what 1005 means.
    public static func close(
        _ code: CloseCode, reason: StaticString, maskKey: UInt32?,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        reason.withUTF8Buffer { text in
            unsafe close(code, text: text, maskKey: maskKey, into: bytes)
        }
    }

    /// The same with a reason that is known only when the program runs; UTF-8.
    public static func close(
        _ code: CloseCode, reason: [UInt8], maskKey: UInt32?,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe reason.withUnsafeBufferPointer { text in
            unsafe close(code, text: text, maskKey: maskKey, into: bytes)
        }
    }

    private static func close(
        _ code: CloseCode, text: UnsafeBufferPointer<UInt8>, maskKey: UInt32?,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let payload = unsafe bytes + headerLength(maskKey)
        var length = 0
        if code.maySend {
            unsafe payload[0] = UInt8(truncatingIfNeeded: code.rawValue >> 8)
            unsafe payload[1] = UInt8(truncatingIfNeeded: code.rawValue)
            length = 2
            var end = min(text.count, 123)
            // A cut must not leave half a character: the reason has to be UTF-8 (§5.5.1).
            while end > 0, end < text.count, unsafe text[end] & 0xC0 == 0x80 { end -= 1 }
            for index in 0..<end { unsafe payload[2 + index] = unsafe text[index] }
            length += end
        }
        return unsafe finish(.close, payloadLength: length, maskKey: maskKey, in: bytes)
    }

    /// Writes a Ping with eight bytes of payload and says how many bytes it took.
    public static func ping(
        payload: UInt64, maskKey: UInt32?, into bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let place = unsafe UnsafeMutableRawPointer(bytes + headerLength(maskKey))
        unsafe place.storeBytes(of: payload.bigEndian, as: UInt64.self)
        return unsafe finish(.ping, payloadLength: 8, maskKey: maskKey, in: bytes)
    }

    /// Writes a Pong with the given payload, at most 125 bytes, and says how many it took.
    public static func pong(
        payload: UnsafeBufferPointer<UInt8>, maskKey: UInt32?,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let length = min(payload.count, 125)
        let place = unsafe bytes + headerLength(maskKey)
        for index in 0..<length { unsafe place[index] = unsafe payload[index] }
        return unsafe finish(.pong, payloadLength: length, maskKey: maskKey, in: bytes)
    }

    private static func headerLength(_ maskKey: UInt32?) -> Int { maskKey == nil ? 2 : 6 }

    /// Puts the header in front of a payload already in its place, and masks the payload.
    private static func finish(
        _ opcode: Opcode, payloadLength: Int, maskKey: UInt32?,
        in bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let header = FrameHeader(
            opcode: opcode, payloadLength: UInt64(payloadLength), maskKey: maskKey)
        let length = unsafe header.encode(into: bytes)
        if let maskKey {
            unsafe FrameMask.apply(maskKey, phase: 0, to: bytes + length, count: payloadLength)
        }
        return length + payloadLength
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A frame's header as a value: 2 to 14 bytes on the wire (RFC 6455 §5.2).
///
/// The relay does not use it, since it forwards headers as they came; peers that write or read
/// frames of their own do. `decode` judges nothing: that is `FrameScanner`'s task.
public struct FrameHeader: Sendable, Equatable {
    /// The most bytes a header takes.
    public static let byteCountMax = 14

    /// The four opcode bits, reserved values included.
    public var opcodeBits: UInt8
    /// Whether this is the last frame of its message.
    public var isFinal: Bool
    /// The RSV bits as they stand in the first byte: 0x40, 0x20, 0x10.
    public var reservedBits: UInt8
    /// How many payload bytes follow.
    public var payloadLength: UInt64
    /// The mask key as it stands on the wire, its first byte lowest; nil if unmasked.
    public var maskKey: UInt32?

    /// A header with any opcode bits.
    public init(
        opcodeBits: UInt8, isFinal: Bool = true, reservedBits: UInt8 = 0, payloadLength: UInt64,
        maskKey: UInt32? = nil
    ) {
        self.opcodeBits = opcodeBits & 0x0F
        self.isFinal = isFinal
        self.reservedBits = reservedBits & 0x70
        self.payloadLength = payloadLength
        self.maskKey = maskKey
    }

    /// A header of a known kind.
    public init(
        opcode: Opcode, isFinal: Bool = true, reservedBits: UInt8 = 0, payloadLength: UInt64,
        maskKey: UInt32? = nil
    ) {
        self.init(
            opcodeBits: opcode.rawValue, isFinal: isFinal, reservedBits: reservedBits,
            payloadLength: payloadLength, maskKey: maskKey)
    }

    /// The kind of the frame, or nil if its opcode is reserved.
    public var opcode: Opcode? { Opcode(rawValue: opcodeBits) }

    /// How many bytes `encode` writes.
    public var byteCount: Int {
        let length = payloadLength < 126 ? 2 : payloadLength < 0x1_0000 ? 4 : 10
        return length + (maskKey == nil ? 0 : 4)
    }

    /// Writes the header, its length in the shortest form, and says how many bytes it took.
    public func encode(into bytes: UnsafeMutablePointer<UInt8>) -> Int {
        let maskBit: UInt8 = maskKey == nil ? 0 : 0x80
        let place = UnsafeMutableRawPointer(bytes)
        unsafe bytes[0] = (isFinal ? 0x80 : 0) | reservedBits | opcodeBits
        var count = 2
        if payloadLength < 126 {
            unsafe bytes[1] = maskBit | UInt8(truncatingIfNeeded: payloadLength)
        } else if payloadLength < 0x1_0000 {
            unsafe bytes[1] = maskBit | 126
            let length = UInt16(truncatingIfNeeded: payloadLength).bigEndian
            unsafe place.storeBytes(of: length, toByteOffset: 2, as: UInt16.self)
            count = 4
        } else {
            unsafe bytes[1] = maskBit | 127
            unsafe place.storeBytes(of: payloadLength.bigEndian, toByteOffset: 2, as: UInt64.self)
            count = 10
        }
        if let maskKey {
            unsafe place.storeBytes(
                of: maskKey.littleEndian, toByteOffset: count, as: UInt32.self)
            count += 4
        }
        return count
    }

    /// The header as bytes.
    public func encoded() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: FrameHeader.byteCountMax) { buffer, count in
            if let bytes = buffer.baseAddress { count = unsafe encode(into: bytes) }
        }
    }

    /// Reads a header and says how many bytes it took; nil if more bytes are needed.
    public static func decode(
        _ bytes: UnsafePointer<UInt8>, count: Int
    ) -> (header: FrameHeader, length: Int)? {
        guard count >= 2 else { return nil }
        let first = unsafe bytes[0]
        let second = unsafe bytes[1]
        let isMasked = second & 0x80 != 0
        var used = 2
        switch second & 0x7F {
        case 126: used = 4
        case 127: used = 10
        default: break
        }
        let total = used + (isMasked ? 4 : 0)
        guard count >= total else { return nil }
        let place = unsafe UnsafeRawPointer(bytes)
        let length: UInt64
        switch used {
        case 4:
            length = unsafe UInt64(
                place.loadUnaligned(fromByteOffset: 2, as: UInt16.self).bigEndian)
        case 10:
            length = unsafe place.loadUnaligned(fromByteOffset: 2, as: UInt64.self).bigEndian
        default:
            length = UInt64(second & 0x7F)
        }
        var key: UInt32?
        if isMasked {
            key = unsafe place.loadUnaligned(fromByteOffset: used, as: UInt32.self).littleEndian
        }
        let header = FrameHeader(
            opcodeBits: first & 0x0F, isFinal: first & 0x80 != 0, reservedBits: first & 0x70,
            payloadLength: length, maskKey: key)
        return (header, total)
    }
}

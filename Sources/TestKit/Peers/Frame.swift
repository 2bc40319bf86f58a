// SPDX-License-Identifier: Apache-2.0

/// One WebSocket frame as it stands on the wire (RFC 6455 §5.2), valid or not.
///
/// The kit encodes and decodes frames by its own code, not by `Wire`, so that a mistake there cannot
/// hide itself.
public struct Frame: Sendable, Equatable, CustomStringConvertible {
    /// FIN.
    public var isFinal = true
    /// RSV1–3 as they stand in the first byte (0x70).
    public var reservedBits: UInt8 = 0
    /// The opcode, 0 to 15.
    public var opcode: UInt8
    /// The masking key; nil for an unmasked frame.
    public var maskKey: [UInt8]?
    /// The payload, unmasked.
    public var payload: [UInt8]

    /// A frame of this opcode.
    public init(
        opcode: UInt8, payload: [UInt8] = [], isFinal: Bool = true, reservedBits: UInt8 = 0,
        maskKey: [UInt8]? = nil
    ) {
        self.opcode = opcode
        self.payload = payload
        self.isFinal = isFinal
        self.reservedBits = reservedBits
        self.maskKey = maskKey
    }

    /// A whole text message.
    public static func text(_ text: String) -> Frame { Frame(opcode: 1, payload: Array(text.utf8)) }

    /// A whole binary message.
    public static func binary(_ payload: [UInt8]) -> Frame { Frame(opcode: 2, payload: payload) }

    /// A Ping.
    public static func ping(_ text: String = "") -> Frame {
        Frame(opcode: 9, payload: Array(text.utf8))
    }

    /// A Pong.
    public static func pong(_ text: String = "") -> Frame {
        Frame(opcode: 10, payload: Array(text.utf8))
    }

    /// A Close with this code and reason.
    public static func close(_ code: Int, _ reason: String = "") -> Frame {
        let bytes = [UInt8(truncatingIfNeeded: code >> 8), UInt8(truncatingIfNeeded: code)]
        return Frame(opcode: 8, payload: bytes + Array(reason.utf8))
    }

    /// The same frame masked with this key.
    public func masked(_ key: [UInt8] = [0x37, 0xfa, 0x21, 0x3d]) -> Frame {
        var frame = self
        frame.maskKey = key
        return frame
    }

    /// The code of a Close: 1005 for an empty one (RFC 6455 §7.1.5); nil for other frames.
    public var closeCode: Int? {
        guard opcode == 8 else { return nil }
        return payload.count < 2 ? 1005 : Int(payload[0]) << 8 | Int(payload[1])
    }

    /// The reason of a Close.
    public var closeReason: String { String(decoding: payload.dropFirst(2), as: UTF8.self) }

    /// The payload as text.
    public var text: String { String(decoding: payload, as: UTF8.self) }

    /// The header alone: 2 to 14 bytes.
    public var header: [UInt8] {
        let mask: UInt8 = maskKey == nil ? 0 : 0x80
        var bytes = [(isFinal ? 0x80 : 0) | reservedBits | opcode]
        switch payload.count {
        case ...125: bytes.append(mask | UInt8(payload.count))
        case ...0xffff: bytes += [mask | 126] + Frame.bigEndian(UInt64(payload.count), 2)
        default: bytes += [mask | 127] + Frame.bigEndian(UInt64(payload.count), 8)
        }
        return bytes + (maskKey ?? [])
    }

    /// The frame on the wire.
    public var bytes: [UInt8] {
        header + Frame.masking(payload, with: maskKey)
    }

    /// What a failed expectation shows.
    public var description: String {
        let kind = closeCode.map { "close \($0) " } ?? ""
        let bits = reservedBits == 0 ? "" : " reserved \(reservedBits >> 4)"
        let mask = maskKey == nil ? "" : " masked"
        return
            "[\(kind)opcode \(opcode)\(isFinal ? "" : " unfinished")\(bits)\(mask) \(show(payload))]"
    }

    static func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }

    static func masking(_ payload: [UInt8], with key: [UInt8]?) -> [UInt8] {
        guard let key, key.contains(where: { $0 != 0 }) else { return payload }
        return [UInt8](unsafeUninitializedCapacity: payload.count) { place, count in
            payload.withUnsafeBufferPointer { source in
                for index in 0..<source.count { place[index] = source[index] ^ key[index & 3] }
            }
            count = payload.count
        }
    }

    /// The first frame of `bytes` and its length there; nil when it is not complete.
    static func decode(_ bytes: ArraySlice<UInt8>) -> (frame: Frame, length: Int)? {
        let start = bytes.startIndex
        guard bytes.count >= 2 else { return nil }
        let short = bytes[start + 1] & 0x7f
        let lengthBytes = short == 126 ? 2 : short == 127 ? 8 : 0
        let isMasked = bytes[start + 1] & 0x80 != 0
        let headerBytes = 2 + lengthBytes + (isMasked ? 4 : 0)
        guard bytes.count >= headerBytes else { return nil }
        let long = bytes[(start + 2)..<(start + 2 + lengthBytes)]
            .reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let payloadBytes = lengthBytes == 0 ? UInt64(short) : long
        guard payloadBytes <= UInt64(bytes.count - headerBytes) else { return nil }
        let border = start + headerBytes
        let key = isMasked ? Array(bytes[(border - 4)..<border]) : nil
        let frame = Frame(
            opcode: bytes[start] & 15,
            payload: masking(Array(bytes[border..<(border + Int(payloadBytes))]), with: key),
            isFinal: bytes[start] & 0x80 != 0, reservedBits: bytes[start] & 0x70, maskKey: key)
        return (frame, headerBytes + Int(payloadBytes))
    }
}

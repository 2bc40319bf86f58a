// SPDX-License-Identifier: Apache-2.0
import Splice
import Wire

/// Frames as bytes, and bytes as frames.
enum Frames {
    /// A frame of a client: masked.
    static func client(
        _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, key: UInt32 = 0x4433_2211
    ) -> [UInt8] {
        let header = FrameHeader(
            opcode: opcode, isFinal: isFinal, payloadLength: UInt64(payload.count), maskKey: key)
        return header.encoded() + masked(payload, key)
    }

    /// A frame of a server.
    static func server(_ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8] {
        let header = FrameHeader(
            opcode: opcode, isFinal: isFinal, payloadLength: UInt64(payload.count))
        return header.encoded() + payload
    }

    /// A frame of either.
    static func from(_ side: Side, _ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
        side == .client ? client(opcode, payload) : server(opcode, payload)
    }

    /// A Close frame of either.
    static func close(from side: Side, _ code: UInt16?) -> [UInt8] {
        from(side, .close, code.map { [UInt8($0 >> 8), UInt8($0 & 255)] } ?? [])
    }

    /// The codes of the Close frames in a whole number of frames; nil where they are not whole.
    static func closes(in bytes: [UInt8]) -> [Parsed]? {
        parse(bytes)?.filter { $0.opcode == .close }
    }

    /// A frame as it was found.
    struct Parsed: Equatable {
        let opcode: Opcode?
        let isMasked: Bool
        let payload: [UInt8]

        /// The code of a Close; 1005 for one without.
        var code: UInt16 {
            payload.count < 2 ? 1005 : UInt16(payload[0]) << 8 | UInt16(payload[1])
        }
    }

    /// Whole frames and nothing else; nil where something is left over.
    static func parse(_ bytes: [UInt8]) -> [Parsed]? {
        var frames: [Parsed] = []
        var position = 0
        while position < bytes.count {
            let rest = bytes[position...]
            let decoded = rest.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.flatMap { FrameHeader.decode($0, count: buffer.count) }
            }
            guard let decoded, rest.count - decoded.length >= Int(decoded.header.payloadLength)
            else { return nil }
            let start = position + decoded.length
            let end = start + Int(decoded.header.payloadLength)
            let payload = Array(bytes[start..<end])
            let key = decoded.header.maskKey
            frames.append(
                Parsed(
                    opcode: decoded.header.opcode, isMasked: key != nil,
                    payload: key.map { masked(payload, $0) } ?? payload))
            position = end
        }
        return frames
    }

    private static func masked(_ payload: [UInt8], _ key: UInt32) -> [UInt8] {
        var payload = payload
        payload.withUnsafeMutableBufferPointer { buffer in
            if let start = buffer.baseAddress {
                FrameMask.apply(key, phase: 0, to: start, count: buffer.count)
            }
        }
        return payload
    }
}

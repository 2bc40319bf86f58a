// SPDX-License-Identifier: Apache-2.0
import Glibc
import Wire

/// The message that all connections send, masked once, and what comes back of it.
///
/// Its first bytes, the marker, are different for each message of each connection: so an echo that
/// is lost, doubled or somebody else's does not pass for the right one. The rest is the same noise,
/// in which a shifted, cut or exchanged piece does not fit. A message that the plan spells out has no marker.
/// Where sizes differ, each message has a size that follows from its marker, so that nothing is kept of it.
final class FrameTemplate {
    /// The bytes that a marker has at most, as text.
    private static let markerBytesMax = 32

    /// Noise that can be compressed comes again behind so many bytes.
    private static let repeatedBytes = 64

    private let sizes: ClosedRange<Int>
    private let isFixed: Bool
    private let isText: Bool
    /// The kind of each message, and so of what comes back.
    let opcode: Opcode
    private let markerBytes: Int
    private let payload: UnsafeMutablePointer<UInt8>
    /// Room for a header, and the masked payload at `FrameHeader.byteCountMax`.
    private let frame: UnsafeMutablePointer<UInt8>
    private let maskKey: UInt32

    init(_ message: LoadMessage) {
        var random = SystemRandomNumberGenerator()
        sizes = message.sizes
        isFixed = sizes.lowerBound == sizes.upperBound
        isText = message.isText
        opcode = message.isText ? .text : .binary
        markerBytes = message.content != nil ? 0 : isText ? Self.markerBytesMax : 16
        maskKey = random.next() | 1
        let most = sizes.upperBound
        payload = .allocate(capacity: most + 8)
        for word in stride(from: 0, to: most, by: 8) {
            let noise: UInt64 = random.next()
            // ASCII from @ to _, so that any cut of it is text.
            let bits = isText ? noise & 0x1F1F_1F1F_1F1F_1F1F | 0x4040_4040_4040_4040 : noise
            UnsafeMutableRawPointer(payload + word).storeBytes(of: bits, as: UInt64.self)
        }
        if message.isCompressible {
            for index in stride(from: Self.repeatedBytes, to: most, by: 1) where index % 5 != 0 {
                payload[index] = payload[index - Self.repeatedBytes]
            }
        }
        if let content = message.content {
            for (index, byte) in content.enumerated() where index < most { payload[index] = byte }
        }
        frame = .allocate(capacity: FrameHeader.byteCountMax + most)
        let masked = frame + FrameHeader.byteCountMax
        masked.update(from: payload, count: most)
        FrameMask.apply(maskKey, phase: 0, to: masked, count: most)
        if isFixed { putHeader(most) }
    }

    deinit {
        payload.deallocate()
        frame.deallocate()
    }

    /// The payload's size of a message.
    @inline(__always)
    func size(of marker: FrameMarker) -> Int {
        if isFixed { return sizes.lowerBound }
        let mixed =
            (marker.sequence &* 0x9E37_79B9_7F4A_7C15 ^ marker.connection)
            &* 0xBF58_476D_1CE4_E5B9
        let choices = UInt64(sizes.count)
        return sizes.lowerBound &+ Int(mixed.multipliedFullWidth(by: choices).high)
    }

    /// Header and payload of a message with so many bytes of payload.
    @inline(__always)
    func frameBytes(_ size: Int) -> Int { Self.headerBytes(size) &+ size }

    @inline(__always)
    private static func headerBytes(_ size: Int) -> Int {
        size < 126 ? 6 : size < 65_536 ? 8 : 14
    }

    /// Writes the header so that it ends where the payload begins.
    private func putHeader(_ size: Int) {
        let header = FrameHeader(opcode: opcode, payloadLength: UInt64(size), maskKey: maskKey)
        _ = header.encode(into: frame + (FrameHeader.byteCountMax - Self.headerBytes(size)))
    }

    /// Writes `count` bytes of a message's frame from `offset` on.
    func write(
        into bytes: UnsafeMutablePointer<UInt8>, offset: Int, count: Int, marker: FrameMarker,
        size: Int
    ) {
        let headerBytes = Self.headerBytes(size)
        if !isFixed, offset < headerBytes { putHeader(size) }
        memcpy(bytes, frame + (FrameHeader.byteCountMax &- headerBytes &+ offset), count)
        let first = max(offset, headerBytes)
        let end = min(offset &+ count, headerBytes &+ min(markerBytes, size))
        var place = first
        while place < end {
            let index = place &- headerBytes
            let key = UInt8(truncatingIfNeeded: maskKey >> UInt32((index & 3) &* 8))
            bytes[place &- offset] = marker.byte(index, isText: isText) ^ key
            place &+= 1
        }
    }

    /// The whole payload of a message, not masked.
    func plain(_ marker: FrameMarker, size: Int) -> [UInt8] {
        var bytes = Array(UnsafeBufferPointer(start: payload, count: size))
        for index in 0..<min(markerBytes, size) {
            bytes[index] = marker.byte(index, isText: isText)
        }
        return bytes
    }

    /// Whether `count` bytes are what belongs into a message of `size` bytes from `offset` on.
    func matches(
        _ bytes: UnsafePointer<UInt8>, offset: Int, count: Int, marker: FrameMarker, size: Int
    ) -> Bool {
        guard offset &+ count <= size else { return false }
        let marked = min(markerBytes, size)
        var done = 0
        while offset &+ done < marked && done < count {
            if bytes[done] != marker.byte(offset &+ done, isText: isText) { return false }
            done &+= 1
        }
        return memcmp(bytes + done, payload + (offset &+ done), count &- done) == 0
    }
}

/// What tells a message from all others of the run: which of its connection, and which connection.
struct FrameMarker {
    let sequence: UInt64
    let connection: UInt64

    /// A byte of the marker: 8 of either number, or as text 16 hexadecimal digits of either.
    @inline(__always)
    func byte(_ index: Int, isText: Bool) -> UInt8 {
        if isText {
            let word = index < 16 ? sequence : connection
            let digit = UInt8(truncatingIfNeeded: word >> UInt64((index & 15) &* 4)) & 15
            return digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
        }
        let word = index < 8 ? sequence : connection
        return UInt8(truncatingIfNeeded: word >> UInt64((index & 7) &* 8))
    }
}

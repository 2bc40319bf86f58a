// SPDX-License-Identifier: Apache-2.0
import Glibc
import Wire

/// The one message that all connections send, masked and framed once, and what comes back of it.
///
/// Its first bytes, the marker, are different for each message of each connection: so an echo that
/// is lost, doubled or somebody else's does not pass for the right one. The rest is the same noise,
/// in which a shifted, cut or exchanged piece does not fit.
struct FrameTemplate: ~Copyable {
    static let markerBytesMax = 16

    let messageBytes: Int
    let frameBytes: Int
    private let headerBytes: Int
    private let markerBytes: Int
    private let payload: UnsafeMutablePointer<UInt8>
    private let frame: UnsafeMutablePointer<UInt8>
    private let maskKey: UInt32

    init(messageBytes: Int) {
        var random = SystemRandomNumberGenerator()
        self.messageBytes = messageBytes
        markerBytes = min(messageBytes, Self.markerBytesMax)
        maskKey = random.next() | 1
        let header = FrameHeader(
            opcode: .binary, payloadLength: UInt64(messageBytes), maskKey: maskKey)
        payload = .allocate(capacity: messageBytes + 8)
        for word in stride(from: 0, to: messageBytes, by: 8) {
            UnsafeMutableRawPointer(payload + word)
                .storeBytes(of: random.next(), as: UInt64.self)
        }
        frame = .allocate(capacity: FrameHeader.byteCountMax + messageBytes)
        headerBytes = header.encode(into: frame)
        frameBytes = headerBytes + messageBytes
        (frame + headerBytes).update(from: payload, count: messageBytes)
        FrameMask.apply(maskKey, phase: 0, to: frame + headerBytes, count: messageBytes)
    }

    deinit {
        payload.deallocate()
        frame.deallocate()
    }

    /// Writes `count` bytes of a message's frame from `offset` on.
    func write(
        into bytes: UnsafeMutablePointer<UInt8>, offset: Int, count: Int, marker: FrameMarker
    ) {
        memcpy(bytes, frame + offset, count)
        let first = max(offset, headerBytes)
        let end = min(offset &+ count, headerBytes &+ markerBytes)
        var place = first
        while place < end {
            let index = place &- headerBytes
            let key = UInt8(truncatingIfNeeded: maskKey >> UInt32((index & 3) &* 8))
            bytes[place &- offset] = marker[index] ^ key
            place &+= 1
        }
    }

    /// Whether `count` bytes are what belongs into a message from `offset` on.
    func matches(
        _ bytes: UnsafePointer<UInt8>, offset: Int, count: Int, marker: FrameMarker
    ) -> Bool {
        guard offset &+ count <= messageBytes else { return false }
        var done = 0
        while offset &+ done < markerBytes && done < count {
            if bytes[done] != marker[offset &+ done] { return false }
            done &+= 1
        }
        return memcmp(bytes + done, payload + (offset &+ done), count &- done) == 0
    }
}

/// What tells a message from all others of the run: which of its connection, and which connection.
struct FrameMarker {
    let sequence: UInt64
    let connection: UInt64

    subscript(index: Int) -> UInt8 {
        let word = index < 8 ? sequence : connection
        return UInt8(truncatingIfNeeded: word >> UInt64((index & 7) &* 8))
    }
}

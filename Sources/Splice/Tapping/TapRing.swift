// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What has happened to a frame, as it lies in a ring; payload follows it there.
struct TapEvent {
    enum Kind: UInt8 {
        /// Nothing: the rest of the ring up to its end.
        case padding
        /// A frame has begun.
        case frame
        /// More of a frame that has begun.
        case rest
    }

    struct Flags: OptionSet {
        let rawValue: UInt8
        /// With these bytes the frame has passed.
        static let last = Flags(rawValue: 1)
        static let masked = Flags(rawValue: 2)
        /// Of a compressed message (RFC 7692 §6).
        static let compressed = Flags(rawValue: 4)
        /// Told for the sake of later frames alone.
        static let context = Flags(rawValue: 8)
    }

    /// Bytes of this event in the ring, a multiple of eight.
    var size: UInt32
    var kind = Kind.padding
    var flags = Flags()
    /// The first byte of the frame: FIN, RSV and opcode (RFC 6455 §5.2).
    var firstByte: UInt8 = 0
    var way = TapWay()
    /// The relay's slot.
    var token: UInt64 = 0
    var nanoseconds: UInt64 = 0
    /// What the header declares.
    var payloadLength: UInt64 = 0
    /// Counts the compressed frames of the direction.
    var compressedFrames: UInt32 = 0
    var maskKey: UInt32 = 0
    /// Bytes of payload behind this.
    var count: UInt32 = 0

    /// Bytes that an event with so much payload takes.
    static func size(payload count: Int) -> Int { (MemoryLayout<TapEvent>.stride + count + 7) & ~7 }
}

/// Events on their way from one reactor to one tap: one thread writes, another reads, and nobody waits.
///
/// What has no room is not written; the writer counts that elsewhere.
final class TapRing: Sendable {
    let capacity: Int
    private nonisolated(unsafe) let bytes: UnsafeMutableRawPointer
    /// Bytes that were ever written.
    private let written = Atomic<UInt64>(0)
    /// Bytes that were ever read.
    private let consumed = Atomic<UInt64>(0)

    /// A ring of that many bytes, a power of two.
    init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "positions wrap by a mask")
        self.capacity = capacity
        // Pages that nothing was written to take no memory.
        bytes = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { bytes.deallocate() }

    /// How far the writer is; what lies before it may be read.
    var position: UInt64 { written.load(ordering: .acquiring) }

    /// Puts an event in with its payload; false where there is no room for it.
    func write(_ event: TapEvent, _ payload: UnsafePointer<UInt8>?) -> Bool {
        let size = Int(event.size)
        assert(size == TapEvent.size(payload: Int(event.count)))
        var position = written.load(ordering: .relaxed)
        let room = capacity - Int(position &- consumed.load(ordering: .acquiring))
        var offset = Int(position & UInt64(capacity - 1))
        let left = capacity - offset
        // An event lies in one piece.
        let skipped = size > left ? left : 0
        guard size + skipped <= room else { return false }
        if skipped > 0 {
            (bytes + offset).storeBytes(of: UInt32(skipped), as: UInt32.self)
            (bytes + offset).storeBytes(
                of: TapEvent.Kind.padding.rawValue, toByteOffset: 4, as: UInt8.self)
            position &+= UInt64(skipped)
            offset = 0
        }
        (bytes + offset).storeBytes(of: event, as: TapEvent.self)
        if let payload, event.count > 0 {
            (bytes + offset + MemoryLayout<TapEvent>.stride)
                .copyMemory(from: payload, byteCount: Int(event.count))
        }
        written.store(position &+ UInt64(size), ordering: .releasing)
        return true
    }

    /// Hands out the events up to a position, in their order, and makes room of them.
    func read(to end: UInt64, _ take: (TapEvent, UnsafeRawBufferPointer) -> Void) {
        var position = consumed.load(ordering: .relaxed)
        while position < end {
            let place = bytes + Int(position & UInt64(capacity - 1))
            let size = place.load(as: UInt32.self)
            if place.load(fromByteOffset: 4, as: UInt8.self) != TapEvent.Kind.padding.rawValue {
                let event = place.load(as: TapEvent.self)
                take(
                    event,
                    UnsafeRawBufferPointer(
                        start: place + MemoryLayout<TapEvent>.stride, count: Int(event.count)))
            }
            position &+= UInt64(size)
            consumed.store(position, ordering: .releasing)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Bytes in order, in one piece: appended at the end, taken from the start.
///
/// It owns a block only while it has bytes; in front of them and behind them `margin` bytes of it are free
/// for whoever changes them in place. It is trivial, so its owner gives the block back by `clear`.
struct ByteQueue {
    /// A frame header that came in parts goes in front of its rest, and the end of a chunk behind it.
    static let margin = 16
    private var block: UnsafeMutableRawPointer?
    private var capacity: UInt32 = 0
    private var start: UInt32 = 0
    private var end: UInt32 = 0

    /// How many bytes are in it.
    var count: Int { Int(end &- start) }
    var isEmpty: Bool { start == end }

    /// The bytes; valid until something is changed.
    var bytes: UnsafeMutableRawBufferPointer {
        guard let block else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return UnsafeMutableRawBufferPointer(start: block + Int(start), count: count)
    }

    /// Appends bytes; false if there would be more than 1 GiB of them, which nobody is meant to collect.
    mutating func append(_ more: UnsafeRawBufferPointer, _ blocks: HTTP2Memory.Blocks) -> Bool {
        guard let source = more.baseAddress, more.count > 0 else { return true }
        guard let room = room(for: more.count, blocks) else { return false }
        room.copyMemory(from: source, byteCount: more.count)
        end += UInt32(more.count)
        return true
    }

    /// The place behind the last byte, with room for so many more.
    private mutating func room(for more: Int, _ blocks: HTTP2Memory.Blocks)
        -> UnsafeMutableRawPointer?
    {
        let total = count + more
        guard total <= 1 << 30 else { return nil }
        if Int(end) + more + Self.margin > Int(capacity) { makeRoom(total, blocks) }
        return block.map { $0 + Int(end) }
    }

    /// Takes bytes from the start; as many as there are, at most.
    mutating func drop(_ amount: Int, _ blocks: HTTP2Memory.Blocks) {
        start += UInt32(max(0, min(amount, count)))
        if isEmpty { clear(blocks) }
    }

    /// Drops everything, and gives the block back.
    mutating func clear(_ blocks: HTTP2Memory.Blocks) {
        if let block { blocks.giveBack(block, Int(capacity)) }
        self = ByteQueue()
    }

    /// Moves the bytes to the start of a block that has room for `total`.
    private mutating func makeRoom(_ total: Int, _ blocks: HTTP2Memory.Blocks) {
        let (old, count) = (bytes, count)
        // Moving within the block is worth it if that is not done again soon.
        if let block, total + 2 * Self.margin <= Int(capacity) / 2 {
            if let source = old.baseAddress {
                (block + Self.margin).copyMemory(from: source, byteCount: count)
            }
        } else {
            let size = HTTP2Memory.Blocks.bytes(for: total + 2 * Self.margin)
            let new = blocks.lend(size)
            if let source = old.baseAddress {
                (new + Self.margin).copyMemory(from: source, byteCount: count)
            }
            if let block { blocks.giveBack(block, Int(capacity)) }
            block = new
            capacity = UInt32(size)
        }
        start = UInt32(Self.margin)
        end = start + UInt32(count)
    }
}

// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// Memory that the connections of one thread share: what one of them gives back, the next one uses.
///
/// One per reactor; nothing in it may be touched by another thread. In steady state no connection
/// allocates for bytes, heads or events. What nghttp2 allocates for itself it takes from malloc.
public final class HTTP2Memory {
    /// The sizes of blocks: 1 KiB and its doubles, up to 256 KiB.
    static let smallestBlockBytes = 1_024
    private static let sizeCount = 9

    /// How many bytes of free blocks are kept; what is more goes back to the system.
    private let keptBytesMax: Int
    private var keptBytes = 0
    /// Free blocks by size, as lists whose links are in the blocks.
    private var blocks = [UnsafeMutableRawPointer?](repeating: nil, count: sizeCount)
    private var heads: [HTTP2Head] = []
    private var eventLists: [[HTTP2Event]] = []
    private static let headsKept = 64
    private static let eventListsKept = 16

    /// How many bytes of blocks are in use now: those that have arrived and were not consumed, and those
    /// that are held for peers, rounded up to the sizes of blocks.
    public private(set) var usedBytes = 0

    /// Memory that keeps so many bytes of free blocks at most.
    public init(keptBytesMax: Int = 4 << 20) {
        self.keptBytesMax = keptBytesMax
    }

    deinit {
        for first in blocks {
            var block = first
            while let current = block {
                block = current.load(as: UnsafeMutableRawPointer?.self)
                free(current)
            }
        }
    }

    /// Takes a head back that is of no more use to anybody.
    public func recycle(_ head: HTTP2Head) {
        guard heads.count < Self.headsKept, head.bytes.capacity <= 16_384 else { return }
        head.clear()
        heads.append(head)
    }

    func makeHead() -> HTTP2Head { heads.popLast() ?? HTTP2Head() }

    func makeEventList() -> [HTTP2Event] { eventLists.popLast() ?? [] }

    /// Takes a list back; an empty one without memory stays.
    func recycle(_ events: inout [HTTP2Event]) {
        if eventLists.count < Self.eventListsKept, events.capacity <= 4_096 {
            events.removeAll(keepingCapacity: true)
            eventLists.append(events)
        }
        events = []
    }

    /// The size of the block that has room for so many bytes.
    static func blockBytes(for count: Int) -> Int {
        var size = smallestBlockBytes
        while size < count { size &*= 2 }
        return size
    }

    /// Lends a block of a size that `blockBytes` has named; what it holds is undefined.
    func lend(_ size: Int) -> UnsafeMutableRawPointer {
        usedBytes += size
        let index = Self.index(size)
        if index < Self.sizeCount, let block = blocks[index] {
            blocks[index] = block.load(as: UnsafeMutableRawPointer?.self)
            keptBytes -= size
            return block
        }
        guard let block = malloc(size) else { fatalError("There is no memory for \(size) bytes.") }
        return block
    }

    /// Takes back what `lend` has given.
    func giveBack(_ block: UnsafeMutableRawPointer, _ size: Int) {
        usedBytes -= size
        let index = Self.index(size)
        guard index < Self.sizeCount, keptBytes + size <= keptBytesMax else {
            free(block)
            return
        }
        block.storeBytes(of: blocks[index], as: UnsafeMutableRawPointer?.self)
        blocks[index] = block
        keptBytes += size
    }

    private static func index(_ size: Int) -> Int {
        (size / smallestBlockBytes).trailingZeroBitCount
    }
}

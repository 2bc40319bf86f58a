// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// Memory that the connections of one thread share: what one of them gives back, the next one uses.
///
/// One per reactor; nothing in it may be touched by another thread. In steady state no connection
/// allocates for bytes, heads, events, or small objects of nghttp2's.
public final class HTTP2Memory {
    /// The sizes of blocks: 1 KiB and its doubles, up to 256 KiB.
    static let smallestBlockBytes = 1_024
    fileprivate static let sizeCount = 9
    private static let headsKept = 64
    private static let eventListsKept = 16
    private static let fieldsKept = 4

    /// What changes.
    ///
    /// It stands behind a pointer, since each access to a class's own property would be
    /// checked for exclusivity, many times for each message.
    fileprivate struct State {
        /// How many bytes of free blocks are kept; what is more goes back to the system.
        let keptBytesMax: Int
        var keptBytes = 0
        var usedBytes = 0
        /// Free blocks by size, as lists whose links are in the blocks.
        var blocks = InlineArray<9, UnsafeMutableRawPointer?>(repeating: nil)
        var heads: [HTTP2HeadMemory] = []
        var eventLists: [[HTTP2Event]] = []
        var fields: [HTTP2Fields] = []
        /// Of nghttp2's.
        var objects = LibraryMemory.FreeObjects()
    }

    private let state: UnsafeMutablePointer<State>

    /// How many bytes of blocks are in use now: those that have arrived and were not consumed, and those
    /// that are held for peers, rounded up to the sizes of blocks.
    public var usedBytes: Int { state.pointee.usedBytes }

    /// Memory that keeps so many bytes of free blocks at most.
    public init(keptBytesMax: Int = 4 << 20) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(keptBytesMax: keptBytesMax))
    }

    deinit {
        for index in 0..<Self.sizeCount {
            var block = state.pointee.blocks[index]
            while let current = block {
                block = current.load(as: UnsafeMutableRawPointer?.self)
                free(current)
            }
        }
        state.pointee.objects.clear()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Takes a head back that is of no more use to anybody.
    public func recycle(_ head: consuming HTTP2Head) {
        let memory = head.memory
        guard state.pointee.heads.count < Self.headsKept,
            memory.storage.pointee.bytes.capacity <= 16_384
        else { return }
        memory.storage.pointee.clear()
        state.pointee.heads.append(memory)
    }

    func makeHead() -> HTTP2Head { HTTP2Head(state.pointee.heads.popLast() ?? HTTP2HeadMemory()) }

    func makeFields() -> HTTP2Fields { state.pointee.fields.popLast() ?? HTTP2Fields() }

    /// Takes fields back that were sent.
    func recycle(_ fields: HTTP2Fields) {
        guard state.pointee.fields.count < Self.fieldsKept, fields.byteCapacity <= 16_384 else {
            return
        }
        state.pointee.fields.append(fields)
    }

    func makeEventList() -> [HTTP2Event] { state.pointee.eventLists.popLast() ?? [] }

    /// Takes a list back; an empty one without memory stays.
    func recycle(_ events: inout [HTTP2Event]) {
        if state.pointee.eventLists.count < Self.eventListsKept, events.capacity <= 4_096 {
            events.removeAll(keepingCapacity: true)
            state.pointee.eventLists.append(events)
        }
        events = []
    }

    /// Where nghttp2's free objects are; it outlives whoever has it.
    var objects: UnsafeMutablePointer<LibraryMemory.FreeObjects> {
        withUnsafeMutablePointer(to: &state.pointee.objects) { $0 }
    }

    /// Its blocks, for whoever uses them many times for each message: no reference is counted.
    ///
    /// The memory outlives whoever has them.
    var blocks: Blocks { Blocks(state: state) }

    /// Memory for bytes, in blocks.
    struct Blocks {
        fileprivate let state: UnsafeMutablePointer<State>

        /// The size of the block that has room for so many bytes.
        static func bytes(for count: Int) -> Int {
            guard count > HTTP2Memory.smallestBlockBytes else {
                return HTTP2Memory.smallestBlockBytes
            }
            return 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
        }

        /// Lends a block of a size that `bytes(for:)` has named; what it holds is undefined.
        func lend(_ size: Int) -> UnsafeMutableRawPointer {
            state.pointee.usedBytes += size
            let index = Self.index(size)
            if index < HTTP2Memory.sizeCount, let block = state.pointee.blocks[index] {
                state.pointee.blocks[index] = block.load(as: UnsafeMutableRawPointer?.self)
                state.pointee.keptBytes -= size
                return block
            }
            guard let block = malloc(size) else {
                fatalError("There is no memory for \(size) bytes.")
            }
            return block
        }

        /// Takes back what `lend` has given.
        func giveBack(_ block: UnsafeMutableRawPointer, _ size: Int) {
            state.pointee.usedBytes -= size
            let index = Self.index(size)
            guard index < HTTP2Memory.sizeCount,
                state.pointee.keptBytes + size <= state.pointee.keptBytesMax
            else {
                free(block)
                return
            }
            block.storeBytes(of: state.pointee.blocks[index], as: UnsafeMutableRawPointer?.self)
            state.pointee.blocks[index] = block
            state.pointee.keptBytes += size
        }

        private static func index(_ size: Int) -> Int {
            size.trailingZeroBitCount - HTTP2Memory.smallestBlockBytes.trailingZeroBitCount
        }
    }
}

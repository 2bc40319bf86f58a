// SPDX-License-Identifier: Apache-2.0

/// What is known of one stream.
struct StreamSlot: ~Copyable {
    /// What has happened to a stream, and what is wanted of it.
    struct Marks: OptionSet {
        let rawValue: UInt16

        /// The caller has been told of it, so it is the caller's to forget.
        static let told = Marks(rawValue: 1 << 0)
        /// A `data` event waits to be taken.
        static let dataTold = Marks(rawValue: 1 << 1)
        /// The peer has ended its side.
        static let peerEnded = Marks(rawValue: 1 << 2)
        /// The final head of the answer was given.
        static let answered = Marks(rawValue: 1 << 3)
        /// A body may follow that head.
        static let hasBody = Marks(rawValue: 1 << 4)
        /// No more bytes follow those that are held.
        static let ending = Marks(rawValue: 1 << 5)
        /// nghttp2 was told that there are no bytes, and waits until there are.
        static let deferred = Marks(rawValue: 1 << 6)
        /// `drained` is to be told.
        static let wantsDrained = Marks(rawValue: 1 << 7)
        /// A RST_STREAM that the caller has asked for, or one that was counted already.
        static let resetCounted = Marks(rawValue: 1 << 8)
        /// RST_STREAM was received.
        static let resetByPeer = Marks(rawValue: 1 << 9)
        /// RST_STREAM was sent.
        static let resetHere = Marks(rawValue: 1 << 10)
        /// nghttp2 has closed the stream.
        static let closed = Marks(rawValue: 1 << 11)
        /// RST_STREAM is on its way: nothing is told of the stream any more but its end.
        static let resetting = Marks(rawValue: 1 << 12)
        /// It was asked for by CONNECT, plain or extended.
        static let connect = Marks(rawValue: 1 << 13)

        // Sets in brackets would be arrays first where nothing is optimised.
        /// Nothing can be sent or received any more.
        static let gone = Marks(rawValue: 1 << 11 | 1 << 12)
        /// No window is to be given back any more.
        static let readNoMore = Marks(rawValue: 1 << 2 | 1 << 11 | 1 << 12)
        /// A RST_STREAM is on its way and counted.
        static let resetAndCounted = Marks(rawValue: 1 << 8 | 1 << 12)
    }

    /// The tag of a stream that was given none.
    static let noTag = UInt64.max

    /// The stream's number; 0 where the slot is free.
    var id: Int32 = 0
    /// The next free slot, in a free one; -1 at the end.
    var nextFree: Int32 = -1
    var marks: Marks = []
    /// The code of the RST_STREAM, if there was one.
    var resetCode: UInt32 = 0
    /// By what the caller finds what belongs to it.
    var tag = StreamSlot.noTag
    /// A head that is being decoded, or waits to be taken.
    var head: HTTP2Head?
    /// Trailers, in the same way.
    var trailers: HTTP2Head?
    /// Trailers of the answer, until the bytes before them have been produced.
    var answerTrailers: HTTP2Fields?
    /// Bytes of the peer's that were not consumed.
    var arrived = ByteQueue()
    /// Bytes for the peer that were not produced; behind them come those of `HTTP2BodySource`.
    var held = ByteQueue()
    /// Bytes that were left, of both, behind the last DATA frame that was filled.
    var left = 0
}

/// The slots of a connection's streams.
struct StreamTable {
    /// Slots of a connection that has not many streams: what an idle one keeps is at most four times
    /// as much.
    private static let smallest = 2
    private var slots: UnsafeMutablePointer<StreamSlot>
    private var capacity: Int
    private var firstFree: Int32
    /// Slots that are in use: open streams, and closed ones that were not forgotten.
    private(set) var count = 0

    init() {
        slots = .allocate(capacity: Self.smallest)
        capacity = Self.smallest
        firstFree = -1
        addFree(0..<capacity)
    }

    /// Bytes of the table itself.
    var memoryBytes: Int { capacity * MemoryLayout<StreamSlot>.stride }

    /// A slot for a new stream.
    mutating func add(id: Int32) -> Int {
        if firstFree < 0 { grow() }
        let index = Int(firstFree)
        firstFree = slots[index].nextFree
        slots[index].id = id
        slots[index].nextFree = -1
        count += 1
        return index
    }

    /// Frees a slot and all that it holds.
    mutating func remove(_ index: Int, _ memory: HTTP2Memory) {
        release(index, memory)
        slots[index] = StreamSlot()
        slots[index].nextFree = firstFree
        firstFree = Int32(index)
        count -= 1
        guard count == 0, capacity > 4 * Self.smallest else { return }
        // A connection that idles after a busy time costs little again.
        deallocate(memory)
        self = StreamTable()
    }

    /// The slot of this index, which `add` or `index` has given; valid until a stream is added.
    subscript(index: Int) -> UnsafeMutablePointer<StreamSlot> {
        assert(index >= 0 && index < capacity)
        return slots + index
    }

    /// Where the stream's slot is; nil for a stream that is gone.
    func index(_ stream: HTTP2Stream) -> Int? {
        let index = Int(stream.slot)
        guard index >= 0, index < capacity, stream.id != 0, slots[index].id == stream.id
        else { return nil }
        return index
    }

    /// Frees everything; the table is of no more use.
    mutating func deallocate(_ memory: HTTP2Memory) {
        for index in 0..<capacity where slots[index].id != 0 { release(index, memory) }
        slots.deinitialize(count: capacity)
        slots.deallocate()
    }

    private func release(_ index: Int, _ memory: HTTP2Memory) {
        let slot = slots + index
        slot.pointee.arrived.clear(memory.blocks)
        slot.pointee.held.clear(memory.blocks)
        if let head = slot.pointee.head.take() { memory.recycle(head) }
        if let trailers = slot.pointee.trailers.take() { memory.recycle(trailers) }
    }

    private mutating func grow() {
        let new = UnsafeMutablePointer<StreamSlot>.allocate(capacity: capacity * 2)
        new.moveInitialize(from: slots, count: capacity)
        slots.deallocate()
        slots = new
        capacity *= 2
        addFree(capacity / 2..<capacity)
    }

    private mutating func addFree(_ range: Range<Int>) {
        for index in range.reversed() {
            (slots + index).initialize(to: StreamSlot())
            slots[index].nextFree = firstFree
            firstFree = Int32(index)
        }
    }
}

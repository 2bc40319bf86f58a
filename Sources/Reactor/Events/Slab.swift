// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Slots with stable addresses, named by index and generation.
///
/// Invariant: a pointer got from a token stays valid until `releaseRetired`, also when the slot was
/// retired meanwhile. So a batch of events may retire slots that later events of the batch name:
/// `pointer` answers nil for those, and nothing that is still held dangles.
///
/// All of it is inlinable: a generic that is called across targets without that goes through
/// run-time metadata at each call.
///
/// Each slot begins at a cache line, so the order of a tenant's fields says which of them share one.
///
/// Memory grows by chunks of 1024 slots that never move. A chunk without a tenant can be given back to the
/// system (`giveBackUnused`); its addresses stay the slab's.
public struct Slab<Slot: ~Copyable>: ~Copyable {
    @inlinable static var chunkBits: Int { 10 }
    @inlinable static var slotsPerChunk: Int { 1 << chunkBits }
    @inlinable static var liveBit: UInt32 { 1 << 31 }
    @inlinable static var none: UInt32 { .max }
    /// Bytes of a line of the processor's caches.
    @inlinable static var lineBytes: Int { 64 }
    /// Bytes from one slot to the next; small ones lie close together.
    @inlinable static var slotBytes: Int {
        let stride = MemoryLayout<Slot>.stride
        return stride < 4 * lineBytes ? stride : (stride + lineBytes - 1) & ~(lineBytes - 1)
    }

    /// How many slots there can be at once.
    public let capacity: Int
    /// The generation of the first tenant of each slot.
    @usableFromInline let firstGeneration: UInt32
    /// How many tenants are live.
    public var count: Int { liveCount }
    @usableFromInline var liveCount = 0

    @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    /// For each slot the generation of its tenant, with `liveBit` while it is live.
    @usableFromInline let states: UnsafeMutablePointer<UInt32>
    /// For each free or retired slot the next one of its kind.
    @usableFromInline let links: UnsafeMutablePointer<UInt32>
    /// Slots below this index were used at least once.
    @usableFromInline var used = 0
    @usableFromInline var freeHead: UInt32 = .max
    @usableFromInline var retiredHead: UInt32 = .max

    /// Makes room for the books of `capacity` slots; the slots themselves come chunk by chunk.
    ///
    /// - Parameters:
    ///   - capacity: how many slots there can be at once.
    ///   - firstGeneration: the generation of each slot's first tenant, of which the low 24 bits count. Where tokens
    ///     are kept outside of the process, a random one has those of another slab name nobody.
    @inlinable public init(capacity: Int, firstGeneration: UInt32 = 0) {
        precondition(capacity > 0 && capacity < Int(UInt32.max) - 65_536)
        self.capacity = capacity
        self.firstGeneration = firstGeneration & (Token.generationCount - 1)
        let chunkCount = (capacity + Self.slotsPerChunk - 1) >> Self.chunkBits
        chunks = .allocate(capacity: chunkCount)
        chunks.initialize(repeating: nil, count: chunkCount)
        // Zeroed pages that are not touched cost no memory: a large capacity is cheap.
        states = zeroedWords(capacity)
        links = zeroedWords(capacity)
    }

    @inlinable deinit {
        for index in 0..<used where states[index] & Self.liveBit != 0 {
            place(index).deinitialize(count: 1)
        }
        var retired = retiredHead
        while retired != Self.none {
            place(Int(retired)).deinitialize(count: 1)
            retired = links[Int(retired)]
        }
        let chunkCount = (capacity + Self.slotsPerChunk - 1) >> Self.chunkBits
        for chunk in 0..<chunkCount { chunks[chunk]?.deallocate() }
        chunks.deallocate()
        freeWords(states, count: capacity)
        freeWords(links, count: capacity)
    }

    /// Moves `slot` in and names it; nil when the slab is full, and then `slot` is gone.
    @inlinable public mutating func insert(_ slot: consuming Slot) -> Token? {
        let index: Int
        if freeHead != Self.none {
            index = Int(freeHead)
            freeHead = links[index]
        } else if used < capacity {
            index = used
            if index & (Self.slotsPerChunk - 1) == 0 {
                chunks[index >> Self.chunkBits] = .allocate(
                    byteCount: min(Self.slotsPerChunk, capacity - index) * Self.slotBytes,
                    alignment: max(Self.lineBytes, MemoryLayout<Slot>.alignment))
            }
            states[index] = firstGeneration
            used += 1
        } else {
            return nil
        }
        place(index).initialize(to: slot)
        states[index] |= Self.liveBit
        liveCount += 1
        return Token(index: UInt32(truncatingIfNeeded: index), generation: states[index])
    }

    /// The tenant that `token` names; nil when it was retired or never was.
    @inlinable public func pointer(_ token: Token) -> UnsafeMutablePointer<Slot>? {
        let index = Int(token.index)
        guard index < used, states[index] == token.generation | Self.liveBit else { return nil }
        return place(index)
    }

    /// The live tenant of a slot, whichever it is.
    @inlinable public func pointer(index: Int) -> UnsafeMutablePointer<Slot>? {
        guard index >= 0, index < used, states[index] & Self.liveBit != 0 else { return nil }
        return place(index)
    }

    /// Makes the tenant's token stale.
    ///
    /// What it holds is let go by `releaseRetired`.
    @inlinable public mutating func retire(_ token: Token) {
        let index = Int(token.index)
        guard index < used, states[index] == token.generation | Self.liveBit else {
            assertionFailure(
                "a tenant is retired that has gone already: what it held may be somebody else's now"
            )
            return
        }
        states[index] = (token.generation &+ 1) & (Token.generationCount - 1)
        links[index] = retiredHead
        retiredHead = token.index
        liveCount -= 1
    }

    /// Whether something was retired that is not destroyed yet.
    @inlinable public var hasRetired: Bool { retiredHead != Self.none }

    /// Destroys what was retired and makes its slots free for others: to be called between batches.
    @inlinable public mutating func releaseRetired() {
        while retiredHead != Self.none {
            let index = Int(retiredHead)
            retiredHead = links[index]
            place(index).deinitialize(count: 1)
            links[index] = freeHead
            freeHead = UInt32(truncatingIfNeeded: index)
        }
    }

    /// How many slots were used and have no tenant now.
    @inlinable public var spareCount: Int { used &- liveCount }

    /// Gives the memory of chunks without a tenant back to the system, until slots of theirs are used again.
    ///
    /// To be called where nothing is retired that is not destroyed.
    @inlinable public mutating func giveBackUnused() {
        assert(!hasRetired, "the memory of what was retired is given back before that is destroyed")
        var first = 0
        while first < used {
            let count = min(Self.slotsPerChunk, used - first)
            var index = first
            while index < first + count, states[index] & Self.liveBit == 0 { index += 1 }
            if index == first + count, let chunk = chunks[first >> Self.chunkBits] {
                // No slot of it holds anything, so what its bytes are is no matter.
                giveBackPages(chunk, byteCount: count * Self.slotBytes)
            }
            first += Self.slotsPerChunk
        }
    }

    /// The live tenant with the lowest index above `index`; begin with -1.
    @inlinable public func nextLive(after index: Int) -> Token? {
        var next = index + 1
        while next < used {
            let state = states[next]
            if state & Self.liveBit != 0 {
                return Token(index: UInt32(truncatingIfNeeded: next), generation: state)
            }
            next += 1
        }
        return nil
    }

    @inlinable func place(_ index: Int) -> UnsafeMutablePointer<Slot> {
        // A used index has its chunk: `insert` allocates it before it counts the index as used.
        let chunk = chunks[index >> Self.chunkBits].unsafelyUnwrapped
        return (chunk + (index & (Self.slotsPerChunk - 1)) &* Self.slotBytes)
            .assumingMemoryBound(to: Slot.self)
    }
}

/// Zeroed memory straight from the system, touched page by page as it is used.
///
/// It is not `calloc`, which clears by hand what a thread's heap gives it, and so touches all of it: once a block of
/// as many bytes was freed, glibc takes the next ones from there (mallopt(3), M_MMAP_THRESHOLD).
@usableFromInline func zeroedWords(_ count: Int) -> UnsafeMutablePointer<UInt32> {
    let memory = mmap(
        nil, count * MemoryLayout<UInt32>.stride, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let memory, memory != MAP_FAILED else {
        fatalError("no memory for a slab of \(count) slots")
    }
    return memory.bindMemory(to: UInt32.self, capacity: count)
}

/// Gives the pages that lie wholly within so many bytes back to the system; they are there again, and zero, when
/// somebody touches them (madvise(2)).
@usableFromInline func giveBackPages(_ memory: UnsafeMutableRawPointer, byteCount: Int) {
    let pageBytes = UInt(sysconf(Int32(_SC_PAGESIZE)))
    let begin = (UInt(bitPattern: memory) + pageBytes - 1) / pageBytes * pageBytes
    let end = (UInt(bitPattern: memory) + UInt(byteCount)) / pageBytes * pageBytes
    guard end > begin, let first = UnsafeMutableRawPointer(bitPattern: begin) else { return }
    madvise(first, Int(end - begin), MADV_DONTNEED)
}

/// Gives back what `zeroedWords` got for as many words.
@usableFromInline func freeWords(_ words: UnsafeMutablePointer<UInt32>, count: Int) {
    let failed = munmap(words, count * MemoryLayout<UInt32>.stride)
    assert(failed == 0, "the words were not those of a slab")
}

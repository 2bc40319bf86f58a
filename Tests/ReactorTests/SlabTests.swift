// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import TestKit
import Testing

/// Counts what is alive, so that a test sees when a slot is destroyed.
private final class Census {
    var alive = 0
}

private struct Tenant: ~Copyable {
    let number: Int
    let census: Census

    init(_ number: Int, _ census: Census) {
        self.number = number
        self.census = census
        census.alive += 1
    }

    deinit { census.alive -= 1 }
}

/// 200 bytes, so that two are no multiple of a cache line.
private struct Large {
    var words: InlineArray<25, UInt64>

    init(repeating word: UInt64) { words = InlineArray(repeating: word) }
}

@Suite struct SlabTests {
    @Test func `a token's parts come back as they went in`() {
        let token = Token(index: 0x89AB_CDEF, generation: 0xFF12_3456, tag: 0xA5)
        #expect(token.index == 0x89AB_CDEF)
        #expect(token.generation == 0x12_3456)
        #expect(token.tag == 0xA5)
        #expect(token.tagged(1).tag == 1)
        #expect(token.tagged(1).index == token.index)
        #expect(token.tagged(1).generation == token.generation)
        #expect(Token(rawValue: token.rawValue) == token)
    }

    @Test func `large slots begin at cache lines, and small ones lie close together`() throws {
        var large = Slab<(Large, Large)>(capacity: 1_100)
        var small = Slab<UInt32>(capacity: 1_100)
        var addresses: (large: Set<UInt>, small: [UInt]) = ([], [])
        for index in 0..<1_100 {
            let value = Large(repeating: UInt64(index))
            let token = try unwrap(large.insert((value, value)))
            let other = try unwrap(small.insert(UInt32(index)))
            addresses.large.insert(UInt(bitPattern: try unwrap(large.pointer(token))))
            addresses.small.append(UInt(bitPattern: try unwrap(small.pointer(other))))
        }
        #expect(addresses.large.count == 1_100)
        #expect(addresses.large.allSatisfy { $0 % 64 == 0 })
        #expect(addresses.small[1] - addresses.small[0] == 4)
        for index in 0..<1_100 {
            let slot = try unwrap(large.pointer(index: index))
            #expect(slot.pointee.0.words[0] == UInt64(index))
            #expect(slot.pointee.1.words[24] == UInt64(index))
        }
    }

    @Test func `a retired slot's token hits nothing, before and after the slot has a new tenant`()
        throws
    {
        let census = Census()
        var slab = Slab<Tenant>(capacity: 4)
        let old = try unwrap(slab.insert(Tenant(1, census)))
        slab.retire(old)
        expect(slab.pointer(old) == nil)
        slab.releaseRetired()
        let new = try unwrap(slab.insert(Tenant(2, census)))
        #expect(new.index == old.index)
        #expect(new.generation != old.generation)
        expect(slab.pointer(old) == nil)
        expect(slab.pointer(old.tagged(1)) == nil)
        expect(slab.pointer(new)?.pointee.number == 2)
        expect(slab.pointer(new.tagged(1))?.pointee.number == 2)
    }

    @Test func `generations begin where they are told to, and go round`() throws {
        let census = Census()
        let last = Token.generationCount - 1
        // Of what is given the low 24 bits count, so this is the last generation.
        var slab = Slab<Tenant>(capacity: 2_000, firstGeneration: .max)
        let old = try unwrap(slab.insert(Tenant(1, census)))
        #expect(old.generation == last)
        expect(slab.pointer(old)?.pointee.number == 1)
        expect(slab.pointer(Token(index: 0, generation: 0)) == nil)
        slab.retire(old)
        slab.releaseRetired()
        let new = try unwrap(slab.insert(Tenant(2, census)))
        #expect(new.index == old.index && new.generation == 0)
        expect(slab.pointer(old) == nil)
        // Of a slot in another chunk as well.
        for number in 0..<1_500 {
            let token = try unwrap(slab.insert(Tenant(number, census)))
            #expect(token.generation == last)
        }
        let first = slab.nextLive(after: 0)
        #expect(first == Token(index: 1, generation: last))
    }

    @Test func `a retired tenant lives until the batch ends and its slot is not given away before`()
        throws
    {
        let census = Census()
        var slab = Slab<Tenant>(capacity: 1)
        let token = try unwrap(slab.insert(Tenant(7, census)))
        let held = try unwrap(slab.pointer(token))
        slab.retire(token)
        expect(held.pointee.number == 7)
        expect(census.alive == 1)
        expect(slab.count == 0)
        let refused = slab.insert(Tenant(8, census))
        #expect(refused == nil)
        expect(census.alive == 1)
        slab.releaseRetired()
        expect(census.alive == 0)
        let accepted = slab.insert(Tenant(9, census))
        #expect(accepted != nil)
    }

    @Test func `tokens of foreign slots and of no slab hit nothing`() {
        let census = Census()
        var slab = Slab<Tenant>(capacity: 3000)
        expect(slab.pointer(Token(index: 0, generation: 0)) == nil)
        _ = slab.insert(Tenant(1, census))
        expect(slab.pointer(Token(index: 1, generation: 0)) == nil)
        expect(slab.pointer(Token.fixed(0)) == nil)
        expect(slab.pointer(Token.fixed(100)) == nil)
    }

    @Test func `addresses stay while the slab grows`() throws {
        let census = Census()
        var slab = Slab<Tenant>(capacity: 5000)
        let first = try unwrap(slab.insert(Tenant(0, census)))
        let pointer = try unwrap(slab.pointer(first))
        for number in 1..<5000 { _ = slab.insert(Tenant(number, census)) }
        expect(slab.pointer(first) == pointer)
        expect(pointer.pointee.number == 0)
        expect(slab.count == 5000)
        let full = slab.insert(Tenant(5000, census))
        #expect(full == nil)
    }

    @Test func `random use agrees with a dictionary, and all that is live is visited`() {
        let census = Census()
        var random = SplitMix(seed: 11)
        do {
            var slab = Slab<Tenant>(capacity: 300)
            var live: [UInt64: Int] = [:]
            var stale: [Token] = []
            for step in 0..<20_000 {
                switch random.next() % 8 {
                case 0...3:
                    if let token = slab.insert(Tenant(step, census)) {
                        live[token.rawValue] = step
                    }
                case 4...6:
                    if let raw = live.keys.randomElement(using: &random) {
                        slab.retire(Token(rawValue: raw))
                        live[raw] = nil
                        stale.append(Token(rawValue: raw))
                    }
                default:
                    slab.releaseRetired()
                    expect(census.alive == live.count)
                }
                expect(slab.count == live.count)
            }
            for (raw, number) in live {
                expect(slab.pointer(Token(rawValue: raw))?.pointee.number == number)
            }
            expect(!stale.contains { slab.pointer($0) != nil })
            var visited = 0
            var last = -1
            while let token = slab.nextLive(after: last) {
                #expect(live[token.rawValue] != nil)
                visited += 1
                last = Int(token.index)
            }
            #expect(visited == live.count)
            if let raw = live.keys.first { slab.retire(Token(rawValue: raw)) }
        }
        expect(census.alive == 0)
    }

    @Test func `room for millions touches no memory, whatever was freed before`() {
        // From a block of this size on glibc would give as much from a heap, and clear it there.
        let block = malloc(30 << 20)
        free(block)
        let before = faults()
        for _ in 0..<8 {
            var slab = Slab<Int>(capacity: 4_000_000)
            expect(slab.insert(1) != nil)
        }
        // A slot touches a page each of books and slots, and the table of chunks some more; all of it is 8,000 pages a slab.
        #expect(faults() - before < 8 * 64)
    }

    /// How often this thread touched a page that had no memory yet (getrusage(2)).
    private func faults() -> Int {
        var usage = rusage()
        // 1 is RUSAGE_THREAD, which is not imported.
        getrusage(1, &usage)
        return usage.ru_minflt
    }

    @Test func `what a burst has left behind goes back to the system, and neighbours stay`() throws
    {
        struct Large: ~Copyable {
            let number: Int
            let rest = InlineArray<128, UInt64>(repeating: 1)
        }
        var slab = Slab<Large>(capacity: 10_000)
        var tokens: [Token] = []
        for number in 0..<5_000 {
            let token = slab.insert(Large(number: number))
            tokens.append(try #require(token))
        }
        let pageBytes = sysconf(Int32(_SC_PAGESIZE))
        // Where the third chunk lies, whose first and last page it may share with others.
        let third = slab.pointer(tokens[2 * 1_024]).map { UInt(bitPattern: $0) }
        let begin = try #require(third)
        let place = (begin / UInt(pageBytes) + 1) * UInt(pageBytes)
        let pageCount = 1_024 * MemoryLayout<Large>.stride / pageBytes - 1
        let start = try #require(UnsafeMutableRawPointer(bitPattern: place))
        func residentPages() -> Int {
            var pages = [UInt8](repeating: 0, count: pageCount)
            #expect(mincore(start, pageCount * pageBytes, &pages) == 0)
            return pages.reduce(0) { $0 + Int($1 & 1) }
        }
        var resident = residentPages()
        #expect(resident == pageCount)
        // All of the third chunk and most of the others: each of those has a tenant left.
        let kept = [5, 1_024 + 7, 3 * 1_024, 4 * 1_024 + 9]
        for (number, token) in tokens.enumerated() where !kept.contains(number) {
            slab.retire(token)
        }
        slab.releaseRetired()
        let spare = slab.spareCount
        #expect(spare == 4_996)
        slab.giveBackUnused()
        resident = residentPages()
        #expect(resident == 0)
        for number in kept {
            let found = slab.pointer(tokens[number])?.pointee.number
            #expect(found == number)
        }
        let isGone = slab.pointer(tokens[2 * 1_024 + 3]) == nil
        #expect(isGone)
        // They are used again.
        for number in 0..<4_996 {
            let token = slab.insert(Large(number: number))
            let found = token.flatMap { slab.pointer($0)?.pointee.number }
            #expect(found == number)
        }
        let count = slab.count
        #expect(count == 5_000)
    }
}

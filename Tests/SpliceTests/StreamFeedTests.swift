// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Splice

/// What has come on a stream without a socket of its own.
struct StreamFeedTests {
    private let space: UnsafeMutablePointer<Workspace>

    init() {
        space = .allocate(capacity: 1)
        space.initialize(to: Workspace(receiveCapacity: 1_000, patience: .tests))
    }

    private func takeAll(of outbox: StreamOutbox) {
        var list: [UInt64] = []
        outbox.take(into: &list)
    }

    private func put(_ count: Int, _ feed: StreamFeed) {
        let bytes = [UInt8](repeating: 7, count: count)
        bytes.withUnsafeBytes { feed.put($0, &space.pointee.pool) }
    }

    @Test func `what is read, and only that, is room for more`() {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        let isOpen = leg.isOpen
        #expect(isOpen && !feed.hasNews)
        put(2_500, feed)
        #expect(feed.takeReadCount() == 0)
        leg.note(.readable)
        var counts: [Int] = []
        while leg.isReadable { counts.append(leg.receive(space).count) }
        #expect(counts == [1_000, 1_000, 500])
        #expect(feed.takeReadCount() == 2_500)
        #expect(feed.takeReadCount() == 0)
        expect(hasEnded: false, leg)
        leg.release(space)
        #expect(space.pointee.pool.lentCount == 0)
    }

    @Test func `what is lent is read where it lies, and what is not read then is kept`() throws {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2_500, alignment: 1)
        defer { memory.deallocate() }
        for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index / 10) }
        let expected = Array(memory)
        feed.lend(UnsafeMutableRawBufferPointer(rebasing: memory[..<900]), &space.pointee.pool)
        #expect(feed.hasNews)
        leg.note(.readable)
        let whole = leg.receive(space)
        #expect(UnsafeMutableRawPointer(whole.bytes) == memory.baseAddress)
        var got = Array(UnsafeBufferPointer(start: whole.bytes, count: whole.count))
        var isReadable = leg.isReadable
        #expect(got.count == 900 && !isReadable && !feed.hasNews)
        #expect(space.pointee.pool.lentCount == 0, "nothing was copied")

        // Of 1,600 bytes one read takes 1,000; the rest must outlive the memory that was lent.
        feed.lend(UnsafeMutableRawBufferPointer(rebasing: memory[900...]), &space.pointee.pool)
        leg.note(.readable)
        let first = leg.receive(space)
        #expect(UnsafeMutableRawPointer(first.bytes) == memory.baseAddress.map { $0 + 900 })
        got += UnsafeBufferPointer(start: first.bytes, count: first.count)
        // Whoever frames a chunk in place writes behind it.
        (first.bytes + first.count).update(repeating: 0xEE, count: Workspace.headroom)
        feed.keepLent(&space.pointee.pool)
        for index in memory.indices { memory[index] = 0xEE }
        isReadable = leg.isReadable
        #expect(first.count == 1_000 && isReadable)
        let second = leg.receive(space)
        got += UnsafeBufferPointer(start: second.bytes, count: second.count)
        #expect(got == expected)
        #expect(feed.takeReadCount() == 2_500)
        #expect(space.pointee.pool.lentCount == 0)
    }

    @Test func `what is lent stands behind what waits`() {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        put(3, feed)
        var lent: [UInt8] = [1, 2]
        lent.withUnsafeMutableBytes { bytes in
            feed.lend(bytes, &space.pointee.pool)
            put(1, feed)
            feed.lend(bytes, &space.pointee.pool)
            feed.keepLent(&space.pointee.pool)
        }
        leg.note(.readable)
        let received = leg.receive(space)
        let got = Array(UnsafeBufferPointer(start: received.bytes, count: received.count))
        #expect(got == [7, 7, 7, 1, 2, 7, 1, 2])
    }

    @Test(arguments: [0, 1, 2])
    func `what is lent to nobody counts as read, and is forgotten`(way: Int) {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        var lent = [UInt8](repeating: 7, count: 500)
        lent.withUnsafeMutableBytes { bytes in
            if way == 0 { feed.end() }
            feed.lend(bytes, &space.pointee.pool)
            if way == 1 { leg.release(space) }
            if way == 2 { feed.reset(&space.pointee.pool) }
            feed.keepLent(&space.pointee.pool)
        }
        #expect(feed.takeReadCount() == 500)
        #expect(space.pointee.pool.lentCount == 0)
    }

    @Test func `the end comes behind the bytes, and nothing behind the end`() {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        put(10, feed)
        feed.end()
        put(10, feed)
        leg.note([.readable, .hangup])
        let first = leg.receive(space).count
        expect(hasEnded: false, leg)
        let second = leg.receive(space).count
        #expect(first == 10 && second == 0)
        expect(hasEnded: true, leg)
    }

    /// Its owner would send the stream's end as if the peer had all.
    @Test(arguments: ["released", "abandoned"])
    func `a leg whose bytes are thrown away does not end its stream`(way: String) {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        [UInt8](repeating: 7, count: 100).withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { leg.put(start, count: 100, space) }
        }
        if way == "released" { leg.release(space) } else { leg.abandon(space) }
        leg.shut(space)
        let isTruncated = leg.isTruncated
        #expect(isTruncated && !feed.isShut)
        let other = StreamFeed(StreamOutbox())
        var whole = Leg(other)
        whole.abandon(space)
        whole.shut(space)
        let isWhole = !whole.isTruncated
        #expect(isWhole && other.isShut, "nothing was thrown away")
    }

    @Test func `what nobody will read is room for more at once`() {
        let ended = StreamFeed(StreamOutbox())
        ended.end()
        let reset = StreamFeed(StreamOutbox())
        reset.reset(&space.pointee.pool)
        for feed in [ended, reset] {
            put(700, feed)
            #expect(feed.takeReadCount() == 700)
        }
        #expect(space.pointee.pool.lentCount == 0)
    }

    @Test(arguments: [false, true])
    func `a leg that is not read any more keeps nothing of what still comes`(isAbandoned: Bool) {
        let outbox = StreamOutbox()
        let feed = StreamFeed(outbox)
        var leg = Leg(feed)
        put(40_000, feed)
        if isAbandoned { leg.abandon(space) } else { leg.release(space) }
        #expect(feed.takeReadCount() == 40_000)
        feed.looked()
        takeAll(of: outbox)
        put(500, feed)
        #expect(feed.takeReadCount() == 500)
        #expect(!outbox.isEmpty, "its owner hears of the room")
        #expect(space.pointee.pool.lentCount == 0)
    }

    @Test func `a leg whose peer is ignored keeps nothing, and gives it no more window`() {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        put(40_000, feed)
        leg.ignore(space)
        put(500, feed)
        #expect(feed.takeReadCount() == 0)
        leg.note(.readable)
        let isReadable = leg.isReadable
        #expect(!isReadable)
        #expect(space.pointee.pool.lentCount == 0)
        leg.release(space)
    }

    @Test func `a reset takes what waits both ways, and gives the room back`() {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        put(40_000, feed)
        let answer = [UInt8](repeating: 1, count: 20_000)
        let isTaken = leg.put(answer, count: answer.count, space)
        var held = leg.held.count
        #expect(isTaken && held == 20_000)
        feed.reset(&space.pointee.pool)
        leg.note([.readable, .hangup])
        let count = leg.receive(space).count
        held = leg.held.count
        #expect(count == 0 && held == 0)
        expect(hasEnded: true, isUnwritable: true, leg)
        #expect(feed.takeReadCount() == 40_000)
        #expect(space.pointee.pool.lentCount == 0)
        let isTakenStill = leg.put(answer, count: 1, space)
        #expect(!isTakenStill)
    }

    @Test func `what is held waits for the owner, who takes it in pieces`() {
        let feed = StreamFeed(StreamOutbox())
        var leg = Leg(feed)
        let answer = (0..<40_000).map { UInt8(truncatingIfNeeded: $0) }
        let isTaken = leg.put(answer, count: answer.count, space)
        let isDrained = leg.drain(space)
        #expect(isTaken && !isDrained, "nobody else takes it")
        leg.shut(space)
        let isShut = leg.isShut
        #expect(isShut && feed.isShut, "its owner sends the end behind what is held")
        var taken: [UInt8] = []
        while !leg.held.isEmpty {
            var count = 0
            taken += [UInt8](unsafeUninitializedCapacity: 16_375) { buffer, filled in
                guard let start = buffer.baseAddress else { return }
                count = leg.takeHeld(into: start, capacity: buffer.count, space)
                filled = count
            }
            #expect(count > 0)
        }
        #expect(taken == answer)
        #expect(space.pointee.pool.lentCount == 0)
    }

    private func expect(
        hasEnded: Bool, isUnwritable: Bool = false, _ leg: borrowing Leg,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = (leg.hasEnded, leg.isUnwritable)
        #expect(found == (hasEnded, isUnwritable), sourceLocation: sourceLocation)
    }
}

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
        _ = outbox.take()
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
        var isShut = leg.isShut
        #expect(!isShut, "the end comes behind what is held")
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
        leg.shut(space)
        isShut = leg.isShut
        #expect(isShut && space.pointee.pool.lentCount == 0)
    }

    private func expect(
        hasEnded: Bool, isUnwritable: Bool = false, _ leg: borrowing Leg,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = (leg.hasEnded, leg.isUnwritable)
        #expect(found == (hasEnded, isUnwritable), sourceLocation: sourceLocation)
    }
}

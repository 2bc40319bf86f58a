// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Reactor

/// A reactor that notes what it is given, and ends when it is told to.
private struct Noting: ~Copyable, Reacting {
    enum Note: Equatable {
        case began
        case ready(Token, Readiness)
        case received(Int)
        case fired(Token)
        case ended
    }

    var loop: ReactorLoop<Int>
    var notes: [Note] = []
    var isOver = false
    /// How long it may wait beside its timers; less than none for ever.
    var milliseconds: Int32 = -1

    init(_ mailbox: Mailbox<Int>? = nil, tickMilliseconds: UInt64 = 1) throws {
        loop = ReactorLoop(
            poller: try Poller(), mailbox: mailbox, tickMilliseconds: tickMilliseconds)
    }

    func limit(_ wait: inout WaitTime) { wait.limit(to: milliseconds) }
    mutating func beginTurn() { notes.append(.began) }
    mutating func isReady(_ token: Token, _ flags: Readiness) {
        notes.append(.ready(token, flags))
    }
    mutating func receive(_ message: Int) {
        notes.append(.received(message))
        if message == 0 { isOver = true }
    }
    mutating func timeIsUp(_ token: Token) { notes.append(.fired(token)) }
    mutating func endTurn() { notes.append(.ended) }
}

struct ReactorLoopTests {
    private static let token = Token(index: 3, generation: 7)

    @Test func `messages of other threads are given in their order, until it is over`() throws {
        let mailbox = try Mailbox<Int>()
        let thread = try ReactorThread.start(name: "poster") {
            for number in (0..<500).reversed() { mailbox.post(number) }
        }
        var reactor = try Noting(mailbox)
        let hasTurned = reactor.turnUntilOver()
        thread.join()
        #expect(hasTurned)
        let received = reactor.notes.compactMap {
            if case .received(let number) = $0 { number } else { nil }
        }
        #expect(received == (0..<500).reversed())
        let last = reactor.notes.last
        #expect(last == .ended)
    }

    @Test func `a turn gives events, then timers, then its end`() throws {
        var reactor = try Noting()
        let pair = try Socket.pair()
        let descriptor = pair.first.descriptor
        let isWatched = reactor.loop.poller.add(descriptor, Self.token, .levelRead)
        #expect(isWatched)
        pair.second.shutdownWrite()
        reactor.loop.timers.reserve(index: 3)
        let due = reactor.loop.now + 3
        reactor.loop.timers.arm(Self.token, at: due)
        // What is ready ends the wait at once, as often as it is ready.
        while !reactor.notes.contains(.fired(Self.token)) { reactor.turn() }
        let now = reactor.loop.now
        #expect(now >= due)
        let last = reactor.notes.suffix(4)
        guard case .ready(Self.token, let flags) = last[last.startIndex + 1] else {
            Issue.record("found \(Array(last))")
            return
        }
        #expect(flags.contains(.readable))
        #expect(last.first == .began && last.suffix(2) == [.fired(Self.token), .ended])
    }

    @Test func `a turn waits no longer than for the first of what is due`() throws {
        var reactor = try Noting()
        reactor.loop.timers.reserve(index: 3)
        reactor.loop.timers.arm(Self.token, at: reactor.loop.now + 3_600_000)
        reactor.milliseconds = 20
        let start = Clock.nowNanoseconds()
        reactor.turn()
        let passed = Clock.nowNanoseconds() - start
        #expect(passed >= 19_000_000 && passed < 1_800_000_000_000)
        let notes = reactor.notes
        #expect(notes == [.began, .ended])
        let now = reactor.loop.now
        #expect(now >= start / 1_000_000 + 19)
    }

    @Test func `who sends by the clock waits in nanoseconds, and no longer than the timers allow`()
    {
        var wait = WaitTime()
        #expect(wait.nanoseconds == nil && wait.milliseconds == -1)
        wait.limit(toNanoseconds: 1_500_000)
        #expect(wait.nanoseconds == 1_500_000)
        wait.limit(toNanoseconds: 2_500_000)
        #expect(wait.nanoseconds == 1_500_000)
        wait.limit(to: 1)
        #expect(wait.nanoseconds == 1_000_000)
        wait.limit(to: 0)
        #expect(wait.nanoseconds == 0)
    }
}

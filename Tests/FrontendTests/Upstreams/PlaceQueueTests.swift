// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Frontend

/// The order of those that wait for a place, whatever becomes of those that are called.
struct PlaceQueueTests {
    private let mailbox: Mailbox<WorkerMessage>
    private let queue = PlaceQueue()

    init() throws { mailbox = try Mailbox() }

    private func join(_ number: UInt32, sizeMax: Int = 100) -> UInt64? {
        queue.join(mailbox, Token(index: number, generation: 0), sizeMax: sizeMax)
    }

    /// The slots of those that were called since.
    private func called() -> [PlaceQueue.Waiter] {
        mailbox.take().compactMap { message in
            if case .place(_, let waiter) = message { return waiter }
            return nil
        }
    }

    @Test func `they are called in the order of joining, one for each call`() {
        for number: UInt32 in 1...3 { #expect(join(number) != nil) }
        queue.callNext()
        #expect(called().map(\.token.index) == [1])
        queue.callNext()
        queue.callNext()
        #expect(called().map(\.token.index) == [2, 3])
        queue.callNext()
        #expect(called().isEmpty)
        #expect(queue.count == 3, "nobody has answered yet")
        for _ in 0..<3 { queue.served() }
        #expect(queue.count == 0)
    }

    @Test func `who found no place is the first again`() {
        _ = join(1)
        _ = join(2)
        queue.callNext()
        for waiter in called() { queue.back(waiter) }
        queue.callNext()
        #expect(called().map(\.token.index) == [1])
    }

    @Test func `who leaves the line is not called, and who was called stays counted`() throws {
        let first = try #require(join(1))
        let second = try #require(join(2))
        _ = join(3)
        queue.leave(second)
        #expect(queue.count == 2)
        queue.callNext()
        queue.leave(first)
        #expect(queue.count == 2, "its call is under way")
        queue.served()
        queue.callNext()
        #expect(called().map(\.token.index) == [1, 3])
        queue.leave(second)
        #expect(queue.count == 1)
    }

    @Test func `a line has an end`() throws {
        let first = try #require(join(1, sizeMax: 2))
        #expect(join(2, sizeMax: 2) != nil)
        #expect(join(3, sizeMax: 2) == nil)
        #expect(queue.count == 2)
        queue.leave(first)
        #expect(join(4, sizeMax: 2) != nil)
    }

    @Test func `a long line keeps its order, whoever leaves it and whoever comes back`() throws {
        var expected: [UInt32] = []
        var numbers: [UInt64] = []
        for slot: UInt32 in 0..<1_000 { numbers.append(try #require(join(slot, sizeMax: 1_000))) }
        for slot: UInt32 in 0..<1_000 {
            if slot % 3 == 1 { queue.leave(numbers[Int(slot)]) } else { expected.append(slot) }
        }
        var order: [UInt32] = []
        while queue.count > 0 {
            queue.callNext()
            let waiter = try #require(called().first)
            if order.count % 5 == 0 {
                // It finds no place once, and is called again before all others.
                queue.back(waiter)
                queue.callNext()
                #expect(called().map(\.number) == [waiter.number])
            }
            order.append(waiter.token.index)
            queue.served()
        }
        #expect(order == expected)
    }

    @Test func `those that leave are forgotten also where nobody is called`() throws {
        for slot: UInt32 in 0..<10_000 { queue.leave(try #require(join(slot))) }
        #expect(queue.count == 0)
        #expect(queue.lineLength <= 65)
        _ = join(1)
        queue.callNext()
        #expect(called().map(\.token.index) == [1])
    }
}

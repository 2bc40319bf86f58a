// SPDX-License-Identifier: Apache-2.0
import Proxy
import Reactor
import Testing

@testable import Frontend

/// The queue of what follows.
struct WorkQueueTests {
    private func pop(_ queue: inout WorkQueue) -> UInt32? {
        switch queue.pop() {
        case .request(let token, let event):
            #expect(event == .claimed)
            return token.index
        case .session(let token): return token.index
        case nil: return nil
        }
    }

    @Test func `work is done in the order in which it came, however many wait`() {
        var queue = WorkQueue()
        var next: UInt32 = 0
        var expected: UInt32 = 0
        // More come than go, so that it grows while its begin lies in the middle of its memory.
        for round in 0..<50 {
            for _ in 0..<round {
                let token = Token(index: next, generation: 0)
                queue.push(next % 2 == 0 ? .request(token, .claimed) : .session(token))
                next += 1
            }
            for _ in 0..<round / 2 {
                #expect(pop(&queue) == expected)
                expected += 1
            }
        }
        while let index = pop(&queue) {
            #expect(index == expected)
            expected += 1
        }
        #expect(expected == next)
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
        #expect(pop(&queue) == nil)
    }
}

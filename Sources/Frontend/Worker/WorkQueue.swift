// SPDX-License-Identifier: Apache-2.0
import Proxy
import Reactor

/// What follows from something, and is done before anything else of the turn.
///
/// Whoever finds out that a request goes on puts the event here instead of calling: so nothing is
/// taken away under the feet of a function that still looks at it. Memory is used again.
struct WorkQueue: ~Copyable {
    /// One thing to be done.
    enum Work {
        /// Something has happened to a request.
        case request(Token, RequestLife.Event)
        /// The session of this client's socket may read on.
        case session(Token)
    }

    private var items: UnsafeMutablePointer<Work>
    private var capacity = 16
    private var first = 0
    private var count = 0

    init() { items = .allocate(capacity: capacity) }

    deinit { items.deallocate() }

    /// Whether nothing is to be done.
    var isEmpty: Bool { count == 0 }

    /// Puts something behind what is there.
    mutating func push(_ work: Work) {
        if count == capacity { grow() }
        (items + (first &+ count) & (capacity &- 1)).initialize(to: work)
        count &+= 1
    }

    /// Takes what is first.
    mutating func pop() -> Work? {
        if count == 0 { return nil }
        let work = items[first]
        first = (first &+ 1) & (capacity &- 1)
        count &-= 1
        return work
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Work>.allocate(capacity: capacity * 2)
        for index in 0..<count {
            (larger + index).initialize(to: items[(first + index) & (capacity - 1)])
        }
        items.deallocate()
        items = larger
        first = 0
        capacity *= 2
    }
}

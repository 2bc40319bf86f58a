// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// How many requests may wait for a place at an endpoint, and for how long.
public struct QueueLimits: Sendable, Equatable {
    /// For how long one waits, in milliseconds.
    public var waitMilliseconds: UInt64
    /// How many wait at one time.
    public var size: Int

    /// Limits of a queue: the longest wait in milliseconds, and how many may wait at one time.
    public init(waitMilliseconds: UInt64, size: Int) {
        self.waitMilliseconds = waitMilliseconds
        self.size = size
    }
}

/// Who waits for a place at an upstream, in the order of coming; shared by all reactors.
///
/// Whoever gives a place back calls the first of the line, which tries to take one. As long as
/// somebody waits or was called, those that come join the line: nobody is overtaken. Every call is
/// answered, by `served` or `back`, or by passing it on where the one called is gone.
public final class PlaceQueue: Sendable {
    struct Waiter: Sendable {
        let number: UInt64
        let mailbox: Mailbox<WorkerMessage>
        let token: Token
    }

    private struct State {
        /// Numbers in order, from `first` on; those that have left are among them until it is their turn.
        var line: [UInt64] = []
        var first = 0
        var waiters: [UInt64: Waiter] = [:]
        var nextNumber: UInt64 = 1

        mutating func popFirst() -> Waiter? {
            while first < line.count {
                let number = line[first]
                first += 1
                if first == line.count {
                    line = []
                    first = 0
                } else if first > 64 && first > line.count / 2 {
                    line.removeFirst(first)
                    first = 0
                }
                if let waiter = waiters.removeValue(forKey: number) { return waiter }
            }
            return nil
        }

        /// Forgets those that have left, now and then, where nobody is called for a long time.
        mutating func tidy() {
            guard line.count - first > 2 * waiters.count + 64 else { return }
            line = line[first...].filter { waiters[$0] != nil }
            first = 0
        }

        mutating func pushFirst(_ waiter: Waiter) {
            waiters[waiter.number] = waiter
            if first > 0 {
                first -= 1
                line[first] = waiter.number
            } else {
                line.insert(waiter.number, at: 0)
            }
        }
    }

    private let state = Mutex(State())
    /// Those in the line and those that were called; read without the lock by who gives a place back.
    private let waiting = Atomic<Int>(0)

    /// A queue in which nobody waits.
    public init() {}

    /// Numbers that are kept, for the tests.
    var lineLength: Int { state.withLock { $0.line.count } }

    /// How many requests of all reactors wait, or were called and have not answered.
    public var count: Int { waiting.load(ordering: .sequentiallyConsistent) }

    /// Joins the line.
    ///
    /// Whoever has joined looks whether there is a place, since one may have become free before.
    ///
    /// - Returns: the number in the line; nil when it is too long.
    func join(_ mailbox: Mailbox<WorkerMessage>, _ token: Token, sizeMax: Int) -> UInt64? {
        state.withLock { state in
            guard state.waiters.count < sizeMax else { return nil }
            let number = state.nextNumber
            state.nextNumber += 1
            state.line.append(number)
            state.waiters[number] = Waiter(number: number, mailbox: mailbox, token: token)
            waiting.wrappingAdd(1, ordering: .sequentiallyConsistent)
            return number
        }
    }

    /// Leaves the line; one that was called stays counted until the call has arrived.
    func leave(_ number: UInt64) {
        state.withLock { state in
            guard state.waiters.removeValue(forKey: number) != nil else { return }
            state.tidy()
            waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
    }

    /// Calls the first of the line; to be done whenever there may be a place.
    public func callNext() {
        if count == 0 { return }
        let first = state.withLock { $0.popFirst() }
        if let first { first.mailbox.post(.place(self, first)) }
    }

    /// Calls all of the line, since nobody waits there any more.
    func callAll() {
        while let first = state.withLock({ $0.popFirst() }) {
            first.mailbox.post(.place(self, first))
        }
    }

    /// The one that was called has a place, or is gone.
    func served() { waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// The one that was called found no place: it is the first again.
    func back(_ waiter: Waiter) { state.withLock { $0.pushFirst(waiter) } }
}

/// A place in the line.
struct PlaceInLine {
    let queue: PlaceQueue
    let number: UInt64
}

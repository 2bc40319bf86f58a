// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// How many requests may wait for a place at an endpoint, and for how long.
public struct QueueLimits: Sendable, Equatable {
    /// For how long one waits, in milliseconds.
    public var waitMilliseconds: UInt64
    /// How many wait at one time.
    public var size: Int

    /// Limits of both.
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
        var line: [Waiter] = []
        var nextNumber: UInt64 = 1
    }

    private let state = Mutex(State())
    /// Those in the line and those that were called; read without the lock by who gives a place back.
    private let waiting = Atomic<Int>(0)

    /// A queue in which nobody waits.
    public init() {}

    /// How many wait.
    public var count: Int { waiting.load(ordering: .sequentiallyConsistent) }

    /// Joins the line.
    ///
    /// Whoever has joined looks whether there is a place, since one may have become free before.
    ///
    /// - Returns: the number in the line; nil when it is too long.
    func join(_ mailbox: Mailbox<WorkerMessage>, _ token: Token, sizeMax: Int) -> UInt64? {
        state.withLock { state in
            guard state.line.count < sizeMax else { return nil }
            let number = state.nextNumber
            state.nextNumber += 1
            state.line.append(Waiter(number: number, mailbox: mailbox, token: token))
            waiting.wrappingAdd(1, ordering: .sequentiallyConsistent)
            return number
        }
    }

    /// Leaves the line; one that was called stays counted until the call has arrived.
    func leave(_ number: UInt64) {
        state.withLock { state in
            guard let index = state.line.firstIndex(where: { $0.number == number }) else { return }
            state.line.remove(at: index)
            waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
    }

    /// Calls the first of the line; to be done whenever there may be a place.
    public func callNext() {
        if count == 0 { return }
        let first = state.withLock { $0.line.isEmpty ? nil : $0.line.removeFirst() }
        if let first { first.mailbox.post(.place(self, first)) }
    }

    /// The one that was called has a place, or is gone.
    func served() { waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// The one that was called found no place: it is the first again.
    func back(_ waiter: Waiter) { state.withLock { $0.line.insert(waiter, at: 0) } }
}

/// A place in the line.
struct PlaceInLine {
    let queue: PlaceQueue
    let number: UInt64
    let deadlineMilliseconds: UInt64
}

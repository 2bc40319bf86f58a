// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// State shared between the test and its peers' threads, with waiting for a condition on it.
///
/// The tests never sleep to let something happen: the thread that makes it happen updates a
/// monitor, and whoever needs it waits here with a deadline.
public final class Monitor<State: Sendable>: Sendable {
    private let condition = NSCondition()
    private let state: Mutex<State>

    /// A monitor that holds `state`.
    public init(_ state: State) {
        self.state = Mutex(state)
    }

    /// The state now.
    public var value: State {
        state.withLock { $0 }
    }

    /// Changes the state and wakes everybody who waits for it.
    public func update<Result: Sendable>(_ change: (inout State) throws -> Result) rethrows
        -> Result
    {
        condition.lock()
        defer { condition.unlock() }
        let result = try state.withLock { state in try change(&state) }
        condition.broadcast()
        return result
    }

    /// Waits until `isMet` holds and returns the state that met it, or throws naming `what`.
    @discardableResult
    public func wait(
        for what: @autoclosure () -> String, by deadline: Deadline = .after(),
        until isMet: (State) -> Bool
    ) throws -> State {
        condition.lock()
        defer { condition.unlock() }
        while true {
            let now = value
            if isMet(now) { return now }
            if deadline.hasPassed { throw PeerError("timed out waiting for \(what())") }
            _ = condition.wait(until: Date(timeIntervalSinceNow: deadline.secondsLeft))
        }
    }
}

/// A door that one thread opens and others wait at: the tests' way to order two peers.
public final class Gate: Sendable {
    private let isOpen = Monitor(false)
    private let name: String

    /// A closed gate; `name` stands in the error of a wait that times out.
    public init(_ name: String) {
        self.name = name
    }

    /// Lets everybody through, now and later.
    public func open() {
        isOpen.update { $0 = true }
    }

    /// Waits until the gate is open.
    public func wait(by deadline: Deadline = .after()) throws {
        try isOpen.wait(for: "the gate '\(name)' to open", by: deadline) { $0 }
    }
}

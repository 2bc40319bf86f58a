// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A thread of its own for a blocking peer, so that none blocks Swift's cooperative pool.
public final class TestThread<Value: Sendable>: Sendable {
    private let result = Monitor<Result<Value, any Error>?>(nil)

    /// Starts `body` on a new thread.
    public init(_ body: @escaping @Sendable () throws -> Value) {
        let result = self.result
        Thread.detachNewThread {
            let outcome = Result { try body() }
            result.update { $0 = outcome }
        }
    }

    /// Waits for the thread's end and returns what it made, or throws what it threw.
    @discardableResult
    public func join(by deadline: Deadline = .after()) throws -> Value {
        let ended = try result.wait(for: "a test thread to end", by: deadline) { $0 != nil }
        guard let ended else { throw PeerError("a test thread ended without a result") }
        return try ended.get()
    }
}

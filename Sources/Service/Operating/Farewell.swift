// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// Lets whoever follows the drain of the whole process see how it ended, before the admin socket goes with it.
final class Farewell: Sendable {
    private struct State {
        /// When it was last asked how far the drain is.
        var askedMilliseconds: UInt64?
        var isTold = false
    }

    /// A follower asks four times in a second; one that has not for so long is gone.
    static let patienceMilliseconds: UInt64 = 1_000

    private let state = Mutex(State())
    private let bell: Mailbox<Void>

    init() throws(SystemError) { bell = try Mailbox() }

    /// Somebody was told how far the drain is.
    func told(isDone: Bool, nowMilliseconds now: UInt64 = Clock.nowMilliseconds()) {
        state.withLock { state in
            state.askedMilliseconds = now
            state.isTold = state.isTold || isDone
        }
        if isDone { bell.post(()) }
    }

    /// Waits until a follower, if there is one, was told that the drain is done; not for long.
    ///
    /// - Returns: whether somebody was told.
    @discardableResult
    func wait(nowMilliseconds now: UInt64 = Clock.nowMilliseconds()) -> Bool {
        let seen = state.withLock { $0 }
        if seen.isTold { return true }
        guard let asked = seen.askedMilliseconds, now < asked + Self.patienceMilliseconds else {
            return false
        }
        _ = bell.wait(milliseconds: Int32(Self.patienceMilliseconds))
        return state.withLock { $0.isTold }
    }
}

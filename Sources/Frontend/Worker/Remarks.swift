// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// Says a thing about a client once a minute, however often there is reason to.
///
/// Bounded: where more clients than `clientsMax` give reason within a minute, nothing is said of the
/// others.
final class Remarks: Sendable {
    private static let intervalMilliseconds: UInt64 = 60_000
    static let clientsMax = 1_024

    private struct State {
        /// When something was last said of whom.
        var said: [Address: UInt64] = [:]
        /// When room was last looked for; no more than once a second, since a flood asks often.
        var sweptMilliseconds: UInt64?
    }

    private let state = Mutex(State())

    /// Whether it is time to say it; if so, it counts as said.
    func isDue(about client: Address, nowMilliseconds now: UInt64) -> Bool {
        let key = client.subscriber
        return state.withLock { state in
            if let last = state.said[key], now < last + Self.intervalMilliseconds { return false }
            if state.said.count >= Self.clientsMax {
                if let swept = state.sweptMilliseconds, now < swept + 1_000 { return false }
                state.sweptMilliseconds = now
                state.said = state.said.filter { now < $0.value + Self.intervalMilliseconds }
                if state.said.count >= Self.clientsMax { return false }
            }
            state.said[key] = now
            return true
        }
    }
}

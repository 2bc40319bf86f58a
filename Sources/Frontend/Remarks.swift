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

    /// When something was last said of whom.
    private let said = Mutex<[Address: UInt64]>([:])

    /// Whether it is time to say it; if so, it counts as said.
    func isDue(about client: Address, nowMilliseconds now: UInt64) -> Bool {
        let key = client.subscriber
        return said.withLock { said in
            if let last = said[key], now < last + Self.intervalMilliseconds { return false }
            if said.count >= Self.clientsMax {
                said = said.filter { now < $0.value + Self.intervalMilliseconds }
                if said.count >= Self.clientsMax { return false }
            }
            said[key] = now
            return true
        }
    }
}

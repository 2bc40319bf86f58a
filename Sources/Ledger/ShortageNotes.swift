// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Synchronization

/// Says what has run out once a minute, however often it is met, and by whomever.
public final class ShortageNotes: Sendable {
    private static let intervalMilliseconds: UInt64 = 60_000
    /// What has run out.
    enum Want: Hashable {
        /// Descriptors for connections of clients.
        case clients
        /// Something that a connection to an endpoint needs.
        case dialing(Shortage)
    }

    private let said = Mutex<[Want: UInt64]>([:])

    /// Nothing was said yet.
    public init() {}

    /// Whether it is time to say it; if so, it counts as said.
    func isDue(_ what: Want, nowMilliseconds now: UInt64) -> Bool {
        said.withLock { said in
            if let last = said[what], now < last &+ Self.intervalMilliseconds { return false }
            said[what] = now
            return true
        }
    }
}

extension Journal {
    /// Says that clients have to wait for want of descriptors.
    public func noteFull(nowMilliseconds now: UInt64) {
        guard shortages.isDue(.clients, nowMilliseconds: now) else { return }
        event(
            LogEvent(
                .warning,
                "New connections have to wait: what is left of open files is kept for the admin socket,"
                    + " reloads and connections to apps. \(Shortage.descriptors.cure)"))
    }

    /// Says that a connection to an endpoint could not be made for want of something, and what to do.
    public func note(_ shortage: Shortage, dialing label: String, nowMilliseconds now: UInt64) {
        guard shortages.isDue(.dialing(shortage), nowMilliseconds: now) else { return }
        event(
            LogEvent(
                .warning,
                "No connection to \(label) could be made: \(shortage.reason). \(shortage.cure)"))
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc
public import Reactor
import Synchronization

/// Why an attempt to reach an endpoint came to nothing.
enum DialFailure: Equatable {
    /// Its name has no address.
    case unresolved
    /// The connect failed with this value of `errno`.
    case failed(Int32)
    /// Nothing came back in time.
    case timedOut
    /// It was connected, and ended before it said anything.
    case noAnswer
    /// Our own means were at an end: the endpoint is not to blame, and does not cool down.
    case shortage(Shortage)

    /// What the client is told if there is nothing else to try.
    func refusal(_ label: String) -> Refusal {
        switch self {
        case .unresolved: .unresolved(label)
        case .failed(let code):
            .unreachable(
                label, reason: SystemError.text(of: code), isRefused: code == ECONNREFUSED)
        case .timedOut: .connectTimeout
        case .noAnswer: .noAnswer
        case .shortage(let shortage): .shortage(shortage, label)
        }
    }
}

/// Says what has run out once a minute, however often it is met, and by whomever.
public final class ShortageNotes: Sendable {
    private static let intervalMilliseconds: UInt64 = 60_000
    private let said = Mutex<[String: UInt64]>([:])

    /// Nothing was said yet.
    public init() {}

    /// Whether it is time to say it; if so, it counts as said.
    func isDue(_ what: String, nowMilliseconds now: UInt64) -> Bool {
        said.withLock { said in
            if let last = said[what], now < last &+ Self.intervalMilliseconds { return false }
            said[what] = now
            return true
        }
    }
}

extension Journal {
    /// Says that clients have to wait for want of descriptors.
    func noteFull(nowMilliseconds now: UInt64) {
        guard shortages.isDue("full", nowMilliseconds: now) else { return }
        event(
            LogEvent(
                .warning,
                "New connections have to wait: what is left of open files is kept for the admin socket,"
                    + " reloads and connections to apps. \(Shortage.descriptors.cure)"))
    }

    /// Says that a connection to an endpoint could not be made for want of something, and what to do.
    public func note(_ shortage: Shortage, dialing label: String, nowMilliseconds now: UInt64) {
        guard shortages.isDue("\(shortage)", nowMilliseconds: now) else { return }
        event(
            LogEvent(
                .warning,
                "No connection to \(label) could be made: \(shortage.reason). \(shortage.cure)"))
    }
}

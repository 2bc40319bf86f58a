// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Something an operator should know that is no relay's end.
public struct LogEvent: Sendable {
    /// Whether the operator has to do something.
    public enum Level: String, Sendable {
        /// The operator has to do nothing.
        case info
        /// Something is, but the service goes on.
        case warning
        /// Something asked for could not be done.
        case error
    }
    /// The level that the log shows.
    public let level: Level
    /// What has happened and what to do, as a whole sentence.
    public let sentence: String

    /// An event for the log, with its weight and a whole sentence.
    public init(_ level: Level, _ sentence: String) {
        self.level = level
        self.sentence = sentence
    }
}

/// What the one who writes things down wants to hear of, which may change while Sluice runs.
public final class JournalWishes: Sendable {
    private let bits = Atomic<UInt8>(7)

    /// Wants requests, opened relays and ended relays.
    public init() {}

    /// Says what is wanted from now on.
    public func set(requests: Bool, relayOpens: Bool, relayEnds: Bool) {
        bits.store(
            (requests ? 1 : 0) | (relayOpens ? 2 : 0) | (relayEnds ? 4 : 0), ordering: .relaxed)
    }

    /// Whether records of any kind are wanted.
    public var isAnything: Bool { bits.load(ordering: .relaxed) != 0 }

    fileprivate func has(_ bit: UInt8) -> Bool { bits.load(ordering: .relaxed) & bit != 0 }
}

/// Where the reactors put what is to be written down: records of the access log, and events.
///
/// Reactors call both functions within their turns, so neither may wait for a disk or a lock.
public final class Journal: Sendable {
    /// Takes the record of a relay or request.
    public let access: @Sendable (AccessRecord) -> Void
    /// What is wanted; what is not is not made.
    private let wishes: JournalWishes
    /// Whether records of requests and of connections without a tunnel are wanted.
    public var takesRequests: Bool { wishes.has(1) }
    /// Whether a record is wanted when a relay opens.
    public var takesRelayOpens: Bool { wishes.has(2) }
    /// Whether a record is wanted when a relay ends.
    public var takesRelayEnds: Bool { wishes.has(4) }
    /// What of the machine's or the process's means was said to be at an end.
    public let shortages: ShortageNotes
    /// Takes an event for the log; it must not block.
    public let event: @Sendable (LogEvent) -> Void

    /// A journal that hands records and events over; neither function may block.
    public init(
        access: @escaping @Sendable (AccessRecord) -> Void,
        event: @escaping @Sendable (LogEvent) -> Void, wishes: JournalWishes = JournalWishes(),
        shortages: ShortageNotes = ShortageNotes()
    ) {
        self.shortages = shortages
        self.access = access
        self.event = event
        self.wishes = wishes
    }
}

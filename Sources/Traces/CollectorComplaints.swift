// SPDX-License-Identifier: Apache-2.0
import Ledger

/// Tells the operator of a collector that takes no spans: at most once in a while, however often it fails.
struct CollectorComplaints {
    private let everyMilliseconds: UInt64
    private let tell: @Sendable (LogEvent) -> Void
    /// When something was said last; nil for never.
    private var toldMilliseconds: UInt64?
    /// Whether it was said that it fails, and not that it does no more.
    private var isTold = false
    /// Whether it has taken spans since it has failed.
    private var isWell = true
    /// Spans that were dropped when something was said last.
    private var lostBefore = 0
    private var overflownBefore = 0

    /// At most one sentence in so many milliseconds.
    init(everyMilliseconds: UInt64, _ tell: @escaping @Sendable (LogEvent) -> Void) {
        self.everyMilliseconds = everyMilliseconds
        self.tell = tell
    }

    /// The collector is another one.
    mutating func forget() {
        isTold = false
        isWell = true
    }

    /// A request has failed.
    mutating func failed(_ reason: String, _ plan: TracePlan?, lost: Int, _ now: UInt64) {
        isWell = false
        guard mayTell(now) else { return }
        say(
            .warning,
            "Spans can't be sent to \(plan?.endpoint ?? "the collector"), and are dropped if that lasts:"
                + " \(reason). Dropped since this was said last: \(lost - lostBefore).", lost, now)
        isTold = true
    }

    /// A request has succeeded, though spans may have been dropped since the queue was full.
    mutating func succeeded(lost: Int, overflown: Int, _ plan: TracePlan?, _ now: UInt64) {
        isWell = true
        if overflown > overflownBefore, mayTell(now) {
            let count = overflown - overflownBefore
            overflownBefore = overflown
            say(
                .warning,
                "\(Count.words(count, "span", one: "was", many: "were")) dropped: the collector"
                    + " \(plan?.endpoint ?? "") is too slow for them, or traces.queue too short.",
                lost, now)
        }
        settle(lost: lost, now)
    }

    /// Says that it is well again, where that is owed and may be said.
    mutating func settle(lost: Int, _ now: UInt64) {
        guard isTold, isWell, mayTell(now) else { return }
        isTold = false
        say(
            .info, "Spans are sent again; dropped meanwhile: \(lost - lostBefore).", lost, now)
    }

    /// In how many milliseconds something may be said that is owed; nil where nothing is.
    func owedWithin(_ now: UInt64) -> UInt64? {
        guard isTold, isWell, let toldMilliseconds else { return nil }
        return max(toldMilliseconds + everyMilliseconds, now) - now
    }

    private func mayTell(_ now: UInt64) -> Bool {
        toldMilliseconds.map { now >= $0 + everyMilliseconds } ?? true
    }

    private mutating func say(
        _ level: LogEvent.Level, _ sentence: String, _ lost: Int, _ now: UInt64
    ) {
        tell(LogEvent(level, sentence))
        toldMilliseconds = now
        lostBefore = lost
    }
}

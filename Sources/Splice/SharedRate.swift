// SPDX-License-Identifier: Apache-2.0
import Serialization
import Synchronization

/// One rate that several relays draw from, each on its own reactor and without a lock.
///
/// Kept by the time at which what was drawn would be due at the even pace (GCRA): a second's worth may
/// be ahead of its time. Between looking and drawing another reactor may draw too, so of what one
/// `recv` brings there may be too much; it is paid for later.
public final class SharedRate: Sendable {
    /// Units in a second.
    public let perSecond: UInt64
    private let dueNanoseconds = Atomic<UInt64>(0)
    private static let second: UInt64 = 1_000_000_000

    /// Allows so many units in a second: at least 1, at most `RelayLimits.bytesPerSecondMax`.
    public init(perSecond: UInt64) {
        self.perSecond = min(max(perSecond, 1), RelayLimits.bytesPerSecondMax)
    }

    /// How many units may be drawn now.
    func available(nowMilliseconds: UInt64) -> UInt64 {
        let now = nowMilliseconds &* 1_000_000
        let due = max(dueNanoseconds.load(ordering: .relaxed), now)
        let end = now &+ Self.second
        return due >= end ? 0 : Self.units(end - due, perSecond)
    }

    /// After how many milliseconds so many units can be drawn, if nobody else draws.
    func wait(for units: UInt64, nowMilliseconds: UInt64) -> UInt64 {
        let now = nowMilliseconds &* 1_000_000
        let due = max(dueNanoseconds.load(ordering: .relaxed), now)
        let dueThen = due &+ Self.nanoseconds(units, perSecond)
        let end = now &+ Self.second
        return dueThen <= end ? 1 : (dueThen - end) / 1_000_000 + 1
    }

    /// Draws units, also where there are fewer.
    func spend(_ units: UInt64, nowMilliseconds: UInt64) {
        if units == 0 { return }
        let now = nowMilliseconds &* 1_000_000
        let cost = Self.nanoseconds(units, perSecond)
        var due = dueNanoseconds.load(ordering: .relaxed)
        while true {
            let (isExchanged, found) = dueNanoseconds.weakCompareExchange(
                expected: due, desired: max(due, now) &+ cost, ordering: .relaxed)
            if isExchanged { return }
            due = found
        }
    }

    /// Whether all that was drawn is paid for, so that nothing is lost with this object.
    func isIdle(nowMilliseconds: UInt64) -> Bool {
        dueNanoseconds.load(ordering: .relaxed) <= nowMilliseconds &* 1_000_000
    }

    private enum Number {
        static let perSecond: UInt16 = 1
        static let due: UInt16 = 2
    }

    /// Writes the rate, and how far ahead of it those are who draw from it.
    func write(to writer: inout FieldWriter) {
        writer.put(Number.perSecond, perSecond)
        writer.put(Number.due, dueNanoseconds.load(ordering: .relaxed))
    }

    /// Reads what `write` wrote: into the rate that others of the client draw from, so that nobody is forgiven.
    static func read(
        _ reader: inout FieldReader, as kind: MovedRates.Kind, joining rates: MovedRates
    ) throws(FieldFault) -> SharedRate {
        let perSecond: UInt64 = try reader.integer(Number.perSecond)
        let due: UInt64 = try reader.integer(Number.due)
        try reader.finish()
        let rate = rates.rate(kind, perSecond: perSecond)
        rate.raise(to: due)
        return rate
    }

    /// Has nothing be drawn before a time that is later than the one it knows.
    private func raise(to due: UInt64) {
        var known = dueNanoseconds.load(ordering: .relaxed)
        while known < due {
            let (isExchanged, found) = dueNanoseconds.weakCompareExchange(
                expected: known, desired: due, ordering: .relaxed)
            if isExchanged { return }
            known = found
        }
    }

    private static func units(_ nanoseconds: UInt64, _ perSecond: UInt64) -> UInt64 {
        let (high, low) = nanoseconds.multipliedFullWidth(by: perSecond)
        return second.dividingFullWidth((high, low)).quotient
    }

    /// At most what some minutes are: a relay reads far less than that at once.
    private static func nanoseconds(_ units: UInt64, _ perSecond: UInt64) -> UInt64 {
        let (high, low) = min(units, perSecond &* 256).multipliedFullWidth(by: second)
        return perSecond.dividingFullWidth((high, low)).quotient
    }
}

/// The rates of one client: what all of its relays together may send and get in a second.
public final class ClientRates: Sendable {
    let messages: SharedRate?
    let bytesUp: SharedRate?
    let bytesDown: SharedRate?

    /// Rates per second that all relays of one client share; nil for no limit.
    public init(messagesPerSecond: UInt64?, bytesPerSecond: UInt64?) {
        messages = messagesPerSecond.map { SharedRate(perSecond: $0) }
        bytesUp = bytesPerSecond.map { SharedRate(perSecond: $0) }
        bytesDown = bytesPerSecond.map { SharedRate(perSecond: $0) }
    }

    /// Whether these are the rates.
    public func isOf(messagesPerSecond: UInt64?, bytesPerSecond: UInt64?) -> Bool {
        messages?.perSecond == messagesPerSecond && bytesUp?.perSecond == bytesPerSecond
    }

    /// Whether nothing is owed, so that rates made anew later are the same.
    public func isIdle(nowMilliseconds now: UInt64) -> Bool {
        [messages, bytesUp, bytesDown].allSatisfy { $0?.isIdle(nowMilliseconds: now) ?? true }
    }
}

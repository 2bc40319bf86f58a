// SPDX-License-Identifier: Apache-2.0

/// How long a reactor may wait for events: until the earliest of what it has to do by itself.
///
/// Reckoned from the present time and not from that of the last turn, which has taken some: else a
/// deadline would be met too late by as much.
public struct WaitTime: ~Copyable {
    /// The time from which it is reckoned, in milliseconds of `Clock`.
    public let now: UInt64
    @usableFromInline var limitMilliseconds: Int32 = -1
    @usableFromInline var limitNanoseconds: UInt64?

    /// For `Poller.wait`: -1 for as long as nothing happens.
    @inlinable public var milliseconds: Int32 { limitMilliseconds }

    /// The same where somebody wants it finer than in milliseconds; nil where nobody does.
    @inlinable public var nanoseconds: UInt64? {
        guard let limitNanoseconds else { return nil }
        if limitMilliseconds < 0 { return limitNanoseconds }
        return min(limitNanoseconds, UInt64(limitMilliseconds) &* 1_000_000)
    }

    /// As long as nothing happens, from now on.
    @inlinable public init(now: UInt64 = Clock.nowMilliseconds()) { self.now = now }

    /// No longer than until the first of these timers fires.
    @inlinable public mutating func limit(by timers: borrowing TimerWheel) {
        limit(to: timers.millisecondsUntilNext(now: now))
    }

    /// No longer than until a moment, and a minute at most; `.max` for never.
    @inlinable public mutating func limit(until moment: UInt64) {
        if moment == .max { return }
        limit(to: moment > now ? Int32(truncatingIfNeeded: min(moment &- now, 60_000)) : 0)
    }

    /// No longer than so many nanoseconds; for who sends by the clock.
    @inlinable public mutating func limit(toNanoseconds other: UInt64) {
        limitNanoseconds = min(limitNanoseconds ?? .max, other)
    }

    /// No longer than so many milliseconds; less than none for no limit.
    @inlinable public mutating func limit(to other: Int32) {
        if other >= 0 && (limitMilliseconds < 0 || other < limitMilliseconds) {
            limitMilliseconds = other
        }
    }
}

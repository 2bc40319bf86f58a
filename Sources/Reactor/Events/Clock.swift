// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The time.
///
/// Deadlines and durations use the monotonic clock, which no one can set.
public enum Clock {
    /// Milliseconds since an arbitrary moment; never runs backwards.
    public static func nowMilliseconds() -> UInt64 {
        let time = read(CLOCK_MONOTONIC)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1000
            &+ UInt64(truncatingIfNeeded: time.tv_nsec) / 1_000_000
    }

    /// Nanoseconds since the same arbitrary moment.
    public static func nowNanoseconds() -> UInt64 {
        let time = read(CLOCK_MONOTONIC)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
            &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }

    /// Milliseconds since 1970 in UTC: for logs and certificates, not for deadlines.
    public static func wallMilliseconds() -> UInt64 {
        let time = read(CLOCK_REALTIME)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1000
            &+ UInt64(truncatingIfNeeded: time.tv_nsec) / 1_000_000
    }

    /// Nanoseconds since 1970 in UTC.
    public static func wallNanoseconds() -> UInt64 {
        let time = read(CLOCK_REALTIME)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
            &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}

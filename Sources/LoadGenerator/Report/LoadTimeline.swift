// SPDX-License-Identifier: Apache-2.0

/// What happened in one stretch of a run.
public struct LoadInterval: Sendable, Equatable {
    /// WebSockets that became open.
    public var opened: UInt64 = 0
    /// Those that did not.
    public var failed: UInt64 = 0
    /// Messages whose sending began.
    public var sent: UInt64 = 0
    /// Messages that came back whole.
    public var received: UInt64 = 0
    /// Errors of all causes.
    public var errors: UInt64 = 0
    /// Latencies.
    public var latencies = LatencyBuckets()

    mutating func add(_ other: LoadInterval) {
        opened &+= other.opened
        failed &+= other.failed
        sent &+= other.sent
        received &+= other.received
        errors &+= other.errors
        latencies.add(other.latencies)
    }
}

/// A run, stretch by stretch: a second each, and longer ones where a run is long.
public struct LoadTimeline: Sendable {
    /// More stretches than this are made into half as many.
    static let intervalsMax = 600

    /// How long a stretch is, in nanoseconds.
    public private(set) var intervalNanoseconds: UInt64 = 1_000_000_000
    /// The stretches, the present one last.
    public private(set) var intervals: [LoadInterval] = []
    private let beganAt: UInt64
    private var endsAt: UInt64
    var current = LoadInterval()

    init(beganAt: UInt64) {
        self.beganAt = beganAt
        endsAt = beganAt + intervalNanoseconds
    }

    /// Begins a new stretch where the present one is over.
    @inline(__always)
    mutating func advance(to now: UInt64) {
        if now >= endsAt { turnOver(now) }
    }

    private mutating func turnOver(_ now: UInt64) {
        while now >= endsAt {
            intervals.append(current)
            current = LoadInterval()
            endsAt += intervalNanoseconds
            if intervals.count == Self.intervalsMax { halve() }
        }
    }

    /// Makes one stretch of two.
    private mutating func halve() {
        var halved: [LoadInterval] = []
        for index in stride(from: 0, to: intervals.count, by: 2) {
            var both = intervals[index]
            if index + 1 < intervals.count { both.add(intervals[index + 1]) }
            halved.append(both)
        }
        intervals = halved
        intervalNanoseconds *= 2
        endsAt = beganAt + UInt64(halved.count + 1) * intervalNanoseconds
    }

    /// The same with the present stretch in the list.
    mutating func finish() {
        intervals.append(current)
        current = LoadInterval()
    }

    /// Adds what happened afterwards; both are finished.
    mutating func append(_ other: LoadTimeline) {
        var other = other
        while intervalNanoseconds < other.intervalNanoseconds { halve() }
        while other.intervalNanoseconds < intervalNanoseconds { other.halve() }
        intervals += other.intervals
        while intervals.count > Self.intervalsMax { halve() }
    }

    /// Adds what happened at the same time elsewhere; both are finished.
    mutating func add(_ other: LoadTimeline) {
        var other = other
        while intervalNanoseconds < other.intervalNanoseconds { halve() }
        while other.intervalNanoseconds < intervalNanoseconds { other.halve() }
        for (index, interval) in other.intervals.enumerated() {
            if index < intervals.count {
                intervals[index].add(interval)
            } else {
                intervals.append(interval)
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Durations of one writer, counted by how long they were; any thread reads at any time.
public struct DurationCounter: ~Copyable, Sendable {
    /// What counters of one kind have in common: the upper bounds of their buckets, and their unit.
    public final class Kind: Sendable {
        nonisolated(unsafe) fileprivate let bounds: UnsafeMutableBufferPointer<UInt64>
        /// How many of its units are a second.
        fileprivate let perSecond: Double
        /// The bounds in seconds, as all readings have them.
        fileprivate let limits: HistogramLimits

        /// Bounds in rising order, in units of which so many are a second; they belong to their buckets.
        public init(bounds: [UInt64], perSecond: Int = 1_000) {
            self.bounds = .allocate(capacity: bounds.count)
            _ = self.bounds.initialize(fromContentsOf: bounds)
            self.perSecond = Double(perSecond)
            limits = HistogramLimits(bounds.map { Double($0) / Double(perSecond) })
        }

        deinit { bounds.deallocate() }
    }

    private let kind: Kind
    /// Those of the kind, so that counting touches no object.
    nonisolated(unsafe) private let bounds: UnsafeMutableBufferPointer<UInt64>
    /// A counter for each bucket, one for what is longer, and the sum.
    private let cells: CounterRow

    /// Nothing was counted yet.
    public init(_ kind: Kind) {
        self.kind = kind
        bounds = kind.bounds
        cells = CounterRow(count: bounds.count + 2)
    }

    /// Counts a duration; only the one writer may call this.
    public func note(_ duration: UInt64) {
        var bucket = 0
        while bucket < bounds.count && duration > bounds[bucket] { bucket &+= 1 }
        cells.add(at: bucket)
        cells.add(duration, at: bounds.count &+ 1)
    }

    /// Counts so many in all, of which those that were not noted belong into the first bucket and take no time; only
    /// the one writer may call this.
    public func fillFirst(total: UInt64) {
        var noted: UInt64 = 0
        for bucket in 0...bounds.count { noted &+= cells.value(at: bucket) }
        if total > noted { cells.add(total &- noted, at: 0) }
    }

    /// Whether nothing was counted yet.
    public var isEmpty: Bool {
        for index in 0...bounds.count where cells.value(at: index) > 0 { return false }
        return true
    }

    /// What was counted, in seconds.
    public var reading: HistogramReading {
        var reading = HistogramReading(kind.limits)
        add(to: &reading)
        return reading
    }

    /// Adds what was counted, in seconds, to what other writers have in the same buckets.
    fileprivate func add(to reading: inout HistogramReading) {
        let sum = Double(cells.value(at: bounds.count + 1)) / kind.perSecond
        reading.add(kind.limits, sum: sum) { cells.value(at: $0) }
    }
}

/// The upper bounds of a histogram's buckets, and how they are written.
public final class HistogramLimits: Sendable {
    /// The bounds in rising order; they belong to their buckets.
    public let bounds: [Double]
    /// What stands between the labels of a bucket and its count, last that of the bucket which has no bound.
    let words: [[UInt8]]

    /// Bounds in rising order.
    public init(_ bounds: [Double]) {
        self.bounds = bounds
        words = (bounds.map { "\($0)" } + ["+Inf"]).map { Array("le=\"\($0)\"} ".utf8) }
    }
}

/// What a histogram has counted.
public struct HistogramReading: Sendable {
    let limits: HistogramLimits
    /// How many fell into each bucket alone, and last how many were above all bounds.
    public private(set) var counts: [UInt64]
    /// The sum of all that was counted.
    public private(set) var sum: Double

    /// Nothing was counted.
    public init(_ limits: HistogramLimits) {
        self.limits = limits
        counts = [UInt64](repeating: 0, count: limits.bounds.count + 1)
        sum = 0
    }

    /// A reading; `counts` has one more than `bounds`.
    public init(bounds: [Double], counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1)
        limits = HistogramLimits(bounds)
        self.counts = counts
        self.sum = sum
    }

    /// The upper bounds of the buckets, which belong to them, in rising order.
    public var bounds: [Double] { limits.bounds }

    /// How many were counted.
    public var total: UInt64 { counts.reduce(0, &+) }

    /// Whether nothing was counted.
    public var isEmpty: Bool { counts.allSatisfy { $0 == 0 } }

    /// Adds what another writer has counted in the same buckets.
    public mutating func add(_ counter: borrowing DurationCounter) { counter.add(to: &self) }

    /// Adds what another writer has counted in the same buckets.
    public mutating func add(_ other: HistogramReading) {
        add(other.limits, sum: other.sum) { other.counts[$0] }
    }

    /// Adds a sum, and for each bucket by its index what it has counted.
    public mutating func add(
        _ limits: HistogramLimits, sum: Double, _ count: (Int) -> UInt64
    ) {
        precondition(
            self.limits === limits || self.limits.bounds == limits.bounds,
            "two histograms of one family have different buckets")
        for index in counts.indices { counts[index] &+= count(index) }
        self.sum += sum
    }
}

extension HistogramReading: Equatable {
    /// Whether the bounds, counts and sums are the same.
    public static func == (one: HistogramReading, other: HistogramReading) -> Bool {
        one.bounds == other.bounds && one.counts == other.counts && one.sum == other.sum
    }
}

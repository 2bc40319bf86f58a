// SPDX-License-Identifier: Apache-2.0

/// Durations of one writer, counted by how long they were; any thread reads at any time.
public struct DurationCounter: ~Copyable, Sendable {
    /// How many of its units are a second.
    private let perSecond: Double
    /// The upper bounds of the buckets, which belong to them, in rising order.
    nonisolated(unsafe) private let bounds: UnsafeMutableBufferPointer<UInt64>
    /// A counter for each bucket, one for what is longer, and the sum.
    private let cells: CounterRow

    /// Buckets with these upper bounds, in units of which so many are a second.
    public init(bounds: [UInt64], perSecond: Int = 1_000) {
        self.perSecond = Double(perSecond)
        self.bounds = .allocate(capacity: bounds.count)
        _ = self.bounds.initialize(fromContentsOf: bounds)
        cells = CounterRow(count: bounds.count + 2)
    }

    deinit { bounds.deallocate() }

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
        var counts: [UInt64] = []
        for index in 0...bounds.count { counts.append(cells.value(at: index)) }
        return HistogramReading(
            bounds: bounds.map { Double($0) / perSecond }, counts: counts,
            sum: Double(cells.value(at: bounds.count + 1)) / perSecond)
    }
}

/// What a histogram has counted.
public struct HistogramReading: Sendable, Equatable {
    /// The upper bounds of the buckets, which belong to them, in rising order.
    public let bounds: [Double]
    /// How many fell into each bucket alone, and last how many were above all bounds.
    public private(set) var counts: [UInt64]
    /// The sum of all that was counted.
    public private(set) var sum: Double

    /// A reading; `counts` has one more than `bounds`.
    public init(bounds: [Double], counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1)
        self.bounds = bounds
        self.counts = counts
        self.sum = sum
    }

    /// How many were counted.
    public var total: UInt64 { counts.reduce(0, &+) }

    /// Adds what another writer has counted in the same buckets.
    public mutating func add(_ other: HistogramReading) {
        precondition(bounds == other.bounds, "two histograms of one family have different buckets")
        for index in counts.indices { counts[index] &+= other.counts[index] }
        sum += other.sum
    }
}

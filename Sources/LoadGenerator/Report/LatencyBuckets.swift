// SPDX-License-Identifier: Apache-2.0

/// How often times of which order came: 8 buckets for each power of two, so a bucket is at most 12.5 % wide.
///
/// Coarser than a histogram of a run, and small enough to have one for each second.
public struct LatencyBuckets: Sendable, Equatable {
    /// Longer times than 2⁴⁰ ns, 18 minutes, count as this long.
    private static let bitsMax = 40
    static let count = (bitsMax - 2) * 8

    private(set) var counts: [UInt32]
    /// How many times were recorded.
    public private(set) var total: UInt64 = 0
    private(set) var largest: UInt64 = 0
    private var sum: UInt64 = 0

    init() { counts = [UInt32](repeating: 0, count: Self.count) }

    @inline(__always)
    static func index(_ nanoseconds: UInt64) -> Int {
        let value = min(nanoseconds, 1 << UInt64(bitsMax) - 1)
        if value < 8 { return Int(value) }
        let exponent = 63 &- value.leadingZeroBitCount
        return (exponent &- 2) &* 8 &+ Int((value >> UInt64(exponent &- 3)) & 7)
    }

    /// The smallest time of a bucket, in nanoseconds.
    static func lowest(_ index: Int) -> UInt64 {
        if index < 8 { return UInt64(index) }
        return UInt64(8 + index % 8) << UInt64(index / 8 - 1)
    }

    @inline(__always)
    mutating func record(_ nanoseconds: UInt64) {
        let index = Self.index(nanoseconds)
        counts[index] &+= 1
        total &+= 1
        sum &+= nanoseconds
        if nanoseconds > largest { largest = nanoseconds }
    }

    mutating func add(_ other: LatencyBuckets) {
        for index in 0..<Self.count { counts[index] &+= other.counts[index] }
        total &+= other.total
        sum &+= other.sum
        largest = max(largest, other.largest)
    }

    /// The time that so many of a hundred did not exceed, in microseconds, as the upper end of its bucket; 0 if
    /// there are none.
    public func microseconds(atPercentile percentile: Double) -> Double {
        guard total > 0 else { return 0 }
        return microseconds(ofFirst: (percentile / 100 * Double(total)).rounded(.up))
    }

    /// The time that so many of the shortest did not exceed, of which there is one at least.
    private func microseconds(ofFirst count: Double) -> Double {
        let wanted = max(1, count)
        var sum = 0.0
        for index in 0..<Self.count where counts[index] > 0 {
            sum += Double(counts[index])
            if sum >= wanted {
                return Double(min(Self.lowest(index + 1), largest)) / 1000
            }
        }
        return Double(largest) / 1000
    }

    /// The same of all but `missing` of them, where it is not known which these are: it is at least this long.
    ///
    /// The `missing` longest are left out, and of the others the percentile is that of the rest.
    func microseconds(atPercentile percentile: Double, without missing: UInt64) -> Double {
        guard total > missing else { return 0 }
        return microseconds(ofFirst: (percentile / 100 * Double(total - missing)).rounded(.up))
    }

    /// The mean, in microseconds; 0 if there are none.
    public var meanMicroseconds: Double { total == 0 ? 0 : Double(sum) / Double(total) / 1000 }

    /// The longest time, in microseconds.
    public var maxMicroseconds: Double { Double(largest) / 1000 }
}

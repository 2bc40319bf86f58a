// SPDX-License-Identifier: Apache-2.0
import Histogram

/// What is counted while a load runs.
struct LoadMeter {
    /// Longer ones are counted as this long: ten minutes.
    private static let longestNanoseconds: UInt64 = 600_000_000_000

    /// Whether what comes back counts.
    var isMeasuring = false
    /// Messages that came back, or cycles of `connect`, while measuring.
    private(set) var count: UInt64 = 0
    var resumed: UInt64 = 0
    var errors: UInt64 = 0
    private(set) var firstError: String?
    var tlsVersion: String?
    var cipher: String?
    private var latencies = Histogram<UInt64>(
        highestTrackableValue: longestNanoseconds, numberOfSignificantValueDigits: .three)

    /// One message came back whose latency is not tracked.
    mutating func countOne() {
        if isMeasuring { count &+= 1 }
    }

    mutating func record(nanoseconds: UInt64) {
        if isMeasuring { latencies.record(min(nanoseconds, Self.longestNanoseconds)) }
    }

    mutating func note(error: String) {
        note(1, error)
    }

    mutating func note(_ count: UInt64, _ error: String) {
        errors &+= count
        if firstError == nil { firstError = error }
    }

    func microseconds(atPercentile percentile: Double) -> Double {
        latencies.totalCount == 0
            ? 0 : Double(latencies.valueAtPercentile(percentile)) / 1000
    }

    var maxMicroseconds: Double {
        latencies.totalCount == 0 ? 0 : Double(latencies.max) / 1000
    }
}

// SPDX-License-Identifier: Apache-2.0

/// What one thread of a load has measured.
struct LoadOutcome: Sendable {
    var meter: LoadMeter
    /// The measured part.
    var seconds: Double
    /// From the first connection until all were open, or were not.
    var openingSeconds: Double
    /// Messages that came back before the measured part was over.
    var receivedInTime: UInt64
    /// What the thread has used of its core while measuring.
    var usage: ThreadUsage
    /// Clients of a storm that were served again, and their attempts.
    var served: Int
    var attempts: UInt64
    /// Those that were not.
    var stragglers = StormStragglers()

    /// Adds what the thread of the same number has measured in a later run.
    mutating func append(_ other: LoadOutcome) {
        var timeline = meter.timeline
        if let later = other.meter.timeline { timeline?.append(later) }
        meter.add(other.meter)
        meter.timeline = timeline
        seconds += other.seconds
        openingSeconds += other.openingSeconds
        receivedInTime &+= other.receivedInTime
        usage.append(other.usage)
        served += other.served
        attempts &+= other.attempts
        stragglers.waiting += other.stragglers.waiting
        stragglers.connecting += other.stragglers.connecting
    }
}

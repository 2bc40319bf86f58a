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
    /// How much of its core the thread has used while measuring: 1 is all of it.
    var cpuShare: Double
    /// How much of the time it was ready to run and waited for a core.
    var queueShare: Double
    /// Clients of a storm that were served again, and their attempts.
    var served: Int
    var attempts: UInt64

    /// Adds what the thread of the same number has measured in a later run, which was the `number`th.
    mutating func append(_ other: LoadOutcome, number: Int) {
        var timeline = meter.timeline
        if let later = other.meter.timeline { timeline?.append(later) }
        meter.add(other.meter)
        meter.timeline = timeline
        seconds += other.seconds
        openingSeconds += other.openingSeconds
        receivedInTime &+= other.receivedInTime
        cpuShare += (other.cpuShare - cpuShare) / Double(number)
        queueShare += (other.queueShare - queueShare) / Double(number)
        served += other.served
        attempts &+= other.attempts
    }
}

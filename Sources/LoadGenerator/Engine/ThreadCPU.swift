// SPDX-License-Identifier: Apache-2.0
import Glibc

/// How much of its core a thread has used while measuring.
struct ThreadCPU {
    /// Of less time no share is told: it would be that of single events.
    private static let leastNanoseconds: UInt64 = 10_000_000

    /// What the thread has used in all, and for how long it has waited for a core, in nanoseconds.
    private struct Reading {
        let at: UInt64
        let used: UInt64
        let queued: UInt64

        init(at now: UInt64) {
            at = now
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            used =
                UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
                &+ UInt64(truncatingIfNeeded: time.tv_nsec)
            // The second number of its schedstat.
            let text = ProcessWatch.text(of: "/proc/thread-self/schedstat") ?? ""
            queued = text.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
        }
    }

    private var first = Reading(at: 0)
    private var last: Reading?

    mutating func begin(at now: UInt64) { first = Reading(at: now) }

    /// Has the measured part end at a moment that is only just over; a later one takes its place.
    mutating func mark(at moment: UInt64) {
        if last?.at != moment { last = Reading(at: moment) }
    }

    mutating func end(at now: UInt64) { last = Reading(at: now) }

    /// What a measured part has taken of so many seconds, in which so many messages came.
    func usage(of seconds: Double, messages: UInt64) -> ThreadUsage {
        guard let last, last.at > first.at, last.at - first.at >= Self.leastNanoseconds else {
            return ThreadUsage()
        }
        let nanoseconds = Double(last.at - first.at)
        let queued = last.queued - min(last.queued, first.queued)
        return ThreadUsage(
            seconds: seconds, cpuSeconds: Double(last.used - first.used) / nanoseconds * seconds,
            queueSeconds: Double(queued) / nanoseconds * seconds, messages: messages)
    }
}

/// What threads have used of their cores, in one run or in several.
struct ThreadUsage: Sendable {
    /// The time of which it is known; 0 where none is.
    var seconds = 0.0
    /// CPU time in that.
    var cpuSeconds = 0.0
    /// For how long they were ready to run, and waited for a core.
    var queueSeconds = 0.0
    /// Messages that came in that time.
    var messages: UInt64 = 0

    /// How much of a core was used: 1 is all of it.
    var cpuShare: Double { seconds > 0 ? cpuSeconds / seconds : 0 }
    /// How much of the time was spent on waiting for one.
    var queueShare: Double { seconds > 0 ? queueSeconds / seconds : 0 }

    /// Adds that of a later run.
    mutating func append(_ other: ThreadUsage) {
        seconds += other.seconds
        cpuSeconds += other.cpuSeconds
        queueSeconds += other.queueSeconds
        messages &+= other.messages
    }
}

// SPDX-License-Identifier: Apache-2.0
import Histogram

/// What is counted while a load runs.
struct LoadMeter: Sendable {
    /// Longer ones are counted as this long: ten minutes.
    private static let longestNanoseconds: UInt64 = 600_000_000_000

    /// Whether what comes back counts.
    var isMeasuring = false
    /// Messages that came back, or cycles of `connect`, while measuring.
    private(set) var count: UInt64 = 0
    /// The payload of these messages.
    private(set) var payloadBytes: UInt64 = 0
    /// Messages that were under way while measuring.
    var sent: UInt64 = 0
    /// Messages whose sending began, and those that came back, in the whole run.
    var totalSent: UInt64 = 0
    private(set) var totalReceived: UInt64 = 0
    /// Of those, the ones that were lost with their connection.
    var gone: UInt64 = 0
    /// Messages of the clock that could not leave, since their connection was gone or took nothing.
    var unsent: UInt64 = 0
    /// Messages of a server that its scripts did not expect in time, and that were dropped.
    var dropped: UInt64 = 0
    /// Messages that came before their own clock said that they had left, and by how much at most.
    private(set) var early: UInt64 = 0
    private(set) var earlyMaxNanoseconds: UInt64 = 0
    /// By how much a connection of a ramp began too late, at most.
    var rampLateNanoseconds: UInt64 = 0
    /// WebSockets that became open, that did not, and that ended before their time.
    var opened: UInt64 = 0
    var failed: UInt64 = 0
    /// Of those that became open, how many did before the measured part.
    var openedBefore: UInt64 = 0
    /// As many were open when the measured part ended.
    var openedUntilEnd: UInt64 = 0
    var lost: UInt64 = 0
    /// Handshakes that took up an earlier session, while measuring.
    var resumed: UInt64 = 0
    private(set) var late: UInt64 = 0
    private(set) var errors: UInt64 = 0
    private(set) var firstError: String?
    private(set) var tallies: [LoadCause: LoadTally] = [:]
    /// How scenarios have ended, by their names.
    var scenarios: [String: ScenarioTally] = [:]
    var tlsVersion: String?
    var cipher: String?
    var timeline: LoadTimeline?
    private(set) var latencies = LoadMeter.histogram(.three)
    var phases = OpeningPhases()
    /// How much later than by the clock messages were let go, and how long events waited for their turn.
    var sendLag = LatencyBuckets()
    /// The same of messages whose latency was measured, where each of them is known: those of scripts by the clock.
    var timedSendLag = LatencyBuckets()
    /// Reads of the measured part, and those of them behind which the socket had more.
    var reads: UInt64 = 0
    var fullReads: UInt64 = 0
    var receiveLag = LatencyBuckets()
    /// How often memory went back to the system.
    var memoryReturns: UInt64 = 0

    static func histogram(_ digits: SignificantDigits) -> Histogram<UInt64> {
        Histogram(
            highestTrackableValue: longestNanoseconds, numberOfSignificantValueDigits: digits)
    }

    static func clamped(_ nanoseconds: UInt64) -> UInt64 { min(nanoseconds, longestNanoseconds) }

    /// One message came back.
    @inline(__always)
    mutating func countOne(payloadBytes bytes: Int = 0) {
        guard isMeasuring else { return }
        count &+= 1
        payloadBytes &+= UInt64(truncatingIfNeeded: bytes)
    }

    /// One message came back, measured or not.
    @inline(__always)
    mutating func countReceived() {
        totalReceived &+= 1
        timeline?.current.received &+= 1
    }

    /// A socket has more than is read of it now.
    mutating func notePutOff() {
        reads &+= 1
        fullReads &+= 1
    }

    /// The sending of a message begins.
    @inline(__always)
    mutating func countSent(isTimed: Bool) {
        totalSent &+= 1
        if isTimed { sent &+= 1 }
        timeline?.current.sent &+= 1
    }

    @inline(__always)
    mutating func record(nanoseconds: UInt64) {
        guard isMeasuring else { return }
        latencies.record(Self.clamped(nanoseconds))
        timeline?.current.latencies.record(nanoseconds)
    }

    mutating func note(_ cause: LoadCause, _ error: String) { note(1, cause, error) }

    mutating func note(_ count: UInt64, _ cause: LoadCause, _ error: String) {
        errors &+= count
        timeline?.current.errors &+= count
        if firstError == nil { firstError = error }
        tallies[cause, default: LoadTally(count: 0, example: error)].count &+= count
    }

    /// A message came back later than it may.
    mutating func noteLate(nanoseconds: UInt64) {
        guard isMeasuring else { return }
        late &+= 1
        note(
            .late,
            "a message came back after \(Double(nanoseconds / 1000) / 1000) ms")
    }

    /// A message came whose clock is ahead of the one here.
    mutating func noteEarly(nanoseconds: UInt64) {
        guard isMeasuring else { return }
        early &+= 1
        earlyMaxNanoseconds = max(earlyMaxNanoseconds, nanoseconds)
    }

    /// A WebSocket became open.
    mutating func noteOpened() {
        opened &+= 1
        timeline?.current.opened &+= 1
    }

    /// WebSockets did not.
    mutating func noteFailed(_ count: UInt64 = 1) {
        failed &+= count
        timeline?.current.failed &+= count
    }

    /// Adds what another thread has counted.
    mutating func add(_ other: LoadMeter) {
        count &+= other.count
        payloadBytes &+= other.payloadBytes
        sent &+= other.sent
        gone &+= other.gone
        totalSent &+= other.totalSent
        totalReceived &+= other.totalReceived
        unsent &+= other.unsent
        opened &+= other.opened
        openedBefore &+= other.openedBefore
        openedUntilEnd &+= other.openedUntilEnd
        failed &+= other.failed
        lost &+= other.lost
        resumed &+= other.resumed
        late &+= other.late
        dropped &+= other.dropped
        early &+= other.early
        earlyMaxNanoseconds = max(earlyMaxNanoseconds, other.earlyMaxNanoseconds)
        rampLateNanoseconds = max(rampLateNanoseconds, other.rampLateNanoseconds)
        errors &+= other.errors
        firstError = firstError ?? other.firstError
        tlsVersion = tlsVersion ?? other.tlsVersion
        cipher = cipher ?? other.cipher
        for (cause, tally) in other.tallies {
            let none = LoadTally(count: 0, example: tally.example)
            tallies[cause, default: none].count &+= tally.count
        }
        for (name, tally) in other.scenarios {
            scenarios[name, default: ScenarioTally()].finished &+= tally.finished
            scenarios[name, default: ScenarioTally()].failed &+= tally.failed
        }
        if let more = other.timeline { timeline?.add(more) }
        latencies.add(other.latencies)
        phases.add(other.phases)
        sendLag.add(other.sendLag)
        timedSendLag.add(other.timedSendLag)
        reads &+= other.reads
        fullReads &+= other.fullReads
        receiveLag.add(other.receiveLag)
        memoryReturns &+= other.memoryReturns
    }

    /// How late messages left that have a latency, and others where it is not known which those are.
    func answeredLag() -> LatencyBuckets { timedSendLag.total > 0 ? timedSendLag : sendLag }

    /// How many of `answeredLag` have no latency, since they did not come back.
    var sendsWithoutLatency: UInt64 {
        let timed = UInt64(latencies.totalCount)
        let all = answeredLag().total
        return all > timed ? all - timed : 0
    }

    func microseconds(atPercentile percentile: Double) -> Double {
        latencies.totalCount == 0
            ? 0 : Double(latencies.valueAtPercentile(percentile)) / 1000
    }

    var maxMicroseconds: Double {
        latencies.totalCount == 0 ? 0 : Double(latencies.max) / 1000
    }
}

/// How often a scenario has ended, in which way.
struct ScenarioTally: Sendable {
    var finished: UInt64 = 0
    var failed: UInt64 = 0
}

/// How long the phases of opening took, over the whole run.
struct OpeningPhases: Sendable {
    var tcp = LoadMeter.histogram(.two)
    var tlsFull = LoadMeter.histogram(.two)
    var tlsResumed = LoadMeter.histogram(.two)
    var upgrade = LoadMeter.histogram(.two)

    /// Counts a phase of a connection, in nanoseconds.
    mutating func note(
        _ phase: WritableKeyPath<OpeningPhases, Histogram<UInt64>>, _ nanoseconds: UInt64
    ) {
        self[keyPath: phase].record(LoadMeter.clamped(nanoseconds))
    }

    mutating func add(_ other: OpeningPhases) {
        tcp.add(other.tcp)
        tlsFull.add(other.tlsFull)
        tlsResumed.add(other.tlsResumed)
        upgrade.add(other.upgrade)
    }
}

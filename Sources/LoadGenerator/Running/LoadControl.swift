// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// How a thread of a load stands.
struct LoadGauge: Sendable {
    /// When it has told this, in nanoseconds; 0 before the first time.
    var toldAt: UInt64 = 0
    /// When messages began, and when the last connection was open; 0 where that is still to come.
    var trafficBeganAt: UInt64 = 0
    var openingEndedAt: UInt64 = 0
    var stage = LoadLoop.Stage.opening
    var open = 0
    /// Clients of a storm that wait for their next attempt, and those whose attempt is under way.
    var waiting = 0
    var connecting = 0
    var opened: UInt64 = 0
    var sent: UInt64 = 0
    var received: UInt64 = 0
    /// Of these, those of the measured part.
    var measured: UInt64 = 0
    var errors: UInt64 = 0
    /// Of the present second.
    var latencies = LatencyBuckets()
    var handshakes: UInt64 = 0
}

/// What the threads of a load share, and those who watch it.
public final class LoadControl: Sendable {
    /// How often threads tell how they stand.
    static let gaugeNanoseconds: UInt64 = 200_000_000

    let beganAt = Clock.nowNanoseconds()
    private let threads: Int
    private let stopped = Atomic<Bool>(false)
    private let arrived = Atomic<Int>(0)
    private let gauges: Mutex<[LoadGauge]>

    init(threads: Int) {
        self.threads = threads
        gauges = Mutex([LoadGauge](repeating: LoadGauge(), count: threads))
    }

    /// Ends the run soon: what was measured until then is reported.
    public func stop() { stopped.store(true, ordering: .relaxed) }

    /// Whether somebody has ended it.
    public var isStopped: Bool { stopped.load(ordering: .relaxed) }

    /// A thread has its connections, or will not get them.
    func arrive() { arrived.wrappingAdd(1, ordering: .acquiringAndReleasing) }

    var allHaveArrived: Bool { arrived.load(ordering: .acquiring) >= threads }

    func tell(_ gauge: LoadGauge, from thread: Int) {
        gauges.withLock { if $0.indices.contains(thread) { $0[thread] = gauge } }
    }

    /// Messages that have come in the measured part so far, as threads have told it.
    var measured: UInt64 {
        gauges.withLock { $0.reduce(0) { $0 &+ $1.measured } }
    }

    /// How the whole load stands.
    public var progress: LoadProgress {
        var progress = LoadProgress()
        var latencies = LatencyBuckets()
        let gauges = gauges.withLock { $0 }
        for gauge in gauges {
            progress.open += gauge.open
            progress.waiting += gauge.waiting
            progress.connecting += gauge.connecting
            progress.opened &+= gauge.opened
            progress.sent &+= gauge.sent
            progress.received &+= gauge.received
            progress.errors &+= gauge.errors
            progress.isOpening = progress.isOpening || gauge.stage == .opening
            latencies.add(gauge.latencies)
        }
        progress.p50Microseconds = latencies.microseconds(atPercentile: 50)
        progress.p99Microseconds = latencies.microseconds(atPercentile: 99)
        progress.seconds = Double(Clock.nowNanoseconds() - beganAt) / 1e9
        // Each thread has told its counts at a time of its own: together they are those of the mean. One that is done tells
        // nothing any more, and its counts are those of every later time.
        let newest = gauges.map(\.toldAt).max() ?? 0
        let told = gauges.map(\.toldAt).filter { $0 + 3 * Self.gaugeNanoseconds > newest }
            .map { seconds($0) }
        progress.toldSeconds = told.reduce(0, +) / Double(max(1, told.count))
        let begun = gauges.map(\.trafficBeganAt).filter { $0 > 0 }
        progress.trafficBeganSeconds = begun.min().map { seconds($0) }
        let ended = gauges.map(\.openingEndedAt)
        if let last = ended.max(), !ended.contains(0) {
            progress.openingEndedSeconds = seconds(last)
        }
        return progress
    }

    private func seconds(_ moment: UInt64) -> Double {
        Double(moment > beganAt ? moment - beganAt : 0) / 1e9
    }
}

/// How a load stands at a moment.
public struct LoadProgress: Sendable, Equatable {
    /// Seconds since the run began.
    public var seconds = 0.0
    /// Of which moment the counts are, since threads tell them a few times in a second: seconds since the run began.
    public var toldSeconds = 0.0
    /// When messages began; nil while there can be none.
    public var trafficBeganSeconds: Double?
    /// When the last connection was open or had failed; nil before that, and where clients open all the time.
    public var openingEndedSeconds: Double?
    /// Whether connections are still being opened before traffic begins.
    public var isOpening = false
    /// WebSockets that are open.
    public var open = 0
    /// Clients of a storm that wait for their next attempt.
    public var waiting = 0
    /// Clients of a storm whose attempt is under way.
    public var connecting = 0
    /// WebSockets that have become open so far.
    public var opened: UInt64 = 0
    /// Messages sent so far.
    public var sent: UInt64 = 0
    /// Messages that have come so far.
    public var received: UInt64 = 0
    /// Errors so far.
    public var errors: UInt64 = 0
    /// Half of the present second's messages took no longer; 0 if there are none.
    public var p50Microseconds = 0.0
    /// All but one of a hundred of the present second's messages took no longer; 0 if there are none.
    public var p99Microseconds = 0.0

    /// Nothing has happened yet.
    public init() {}
}

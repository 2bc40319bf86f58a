// SPDX-License-Identifier: Apache-2.0
import Glibc
public import Ledger
public import Reactor
import Synchronization

/// Why spans have not reached the collector.
public enum SpanLoss: Int, Sendable, CaseIterable {
    /// As many waited as may wait.
    case queueFull
    /// The collector did not want them.
    case rejected
    /// The collector could not be reached, or could not take them, for too long.
    case failed
    /// The process ended, or a reload has switched traces off.
    case stopped

    /// What metrics call it.
    public var label: String {
        switch self {
        case .queueFull: "queue_full"
        case .rejected: "rejected"
        case .failed: "failed"
        case .stopped: "stopped"
        }
    }
}

/// Sends spans to a collector from a thread of its own, so that no reactor ever waits for one.
///
/// The queue is bounded. What does not fit, and what the collector does not take in time, is dropped and
/// counted, and nothing else. There is no thread before there is a plan.
public final class TraceExporter: Sendable {
    enum Command: Sendable {
        /// Send there from now on; nil sends what waits a last time, and nothing any more.
        case use(TracePlan?)
        /// Send what waits until that time, in milliseconds of `Clock`, and end.
        case end(deadline: UInt64)
    }

    let patience: ExportPatience
    let events: @Sendable (LogEvent) -> Void
    let queue: Mailbox<SpanRecord>
    let commands: Mailbox<Command>
    /// Spans that were taken in and neither reached the collector nor were dropped.
    private let waiting = Atomic<Int>(0)
    private let spansMax = Atomic<Int>(0)
    private let exported = Atomic<Int>(0)
    private let losses = SpanLoss.allCases.map { _ in LossCounter() }
    private let isRunning = Mutex(false)
    private let ended: Mailbox<Bool>

    /// An exporter without a plan.
    ///
    /// - Parameter events: takes what the operator should know; it is called from the exporter's thread.
    /// - Throws: `SystemError` when there is no descriptor left.
    public convenience init(
        events: @escaping @Sendable (LogEvent) -> Void
    ) throws(SystemError) {
        try self.init(events: events, patience: ExportPatience())
    }

    init(
        events: @escaping @Sendable (LogEvent) -> Void, patience: ExportPatience
    ) throws(SystemError) {
        self.events = events
        self.patience = patience
        queue = try Mailbox()
        commands = try Mailbox()
        ended = try Mailbox()
    }

    /// Why no spans can be sent on this machine; nil where they can.
    public static func problem() -> String? { Collector.problem() }

    /// Whether there is a plan, or was one.
    public var isInUse: Bool { isRunning.withLock { $0 } }

    /// What reactors put spans into.
    public var sink: SpanSink { SpanSink { [self] span in put(span) } }

    /// Spans that a collector has taken.
    public var exportedCount: Int { exported.load(ordering: .relaxed) }

    /// Spans that were dropped for this reason.
    public func droppedCount(_ loss: SpanLoss) -> Int {
        losses[loss.rawValue].count.load(ordering: .relaxed)
    }

    /// Spans of one kind that were dropped.
    private final class LossCounter: Sendable {
        let count = Atomic<Int>(0)
    }

    /// Sends spans by a plan from now on, or none any more.
    ///
    /// - Throws: `SystemError` when there is no thread to be had.
    public func use(_ plan: TracePlan?) throws(SystemError) {
        let isNeeded = isRunning.withLock { isRunning in
            if isRunning { return false }
            isRunning = plan != nil
            return isRunning
        }
        if isNeeded {
            do throws(SystemError) {
                _ = try ReactorThread.start(name: "sluice-traces") { [self] in
                    ExportThread(self).run()
                    ended.post(true)
                }
            } catch {
                isRunning.withLock { $0 = false }
                throw error
            }
        }
        spansMax.store(plan?.spansMax ?? 0, ordering: .relaxed)
        if isRunning.withLock({ $0 }) { commands.post(.use(plan)) }
    }

    /// Sends what waits and ends the thread: within some seconds, whatever the collector does.
    public func close() {
        guard isRunning.withLock({ $0 }) else { return }
        let milliseconds = patience.farewellMilliseconds
        commands.post(.end(deadline: Clock.nowMilliseconds() + milliseconds))
        // One that stands still beyond that is left behind.
        _ = ended.wait(milliseconds: Int32(clamping: milliseconds + 500))
    }

    private func put(_ span: SpanRecord) {
        let most = spansMax.load(ordering: .relaxed)
        if waiting.wrappingAdd(1, ordering: .relaxed).newValue > most {
            // Requests that began before traces were switched off may end behind that.
            dropped(1, most == 0 ? .stopped : .queueFull)
            return
        }
        queue.post(span.bounded)
    }

    // MARK: What the thread counts

    func delivered(_ count: Int) {
        waiting.wrappingSubtract(count, ordering: .relaxed)
        exported.wrappingAdd(count, ordering: .relaxed)
    }

    func dropped(_ count: Int, _ loss: SpanLoss) {
        waiting.wrappingSubtract(count, ordering: .relaxed)
        losses[loss.rawValue].count.wrappingAdd(count, ordering: .relaxed)
    }

    /// Spans that were dropped since the start, for whatever reason.
    var droppedCount: Int { SpanLoss.allCases.reduce(0) { $0 + droppedCount($1) } }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Ledger
import Reactor

/// What the exporter's thread does, and what only that thread knows.
final class ExportThread {
    /// Spans that travel together, from the first try on.
    private struct Batch {
        let count: Int
        let body: [UInt8]
        /// When it was tried first, in milliseconds of `Clock`.
        let firstTried: UInt64
    }

    private enum Verdict {
        /// The collector has the batch, but for so many spans.
        case delivered(rejected: Int, reason: String)
        /// The collector does not want it, now or later.
        case unwanted(reason: String)
        /// It may be taken later; how long the collector wants to be left alone.
        case later(milliseconds: UInt64, reason: String)
        /// There is no more time.
        case abandoned
    }

    private let exporter: TraceExporter
    private let patience: ExportPatience
    private var plan: TracePlan?
    /// Plans that are to be taken up once nothing is under way.
    private var changes: [TracePlan?] = []
    /// The way to the collector of the plan; nil before the first request.
    private var collector: Collector?
    private var complaints: CollectorComplaints
    /// Spans that were taken from the queue, the oldest first; those of the batch are at the front.
    private var spans: [SpanRecord] = []
    private var batch: Batch?
    /// When the oldest of them was taken, in milliseconds of `Clock`.
    private var gatheredSince: UInt64 = 0
    /// Before that the collector is not asked again.
    private var notBefore: UInt64 = 0
    /// How long it is left alone when it can't take a batch.
    private var pause: UInt64
    /// Set once the process stops: until then what waits is sent.
    private var deadline: UInt64?

    init(_ exporter: TraceExporter) {
        self.exporter = exporter
        patience = exporter.patience
        pause = patience.pauseMilliseconds
        complaints = CollectorComplaints(
            everyMilliseconds: patience.complaintMilliseconds, exporter.events)
    }

    private var now: UInt64 { Clock.nowMilliseconds() }

    /// Sends until it is told to end.
    func run() {
        while true {
            takeCommands()
            while !changes.isEmpty { use(changes.removeFirst()) }
            take()
            // A plan that came before these spans did is theirs.
            takeCommands()
            if !changes.isEmpty { continue }
            if spans.isEmpty {
                if deadline != nil { return }
                sleep()
            } else if plan == nil {
                drop(spans.count, .stopped)
            } else if isDue {
                export()
            } else {
                // In slices: reactors need not wake anybody meanwhile.
                _ = exporter.commands.wait(milliseconds: 50)
            }
        }
    }

    /// Waits for spans or commands.
    private func sleep() {
        var news = [exporter.queue.descriptor, exporter.commands.descriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        let owed = complaints.owedWithin(now)
        _ = poll(&news, nfds_t(news.count), owed.map { Int32(clamping: $0) } ?? -1)
        complaints.settle(lost: exporter.droppedCount, now)
    }

    private func take() {
        let taken = exporter.queue.take()
        if spans.isEmpty, !taken.isEmpty { gatheredSince = now }
        spans += taken
    }

    private var isDue: Bool {
        deadline != nil || batch != nil || spans.count >= patience.batchMax
            || now >= gatheredSince + patience.gatherMilliseconds
    }

    // MARK: Commands

    /// Sees what is wanted; another plan waits until nothing is under way.
    private func takeCommands() {
        for command in exporter.commands.take() {
            switch command {
            case .end(let deadline): self.deadline = deadline
            case .use(let plan): changes.append(plan)
            }
        }
    }

    private func use(_ new: TracePlan?) {
        if new == plan { return }
        if new == nil { sendLast() }
        plan = new
        batch = nil
        collector = nil
        notBefore = 0
        pause = patience.pauseMilliseconds
        complaints.forget()
    }

    /// Sends once what is left, behind which nothing comes; what that does not bring there is dropped.
    private func sendLast() {
        take()
        let until = now + patience.farewellMilliseconds
        while let batch = nextBatch(), case .delivered(let rejected, _) = attempt(batch, until) {
            deliver(batch, rejected)
        }
        drop(spans.count, .stopped)
    }

    // MARK: Export

    /// Tries the next batch once, or waits until that may be done.
    private func export() {
        if now < notBefore {
            if deadline != nil {
                drop(spans.count, .stopped)
            } else {
                _ = exporter.commands.wait(milliseconds: Int32(clamping: notBefore - now))
            }
            return
        }
        guard let batch = nextBatch() else { return }
        switch attempt(batch, deadline) {
        case .delivered(let rejected, let reason):
            deliver(batch, rejected)
            pause = patience.pauseMilliseconds
            if rejected > 0 {
                complaints.failed(reason, plan, lost: exporter.droppedCount, now)
            } else {
                complaints.succeeded(
                    lost: exporter.droppedCount,
                    overflown: exporter.droppedCount(.queueFull), plan, now)
            }
        case .unwanted(let reason):
            drop(batch.count, .rejected)
            complaints.failed(reason, plan, lost: exporter.droppedCount, now)
        case .later(let milliseconds, let reason): postpone(batch, milliseconds, reason)
        case .abandoned: drop(spans.count, .stopped)
        }
    }

    /// Leaves the collector alone for a while, and gives the batch up that has been tried for too long.
    private func postpone(_ batch: Batch, _ wanted: UInt64, _ reason: String) {
        if deadline != nil {
            drop(spans.count, .stopped)
            return
        }
        let own = UInt64.random(in: pause / 2...pause)
        notBefore = now + min(max(wanted, own), patience.pauseMaxMilliseconds)
        pause = min(pause * 2, patience.retryMilliseconds)
        if notBefore > batch.firstTried + patience.retryMilliseconds {
            drop(batch.count, .failed)
        }
        complaints.failed(reason, plan, lost: exporter.droppedCount, now)
    }

    private func deliver(_ batch: Batch, _ rejected: Int) {
        exporter.delivered(batch.count - rejected)
        if rejected > 0 { exporter.dropped(rejected, .rejected) }
        remove(batch.count)
    }

    /// Drops the oldest spans.
    private func drop(_ count: Int, _ loss: SpanLoss) {
        if count > 0 { exporter.dropped(count, loss) }
        remove(count)
    }

    private func remove(_ count: Int) {
        spans.removeFirst(count)
        batch = nil
        gatheredSince = now
    }

    /// The batch that is under way, or the next one; nil where there are no spans.
    private func nextBatch() -> Batch? {
        if let batch { return batch }
        guard let plan, !spans.isEmpty else { return nil }
        let records = spans.prefix(patience.batchMax)
        let made = Batch(count: records.count, body: plan.body(of: records), firstTried: now)
        batch = made
        return made
    }

    private func attempt(_ batch: Batch, _ end: UInt64?) -> Verdict {
        guard let plan else { return .abandoned }
        let way: Collector
        do throws(Collector.Unusable) {
            if let collector {
                way = collector
            } else {
                way = try Collector(plan)
                collector = way
            }
        } catch {
            return .later(milliseconds: 0, reason: error.reason)
        }
        let outcome = way.post(batch.body, waking: exporter.commands.descriptor) { [self] in
            takeCommands()
            return end.map { min($0, deadline ?? .max) } ?? deadline
        }
        switch outcome {
        case .abandoned: return .abandoned
        case .failed(let reason): return .later(milliseconds: 0, reason: reason)
        case .answered(let status, let seconds, let body):
            return judge(status, retryAfterSeconds: seconds, body, batch.count)
        }
    }

    /// What an answer means (OTLP 1.x, "OTLP/HTTP Response").
    private func judge(
        _ status: Int, retryAfterSeconds seconds: Int, _ body: [UInt8], _ count: Int
    ) -> Verdict {
        let answer = TraceAnswer.read(body)
        switch status {
        case 200..<300:
            let rejected = min(answer?.rejectedCount ?? 0, count)
            let said = answer?.partialSuccess?.errorMessage ?? ""
            return .delivered(
                rejected: rejected, reason: "it did not want \(rejected) of \(count) spans: \(said)"
            )
        case 429, 502, 503, 504:
            return .later(
                milliseconds: UInt64(min(seconds, 86_400)) * 1_000, reason: "it answered \(status)")
        default:
            // Of what is no answer in the protocol's form the begin says enough.
            let said = answer?.message ?? String(decoding: body.prefix(200), as: UTF8.self)
            return .unwanted(reason: "it answered \(status)" + (said.isEmpty ? "" : ": \(said)"))
        }
    }
}

extension TracePlan {
    private static let hostName: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(
            decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// The JSON of spans, all as this plan's service's.
    func body(of records: ArraySlice<SpanRecord>) -> [UInt8] {
        var resource = TraceAttributes()
        resource.add("service.name", serviceName)
        resource.add("service.version", version)
        resource.add("host.name", Self.hostName)
        resource.add("process.pid", getpid())
        let scope = ResourceSpans.ScopeSpans.Scope(name: "sluice", version: version)
        let request = TraceRequest(resourceSpans: [
            ResourceSpans(
                resource: .init(attributes: resource.list),
                scopeSpans: [.init(scope: scope, spans: records.map(\.message))])
        ])
        // Nothing in it can't be written: its numbers are finite.
        return (try? JSONEncoder().encode(request)).map { [UInt8]($0) } ?? []
    }
}

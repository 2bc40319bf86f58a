// SPDX-License-Identifier: Apache-2.0
import Glibc
public import Ledger
public import Reactor
import Synchronization

/// What is written where.
public struct LogPlan: Sendable, Equatable {
    /// The form of a line.
    public var format = LogWriter.Format.text
    /// Where the lines of relays and requests go.
    public var access = LogWriter.Target.stdout
    /// The target of events: whatever an operator should know that is no relay's end.
    public var events = LogWriter.Target.stderr
    /// Whether a relay leaves a line when it opens.
    public var takesRelayOpens = true
    /// Whether a relay leaves a line when it ends.
    public var takesRelayEnds = true
    /// Entries that may wait.
    public var entriesMax = 65_536

    /// A plan in which relays and requests go to standard output, and events to standard error.
    public init() {}
}

/// Writes access lines and events on a thread of its own, so that no reactor ever waits for a disk.
///
/// The queue is bounded. What does not fit is dropped, and the next line written says how many; what
/// the target does not take is lost, said once and counted.
public final class LogWriter: Sendable {
    /// The form of a line.
    public enum Format: Sendable {
        /// One line of words and `key=value` pairs for people.
        case text
        /// One JSON object per line.
        case json
    }

    /// Where the lines of one kind are written to.
    public enum Target: Sendable, Equatable, CustomStringConvertible {
        /// The process's standard output.
        case stdout
        /// The process's standard error.
        case stderr
        /// Lines of this kind are not written at all.
        case off
        /// To a file, appended.
        case file(String)
        /// To systemd's journal, which listens at this path.
        case journal(String)
        /// To a descriptor that stays open.
        case descriptor(Int32)

        /// The target in words.
        public var description: String {
            switch self {
            case .stdout: "standard output"
            case .stderr: "standard error"
            case .off: "nowhere"
            case .file(let path), .journal(let path): path
            case .descriptor(let number): "descriptor \(number)"
            }
        }
    }

    /// Where systemd's journal listens.
    public static let journalPath = "/run/systemd/journal/socket"

    private enum Entry: Sendable {
        case access(AccessRecord)
        case event(LogEvent)
        case reopen
        case use(Change)
        case end
    }

    fileprivate struct Sinks: ~Copyable {
        var access: LogSink
        var events: LogSink

        /// Opens what a plan names.
        static func open(_ plan: LogPlan) throws(SystemError) -> Sinks {
            Sinks(
                access: try LogSink(plan.access, plan.format),
                events: try LogSink(plan.events, plan.format))
        }
    }

    /// Another plan, whose targets are open.
    public final class Change: Sendable {
        fileprivate let plan: LogPlan
        fileprivate let sinks: Mutex<Sinks?>

        fileprivate init(_ plan: LogPlan) throws(SystemError) {
            self.plan = plan
            sinks = Mutex(try Sinks.open(plan))
        }
    }

    /// After each batch more is let come: reactors that find the queue waited for need not wake anybody.
    private static let batchMicroseconds: UInt32 = 5_000

    private let entriesMax: Int
    private let wishes = JournalWishes()
    private let lastLine: LastLine?
    private let queue: Mailbox<Entry>
    private let waiting = Atomic<Int>(0)
    private let dropped = Atomic<Int>(0)
    private let droppedEver = Atomic<Int>(0)
    private let unwrittenEver = Atomic<Int>(0)
    /// Used by the thread alone.
    private let sinks: Mutex<Sinks>
    private let trouble = Mutex<String?>(nil)
    private let ended: Mailbox<Bool>

    /// Opens the targets and starts the thread.
    ///
    /// - Parameters:
    ///   - plan: what is written where.
    ///   - lastLine: what stands below the lines, where they go to a terminal.
    /// - Throws: `SystemError` when a file can't be opened.
    public init(_ plan: LogPlan, above lastLine: LastLine? = nil) throws(SystemError) {
        entriesMax = plan.entriesMax
        self.lastLine = lastLine
        queue = try Mailbox()
        ended = try Mailbox()
        sinks = Mutex(try Sinks.open(plan))
        wish(plan)
        _ = try ReactorThread.start(name: "sluice-log") { [self] in run() }
    }

    /// What reactors write through.
    public var journal: Journal {
        Journal(
            access: { [self] record in if wishes.isAnything { put(.access(record)) } },
            event: { [self] event in put(.event(event)) }, wishes: wishes)
    }

    private func wish(_ plan: LogPlan) {
        let isOn = plan.access != .off
        wishes.set(
            requests: isOn, relayOpens: isOn && plan.takesRelayOpens,
            relayEnds: isOn && plan.takesRelayEnds)
    }

    /// Opens the targets of another plan, and writes nothing there yet.
    ///
    /// - Throws: `SystemError` when a file can't be opened.
    public func prepare(_ plan: LogPlan) throws(SystemError) -> Change { try Change(plan) }

    /// Goes by another plan, behind what waits: that goes where it was meant to.
    public func use(_ change: Change) {
        post(.use(change))
        wish(change.plan)
    }

    /// Writes an event behind the lines that wait; drops and counts it if the queue is full.
    public func write(_ event: LogEvent) { put(.event(event)) }

    /// Lines that were lost since the start because the queue was full.
    public var droppedCount: Int { droppedEver.load(ordering: .relaxed) }

    /// Lines that were lost since the start because they could not be written.
    public var unwrittenCount: Int { unwrittenEver.load(ordering: .relaxed) }

    /// Why lines can't be written at present; nil when they can.
    public var problem: String? { trouble.withLock { $0 } }

    /// Opens files anew, behind what waits: whoever rotates logs has moved them away.
    public func reopen() { post(.reopen) }

    /// Writes what waits and ends the thread; one that stands still for five seconds is left behind.
    public func close() {
        post(.end)
        _ = ended.wait(milliseconds: 5_000)
    }

    private func put(_ entry: Entry) {
        if waiting.wrappingAdd(1, ordering: .relaxed).newValue > entriesMax {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            dropped.wrappingAdd(1, ordering: .relaxed)
            droppedEver.wrappingAdd(1, ordering: .relaxed)
            return
        }
        queue.post(entry)
    }

    /// Puts something behind what waits, however much that is.
    private func post(_ entry: Entry) {
        waiting.wrappingAdd(1, ordering: .relaxed)
        queue.post(entry)
    }

    private func run() {
        while true {
            _ = queue.wait(milliseconds: -1)
            let entries = queue.take()
            waiting.wrappingSubtract(entries.count, ordering: .relaxed)
            var isOver = false
            let write = { isOver = self.sinks.withLock { self.write(entries, &$0) } }
            if let lastLine { lastLine.above(write) } else { write() }
            if isOver { break }
            usleep(Self.batchMicroseconds)
        }
        ended.post(true)
    }

    /// Writes a batch; true when it was the last one.
    private func write(_ entries: [Entry], _ sinks: inout Sinks) -> Bool {
        var isOver = false
        for entry in entries {
            switch entry {
            case .access(let record): sinks.access.append(record)
            case .event(let event): sinks.events.append(event)
            case .reopen:
                if let event = sinks.access.reopen() { sinks.events.append(event) }
                if let event = sinks.events.reopen() { sinks.events.append(event) }
            case .use(let change):
                finish(&sinks)
                let news = [sinks.access.lastNews, sinks.events.lastNews]
                if let new = change.sinks.withLock({ $0.take() }) { sinks = new }
                for event in news { event.map { sinks.events.append($0) } }
            case .end: isOver = true
            }
        }
        let lost = dropped.exchange(0, ordering: .relaxed)
        if lost > 0 {
            let sentence =
                "\(Count.words(lost, "log line", one: "was", many: "were")) dropped: the log is too slow."
            sinks.events.append(LogEvent(.warning, sentence))
        }
        finish(&sinks)
        let problem = sinks.access.failure ?? sinks.events.failure
        trouble.withLock { $0 = problem?.description }
        return isOver
    }

    /// Writes what the sinks were given, and counts what they could not write.
    private func finish(_ sinks: inout Sinks) {
        sinks.access.flush()
        if let event = sinks.access.news() { sinks.events.append(event) }
        sinks.events.flush()
        // Where events themselves had not been written, that they are again is news too.
        if let event = sinks.events.news() {
            sinks.events.append(event)
            sinks.events.flush()
        }
        let unwritten = sinks.access.takeLost() + sinks.events.takeLost()
        if unwritten > 0 { unwrittenEver.wrappingAdd(unwritten, ordering: .relaxed) }
    }
}

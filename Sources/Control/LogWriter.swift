// SPDX-License-Identifier: Apache-2.0
public import Frontend
import Glibc
public import Reactor
import Synchronization

/// Writes access lines and events on a thread of its own, so that no reactor ever waits for a disk.
///
/// The queue is bounded. What does not fit is dropped, and the next line written says how many.
public final class LogWriter: Sendable {
    /// The form of a line.
    public enum Format: Sendable {
        /// For people.
        case text
        /// One JSON object per line.
        case json
    }

    /// Where lines go.
    public enum Target: Sendable, Equatable {
        /// To standard output.
        case stdout
        /// To standard error.
        case stderr
        /// Nowhere.
        case off
        /// To a file, appended.
        case file(String)
    }

    enum Entry: Sendable {
        case access(AccessRecord)
        case event(LogEvent)
        case reopen
        case end
    }

    /// Entries that may wait.
    public static let entriesMax = 65_536

    private let queue: Mailbox<Entry>
    private let waiting = Atomic<Int>(0)
    private let dropped = Atomic<Int>(0)
    private let droppedEver = Atomic<Int>(0)
    private let format: Format
    private let access: Target
    /// The target's at the start.
    private let accessDescriptor: Int32
    private let eventDescriptor: Int32
    private let entriesMax: Int
    private let lastLine: LastLine?
    private let thread = Mutex<ReactorThread?>(nil)

    /// Opens the target and starts the thread.
    ///
    /// - Parameters:
    ///   - format: the form of a line.
    ///   - access: where access lines go; events go to standard error.
    ///   - lastLine: what stands below them, where they go to a terminal.
    /// - Throws: `SystemError` when the file can't be opened.
    public convenience init(
        format: Format, access: Target, above lastLine: LastLine? = nil
    ) throws(SystemError) {
        try self.init(
            format: format, access: access, events: STDERR_FILENO, entriesMax: Self.entriesMax,
            above: lastLine)
    }

    /// The same with another place for events and another bound.
    init(
        format: Format, access: Target, events: Int32, entriesMax: Int,
        above lastLine: LastLine? = nil
    ) throws(SystemError) {
        self.lastLine = lastLine
        self.format = format
        self.access = access
        eventDescriptor = events
        self.entriesMax = entriesMax
        queue = try Mailbox()
        switch access {
        case .stdout: accessDescriptor = STDOUT_FILENO
        case .stderr: accessDescriptor = STDERR_FILENO
        case .off: accessDescriptor = -1
        case .file(let path):
            accessDescriptor = Self.open(path)
            guard accessDescriptor >= 0 else {
                throw SystemError(code: errno, call: "open \(path)")
            }
        }
        let started = try ReactorThread.start(name: "sluice-log") { [self] in run() }
        thread.withLock { $0 = started }
    }

    /// What reactors write through.
    public var journal: Journal {
        var journal = Journal(
            access: { [self] record in
                if accessDescriptor >= 0 { put(.access(record)) }
            },
            event: { [self] event in put(.event(event)) })
        journal.takesAccess = accessDescriptor >= 0
        return journal
    }

    /// Writes an event.
    public func write(_ event: LogEvent) { put(.event(event)) }

    /// Lines that were lost since the start because the queue was full.
    public var droppedCount: Int { droppedEver.load(ordering: .relaxed) }

    /// Opens the file anew, behind what waits: whoever rotates logs has moved it away.
    public func reopen() { queue.post(.reopen) }

    /// Writes what waits and ends the thread.
    public func close() {
        queue.post(.end)
        thread.withLock { $0 }?.join()
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

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    }

    /// Another descriptor for the same file; the old one where that can't be had.
    private func reopened(_ old: Int32) -> (descriptor: Int32, problem: String?) {
        guard case .file(let path) = access else { return (old, nil) }
        let new = Self.open(path)
        guard new >= 0 else {
            return (old, SystemError(code: errno, call: "open \(path)").description)
        }
        Glibc.close(old)
        return (new, nil)
    }

    private func run() {
        var accessDescriptor = accessDescriptor
        while true {
            var waitFor = pollfd(fd: queue.descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&waitFor, 1, -1)
            var accessText = ""
            var eventText = ""
            var isEnd = false
            for entry in queue.take() {
                switch entry {
                case .access(let record):
                    waiting.wrappingSubtract(1, ordering: .relaxed)
                    accessText += LogLine.access(record, format) + "\n"
                case .event(let event):
                    waiting.wrappingSubtract(1, ordering: .relaxed)
                    eventText += LogLine.event(event, format) + "\n"
                case .reopen:
                    Self.writeAll(accessText, to: accessDescriptor)
                    accessText = ""
                    let (descriptor, problem) = reopened(accessDescriptor)
                    accessDescriptor = descriptor
                    let event =
                        problem.map {
                            LogEvent(
                                .error, "The log was not opened anew, the old one stays: \($0).")
                        } ?? LogEvent(.info, "The log was opened anew.")
                    eventText += LogLine.event(event, format) + "\n"
                case .end: isEnd = true
                }
            }
            let lost = dropped.exchange(0, ordering: .relaxed)
            if lost > 0 {
                let sentence = "\(lost) log lines were dropped: the log is too slow."
                eventText += LogLine.event(LogEvent(.warning, sentence), format) + "\n"
            }
            let write = {
                Self.writeAll(accessText, to: accessDescriptor)
                Self.writeAll(eventText, to: self.eventDescriptor)
            }
            if let lastLine { lastLine.above(write) } else { write() }
            if isEnd { return }
        }
    }

    static func writeAll(_ text: String, to descriptor: Int32) {
        if text.isEmpty || descriptor < 0 { return }
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let written = Glibc.write(descriptor, start, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    // A full disk or a reader that left: the lines are lost, the service goes on.
                    return
                }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Ledger
import Reactor

/// One place where lines go, used by the log's thread alone.
///
/// What can't be written is lost and counted, and tried anew with the next lines: a disk that was full
/// is written to again as soon as it has room.
struct LogSink: ~Copyable {
    private let target: LogWriter.Target
    private var descriptor: Int32
    private var lines: LogLines
    private var journal: JournalMessage?
    /// A write ended inside a line.
    private var isInsideLine = false
    /// Lines that were lost since somebody asked.
    private var lost = 0
    /// Whether it was said that lines can't be written, and how many were lost since.
    private var isFailing = false
    private var lostInFailure = 0
    /// Why the last write failed; nil when it did not.
    private(set) var failure: SystemError?

    /// Opens the target.
    ///
    /// - Parameters:
    ///   - target: where lines go.
    ///   - format: their form; the journal has one of its own.
    /// - Throws: `SystemError` when a file or socket can't be opened.
    init(_ target: LogWriter.Target, _ format: LogWriter.Format) throws(SystemError) {
        self.target = target
        lines = LogLines(format)
        switch target {
        case .stdout: descriptor = STDOUT_FILENO
        case .stderr: descriptor = STDERR_FILENO
        case .descriptor(let number): descriptor = number
        case .off: descriptor = -1
        case .file(let path): descriptor = try Self.open(path)
        case .journal(let path):
            let socket = UnixDatagram.socket()
            guard socket >= 0 else { throw SystemError(code: errno, call: "make a socket") }
            descriptor = socket
            journal = JournalMessage(path: path)
        }
        lines.hasPrefix = format == .text && Self.isJournalStream(descriptor)
    }

    deinit {
        switch target {
        case .file, .journal: close(descriptor)
        case .stdout, .stderr, .off, .descriptor: break
        }
    }

    /// Takes a record; nothing need be written before `flush`.
    mutating func append(_ record: AccessRecord) {
        guard descriptor >= 0 else { return }
        if journal == nil {
            lines.append(record)
            // A burst is written in pieces.
            if lines.buffer.count > 262_144 { flush() }
        } else {
            send { $0.compose(record) }
        }
    }

    /// Takes an event; nothing need be written before `flush`.
    mutating func append(_ event: LogEvent) {
        guard descriptor >= 0 else { return }
        if journal == nil { lines.append(event) } else { send { $0.compose(event) } }
    }

    private mutating func send(_ compose: (inout JournalMessage) -> Void) {
        guard var message = journal.take() else { return }
        compose(&message)
        let code = message.send(on: descriptor)
        if code == 0 {
            failure = nil
        } else {
            failure = SystemError(code: code, call: "send to \(message.path)")
            lose(1)
        }
        journal = consume message
    }

    /// Writes the lines that were collected and empties the buffer; what can't be written is counted as lost.
    mutating func flush() {
        guard lines.buffer.count > 0 else { return }
        defer { lines.buffer.clear() }
        // The rest of a line that was cut off is gone: the next one begins on a line of its own.
        if isInsideLine {
            guard withUnsafeBytes(of: UInt8(ascii: "\n"), { write($0) }) == 0 else {
                lose(Self.lineCount(lines.buffer.bytes))
                return
            }
            isInsideLine = false
        }
        let rest = write(lines.buffer.bytes)
        if rest > 0 {
            let bytes = lines.buffer.bytes
            let written = bytes.count - rest
            isInsideLine = written > 0 && bytes[written - 1] != UInt8(ascii: "\n")
            lose(Self.lineCount(UnsafeRawBufferPointer(rebasing: bytes[written...])))
        }
    }

    private mutating func lose(_ count: Int) {
        lost += count
        lostInFailure += count
    }

    private static func lineCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        bytes.count { $0 == UInt8(ascii: "\n") }
    }

    /// Writes; how many bytes are left when it fails.
    private mutating func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        failure = nil
        var rest = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            let written = Glibc.write(descriptor, start, rest.count)
            if written >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
                continue
            }
            let code = errno
            if code == EINTR { continue }
            // Whoever started us may have made standard output non-blocking.
            if code == EAGAIN && waitUntilWritable() { continue }
            failure = SystemError(code: code, call: "write \(target)")
            return rest.count
        }
        return 0
    }

    private func waitUntilWritable() -> Bool {
        var waitFor = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&waitFor, 1, -1) > 0 && waitFor.revents & Int16(POLLOUT) != 0
    }

    /// Lines that were lost since this was asked last.
    mutating func takeLost() -> Int {
        defer { lost = 0 }
        return lost
    }

    /// What there is to say since this was asked last: that lines are lost, or that they are no more.
    mutating func news() -> LogEvent? {
        guard isFailing != (failure != nil) else { return nil }
        isFailing = failure != nil
        if let failure {
            return LogEvent(
                .error, "Log lines can't be written and are lost until they can: \(failure).")
        }
        defer { lostInFailure = 0 }
        return LogEvent(.info, "The log is written again; lines lost meanwhile: \(lostInFailure).")
    }

    /// What there is to say of lines that were lost where another sink takes this one's place; nil if none were.
    var lastNews: LogEvent? {
        guard isFailing else { return nil }
        return LogEvent(
            .warning,
            "The log goes elsewhere now; lines lost before, which could not be written to \(target):"
                + " \(lostInFailure).")
    }

    /// Opens a file anew; nil where there is none.
    ///
    /// - Returns: the event that says so; the old file stays where the new one can't be had.
    mutating func reopen() -> LogEvent? {
        guard case .file(let path) = target else { return nil }
        flush()
        do throws(SystemError) {
            let new = try Self.open(path)
            close(descriptor)
            descriptor = new
            isInsideLine = false
            return LogEvent(.info, "The log was opened anew: \(path).")
        } catch {
            return LogEvent(.error, "The log was not opened anew, the old one stays: \(error).")
        }
    }

    private static func open(_ path: String) throws(SystemError) -> Int32 {
        // A pipe without a reader would be waited for, without end, and with it whoever asks for a reload.
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let descriptor = Glibc.open(path, flags, 0o640)
        guard descriptor >= 0 else {
            let code = errno
            throw SystemError(
                code: code, call: "open \(path)\(code == ENXIO ? hint(path) : "")",
                subject: .file(path))
        }
        // The log's thread may wait for who reads it.
        let status = fcntl(descriptor, F_GETFL)
        if status >= 0 { _ = fcntl(descriptor, F_SETFL, status & ~O_NONBLOCK) }
        return descriptor
    }

    /// What stands in the place of a file that nobody can be reached by.
    private static func hint(_ path: String) -> String {
        var status = stat()
        let isPipe = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
        return isPipe
            ? ", a pipe that nobody reads: start its reader first" : ", which is no file"
    }

    /// Whether a descriptor leads to the journal: the service manager says which file that is
    /// (`JOURNAL_STREAM` in systemd.exec(5)).
    private static func isJournalStream(_ descriptor: Int32) -> Bool {
        guard let stream = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] else {
            return false
        }
        var status = stat()
        return descriptor >= 0 && fstat(descriptor, &status) == 0
            && stream == "\(status.st_dev):\(status.st_ino)"
    }
}

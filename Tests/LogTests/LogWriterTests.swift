// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Reactor
import Testing

@testable import Log

/// Lines reach their target, in order, or are counted.
struct LogWriterTests {
    private let directory: URL
    private var path: String { directory.appendingPathComponent("access.log").path }

    init() throws {
        directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-log-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    }

    private func record(_ path: String, detail: String = "") -> AccessRecord {
        var record = AccessRecord(client: .loopback(port: 1), listener: .loopback(port: 2))
        record.path = path
        record.detail = detail
        return record
    }

    private func plan(
        _ access: LogWriter.Target, _ format: LogWriter.Format = .text, events: Pipe? = nil,
        entriesMax: Int = 65_536
    ) -> LogPlan {
        var plan = LogPlan()
        plan.format = format
        plan.access = access
        if let events { plan.events = .descriptor(events.fileHandleForWriting.fileDescriptor) }
        plan.entriesMax = entriesMax
        return plan
    }

    private func cleanUp() { try? FileManager.default.removeItem(at: directory) }

    @Test func `closing writes all that waits, behind what the file held`() throws {
        defer { cleanUp() }
        try "before\n".write(toFile: path, atomically: false, encoding: .utf8)
        let writer = try LogWriter(plan(.file(path)))
        let journal = writer.journal
        for index in 0..<1_000 { journal.access(record("/\(index)")) }
        writer.close()
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 1_001)
        #expect(lines.first == "before")
        #expect(
            lines.dropFirst().enumerated().allSatisfy { $1.contains(" -/\($0) ") }, "in order")
    }

    @Test func `every line of a JSON log is an object`() throws {
        defer { cleanUp() }
        let writer = try LogWriter(plan(.file(path), .json))
        for index in 0..<10 { writer.journal.access(record("/\(index)\n")) }
        writer.close()
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 10)
        for line in lines {
            #expect(try JSONSerialization.jsonObject(with: Data(line.utf8)) is [String: Any])
        }
    }

    @Test func `a log file is not for everybody's eyes`() throws {
        defer { cleanUp() }
        try LogWriter(plan(.file(path))).close()
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
        #expect(try #require(mode as? Int) & 0o007 == 0)
    }

    @Test func `a file that can't be opened is named`() throws {
        defer { cleanUp() }
        let missing = directory.appendingPathComponent("none/access.log").path
        #expect(throws: SystemError.self) {
            _ = try LogWriter(plan(.file(missing)))
        }
        do {
            _ = try LogWriter(plan(.file(missing)))
        } catch {
            #expect(error.description.contains(missing))
        }
    }

    @Test func `events go their own way, also where access lines are off`() throws {
        defer { cleanUp() }
        let events = Pipe()
        let writer = try LogWriter(plan(.off, events: events, entriesMax: 8))
        for _ in 0..<100 { writer.journal.access(record("/")) }
        writer.write(LogEvent(.info, "One."))
        writer.journal.event(LogEvent(.error, "Two."))
        writer.close()
        try events.fileHandleForWriting.close()
        let text = String(
            decoding: events.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let lines = text.split(separator: "\n")
        #expect(
            lines.map { $0.split(separator: " ").dropFirst().joined(separator: " ") }
                == ["info: One.", "error: Two."])
    }

    @Test func `what a slow target does not take is dropped, counted and told`() throws {
        defer { cleanUp() }
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        #expect(reader >= 0)
        defer { close(reader) }
        let events = Pipe()
        let writer = try LogWriter(plan(.file(path), events: events, entriesMax: 8))
        // More than a pipe holds: once its first byte is here, the thread stands in write(2).
        writer.journal.access(record("/first", detail: String(repeating: "x", count: 300_000)))
        #expect(wait(for: reader))
        for index in 0..<13 { writer.journal.access(record("/\(index)")) }

        var text: [UInt8] = []
        while text.count(where: { $0 == 0x0A }) < 9, wait(for: reader) {
            var piece = [UInt8](repeating: 0, count: 65_536)
            let count = read(reader, &piece, piece.count)
            if count > 0 { text += piece[..<count] }
        }
        writer.close()
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 9)
        #expect(lines.dropFirst().enumerated().allSatisfy { $1.contains(" -/\($0) ") })
        try events.fileHandleForWriting.close()
        let told = String(
            decoding: events.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(told.hasSuffix(" warning: 5 log lines were dropped: the log is too slow.\n"))
    }

    @Test func `a full disk loses lines, says so once, and is written again when it has room`()
        throws
    {
        defer { cleanUp() }
        // What the file system says when it is full, for as long as this is what the path leads to.
        try FileManager.default.createSymbolicLink(
            atPath: path, withDestinationPath: "/dev/full")
        let events = Pipe()
        let writer = try LogWriter(plan(.file(path), events: events))
        for index in 0..<3 {
            writer.journal.access(record("/lost/\(index)"))
            try eventually { writer.unwrittenCount == index + 1 }
        }
        let full =
            "write \(path): No space left on device; make room on the disk: df -h shows where there is"
            + " none"
        #expect(writer.problem == full)
        #expect(writer.droppedCount == 0)
        try FileManager.default.removeItem(atPath: path)
        writer.reopen()
        writer.journal.access(record("/written"))
        writer.close()
        #expect(writer.problem == nil)
        #expect(writer.unwrittenCount == 3)
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 1)
        #expect(lines.first?.contains(" -/written ") == true)
        try events.fileHandleForWriting.close()
        let told = String(
            decoding: events.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(
            told.split(separator: "\n").map { $0.dropFirst(25) } == [
                "error: Log lines can't be written and are lost until they can: \(full).",
                "info: The log was opened anew: \(path).",
                "info: The log is written again; lines lost meanwhile: 3.",
            ], "\(told)")
    }

    @Test func `lines that were lost are told where the log goes elsewhere`() throws {
        defer { cleanUp() }
        let events = Pipe()
        let writer = try LogWriter(plan(.file("/dev/full"), events: events))
        writer.journal.access(record("/lost"))
        try eventually { writer.unwrittenCount == 1 }
        writer.use(try writer.prepare(plan(.file(path), events: events)))
        writer.journal.access(record("/written"))
        writer.close()
        try events.fileHandleForWriting.close()
        let told = String(
            decoding: events.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(
            told.contains(
                "warning: The log goes elsewhere now; lines lost before, which could not be written to"
                    + " /dev/full: 1."), "\(told)")
        #expect(!told.contains("is written again"), "\(told)")
    }

    @Test func `a line that was cut off stays alone on its line`() throws {
        defer { cleanUp() }
        // A pipe that nobody reads takes a piece of a line, and fails when its reader is gone.
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        let events = Pipe()
        let writer = try LogWriter(plan(.file(path), events: events))
        SignalWaiter.ignoreBrokenPipes()
        writer.journal.access(record("/cut", detail: String(repeating: "x", count: 300_000)))
        #expect(wait(for: reader))
        close(reader)
        try eventually { writer.unwrittenCount == 1 }
        let second = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(second) }
        writer.journal.access(record("/next"))
        writer.close()
        // What the pipe held of the first line is still there.
        var text: [UInt8] = []
        while wait(for: second) {
            var piece = [UInt8](repeating: 0, count: 65_536)
            let count = read(second, &piece, piece.count)
            if count <= 0 { break }
            text += piece[..<count]
        }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.hasSuffix("xxx") == true)
        #expect(lines.last?.contains(" -/next ") == true)
        #expect(text.last == UInt8(ascii: "\n"))
    }

    @Test func `events and access lines of one file lie side by side`() throws {
        defer { cleanUp() }
        var plan = plan(.file(path))
        plan.events = .file(path)
        let writer = try LogWriter(plan)
        writer.write(LogEvent(.info, "One."))
        writer.journal.access(record("/two"))
        writer.close()
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains(" info: One.\n"))
        #expect(text.contains(" -/two "))
    }

    @Test func `what is turned off is not asked for`() throws {
        var plan = plan(.stdout)
        plan.takesRelayOpens = false
        let writer = try LogWriter(plan)
        defer { writer.close() }
        let journal = writer.journal
        #expect(journal.takesRequests && journal.takesRelayEnds && !journal.takesRelayOpens)
        let silent = try LogWriter(self.plan(.off))
        defer { silent.close() }
        let other = silent.journal
        #expect(!other.takesRequests && !other.takesRelayEnds && !other.takesRelayOpens)
        silent.use(try silent.prepare(plan))
        #expect(other.takesRequests && other.takesRelayEnds && !other.takesRelayOpens)
    }

    private func eventually(_ isTrue: () -> Bool) throws {
        for _ in 0..<2_000 where !isTrue() { usleep(10_000) }
        try #require(isTrue())
    }

    private func wait(for descriptor: Int32) -> Bool {
        var waitFor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waitFor, 1, 20_000) == 1
    }
}

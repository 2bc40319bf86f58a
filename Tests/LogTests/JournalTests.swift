// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Reactor
import TestKit
import Testing

@testable import Log

/// Goal: entries reach systemd's journal in its native protocol, and nobody writes a field of their own.
///
/// Method: a datagram socket plays the journal; what it gets is read as the protocol says.
struct JournalTests {
    private let folder: URL
    private var path: String { folder.appendingPathComponent("journal").path }

    init() throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-journal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    }

    private func cleanUp() { try? FileManager.default.removeItem(at: folder) }

    private func listen() throws -> Int32 {
        let socket = UnixDatagram.socket()
        var address = try #require(UnixDatagram.address(path))
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        return socket
    }

    private func receive(_ socket: Int32) throws -> [String: String] {
        var waitFor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        try #require(poll(&waitFor, 1, 20_000) == 1)
        var bytes = [UInt8](repeating: 0, count: 262_144)
        let count = recv(socket, &bytes, bytes.count, 0)
        return try Self.fields(bytes.prefix(max(0, count)))
    }

    /// Reads an entry by the letter of the protocol.
    private static func fields(_ entry: ArraySlice<UInt8>) throws -> [String: String] {
        var fields: [String: String] = [:]
        var rest = entry
        while !rest.isEmpty {
            let nameEnd = try #require(rest.firstIndex { $0 == 0x0A || $0 == 0x3D })
            let name = String(decoding: rest[..<nameEnd], as: UTF8.self)
            #expect(name.allSatisfy { $0.isUppercase || $0 == "_" }, "\(name)")
            let start = nameEnd + 1
            let end: Int
            let value: ArraySlice<UInt8>
            if rest[nameEnd] == 0x3D {
                end = try #require(rest[start...].firstIndex(of: 0x0A))
                value = rest[start..<end]
            } else {
                let length = rest[start..<start + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
                end = start + 8 + length
                value = rest[start + 8..<end]
            }
            #expect(rest[end] == 0x0A)
            #expect(fields[name] == nil, "\(name) comes twice")
            fields[name] = String(decoding: value, as: UTF8.self)
            rest = rest[(end + 1)...]
        }
        return fields
    }

    private func writer(events: LogWriter.Target) throws -> LogWriter {
        var plan = LogPlan()
        plan.access = .journal(path)
        plan.events = events
        return try LogWriter(plan)
    }

    private static func record() -> AccessRecord {
        var record = AccessRecord(client: .loopback(port: 1), listener: .loopback(port: 2))
        record.kind = .ended
        record.relay = RelayID("0-1-2")
        record.relayName = RelayName(bits: 0x3f9c_0000_0000_0001)
        record.host = "a.example"
        record.path = "/chat\nPRIORITY=0\nMESSAGE=forged"
        record.route = "/*"
        record.status = 101
        record.closeCode = 1000
        record.initiator = .client
        record.reason = .close
        return record
    }

    @Test func `an entry larger than a datagram is passed as sealed memory`() throws {
        defer { cleanUp() }
        // As systemd-journald reads it: an empty datagram with one descriptor, sealed, from its start.
        let receiver = try ChildProcess([
            "python3", "-u", "-c",
            """
            import fcntl, json, os, socket, sys
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.bind(sys.argv[1])
            print("bound")
            for _ in range(2):
                data, descriptors, _, _ = socket.recv_fds(listener, 1 << 20, 4)
                seals, entry = None, data
                if descriptors:
                    seals = fcntl.fcntl(descriptors[0], 1034)
                    entry = os.pread(descriptors[0], 1 << 24, 0)
                fields = dict(line.split("=", 1) for line in entry.decode().splitlines())
                print(json.dumps({"bytes": len(data), "descriptors": len(descriptors),
                                  "seals": seals, "priority": fields["PRIORITY"],
                                  "message": len(fields["MESSAGE"])}))
            """, path,
        ])
        try receiver.waitForLine(containing: "bound")
        var plan = LogPlan()
        plan.access = .off
        plan.events = .journal(path)
        let writer = try LogWriter(plan)
        writer.write(LogEvent(.warning, String(repeating: "x", count: 600_000)))
        writer.write(LogEvent(.info, "small"))
        writer.close()
        #expect(try receiver.waitForExit() == 0)
        let lines = receiver.output.dropFirst()
        #expect(
            lines.first
                == "{\"bytes\": 0, \"descriptors\": 1, \"seals\": 15, \"priority\": \"4\", \"message\": 600000}"
        )
        #expect(lines.last?.contains("\"descriptors\": 0") == true)
        #expect(lines.last?.contains("\"message\": 5") == true)
        #expect(writer.unwrittenCount == 0)
    }

    @Test func `a record arrives as a message and its fields`() throws {
        defer { cleanUp() }
        let journal = try listen()
        defer { close(journal) }
        let writer = try writer(events: .stderr)
        defer { writer.close() }
        writer.journal.access(Self.record())
        let fields = try receive(journal)
        #expect(fields["PRIORITY"] == "6")
        #expect(fields["SYSLOG_IDENTIFIER"] == "sluice")
        #expect(fields["MESSAGE"]?.hasPrefix("127.0.0.1:1 101 a.example/chat\\x0aPRIORITY") == true)
        #expect(fields["SLUICE_EVENT"] == "end")
        #expect(fields["SLUICE_RELAY"] == "0-1-2")
        #expect(fields["SLUICE_RELAY_NAME"] == "3f9c000000000001")
        #expect(fields["SLUICE_CLIENT"] == "127.0.0.1:1")
        #expect(fields["SLUICE_PATH"] == Self.record().path)
        #expect(fields["SLUICE_STATUS"] == "101")
        #expect(fields["SLUICE_CLOSE_CODE"] == "1000")
        #expect(fields["SLUICE_ENDED_BY"] == "client")
        #expect(fields["SLUICE_REASON"] == "close")
        #expect(fields["SLUICE_UPSTREAM"] == nil, "what is empty is left out")
    }

    @Test(arguments: [(LogEvent.Level.error, "3"), (.warning, "4"), (.info, "6")])
    func `an event arrives with its priority`(level: LogEvent.Level, priority: String) throws {
        defer { cleanUp() }
        let journal = try listen()
        defer { close(journal) }
        let writer = try writer(events: .journal(path))
        defer { writer.close() }
        writer.write(LogEvent(level, "Name\nis gone."))
        let fields = try receive(journal)
        #expect(fields["PRIORITY"] == priority)
        #expect(fields["MESSAGE"] == "Name\nis gone.")
        #expect(fields.count == 3)
    }

    @Test func `a journal that is gone loses lines, and is found again when it is back`() throws {
        defer { cleanUp() }
        let events = Pipe()
        let writer = try writer(
            events: .descriptor(events.fileHandleForWriting.fileDescriptor))
        writer.journal.access(Self.record())
        for _ in 0..<2_000 where writer.unwrittenCount == 0 { usleep(10_000) }
        #expect(writer.unwrittenCount == 1)
        #expect(writer.problem == "send to \(path): No such file or directory")
        let journal = try listen()
        defer { close(journal) }
        writer.journal.access(Self.record())
        #expect(try receive(journal)["SLUICE_RELAY"] == "0-1-2")
        writer.close()
        #expect(writer.problem == nil)
        try events.fileHandleForWriting.close()
        let told = String(
            decoding: events.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(told.contains("error: Log lines can't be written and are lost until they can"))
        #expect(told.contains("info: The log is written again; lines lost meanwhile: 1."))
    }

    @Test func `a journal that takes nothing holds up the log alone, and what is lost is counted`()
        throws
    {
        defer { cleanUp() }
        let journal = try listen()
        defer { close(journal) }
        var plan = LogPlan()
        plan.access = .journal(path)
        plan.entriesMax = 16
        let writer = try LogWriter(plan)
        // The queue of a datagram socket is some hundreds long; then the thread waits in sendto(2).
        var posted = 0
        while writer.droppedCount == 0, posted < 100_000 {
            writer.journal.access(Self.record())
            posted += 1
            if posted % 16 == 0 { usleep(1_000) }
        }
        #expect(writer.droppedCount > 0)
        let lost = writer.droppedCount
        for _ in 0..<posted - lost { _ = try receive(journal) }
        writer.close()
        #expect(writer.unwrittenCount == 0)
    }
}

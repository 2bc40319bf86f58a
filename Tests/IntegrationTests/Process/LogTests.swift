// SPDX-License-Identifier: Apache-2.0
//
// Goal: the log holds nobody up: a disk that is full, a reader that is slow or gone, a journal that is
// not there lose lines, which are counted where an operator looks, and nothing else.
// Method: real relays while the log can't be written, and the program's own status.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct LogTests {
    private static func started(_ backend: PeerAddress, _ log: String) throws -> Operated {
        try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend)\" }"], settings: ["log: { \(log) }"])
    }

    private static func state(_ sluice: Operated) throws -> [String: Any] {
        let answer = try sluice.ask("/state")
        let object = try JSONSerialization.jsonObject(with: Data(answer.output.utf8))
        return try #require(object as? [String: Any], "\(answer.output)")
    }

    private func converse(_ sluice: Operated, _ backend: ManualBackend) throws {
        let ends = try sluice.proxy.relay(to: backend)
        try ends.client.send(Frame.text("here").masked())
        #expect(try ends.upstream.readFrame().text == "here")
        try ends.client.send(Frame.close(1000).masked())
        #expect(try ends.upstream.readFrame().closeCode == 1000)
        try ends.upstream.send(Frame.close(1000))
        #expect(try ends.client.readFrame().closeCode == 1000)
        _ = try ends.client.expectEnd()
    }

    @Test func `a full disk loses lines and nothing else, and the log goes on when it has room`()
        throws
    {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let path = "\(folder)/access.log"
        try FileManager.default.createSymbolicLink(
            atPath: path, withDestinationPath: "/dev/full")
        let sluice = try Self.started(backend.address, "access: \(path)")
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<3 { try converse(sluice, backend) }
        // Two lines for each relay: when it opens and when it ends.
        try eventually("six lines are lost") {
            try Self.state(sluice)["unwrittenLogLines"] as? Int == 6
        }
        let problem =
            "write \(path): No space left on device; make room on the disk: df -h shows where there is"
            + " none"
        #expect(try Self.state(sluice)["logProblem"] as? String == problem)
        let status = try sluice.command(["status"]).output
        #expect(status.contains("6 log lines were lost: the log could not be written"), "\(status)")
        #expect(status.contains("the log can't be written at present: \(problem)"), "\(status)")
        try sluice.proxy.process.waitForLine(containing: "are lost until they can: \(problem).")
        #expect(try sluice.ask("/healthz").output == "ok\n")

        try FileManager.default.removeItem(atPath: path)
        sluice.proxy.process.signal(SIGUSR1)
        try sluice.proxy.process.waitForLine(containing: "The log was opened anew: ")
        try converse(sluice, backend)
        try sluice.proxy.process.waitForLine(
            containing: "The log is written again; lines lost meanwhile: 6.")
        try eventually("both lines are there") {
            try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").count == 2
        }
        #expect(try Self.state(sluice)["logProblem"] == nil)
        #expect(
            sluice.proxy.process.errors.count { $0.contains("are lost until they can") } == 1)
        sluice.proxy.process.signal(SIGTERM)
        #expect(try sluice.proxy.process.waitForExit() == 0)
    }

    @Test func `a reload moves the log, turns its form, and loses no line`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address, "access: ./first.log")
        defer { Scratch.remove(sluice.folder) }
        func lines(_ name: String) throws -> [String] {
            let text = try String(
                contentsOfFile: "\(sluice.proxy.folder)/\(name)", encoding: .utf8)
            return text.split(separator: "\n").map(String.init)
        }
        try converse(sluice, backend)
        try sluice.rewrite("access: ./first.log", "access: ./second.log, format: json")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 0 && !reload.output.contains("restart"), "\(reload.output)")
        try converse(sluice, backend)
        try eventually("both lines are there") { try lines("second.log").count == 2 }
        #expect(try lines("first.log").count == 2)
        for line in try lines("second.log") {
            #expect(try JSONSerialization.jsonObject(with: Data(line.utf8)) is [String: Any])
        }
        // Events turn their form too.
        let event = try sluice.proxy.process.waitForLine(containing: "\"The configuration was")
        #expect(event.contains { $0.hasPrefix("{") })

        // One kind of line less, then none at all.
        try sluice.rewrite("format: json", "format: json, relayOpens: false")
        #expect(try sluice.command(["reload"]).status == 0)
        try converse(sluice, backend)
        try eventually("one more line is there") { try lines("second.log").count == 3 }
        try sluice.rewrite("access: ./second.log", "access: \"off\"")
        #expect(try sluice.command(["reload"]).status == 0)
        try converse(sluice, backend)
        try sluice.rewrite("access: \"off\"", "access: ./third.log")
        #expect(try sluice.command(["reload"]).status == 0)
        try converse(sluice, backend)
        try eventually("the third log has its line") { try lines("third.log").count == 1 }
        #expect(try lines("second.log").count == 3)
    }

    @Test func `a log that can't be opened fails the reload, and the old one goes on`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address, "access: ./first.log")
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite("access: ./first.log", "access: ./nowhere/second.log")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 1)
        let line = try #require(
            try String(contentsOfFile: sluice.proxy.configurationPath, encoding: .utf8)
                .split(separator: "\n", omittingEmptySubsequences: false)
                .firstIndex { $0.hasPrefix("log:") })
        #expect(
            reload.output.contains("\(sluice.proxy.configurationPath):\(line + 1):16: open "),
            "\(reload.output)")
        #expect(reload.output.contains("No such file or directory"))
        try converse(sluice, backend)
        try eventually("the old log goes on") {
            try String(
                contentsOfFile: "\(sluice.proxy.folder)/first.log", encoding: .utf8
            ).split(separator: "\n").count == 2
        }
        #expect(try sluice.command(["status"]).output.contains("generation 1"))
    }

    @Test func `a disk that fills up and is emptied is written to again by itself`() throws {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let path = "\(folder)/access.log"
        // A limit on the size of files stands for the disk: 4,096 bytes, beyond which writes fail.
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["log: { access: \(path) }"],
            wrapper: [
                "python3", "-c",
                "import os,resource,signal,sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
                    + "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
                    + "os.execvp(sys.argv[1], sys.argv[1:])",
            ])
        defer { Scratch.remove(sluice.folder) }
        var relays = 0
        while sluice.proxy.process.errors.allSatisfy({ !$0.contains("are lost until") }) {
            try converse(sluice, backend)
            relays += 1
            try #require(relays < 100)
        }
        let full = try String(contentsOfFile: path, encoding: .utf8)
        #expect(full.utf8.count == 4_096)
        // Room again, as an operator makes it.
        #expect(truncate(path, 0) == 0)
        try converse(sluice, backend)
        try sluice.proxy.process.waitForLine(containing: "The log is written again;")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let lines = text.split(separator: "\n").map(String.init)
        #expect(!lines.isEmpty)
        // The line that was cut off when the disk was full does not run into the next one.
        for line in lines {
            #expect(line.contains(/\ [0-9]+ms( began=[^ ]+Z)?$/), "\(line)")
            #expect(line.contains("/Esv/ocp"), "\(line)")
        }
        #expect(try Self.state(sluice)["droppedLogLines"] as? Int == 0)
    }

    @Test func `a journal that is not there holds up nothing`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(
            backend.address, "access: \"journald:/nowhere/journal\", relayOpens: false")
        defer { Scratch.remove(sluice.folder) }
        try converse(sluice, backend)
        try eventually("the line is lost") {
            try Self.state(sluice)["unwrittenLogLines"] as? Int == 1
        }
        sluice.proxy.process.signal(SIGTERM)
        #expect(try sluice.proxy.process.waitForExit() == 0)
    }

    @Test func `events have their level in front where the journal reads standard error`() throws {
        let backend = try ManualBackend()
        // As a service manager says which file is the journal's (systemd.exec(5)).
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            wrapper: [
                "python3", "-c",
                "import os,sys\ns = os.fstat(2)\n"
                    + "os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
                    + "os.execvp(sys.argv[1], sys.argv[1:])",
            ])
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite("routes:", "roots:")
        #expect(try sluice.command(["reload"]).status == 1)
        let lines = try sluice.proxy.process.waitForLine(containing: "Not reloaded")
        #expect(lines.first?.hasPrefix("<3>2") == true, "\(lines)")
        let ready = try sluice.proxy.process.waitForLine(containing: "is ready")
        #expect(ready.first?.hasPrefix("<6>2") == true, "\(ready)")
        #expect(sluice.proxy.process.output.allSatisfy { !$0.hasPrefix("<") })
    }

    @Test(arguments: [("relayOpens: false", ["end"]), ("relayEnds: false", ["open"])])
    func `either line of a relay can be turned off`(setting: String, events: [String]) throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address, "format: json, \(setting)")
        defer { Scratch.remove(sluice.folder) }
        try converse(sluice, backend)
        // A relay's line is written when both of its sockets have closed.
        for event in events {
            try sluice.proxy.process.waitForLine(containing: "\"event\":\"\(event)\"")
        }
        let refused = try sluice.proxy.connect()
        try refused.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(try refused.readHead().status == 404)
        try sluice.proxy.process.waitForLine(containing: "/nowhere")
        let lines = sluice.proxy.process.output.filter { $0.hasPrefix("{") }
        let objects = try lines.map { line in
            try #require(
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        #expect(objects.compactMap { $0["event"] as? String } == events + ["request"])
    }

    @Test func `a reader of standard output that stands still holds up the log alone`() throws {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let path = "\(folder)/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(reader) }
        let sluice = try Self.started(backend.address, "access: \(path)")
        defer { Scratch.remove(sluice.folder) }
        // More than the pipe holds: each path of a refusal is a line of its own.
        let long = String(repeating: "x", count: 7_000)
        for _ in 0..<30 {
            let refused = try sluice.proxy.connect()
            try refused.send("GET /\(long) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(try refused.readHead().status == 404)
        }
        try converse(sluice, backend)
        #expect(try sluice.ask("/healthz").output == "ok\n")
        // At the end it is waited for, but not for ever.
        sluice.proxy.process.signal(SIGTERM)
        #expect(try sluice.proxy.process.waitForExit(by: .after(.seconds(60))) == 0)
    }
}

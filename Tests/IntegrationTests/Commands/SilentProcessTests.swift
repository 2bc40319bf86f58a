// SPDX-License-Identifier: Apache-2.0
//
// Goal: a command does not hang with the process that it asks, and what it has given up is not done later.
// Method: the real process is stopped by a signal while real commands ask it, and a client that is gone at once.

import Glibc
import TestKit
import Testing

@Suite struct SilentProcessTests {
    private func start(_ sluice: Operated, _ arguments: [String]) throws -> ChildProcess {
        try ChildProcess([try ProxyFixture.program()] + arguments + ["--admin", sluice.socket])
    }

    @Test func `a process that is stopped is told, and does nothing of it when it goes on`() throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let process = sluice.proxy.process
        process.signal(SIGSTOP)
        defer { process.signal(SIGCONT) }
        // One that asks and goes at once.
        do {
            let gone = try WebSocketPeer.connect(to: .unix(sluice.socket))
            try gone.send("POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        }
        let commands = try [["status"], ["reload"], ["drain", "--route", "/Esv/ocp"], ["upgrade"]]
            .map { try start(sluice, $0) }
        let doctor = try start(sluice, ["doctor"])
        for command in commands {
            #expect(try command.waitForExit(by: .after(.seconds(60))) == 70)
            let words = command.errors.joined(separator: " ")
            #expect(words.contains("Process \(process.identifier) at "), "\(words)")
            #expect(words.contains("is stopped"), "\(words)")
            #expect(words.contains("kill -CONT \(process.identifier)"), "\(words)")
        }
        #expect(try doctor.waitForExit(by: .after(.seconds(60))) == 70)
        let words = doctor.output.joined(separator: "\n")
        #expect(words.contains("not-running: Process \(process.identifier)"), "\(words)")
        #expect(words.contains("What to change: Let it go on with: kill -CONT"), "\(words)")
        process.signal(SIGCONT)
        // The first that is done is the one that comes now.
        let reload = try sluice.command(["reload"])
        #expect(reload.output.contains("as generation 2"), "\(reload)")
        let status = try sluice.command(["status"]).output
        #expect(!status.contains("draining") && !status.contains("drain 1"), "\(status)")
        try ends.exchange("still here")
    }

    @Test func `Ctrl-C in a drain says what goes on`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let drain = try start(sluice, ["drain", "--route", "/Esv/ocp", "--timeout", "500s"])
        try drain.waitForLine(containing: "1 of 1 relay told")
        drain.signal(SIGINT)
        #expect(try drain.waitForExit() != 0)
        let words = drain.errors.joined(separator: " ")
        #expect(words.contains("The drain goes on without this command."), "\(words)")
        #expect(words.contains("sluice drain --route /Esv/ocp --resume --admin "), "\(words)")
        #expect(try sluice.command(["status"]).output.contains("(draining)"))
        withExtendedLifetime(ends) {}
    }
}

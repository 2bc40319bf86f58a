// SPDX-License-Identifier: Apache-2.0
//
// Goal: a command reaches the Sluice that is meant and no other, says when that is not clear, and no process
// destroys what stands at the place of its socket.
// Method: several processes of one user, foreign servers and files in the place of sockets, upgrades and
// restarts in the middle of a drain.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct WhichSluiceTests {
    private func sluice(
        _ arguments: [String], _ environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String) {
        let child = try ChildProcess(
            [try ProxyFixture.program()] + arguments, environment: environment)
        let status = try child.waitForExit(by: .after(.seconds(60)))
        return (status, (child.output + child.errors).map { $0 + "\n" }.joined())
    }

    /// Writes a configuration with this listener and admin socket; its path.
    private func configuration(
        _ folder: String, listen: String = "127.0.0.1:0", socket: String
    ) throws -> String {
        try Scratch.write(
            """
            listen: [{ address: "\(listen)" }]
            routes: [{ path: /, respond: { status: 204 } }]
            admin: { socket: \(socket) }

            """, to: "\(folder)/s.yaml")
    }

    private static let kinds = [
        ("a regular file", "echo precious > place"),
        ("a folder", "mkdir place; touch place/precious"),
        ("a pipe", "mkfifo place"), ("a symbolic link", "touch precious; ln -s precious place"),
    ]

    @Test(arguments: kinds)
    func `what stands at the place of a socket is named and stays`(
        kind: String, script: String
    ) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try run(["sh", "-c", "cd '\(folder)' && \(script)"])
        func look() throws -> [String] { try run(["ls", "-lR", "--full-time", "\(folder)/place"]) }
        let before = try look()
        let place = "\(folder)/place"
        for path in [
            try configuration(folder, socket: place),
            try configuration(folder, listen: "unix:\(place)", socket: "\"off\""),
        ] {
            let said = try sluice(["run", "-c", path])
            #expect(said.status == 1)
            #expect(
                said.output.contains("bind unix:\(place): File exists; \(kind) stands there"),
                "\(said)")
            let checked = try sluice(["check", "-c", path])
            #expect(checked.status == 1 && checked.output == said.output, "\(checked)")
            #expect(try look() == before)
            let check = try Scratch.read(path).contains("admin: { socket: /")
            #expect(
                said.output.contains(check ? "s.yaml:3:18: admin.socket: " : "s.yaml:1:"), "\(said)"
            )
        }
        let asked = try sluice(["status", "--admin", place])
        let words = "is \(kind) and no socket"
        #expect(asked.status == 70 && asked.output.contains(words), "\(asked)")
        #expect(try look() == before)
        // No name that the socket has meanwhile is left or told.
        let rest = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(!rest.contains { $0.hasPrefix("place.") }, "\(rest)")
    }

    @Test
    func `a socket that a killed process left is replaced, and a served one names its process`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let place = "\(folder)/w.sock"
        let path = try configuration(folder, listen: "unix:\(place)", socket: "\(folder)/a.sock")
        let command = [try ProxyFixture.program(), "run", "-c", path]
        let killed = try ChildProcess(command)
        try killed.waitForLine(containing: "is ready")
        killed.signal(SIGKILL)
        try killed.waitForExit()
        let serving = try ChildProcess(command)
        try serving.waitForLine(containing: "is ready")
        let second = try ended(command)
        #expect(second.status == 1)
        #expect(
            second.output.contains("bind unix:\(place): Address already in use by "), "\(second)")
        #expect(second.output.contains("(process \(serving.identifier))"), "\(second)")
        let other = try configuration(folder, socket: "\(folder)/a.sock")
        let third = try sluice(["run", "-c", other])
        #expect(third.status == 1)
        #expect(
            third.output.contains(
                "admin.socket: bind unix:\(folder)/a.sock: Address already in use by "),
            "\(third)")
        #expect(third.output.contains("(process \(serving.identifier))"), "\(third)")
        #expect(!third.output.contains("a.sock."), "a name that nobody has asked for: \(third)")
        let echo = try sluice(["echo", "unix:\(place)"])
        #expect(echo.status == 1)
        #expect(echo.output.contains("(process \(serving.identifier))"), "\(echo)")
        serving.signal(SIGTERM)
        #expect(try serving.waitForExit() == 0)
    }

    @Test func `the echo app names who has its port, and one that is free`() throws {
        let taken = try ProxyFixture(arguments: ["echo", "0"])
        let said = try sluice(["echo", "\(taken.port())"])
        #expect(said.status == 1)
        #expect(said.output.contains("(process \(taken.process.identifier))"), "\(said)")
        #expect(said.output.contains(" is free"), "\(said)")
    }

    @Test func `of several, none is changed that was not named, and they are listed`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let environment = ["TMPDIR": folder, "XDG_RUNTIME_DIR": "", "HOME": folder]
        var processes: [ChildProcess] = []
        defer { for process in processes { process.signal(SIGKILL) } }
        for _ in 0..<3 {
            let process = try ChildProcess(
                [
                    try ProxyFixture.program(), "unix:\(folder)/app", "--listen", "127.0.0.1:0",
                    "--no-check",
                ], environment: environment)
            processes.append(process)
            try eventually("it says how to ask it") {
                process.output.contains { $0.hasPrefix("status    sluice status") }
            }
        }
        let folderOfSockets = "\(folder)/sluice-\(geteuid())"
        let sockets =
            ["sluice.sock"] + processes.dropFirst().map { "sluice-\($0.identifier).sock" }
        for arguments in [
            ["drain"], ["drain", "--route", "/*"], ["reload"], ["upgrade"],
            ["rebalance", "--upstream", "x"], ["status", "--close", "0-0-0"],
        ] {
            let said = try sluice(arguments, environment)
            #expect(said.status == 1, "\(arguments): \(said)")
            #expect(said.output.contains("More than one Sluice of this user is running"), "\(said)")
            for (process, socket) in zip(processes, sockets) {
                #expect(said.output.contains("--admin \(folderOfSockets)/\(socket)  "), "\(said)")
                #expect(said.output.contains("(process \(process.identifier))"), "\(said)")
            }
        }
        #expect(!processes.contains { $0.hasEnded })
        let json = try ChildProcess(
            [try ProxyFixture.program(), "status", "--json"], environment: environment)
        #expect(try json.waitForExit() == 0)
        let text = Data(json.output.joined(separator: "\n").utf8)
        #expect(try JSONSerialization.jsonObject(with: text) is [String: Any])
        #expect(json.errors.contains { $0.contains(sockets[1]) }, "\(json.errors)")
        let top = try sluice(["top", "--once", "--every", "0.1"], environment)
        #expect(top.status == 0 && top.output.contains("other Sluices"), "\(top)")
        #expect(top.output.contains(sockets[1]), "\(top)")
        let tap = try ChildProcess(
            [try ProxyFixture.program(), "tap", "--record", "-"], environment: environment)
        try tap.waitForLine(containing: "\"type\":\"tap\"")
        tap.signal(SIGINT)
        #expect(try tap.waitForExit() == 0)
        #expect(tap.errors.contains { $0.contains(sockets[1]) }, "\(tap.errors)")
        let doctor = try sluice(["doctor"], environment)
        #expect(doctor.output.contains("another Sluice of this user, not looked at"), "\(doctor)")
        // Named, it is done.
        #expect(
            try sluice(["drain", "--admin", "\(folderOfSockets)/sluice.sock"], environment).status
                == 0)
        #expect(try processes[0].waitForExit() == 0)
        // Where none has the usual socket, the doctor looks at one all the same.
        #expect(try sluice(["status"], environment).status == 1)
        let left = try sluice(["doctor"], environment)
        #expect(left.output.contains("another Sluice of this user, not looked at"), "\(left)")
        #expect(
            try sluice(["drain", "--admin", "\(folderOfSockets)/\(sockets[1])"], environment).status
                == 0)
        #expect(try processes[1].waitForExit() == 0)
        // The last is the only one, and not at the usual place: somebody may have started it for something else.
        let last = "\(folderOfSockets)/\(sockets[2])"
        let refused = try sluice(["drain", "--timeout", "1s"], environment)
        #expect(refused.status == 1, "\(refused)")
        #expect(
            refused.output.contains("\n  sluice drain --timeout 1s --admin \(last)\n"), "\(refused)"
        )
        #expect(refused.output.contains("(process \(processes[2].identifier))"), "\(refused)")
        let looked = try sluice(["status"], environment)
        #expect(looked.status == 0 && looked.output.contains("  --admin \(last)\n"), "\(looked)")
        #expect(!processes[2].hasEnded)
        #expect(try sluice(["drain", "--admin", last], environment).status == 0)
        #expect(try processes[2].waitForExit() == 0)
    }

    @Test func `a Sluice of another environment is changed only where it is named`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let elsewhere = ["TMPDIR": folder, "XDG_RUNTIME_DIR": "", "HOME": folder]
        let here = ["TMPDIR": folder, "XDG_RUNTIME_DIR": "\(folder)/run", "HOME": folder]
        try run(["mkdir", "-m", "700", "\(folder)/run"])
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, to: app }]
            upstreams: { app: { endpoints: ["unix:\(folder)/app"] } }

            """, to: "\(folder)/s.yaml")
        let process = try ChildProcess(
            [try ProxyFixture.program(), "run", "\(folder)/s.yaml"], environment: elsewhere)
        defer { process.signal(SIGKILL) }
        try process.waitForLine(containing: "status    sluice status")
        try process.waitForLine(containing: "is ready")
        let socket = "\(folder)/sluice-\(geteuid())/sluice.sock"
        for arguments in [
            ["drain"], ["drain", "--route", "/"], ["reload"], ["upgrade"],
            ["rebalance", "--upstream", "app"], ["status", "--close", "0-0-0"],
        ] {
            let said = try sluice(arguments, here)
            #expect(said.status == 1, "\(arguments): \(said)")
            #expect(
                said.output.contains("No Sluice answers at \(folder)/run/sluice.sock or "),
                "\(said)")
            let command = "sluice \(arguments.joined(separator: " ")) --admin \(socket)"
            #expect(said.output.hasSuffix("If that one is meant:\n  \(command)\n"), "\(said)")
        }
        let generation = try sluice(["status"], here)
        #expect(generation.status == 0 && generation.output.contains("generation 1 of"))
        #expect(generation.output.contains("\n  --admin \(socket)\n"), "\(generation)")
        let doctor = try sluice(["doctor"], here)
        #expect(doctor.output.contains("\(socket): is its socket, which is not at the usual"))
        // The one at the usual place is the one that is meant; with both, none is.
        let own = try ChildProcess(
            [try ProxyFixture.program(), "run", "\(folder)/s.yaml"], environment: here)
        defer { own.signal(SIGKILL) }
        try own.waitForLine(containing: "is ready")
        #expect(try sluice(["reload"], here).output.contains("More than one Sluice"))
        #expect(try sluice(["drain"], elsewhere).output.contains("More than one Sluice") == false)
        #expect(try process.waitForExit() == 0)
        #expect(try sluice(["drain"], here).status == 0)
        #expect(try own.waitForExit() == 0)
    }

    @Test func `a drain of everything after an upgrade reaches the new process, and names both`()
        throws
    {
        let backend = try ManualBackend()
        let operated = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["drain: { timeout: 60s }"], isReplaceable: true)
        defer { Scratch.remove(operated.folder) }
        let ends = try operated.proxy.relay(to: backend)
        let upgrade = try operated.command(["upgrade", "--no-move"])
        #expect(upgrade.status == 0, "\(upgrade)")
        let next = try #require(
            upgrade.output.firstMatch(of: /Process (\d+) has taken over/)?.output.1)
        let old = operated.proxy.process.identifier
        let drain = try operated.command(["drain", "--timeout", "1s"])
        #expect(drain.status == 0, "\(drain)")
        #expect(drain.output.hasPrefix("Sluice stops: process \(next), which has taken over"))
        #expect(drain.output.contains("Process \(old) has been draining since then"), "\(drain)")
        #expect(!operated.proxy.process.hasEnded)
        #expect(drain.output.contains("Sluice has stopped"), "\(drain)")
        withExtendedLifetime(ends) {}
    }

    @Test func `run says how it is asked, and a command that finds it says which process it was`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let environment = ["TMPDIR": folder, "XDG_RUNTIME_DIR": folder, "HOME": folder]
        let real = try run(["realpath", folder])[0]
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, respond: { status: 204 } }]

            """, to: "\(folder)/s.yaml")
        // Named as a person does who stands beside it.
        let serving = try ChildProcess(
            ["sh", "-c", "cd '\(folder)' && exec '\(try ProxyFixture.program())' run s.yaml"],
            environment: environment)
        try serving.waitForLine(containing: "status    sluice status")
        try serving.waitForLine(containing: "is ready")
        let reload = try sluice(["reload"], environment)
        #expect(
            reload.output
                == "process \(serving.identifier), configuration \(real)/s.yaml\n"
                + "The configuration was taken up as generation 2. Nothing has changed.\n",
            "\(reload)")
        let named = try sluice(["reload", "--admin", "\(folder)/sluice.sock"], environment)
        #expect(named.output.hasPrefix("The configuration was taken up"), "\(named)")
        let status = try sluice(["status"], environment)
        #expect(status.output.contains("configuration \(real)/s.yaml, generation 3"), "\(status)")
        #expect(status.output.contains("0 connections, per reactor "), "\(status)")
        let drain = try sluice(["drain"], environment)
        #expect(drain.output.hasPrefix("process \(serving.identifier), "), "\(drain)")
        #expect(try serving.waitForExit() == 0)
        #expect(
            serving.errors.contains {
                $0.contains("Stopping: no socket is live; ")
            }, "\(serving.errors)")
    }

    @Test func `run says how it is asked where there is an address alone`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, respond: { status: 204 } }]
            admin: { socket: "off", address: "127.0.0.1:0" }

            """, to: "\(folder)/s.yaml")
        let serving = try ChildProcess([try ProxyFixture.program(), "run", "\(folder)/s.yaml"])
        let line = try serving.waitForLine(
            containing: "status    sluice status --admin 127.0.0.1:")[0]
        let place = try #require(line.split(separator: " ").last.map(String.init))
        try serving.waitForLine(containing: "is ready")
        #expect(try sluice(["status", "--admin", place]).status == 0)
        #expect(try sluice(["drain", "--admin", place]).status == 0)
        #expect(try serving.waitForExit() == 0)
    }

    @Test func `a drain of everything ends with how many were closed and how many cut`() throws {
        let backend = try ManualBackend()
        let operated = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(operated.folder) }
        let polite = try operated.proxy.relay(to: backend)
        let silent = try operated.proxy.relay(to: backend)
        let draining = TestThread {
            try operated.command(["drain", "--spread", "50ms", "--timeout", "800ms"])
        }
        #expect(try polite.client.readFrame().closeCode != nil)
        try polite.client.send(Frame.close(1001).masked())
        #expect(try polite.upstream.readFrame().closeCode != nil)
        try polite.upstream.send(Frame.close(1001))
        let drain = try draining.join(by: .after(.seconds(60)))
        #expect(drain.status == 0, "\(drain)")
        let lines = drain.output.split(separator: "\n")
        #expect(lines.last == "Sluice has stopped: 2 closed, 1 of them cut.", "\(drain)")
        #expect(try operated.proxy.process.waitForExit() == 0)
        withExtendedLifetime(silent) {}
    }

    @Test func `a drain goes on to ask the process that it has begun with, not the next one`()
        throws
    {
        let backend = try ManualBackend()
        let operated = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["drain: { timeout: 60s }"], isReplaceable: true)
        defer { Scratch.remove(operated.folder) }
        let ends = try operated.proxy.relay(to: backend)
        let drain = try ChildProcess(
            [
                try ProxyFixture.program(), "drain", "--route", "/Esv/ocp", "--timeout", "60s",
                "--admin", operated.socket,
            ])
        try drain.waitForLine(containing: "1 of 1 relay told")
        let upgrade = try operated.command(["upgrade"])
        #expect(upgrade.status == 0, "\(upgrade)")
        #expect(try drain.waitForExit() == 1)
        let words = drain.errors.joined(separator: "\n")
        #expect(
            words.contains(
                "Process \(operated.proxy.process.identifier), which was asked first, does not answer at"
            ),
            "\(words)")
        let state = try operated.ask("/state").output
        let next = try #require(state.firstMatch(of: /"pid" : (\d+)/)?.output.1)
        #expect(words.contains("process \(next) does"), "\(words)")
        #expect(next != "\(operated.proxy.process.identifier)")
        #expect(try operated.command(["drain", "--timeout", "1s"]).status == 0)
        withExtendedLifetime(ends) {}
    }

    @Test func `another HTTP server in the place of the admin socket is named, and not printed`()
        throws
    {
        for (answer, words) in [
            (
                "HTTP/1.1 404 Not Found\r\nServer: nginx/9.9\u{1B}[31m\r\nContent-Type: text/html\r\n"
                    + "Content-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
                "it answered 404, with Server: nginx/9.9.[31m."
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
                "it answered 200, without a Server field."
            ),
        ] {
            let server = try ScriptedBackend.answering(answer)
            defer { server.stop() }
            for command in [["status"], ["status", "--relays"], ["reload"], ["drain"], ["doctor"]] {
                let said = try sluice(command + ["--admin", "\(server.address.port)"])
                #expect(said.status == 70, "\(command): \(said)")
                #expect(
                    said.output.contains(
                        "What answers at 127.0.0.1:\(server.address.port) is no admin socket of Sluice: "
                            + words), "\(said)")
                #expect(
                    !said.output.contains("<html>") && !said.output.contains("\u{1B}"), "\(said)")
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a new program takes over the listening sockets while clients come, live relays end in the
// manner of a drain, and a program that does not start leaves everything as it was.
// Method: the program is started under a name of the test's own, behind which another is then put; the
// service manager is a socket of the test's.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct UpgradeTests {
    private static func started(_ backend: PeerAddress, _ drain: String = "{}") throws -> Operated {
        let text = drain == "{}" ? "{ timeout: 20s, code: 1012 }" : drain
        return try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend)\" }"], settings: ["drain: \(text)"],
            isReplaceable: true)
    }

    private func replaceProgram(_ sluice: Operated, _ script: String) throws {
        try FileManager.default.removeItem(atPath: "\(sluice.folder)/sluice")
        try Scratch.writeProgram("#!/bin/sh\n\(script)\n", to: "\(sluice.folder)/sluice")
    }

    /// The process that answers at the admin socket.
    private func processIdentifier(_ sluice: Operated) throws -> Int32 {
        let state = try sluice.command(["status", "--json"])
        let line = try #require(
            state.output.split(separator: "\n").first { $0.contains("\"pid\"") }, "\(state.output)")
        return try #require(Int32(line.filter(\.isNumber)))
    }

    @Test func `the new process takes over the port while clients come, and the old one drains`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let old = try processIdentifier(sluice)
        let live = try sluice.proxy.open()
        let isOver = Monitor(false)
        let comings = Monitor(0)
        let coming = TestThread {
            while !isOver.value {
                let client = try sluice.proxy.open()
                try client.send(Frame.text("here").masked())
                let answer = try client.readFrame()
                // In between the old process may say goodbye.
                guard answer.text == "here" || answer.closeCode == 1012 else {
                    throw PeerError("got \(answer)")
                }
                comings.update { $0 += 1 }
            }
        }
        try comings.wait(for: "the first clients", by: .after(.seconds(60))) { $0 >= 3 }
        let upgrade = try sluice.command(["upgrade", "--no-move"])
        #expect(upgrade.status == 0, "\(upgrade.output)")
        let new = try processIdentifier(sluice)
        #expect(new != old)
        defer { kill(new, SIGKILL) }
        #expect(try live.readFrame(by: .after(.seconds(60))).closeCode == 1012)
        try live.send(Frame.close(1012).masked())
        // Its outputs stay open: the new process has them too.
        try eventually("the old process is gone") { sluice.proxy.process.hasEnded }
        let soFar = comings.value
        try comings.wait(for: "more clients", by: .after(.seconds(60))) { $0 >= soFar + 3 }
        isOver.update { $0 = true }
        try coming.join(by: .after(.seconds(60)))
        // The successor can be succeeded, and stops like any other.
        #expect(try sluice.command(["reload"]).status == 0)
        kill(new, SIGTERM)
        try eventually("the new process is gone") { access(sluice.socket, F_OK) != 0 }
    }

    @Test(arguments: [
        ("exit 3", "ended with status 3"),
        ("exit 1", "stands where this process has its standard error"),
        ("exec sleep 60", "did not serve within 1000 ms"),
        ("kill -9 $$", "ended by signal 9"),
    ])
    func `a program that does not start leaves the old one serving`(
        script: String, words: String
    ) throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try replaceProgram(sluice, script)
        let timeout = script.hasPrefix("exec sleep") ? "1s" : "30s"
        let upgrade = try ended(
            [try ProxyFixture.program(), "upgrade", "--timeout", timeout, "--admin", sluice.socket])
        #expect(upgrade.status == 1)
        #expect(upgrade.output.contains(words), "\(upgrade.output)")
        try ends.client.send(Frame.text("still here").masked())
        #expect(try ends.upstream.readFrame().text == "still here")
        _ = try sluice.proxy.relay(to: backend)
        #expect(try sluice.ask("/readyz").output == "ready\n")
    }

    @Test
    func `a TERM ends an upgrade whose new program hangs, and a second upgrade does not wait`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let started = "\(sluice.folder)/started"
        try replaceProgram(sluice, ": >'\(started)'\nexec sleep 600")
        let upgrade = try ChildProcess(
            [
                try ProxyFixture.program(), "upgrade", "--timeout", "500s", "--admin",
                sluice.socket,
            ])
        try eventually("the new program runs") { access(started, F_OK) == 0 }
        let second = try sluice.command(["upgrade", "--timeout", "500s"])
        #expect(second.status == 1)
        #expect(second.output.contains("An upgrade is under way already"), "\(second)")
        sluice.proxy.process.signal(SIGTERM)
        #expect(try sluice.proxy.process.waitForExit() == 0)
        #expect(try upgrade.waitForExit() == 1)
        #expect(
            upgrade.errors.joined().contains(
                "Not upgraded, this process stops: it was told to stop"),
            "\(upgrade.errors)")
    }

    @Test func `a configuration that can't be used leaves the old process serving`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite("routes:", "roots:")
        sluice.proxy.process.signal(SIGUSR2)
        try sluice.proxy.process.waitForLine(containing: "Not upgraded, this process goes on")
        _ = try sluice.proxy.relay(to: backend)
    }

    @Test func `sockets of the service manager are taken, and it hears how things are`() throws {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // Python plays the manager: it binds, listens for words, starts the program, and prints them.
        let files = try TestCertificates.shared().local
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0", tls: { certificates: [\(files.setting)] } }]
            admin: { socket: \(folder)/admin.sock }
            routes: [{ path: /Esv/ocp, to: "\(backend.address)" }]
            """, to: "\(folder)/sluice.yaml")
        let words = try PythonPeer.run(
            "service_manager.py", [try ProxyFixture.program(), "\(folder)/sluice.yaml", folder])
        #expect(words.contains("READY=1"))
        #expect(words.contains("WATCHDOG=1"))
        #expect(words.contains { $0.hasPrefix("RELOADING=1") })
        #expect(words.contains { $0.hasPrefix("MONOTONIC_USEC=") })
        #expect(words.contains("STOPPING=1"))
        #expect(words.last == "served 404 on the given socket, exit 0", "\(words)")
    }

    /// systemd.service(5), `FileDescriptorStoreMax`.
    @Test func `listening sockets are kept while a killed process is started again`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let ports = try (0..<2).map { _ in try HeldPort() }
        let identity = try TestCertificates.shared().local.setting
        let listeners = ports.map {
            "  - { address: \"127.0.0.1:\($0.number)\", tls: { certificates: [\(identity)] } }\n"
        }
        try Scratch.write(
            "listen:\n\(listeners.joined())admin: { socket: \(folder)/admin.sock }\nroutes: [{ path: /a, to: \"ws://127.0.0.1:9\" }]\n",
            to: "\(folder)/sluice.yaml")
        let words = try PythonPeer.run(
            "fd_store.py", [try ProxyFixture.program(), "\(folder)/sluice.yaml", folder])
        #expect(words.contains("kept 2"))
        #expect(words.contains("answered 404 404"))
        #expect(words.contains("moved 404"))
        #expect(words.last == "exit 0", "\(words)")
    }

    /// The unit, the text about it and the configuration's defaults say the same.
    @Test func `the unit gives a stop more time than it takes by default`() throws {
        let docs = "\(Scratch.packageFolder)/docs"
        let unit = try Scratch.read("\(docs)/sluice.service")
        let time = try #require(unit.firstMatch(of: /\nTimeoutStopSec=(\d+)\n/)).output.1
        let text = try Scratch.read("\(docs)/operations.md")
        #expect(text.contains("the unit has `TimeoutStopSec=\(time)`"))
        let reference = try Scratch.read("\(docs)/configuration.md")
        let drain = try #require(reference.range(of: "\n## `drain`\n"))
        func seconds(_ key: String) throws -> Int {
            let row = try #require(
                reference[drain.upperBound...].split(separator: "\n")
                    .first { $0.hasPrefix("| `\(key)` |") })
            return try #require(Int(row.split(separator: "|")[2].filter(\.isNumber)))
        }
        let (delay, timeout) = (try seconds("delay"), try seconds("timeout"))
        #expect(
            text.replacingOccurrences(of: "\n", with: " ")
                .contains("by default they take \(delay) s and \(timeout) s"))
        #expect(try #require(Int(time)) >= delay + timeout + 30)
    }

    @Test func `the unit file is one that systemd takes`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // The program's place is the only thing that a machine without it would complain of.
        let unit = try Scratch.read("\(Scratch.packageFolder)/docs/sluice.service")
            .replacingOccurrences(
                of: "/usr/local/bin/sluice", with: try ProxyFixture.program())
        try Scratch.write(unit, to: "\(folder)/sluice.service")
        let said = try ended(["systemd-analyze", "verify", "--man=no", "\(folder)/sluice.service"])
        #expect(said.status == 0, "\(said.output)")
        #expect(!said.output.contains("sluice.service:"), "\(said.output)")
    }
}

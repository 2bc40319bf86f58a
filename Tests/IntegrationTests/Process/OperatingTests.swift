// SPDX-License-Identifier: Apache-2.0
//
// Goal: an operator sees what a running Sluice does and ends sockets in order: by route, by endpoint,
// one by one, or all, with readiness saying no first.
// Method: the program's own commands and curl against the admin socket, real peers at both ends.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct OperatingTests {
    private static func started(
        _ backend: PeerAddress, settings: [String] = []
    ) throws -> Operated {
        try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend)\" }", "{ path: /other, to: \"\(backend)\" }",
            ], settings: settings)
    }

    @Test func `status names listeners, routes, endpoints and live relays`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let status = try sluice.command(["status"])
        #expect(status.status == 0)
        #expect(status.output.contains("wss://127.0.0.1:\(sluice.proxy.port())"))
        #expect(status.output.contains("/Esv/ocp  1 "), "\(status.output)")
        #expect(status.output.contains("/other    0 "))
        #expect(status.output.contains("\(backend.address)"))
        let relays = try sluice.command(["status", "--route", "/Esv/ocp"])
        let lines = relays.output.split(separator: "\n")
        #expect(lines.count == 2, "\(relays.output)")
        let id = try #require(lines.last?.split(separator: " ").first.map(String.init))
        #expect(
            try sluice.command(["status", "--route", "/other"]).output.split(separator: "\n").count
                == 1)

        let closed = try sluice.command(["status", "--close", id, "--code", "4001"])
        #expect(closed.status == 0, "\(closed.output)")
        for peer in [ends.client, ends.upstream] {
            #expect(try peer.readFrame().closeCode == 4001)
        }
        try ends.client.send(Frame.close(4001).masked())
        try ends.upstream.send(Frame.close(4001))
        try eventually("the relay is gone") {
            try sluice.command(["status", "--relays"]).output.split(separator: "\n").count == 1
        }
        let again = try sluice.command(["status", "--close", id])
        #expect(again.status == 1)
        #expect(again.output.contains("There is no relay \(id): it has ended, or never was."))
    }

    @Test func `filters take names as people write them, and unknown ones are errors`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let bare = "\(backend.address)".replacing("ws://", with: "")
        let client = try #require(
            try sluice.command(["status", "--relays"]).output.firstMatch(of: /127\.0\.0\.1:\d+/)
        ).output
        for filter in [
            ["--endpoint", bare], ["--endpoint", "ws://\(bare)"], ["--client", "127.0.0.1"],
            ["--client", String(client)], ["--route", "/Esv/ocp"],
        ] {
            let found = try sluice.command(["status", "--relays"] + filter)
            #expect(found.status == 0)
            #expect(found.output.split(separator: "\n").count == 2, "\(filter) \(found.output)")
        }
        for (filter, sentence) in [
            (["--endpoint", "127.0.0.1:1"], "There is no endpoint 127.0.0.1:1; there is ws://"),
            (["--route", "/nothing"], "There is no route /nothing; there are /Esv/ocp, /other."),
            (
                ["--endpoint", "\(backend.address.port)"],
                "there is \(backend.address). Did you mean \(backend.address)?"
            ), (["--route", "/Esv/ocpp"], "Did you mean /Esv/ocp?"),
            (
                ["--client", "127.0.0.1:1"],
                "No live relay is of the client 127.0.0.1:1; there are some of \(client)."
            ),
        ] {
            for more in [[], ["--json"]] {
                let found = try sluice.command(["status", "--relays"] + filter + more)
                #expect(found.status == 1, "\(found)")
                #expect(found.output.contains(sentence), "\(found.output)")
            }
        }
        for more in [[], ["--json"], ["--route", "/Esv/ocp"]] {
            let none = try sluice.command(["status", "--client", "192.0.2.7"] + more)
            #expect(none.status == 1)
            #expect(
                none.output
                    == "Error: No live relay is of the client 192.0.2.7; there are some of 127.0.0.1.\n"
            )
        }
        let elsewhere = try sluice.command(["status", "--client", "::1", "--route", "/other"])
        #expect(elsewhere.status == 1)
        #expect(elsewhere.output.contains("there are none of others either."), "\(elsewhere)")
        // A route that is there and has none is no slip.
        let idle = try sluice.command(["status", "--route", "/other"])
        #expect(
            idle.status == 0 && idle.output.contains("There are no live relays of route /other."))
        withExtendedLifetime(ends) {}
    }

    @Test func `a drain of everything that has succeeded exits with 0, however Sluice was found`()
        throws
    {
        let backend = try ManualBackend()
        for isNamed in [true, false] {
            let folder = try Scratch.makeFolder()
            defer { Scratch.remove(folder) }
            let echo = try ProxyFixture(
                arguments: ["\(backend.address)", "--listen", "127.0.0.1:0", "--no-check"],
                home: folder)
            try eventually("quick mode says how to ask it") {
                echo.process.output.contains("status    sluice status")
            }
            let place = "\(echo.folder)/sluice-\(geteuid())/sluice.sock"
            let drain = try ChildProcess(
                [try ProxyFixture.program(), "drain"] + (isNamed ? ["--admin", place] : []),
                environment: ["TMPDIR": echo.folder, "XDG_RUNTIME_DIR": ""])
            let status = try drain.waitForExit()
            #expect(status == 0, "\(drain.output) \(drain.errors)")
            #expect(try echo.process.waitForExit() == 0)
        }
    }

    @Test func `a second Sluice of a user has a socket of its own, and status tells them apart`()
        throws
    {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        var processes: [ChildProcess] = []
        defer { for process in processes { process.signal(SIGKILL) } }
        let environment = ["TMPDIR": folder, "XDG_RUNTIME_DIR": "", "HOME": folder]
        for index in 0..<3 {
            let process = try ChildProcess(
                [
                    try ProxyFixture.program(), "\(backend.address)", "--listen", "127.0.0.1:0",
                    "--no-check",
                ], environment: environment)
            processes.append(process)
            try eventually("it says how to ask it") {
                process.output.contains { $0.hasPrefix("status    sluice status") }
            }
            let own = "\(folder)/sluice-\(geteuid())/sluice-\(process.identifier).sock"
            #expect(
                process.output.contains(
                    "status    sluice status" + (index == 0 ? "" : " --admin \(own)")))
        }
        func status(_ arguments: String...) throws -> (Int32, String) {
            let child = try ChildProcess(
                [try ProxyFixture.program(), "status"] + arguments, environment: environment)
            let code = try child.waitForExit()
            return (code, (child.output + child.errors).joined(separator: "\n"))
        }
        let first = try status()
        #expect(first.0 == 0 && first.1.contains("pid \(processes[0].identifier),"))
        #expect(first.1.contains("Note: 2 other Sluices of this user are running"), "\(first)")
        #expect(
            first.1.contains(
                "--admin \(folder)/sluice-\(geteuid())/sluice-\(processes[1].identifier).sock"))
        let own = "\(folder)/sluice-\(geteuid())/sluice-\(processes[2].identifier).sock"
        #expect(try status("--admin", own).1.contains("pid \(processes[2].identifier),"))
        processes[0].signal(SIGTERM)
        #expect(try processes[0].waitForExit() == 0)
        let ambiguous = try status()
        #expect(ambiguous.0 == 1)
        #expect(ambiguous.1.contains("More than one Sluice") && ambiguous.1.contains(own))
        processes[1].signal(SIGTERM)
        #expect(try processes[1].waitForExit() == 0)
        #expect(try status().1.contains("pid \(processes[2].identifier),"))
    }

    @Test func `the admin socket belongs to its owner, and to no web page`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let mode = try FileManager.default.attributesOfItem(atPath: sluice.socket)[
            .posixPermissions]
        #expect(mode as? Int == 0o600)
        #expect(try sluice.ask("/healthz").output == "ok\n")
        #expect(try sluice.ask("/readyz").output == "ready\n")
        let code = ["-o", "/dev/null", "-w", "%{http_code}"]
        #expect(try sluice.ask("/nothing", code).output == "404\n")
        #expect(
            try sluice.ask("/reload", code + ["-H", "Origin: https://evil.example", "-X", "POST"])
                .output == "403\n")
        #expect(try sluice.ask("/state", code + ["-H", "Host: evil.example"]).output == "403\n")
        #expect(try sluice.ask("/drain", code + ["-d", "no json"]).output == "400\n")
        #expect(
            try sluice.ask("/drain", code + ["-d", "{\"everything\":true,\"code\":1005}"]).output
                == "422\n")
        // Reading is no doing.
        #expect(try sluice.ask("/reload", code).output == "405\n")
    }

    @Test func `a second process leaves the first one's socket alone`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let second = try ended([
            try ProxyFixture.program(), "run", "-c", sluice.proxy.configurationPath,
        ])
        #expect(second.status == 1)
        #expect(second.output.contains("\(sluice.socket)"), "\(second.output)")
        #expect(try sluice.ask("/healthz").output == "ok\n")
    }

    @Test func `an endpoint is drained: its relays are told, new ones go elsewhere`() throws {
        let first = try ManualBackend()
        let second = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\", \"\(second.address)\"], "
                    + "balance: leastConnections } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let leaving = try sluice.proxy.relay(to: first)
        let staying = try sluice.proxy.relay(to: second)
        let name = "\(first.address)".replacingOccurrences(of: "ws://", with: "")
        let drain = try sluice.command([
            "drain", "--endpoint", name, "--code", "1012", "--reason", "deploy", "--background",
        ])
        #expect(drain.status == 0, "\(drain.output)")
        let close = try leaving.client.readFrame()
        #expect(close.closeCode == 1012)
        #expect(String(decoding: close.payload.dropFirst(2), as: UTF8.self) == "deploy")
        #expect(try leaving.upstream.readFrame().closeCode == 1012)
        try leaving.client.send(Frame.close(1012).masked())
        try leaving.upstream.send(Frame.close(1012))
        for _ in 0..<3 { _ = try sluice.proxy.relay(to: second) }
        #expect(try sluice.command(["status"]).output.contains("draining"))
        try staying.client.send(Frame.text("stays").masked())
        #expect(try staying.upstream.readFrame().text == "stays")
        // A reload changes nothing in that; taking it back does.
        #expect(try sluice.command(["reload"]).status == 0)
        _ = try sluice.proxy.relay(to: second)
        #expect(try sluice.command(["drain", "--endpoint", name, "--resume"]).status == 0)
        let clients = try (0..<8).map { _ in try sluice.proxy.connect() }
        for client in clients { try client.send(Opening().bytes) }
        #expect(try first.hasPendingConnection(by: .after()))
    }

    @Test
    func `a spread that the timeout cuts off is refused, and a short timeout shortens the spread`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Self.started(
            backend.address, settings: ["drain: { timeout: 30s, spread: 20s }"])
        defer { Scratch.remove(sluice.folder) }
        let wide = try sluice.command(["drain", "--route", "/Esv/ocp", "--spread", "1m"])
        #expect(wide.status == 1)
        #expect(
            wide.output.hasPrefix(
                "Error: The spread, 1m, is longer than the timeout, 30s (drain.timeout of the configuration)"
            ),
            "\(wide)")
        let both = try sluice.ask(
            "/drain",
            [
                "-d",
                "{\"everything\":true,\"spreadMilliseconds\":2000,\"timeoutMilliseconds\":1000}",
            ])
        #expect(both.output.contains("The spread, 2s, is longer than the timeout, 1s:"), "\(both)")
        let two = try sluice.ask("/drain", ["-d", "{\"route\":\"/other\",\"endpoint\":\"x\"}"])
        #expect(two.output.contains("Name a route or an endpoint, not both"), "\(two)")
        // Nothing has been drained: both relays would be told within 20 s, and are within 1.
        let relays = try (0..<2).map { _ in try sluice.proxy.relay(to: backend) }
        let start = ContinuousClock.now
        let drain = try sluice.command(["drain", "--route", "/Esv/ocp", "--timeout", "1s"])
        #expect(drain.status == 0 && drain.output.contains("2 of 2 relays told"), "\(drain)")
        #expect(ContinuousClock.now - start < .seconds(18))
        withExtendedLifetime(relays) {}
    }

    @Test func `a list that is cut says that there are more, to people and not into the JSON`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<3).map { _ in try sluice.proxy.relay(to: backend) }
        func list(_ arguments: String...) throws -> ChildProcess {
            let child = try ChildProcess(
                [try ProxyFixture.program(), "status", "--relays", "--admin", sluice.socket]
                    + arguments)
            #expect(try child.waitForExit() == 0)
            return child
        }
        let cut = try list("--limit", "2")
        #expect(cut.output.count == 3, "\(cut.output)")
        #expect(
            cut.errors == [
                "Note: these are 2 relays, and there are more: --limit 20 lists more of them."
            ])
        let json = try list("--limit", "2", "--json")
        let found = try JSONSerialization.jsonObject(
            with: Data(json.output.joined(separator: "\n").utf8))
        #expect((found as? [Any])?.count == 2 && json.errors == cut.errors)
        let all = try list("--limit", "3")
        #expect(all.output.count == 4 && all.errors.isEmpty, "\(all.errors)")
        withExtendedLifetime(relays) {}
    }

    @Test func `a route is drained with progress, and who does not answer is cut`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let polite = try sluice.proxy.relay(to: backend)
        let silent = try sluice.proxy.relay(to: backend)
        let other = try sluice.proxy.relay(to: backend, Opening("/other"))
        let draining = TestThread {
            try sluice.command([
                "drain", "--route", "/Esv/ocp", "--code", "1013", "--spread", "100ms", "--timeout",
                "800ms",
            ])
        }
        #expect(try polite.client.readFrame().closeCode == 1013)
        try polite.client.send(Frame.close(1013).masked())
        #expect(try polite.upstream.readFrame().closeCode == 1013)
        try polite.upstream.send(Frame.close(1013))
        let drain = try draining.join(by: .after(.seconds(60)))
        #expect(drain.status == 0)
        #expect(
            drain.output.contains("2 of 2 relays told, 2 closed, 1 of them cut, done"),
            "\(drain.output)")
        #expect(try silent.client.readFrame().closeCode == 1013)
        // The log tells who was ended by force from who has closed.
        let log = sluice.proxy.process
        let lines = try log.waitForLine(containing: "close=1013 by=sluice reason=cut")
        #expect(lines.count == 1)
        try log.waitForLine(containing: "close=1013 by=sluice reason=drain")
        let refused = try sluice.proxy.connect()
        try refused.send(Opening().bytes)
        let answer = try refused.readHead()
        #expect(answer.status == 503)
        #expect(answer["Retry-After"] == "5")
        try other.client.send(Frame.text("stays").masked())
        #expect(try other.upstream.readFrame().text == "stays")
        let wrong = try sluice.command(["drain", "--route", "/nowhere"])
        #expect(wrong.status == 1)
        #expect(wrong.output.contains("There is no route /nowhere; there are /Esv/ocp, /other."))
    }

    @Test func `readiness says no before the listeners close`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend.address, settings: ["drain: { delay: 20s }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        sluice.proxy.process.signal(SIGTERM)
        try eventually("it is not ready") { try sluice.ask("/readyz").output == "stopping\n" }
        try sluice.proxy.process.waitForLine(containing: "Stopping in 20s (drain.delay): ")
        #expect(try sluice.ask("/healthz").output == "ok\n")
        // Still open, for those who have not noticed.
        _ = try sluice.proxy.relay(to: backend)
        #expect(try sluice.command(["reload"]).status == 1)
        sluice.proxy.process.signal(SIGTERM)
        #expect(try sluice.proxy.process.waitForExit() == 0)
        _ = ends
    }

    @Test func `closes are spread evenly over the time that there is`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let count = 100
        let times = Monitor<[ContinuousClock.Instant]>([])
        let opened = Monitor(0)
        let readers = (0..<count).map { _ in
            TestThread {
                let client = try sluice.proxy.open()
                opened.update { $0 += 1 }
                guard try client.readFrame(by: .after(.seconds(60))).closeCode == 1012 else {
                    throw PeerError("no Close")
                }
                times.update { $0.append(.now) }
                try client.send(Frame.close(1012).masked())
            }
        }
        try opened.wait(for: "all clients", by: .after(.seconds(60))) { $0 == count }
        let start = ContinuousClock.now
        let drain = try sluice.command([
            "drain", "--route", "/Esv/ocp", "--code", "1012", "--spread", "4s", "--timeout", "20s",
        ])
        #expect(
            drain.output.contains("100 of 100 relays told, 100 closed, none of them cut, done"),
            "\(drain.output)")
        for reader in readers { try reader.join(by: .after(.seconds(60))) }
        // Nobody early, none forgotten, and not all at once: the order is what holds on any machine.
        let seen = times.value
        #expect(seen.count == count)
        let last = try #require(seen.max())
        #expect(last - start > .seconds(3))
        #expect(seen.count { $0 - start < .seconds(1) } < count / 2)
    }

    @Test func `nobody waits for the turn of relays that have ended by themselves`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(
            backend.address, settings: ["drain: { timeout: 24h, spread: 24h }"])
        defer { Scratch.remove(sluice.folder) }
        for what in [["--route", "/Esv/ocp"], []] {
            let clients = try (0..<4).map { _ in try sluice.proxy.open() }
            let draining = TestThread { try sluice.command(["drain"] + what) }
            // Each reactor tells its first at once; the others have a day.
            for client in clients {
                try client.send(Frame.close(1000).masked())
                #expect(try client.readFrame().closeCode != nil)
            }
            let drain = try draining.join(by: .after(.seconds(60)))
            #expect(drain.status == 0, "\(drain.output)")
            if !what.isEmpty {
                #expect(drain.output.contains(", done"), "\(drain.output)")
                #expect(try sluice.command(["drain", "--resume"] + what).status == 0)
            }
        }
        #expect(try sluice.proxy.process.waitForExit(by: .after(.seconds(60))) == 0)
    }

    @Test func `what stops takes nothing again`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address, settings: ["drain: { timeout: 24h }"])
        defer { Scratch.remove(sluice.folder) }
        // It does not answer its Close, so that the stop goes on.
        let client = try sluice.proxy.open()
        #expect(try sluice.command(["drain", "--background"]).status == 0)
        #expect(try client.readFrame().closeCode != nil)
        let resumed = try sluice.command(["drain", "--route", "/Esv/ocp", "--resume"])
        #expect(
            resumed.status == 1 && resumed.output.contains("Sluice is stopping:"), "\(resumed)")
        for words in [
            ["drain", "--route", "/Esv/ocp"], ["reload"],
            ["rebalance", "--upstream", "\(backend.address)"],
        ] {
            let refused = try sluice.command(words)
            #expect(
                refused.status == 1
                    && refused.output.contains("Sluice is stopping: all its sockets are told to go"),
                "\(refused)")
        }
        try client.send(Frame.close(1001).masked())
        #expect(try sluice.proxy.process.waitForExit(by: .after(.seconds(60))) == 0)
    }

    @Test func `a drain that waits while the process ends says that it has stopped`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address, settings: ["drain: { timeout: 24h }"])
        defer { Scratch.remove(sluice.folder) }
        // It does not answer its Close, so that the drain goes on.
        let client = try sluice.proxy.open()
        let draining = TestThread { try sluice.command(["drain", "--route", "/Esv/ocp"]) }
        #expect(try client.readFrame().closeCode != nil)
        try eventually("it is told how far that is") {
            try sluice.command(["status"]).output.contains("1 of 1 relay told")
        }
        try cut(sluice.proxy.process)
        let drain = try draining.join(by: .after(.seconds(60)))
        #expect(drain.status == 1, "\(drain)")
        #expect(
            drain.output.contains("Sluice has stopped meanwhile, and all its sockets have ended."),
            "\(drain)")
    }

    @Test func `a log file is opened anew at USR1`() throws {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let log = "\(folder)/access.log"
        let sluice = try Self.started(backend.address, settings: ["log: { access: \(log) }"])
        defer { Scratch.remove(sluice.folder) }
        #expect(rename(log, "\(log).1") == 0)
        sluice.proxy.process.signal(SIGUSR1)
        try sluice.proxy.process.waitForLine(containing: "The log was opened anew: ")
        let refused = try sluice.proxy.connect()
        try refused.send(
            Array("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8))
        #expect(try refused.readHead().status == 404)
        try eventually("the line is in the new file") {
            try String(contentsOfFile: log, encoding: .utf8).contains("/nowhere")
        }
        #expect(try String(contentsOfFile: "\(log).1", encoding: .utf8).isEmpty)
    }
}

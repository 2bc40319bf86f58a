// SPDX-License-Identifier: Apache-2.0
//
// Goal: what is drained stays so by its name until it is resumed, a resumed drain leaves everybody alone, a route that
// goes and comes back knows its live sockets, and the first signal to stop cuts nobody.
// Method: the program's own commands and signals, with real peers at both ends.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct DrainedNamesTests {
    private func processIdentifier(_ sluice: Operated) throws -> Int32 {
        let state = try sluice.command(["status", "--json"])
        let line = try #require(
            state.output.split(separator: "\n").first { $0.contains("\"pid\"") }, "\(state.output)")
        return try #require(Int32(line.filter(\.isNumber)))
    }

    /// The status that a request for a WebSocket gets from Sluice itself.
    private func refusal(_ sluice: Operated, _ path: String) throws -> Int {
        let client = try sluice.proxy.connect()
        try client.send(Opening(path).bytes)
        return try client.readHead().status
    }

    @Test func `what is drained stays drained over reloads and an upgrade, until it is resumed`()
        throws
    {
        let first = try ManualBackend()
        let second = try ManualBackend()
        let other = "  - { path: /other, to: \"\(second.address)\" }\n"
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }", "{ path: /other, to: \"\(second.address)\" }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\", \"\(second.address)\"], "
                    + "balance: roundRobin } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        func expectDrained() throws {
            for _ in 0..<4 { _ = try sluice.proxy.relay(to: second) }
            #expect(try refusal(sluice, "/other") == 503)
        }
        let endpoint = ["drain", "--endpoint", "\(first.address)"]
        for what in [endpoint, ["drain", "--route", "/other"]] {
            let drain = try sluice.command(what)
            #expect(drain.status == 0, "\(drain.output)")
        }
        try expectDrained()
        try sluice.rewrite("\"\(first.address)\", ", "")
        try sluice.rewrite(other, "")
        #expect(try sluice.command(["reload"]).status == 0)
        try sluice.rewrite("endpoints: [", "endpoints: [\"\(first.address)\", ")
        try sluice.rewrite("routes:\n", "routes:\n" + other)
        #expect(try sluice.command(["reload"]).status == 0)
        try expectDrained()

        let upgrade = try sluice.command(["upgrade"])
        #expect(upgrade.status == 0, "\(upgrade.output)")
        let new = try processIdentifier(sluice)
        defer { kill(new, SIGKILL) }
        #expect(
            upgrade.output.contains(
                "Drained as before: endpoint \(first.address), route /other."), "\(upgrade.output)")
        try expectDrained()

        // It can be resumed while nothing has its name.
        try sluice.rewrite(other, "")
        #expect(try sluice.command(["reload"]).status == 0)
        for what in [endpoint, ["drain", "--route", "/other"]] {
            let resumed = try sluice.command(what + ["--resume"])
            #expect(resumed.status == 0, "\(resumed.output)")
        }
        try sluice.rewrite("routes:\n", "routes:\n" + other)
        #expect(try sluice.command(["reload"]).status == 0)
        _ = try sluice.proxy.relay(to: second, Opening("/other"))
        let clients = try (0..<4).map { _ in try sluice.proxy.connect() }
        for client in clients { try client.send(Opening().bytes) }
        #expect(try first.hasPendingConnection(by: .after()))
    }

    @Test func `a drain that is resumed tells nobody any more`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], settings: ["workers: 1"])
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<4).map { _ in try sluice.proxy.relay(to: backend) }
        let endpoint = ["drain", "--endpoint", "\(backend.address)"]
        let draining = TestThread {
            try sluice.command(endpoint + ["--spread", "50s", "--timeout", "60s"])
        }
        #expect(try relays[0].client.readFrame().closeCode == 1001)
        let resumed = try sluice.command(endpoint + ["--resume"])
        #expect(resumed.status == 0)
        #expect(
            resumed.output.contains(
                "takes new relays again. The drain there has ended: 1 relay was told, and the"
                    + " others stay."), "\(resumed.output)")
        try relays[0].client.send(Frame.close(1001).masked())
        #expect(try relays[0].upstream.readFrame().closeCode == 1001)
        try relays[0].upstream.send(Frame.close(1001))
        // Long before its last relay would have been told.
        let drain = try draining.join(by: .after(.seconds(30)))
        #expect(drain.status == 1)
        #expect(
            drain.output.contains(
                "The drain of endpoint \(backend.address) was ended by --resume."),
            "\(drain.output)")
        let again = try sluice.command(endpoint + ["--resume"])
        #expect(again.status == 0)
        #expect(
            again.output
                == "The endpoint \(backend.address) was not drained: nothing has changed.\n")
        let route = try sluice.command(["drain", "--route", "/Esv/ocp", "--resume"])
        #expect(
            route.status == 0
                && route.output == "The route /Esv/ocp was not drained: nothing has changed.\n")
        for relay in relays[1...] { try relay.exchange("stays") }
        try sluice.proxy.relay(to: backend).exchange("is back")
    }

    @Test func `a route that goes and comes back knows its live sockets, and has them in between`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\", limits: { relays: 2 } }"])
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<2).map { _ in try sluice.proxy.relay(to: backend) }
        func move(_ old: String, _ new: String) throws {
            try sluice.rewrite("path: \(old),", "path: \(new),")
            let reload = try sluice.command(["reload"])
            #expect(reload.status == 0, "\(reload.output)")
        }
        try move("/Esv/ocp", "/moved")
        let away = try sluice.command(["status"]).output
        #expect(away.contains("/Esv/ocp (left)  2 "), "\(away)")
        #expect(away.contains("/moved           0 "), "\(away)")
        try move("/moved", "/Esv/ocp")
        let back = try sluice.command(["status"]).output
        #expect(back.contains("/Esv/ocp  2 "), "\(back)")
        #expect(try refusal(sluice, "/Esv/ocp") == 503)
        try move("/Esv/ocp", "/moved")
        let drain = try sluice.command(["drain", "--route", "/Esv/ocp", "--background"])
        #expect(drain.status == 0, "\(drain.output)")
        for relay in relays { #expect(try relay.client.readFrame().closeCode == 1001) }
    }

    @Test(arguments: ["upgrade", "drain"])
    func `the first TERM behind an upgrade or a drain goes on in order, and the second cuts`(
        way: String
    ) throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["drain: { timeout: 600s, code: 1012 }", "timeouts: { closing: 600s }"])
        defer { Scratch.remove(sluice.folder) }
        let polite = try sluice.proxy.relay(to: backend)
        let silent = try sluice.proxy.relay(to: backend)
        let begun = try sluice.command(
            way == "drain" ? ["drain", "--background"] : ["upgrade", "--no-move"])
        #expect(begun.status == 0, "\(begun.output)")
        let new = way == "upgrade" ? try processIdentifier(sluice) : 0
        defer { if new > 0 { kill(new, SIGKILL) } }
        #expect(try polite.client.readFrame().closeCode == 1012)
        #expect(try silent.client.readFrame().closeCode == 1012)
        let process = sluice.proxy.process
        process.signal(SIGTERM)
        try process.waitForLine(containing: "Told to stop, and stopping already")
        #expect(try polite.upstream.readFrame().closeCode == 1012)
        try polite.upstream.send(Frame.close(1012))
        try polite.client.send(Frame.close(1012).masked())
        #expect(try polite.client.expectEnd() == .orderly)
        #expect(!process.hasEnded)
        try cut(process)
        #expect(try silent.client.readUntilEnd().bytes.isEmpty)
        try eventually("it is gone") { process.hasEnded }
    }

    @Test func `drains that overlap count each relay, and wait for it`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["timeouts: { closing: 600s }"])
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<4).map { _ in try sluice.proxy.relay(to: backend) }
        let how = ["--spread", "0s", "--timeout", "600s"]
        let first = try sluice.command(
            ["drain", "--endpoint", "\(backend.address)", "--background"] + how)
        #expect(first.status == 0, "\(first.output)")
        for relay in relays { #expect(try relay.client.readFrame().closeCode == 1001) }
        let second = TestThread { try sluice.command(["drain", "--route", "/Esv/ocp"] + how) }
        try eventually("the second has found them") {
            try sluice.command(["status"]).output
                .contains("drain 2 of route /Esv/ocp: 0 of 4 relays told, 0 closed\n")
        }
        for relay in relays {
            #expect(try relay.upstream.readFrame().closeCode == 1001)
            try relay.upstream.send(Frame.close(1001))
            try relay.client.send(Frame.close(1001).masked())
        }
        let ended = try second.join(by: .after(.seconds(60)))
        #expect(ended.status == 0)
        #expect(
            ended.output.contains(
                "0 of 4 relays told, 0 closed, 4 ended by themselves or in another drain, done"),
            "\(ended.output)")
        let status = try sluice.command(["status"]).output
        #expect(
            status.contains("4 of 4 relays told, 4 closed, none of them cut, done"), "\(status)")
        let json = try sluice.command(["status", "--json"]).output.filter { !$0.isWhitespace }
        #expect(json.contains("\"endedElsewhere\":4"), "\(json)")
    }

    @Test func `a relay of two drains has the shorter of their timeouts`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["timeouts: { closing: 600s }"])
        defer { Scratch.remove(sluice.folder) }
        let silent = try sluice.proxy.relay(to: backend)
        let long = try sluice.command([
            "drain", "--endpoint", "\(backend.address)", "--background", "--spread", "0s",
            "--timeout", "600s",
        ])
        #expect(long.status == 0)
        #expect(try silent.client.readFrame().closeCode == 1001)
        let short = TestThread {
            try sluice.command([
                "drain", "--route", "/Esv/ocp", "--spread", "0s", "--timeout", "500ms",
            ])
        }
        let said = try short.join(by: .after(.seconds(60)))
        #expect(said.status == 0)
        #expect(
            said.output.contains(
                "0 of 1 relay told, 0 closed, 1 ended by themselves or in another drain, done"),
            "\(said.output)")
        let status = try sluice.command(["status"]).output
        #expect(status.contains("1 of 1 relay told, 1 closed, 1 of them cut, done"), "\(status)")
    }

    @Test func `nothing is drained or resumed while a new process starts`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], isReplaceable: true)
        defer { Scratch.remove(sluice.folder) }
        let program = "\(sluice.folder)/sluice"
        let started = "\(sluice.folder)/started"
        let ends = "\(sluice.folder)/ends"
        try FileManager.default.removeItem(atPath: program)
        // It ends without serving once it is told to.
        try Scratch.writeProgram(
            "#!/bin/sh\n: > '\(started)'\nuntil [ -e '\(ends)' ]; do sleep 0.1; done\n", to: program
        )
        let upgrade = TestThread { try sluice.command(["upgrade", "--timeout", "300s"]) }
        try eventually("the new program runs") { access(started, F_OK) == 0 }
        let endpoint = ["drain", "--endpoint", "\(backend.address)"]
        for what in [endpoint, endpoint + ["--resume"], ["drain", "--route", "/Esv/ocp"]] {
            let refused = try sluice.command(what)
            #expect(refused.status == 1)
            #expect(
                refused.output.contains("An upgrade is under way, and its new process would not"),
                "\(refused.output)")
        }
        try sluice.proxy.relay(to: backend).exchange("not drained")
        try Scratch.write("", to: ends)
        #expect(try upgrade.join(by: .after(.seconds(60))).status == 1)
        let drain = try sluice.command(endpoint + ["--timeout", "1s"])
        #expect(drain.status == 0, "\(drain.output)")
        #expect(try refusal(sluice, "/Esv/ocp") == 503)
    }

    @Test func `a drain that takes longer asks the service manager to wait`() throws {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let manager = try ChildProcess([
            "python3", "-c",
            """
            import socket, sys
            door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            door.bind(sys.argv[1])
            print("bound", flush=True)
            while True:
                print(" ".join(door.recv(4096).decode().splitlines()), flush=True)
            """, "\(folder)/notify",
        ])
        defer { manager.signal(SIGKILL) }
        try manager.waitForLine(containing: "bound")
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            wrapper: ["sh", "-c", "NOTIFY_SOCKET=\(folder)/notify exec \"$@\"", "sh"])
        defer { Scratch.remove(sluice.folder) }
        let drain = try sluice.command(["drain", "--timeout", "10m"])
        #expect(drain.status == 0, "\(drain.output)")
        try manager.waitForLine(containing: "STOPPING=1 EXTEND_TIMEOUT_USEC=610000000")
    }
}

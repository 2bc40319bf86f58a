// SPDX-License-Identifier: Apache-2.0
//
// Goal: a reload exchanges routes, upstreams, listeners and certificates at once, live relays go on
// under the rules they began with, and a file that can't be used changes nothing.
// Method: the configuration file is rewritten and `sluice reload` run, which says what became of it.

import Foundation
import Glibc
import TestKit
import Testing

/// Runs a command to its end; what it printed on both outputs, a newline behind each line.
func ended(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let child = try ChildProcess(arguments)
    let status = try child.waitForExit(by: .after(.seconds(60)))
    return (status, (child.output + child.errors).map { $0 + "\n" }.joined())
}

/// Tells a Sluice that is stopping once more, until it has taken that for a second signal.
func cut(_ process: ChildProcess) throws {
    try eventually("it is cut") {
        process.signal(SIGTERM)
        return process.hasEnded
            || process.output.contains { $0.contains("A second signal: everything is cut now.") }
    }
}

/// A running Sluice whose configuration the test rewrites.
struct Operated {
    let proxy: ProxyFixture
    let folder: String
    var socket: String { "\(folder)/admin.sock" }

    init(
        routes: [String], listeners: [ProxyListener] = [.tls()], settings: [String] = [],
        isReplaceable: Bool = false, wrapper: [String] = []
    ) throws {
        folder = try Scratch.makeFolder()
        var wrapper = wrapper
        if isReplaceable {
            // The program under a name of the test's, for another to be put there.
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/sluice", withDestinationPath: try ProxyFixture.program())
            wrapper = ["/bin/sh", "-c", "shift; exec \(folder)/sluice \"$@\"", "sh"]
        }
        proxy = try ProxyFixture(
            routes: routes, listeners: listeners,
            settings: ["admin: { socket: \(folder)/admin.sock }"] + settings, wrapper: wrapper)
    }

    /// Runs a command against the process; its exit status and what it printed.
    func command(_ arguments: [String]) throws -> (status: Int32, output: String) {
        try ended([try ProxyFixture.program()] + arguments + ["--admin", socket])
    }

    /// Replaces text in the configuration file.
    func rewrite(_ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: proxy.configurationPath, encoding: .utf8)
        #expect(text.contains(old))
        try Scratch.write(
            text.replacingOccurrences(of: old, with: new), to: proxy.configurationPath)
    }

    /// What an admin request is answered, by a foreign client.
    func ask(_ target: String, _ arguments: [String] = []) throws -> (status: Int32, output: String)
    {
        try ended(
            ["curl", "-s", "--max-time", "20", "--unix-socket", socket] + arguments
                + ["http://localhost\(target)"])
    }
}

@Suite struct LiveReloadTests {
    @Test func `a route moves to another upstream, and its live relay stays where it is`() throws {
        let old = try ManualBackend()
        let new = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(old.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let before = try sluice.proxy.relay(to: old)
        try sluice.rewrite("\(old.address)", "\(new.address)")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 0, "\(reload.output)")
        #expect(
            reload.output.contains(
                "taken up as generation 2. Routes: changed /Esv/ocp. Endpoints: added"))
        try sluice.proxy.relay(to: new).exchange("moved")
        try before.exchange("still here")
    }

    @Test(arguments: [
        ("routes:", "roots:", "2:1"), ("path: /Esv/ocp", "path: Esv/ocp", "4:13"),
        ("chain: ", "chain: /nowhere", "2:5"), ("listen:", "listen: [", "3"),
    ])
    func `a file that can't be used changes nothing and is told with its place`(
        old: String, new: String, place: String
    ) throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try sluice.rewrite(old, new)
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 1)
        #expect(
            reload.output.contains("\(sluice.proxy.configurationPath):\(place.prefix(1))")
                || reload.output.contains(sluice.proxy.configurationPath), "\(reload.output)")
        try ends.exchange("still here")
        try sluice.proxy.relay(to: backend).exchange("also here")
        let status = try sluice.command(["status"])
        #expect(status.output.contains("generation 1"))
        #expect(status.output.contains("the last reload failed: "))
    }

    @Test func `listeners come and go, and one whose address stays keeps its socket`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], listeners: [.tls(), .plain])
        defer { Scratch.remove(sluice.folder) }
        let plain = try sluice.proxy.connect(listener: 1)
        try plain.send(Opening().bytes)
        let upstream = try backend.next()
        _ = try upstream.accept()
        #expect(try plain.readHead().status == 101)
        try sluice.rewrite(
            "  - \(try ProxyListener.plain.settingText())\n",
            "  - { address: \"unix:\(sluice.folder)/ws.sock\" }\n")
        #expect(try sluice.command(["reload"]).status == 0)
        // The first goes on, the second is closed, its live relay is not, and a third is open.
        try sluice.proxy.relay(to: backend).exchange("same port")
        #expect(throws: (any Error).self) { _ = try sluice.proxy.connect(listener: 1) }
        try plain.send(Frame.text("live").masked())
        #expect(try upstream.readFrame().text == "live")
        let answer = try run([
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
            "\(sluice.folder)/ws.sock", "http://localhost/nowhere",
        ])
        #expect(answer == ["404"])
        try sluice.rewrite("unix:\(sluice.folder)/ws.sock", "127.0.0.1:0")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(access("\(sluice.folder)/ws.sock", F_OK) != 0)
    }

    @Test func `an address that is taken is told with its place, and nothing has changed`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], listeners: [.tls(), .plain])
        defer { Scratch.remove(sluice.folder) }
        let taken = try ManualBackend()
        guard case .tcp(let port) = taken.address else { return }
        try sluice.rewrite(
            "  - \(try ProxyListener.plain.settingText())\n",
            "  - { address: \"127.0.0.1:\(port)\" }\n")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 1)
        #expect(
            reload.output.contains(
                "everything stays as it was:\n\(sluice.proxy.configurationPath):3:16: 127.0.0.1:\(port) is taken by "
            ),
            "\(reload.output)")
        _ = try sluice.proxy.connect(listener: 1)
        try sluice.proxy.relay(to: backend).exchange("here")
    }

    @Test(arguments: ["reload", "upgrade"])
    func `a listener goes from one address to all of them, and back`(way: String) throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], listeners: [.plain])
        defer {
            // The last process of several.
            _ = try? sluice.command(["drain", "--timeout", "1s"])
            Scratch.remove(sluice.folder)
        }
        let port = sluice.proxy.port()
        func reaches(_ host: String) throws -> Bool {
            let answer = try ended([
                "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "60",
                "http://\(host):\(port)/nowhere",
            ])
            let status = answer.output.trimmingCharacters(in: .newlines)
            #expect(status == "404" || status == "000", "\(answer)")
            return status == "404"
        }
        func move(_ old: String, _ new: String) throws {
            try sluice.rewrite("\"\(old)\"", "\"\(new)\"")
            let outcome = try sluice.command([way])
            #expect(outcome.status == 0, "\(outcome.output)")
        }
        let relay = try sluice.proxy.relay(to: backend)
        // The port that it has already, by its number.
        try move("127.0.0.1:0", "127.0.0.1:\(port)")
        #expect(try reaches("127.0.0.1"))
        #expect(try !reaches("127.0.0.2"))
        for all in [":\(port)", "0.0.0.0:\(port)"] {
            try move("127.0.0.1:\(port)", all)
            #expect(try reaches("127.0.0.1"))
            #expect(try reaches("127.0.0.2"))
            try move(all, "127.0.0.1:\(port)")
            #expect(try reaches("127.0.0.1"))
            try eventually("the others are closed") { try !reaches("127.0.0.2") }
        }
        if way == "reload" { try relay.exchange("still here") }
        // Nobody else gets in beside it.
        let second = try ended([
            "python3", "-c",
            "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
                + " s.bind(('127.0.0.1', \(port)))",
        ])
        #expect(second.status != 0)
    }

    @Test func `relays of a removed route end where the route asked for it, and else go on`() throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
                "{ path: /short, to: \"\(backend.address)\", onRemove: drain }",
                "{ path: /rest, respond: { status: 200 } }",
            ], settings: ["drain: { code: 1012, reason: \"moved away\" }"])
        defer { Scratch.remove(sluice.folder) }
        let stays = try sluice.proxy.relay(to: backend)
        let goes = try sluice.proxy.relay(to: backend, Opening("/short"))
        try sluice.rewrite(
            "  - { path: /Esv/ocp, to: \"\(backend.address)\" }\n"
                + "  - { path: /short, to: \"\(backend.address)\", onRemove: drain }\n", "")
        #expect(try sluice.command(["reload"]).status == 0)
        let close = try goes.client.readFrame()
        #expect(close.closeCode == 1012)
        #expect(String(decoding: close.payload.dropFirst(2), as: UTF8.self) == "moved away")
        #expect(try goes.upstream.readFrame().closeCode == 1012)
        try stays.exchange("still here")
        let gone = try sluice.proxy.connect()
        try gone.send(Opening().bytes)
        #expect(try gone.readHead().status == 404)
    }

    @Test func `a thousand reloads under load drop nothing and leak nothing`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(routes: [
            "{ path: /Esv/ocp, to: \"\(backend.address)\", limits: { messageBytes: 1MiB } }"
        ])
        defer { Scratch.remove(sluice.folder) }
        let isOver = Monitor(false)
        let turns = Monitor(0)
        let clients = (0..<8).map { number in
            TestThread {
                let client = try sluice.proxy.open()
                var turn = 0
                while !isOver.value {
                    let message = Frame.text("\(number)-\(turn)")
                    try client.send(message.masked())
                    guard try client.readFrame() == message else { throw PeerError("lost \(turn)") }
                    turn += 1
                    turns.update { $0 += 1 }
                }
                return turn
            }
        }
        try turns.wait(for: "the first echoes", by: .after(.seconds(60))) { $0 >= 100 }
        func reload(_ count: Int) throws {
            for index in 0..<count {
                // Also one that is broken now and then, and a new client now and then.
                let isBroken = index % 10 == 9
                if isBroken { try sluice.rewrite("routes:", "roots:") }
                let admin = try WebSocketPeer.connect(to: .unix(sluice.socket))
                try admin.send("POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n")
                let answer = try admin.readResponse()
                #expect(answer.head.status == (isBroken ? 422 : 200))
                if isBroken { try sluice.rewrite("roots:", "routes:") }
                if index % 10 != 0 { continue }
                let client = try sluice.proxy.open()
                try client.send(Frame.text("new").masked())
                #expect(try client.readFrame().text == "new")
                try client.send(Frame.close(1000).masked())
                #expect(try client.readFrame().closeCode == 1000)
            }
        }
        func threads() throws -> Int {
            try FileManager.default.contentsOfDirectory(
                atPath: "/proc/\(sluice.proxy.process.identifier)/task"
            ).count
        }
        try reload(50)
        let threadsBefore = try threads()
        let bytesBefore = try residentKilobytes(of: sluice.proxy)
        try reload(950)
        let soFar = turns.value
        try turns.wait(for: "more echoes", by: .after(.seconds(60))) { $0 >= soFar + 100 }
        isOver.update { $0 = true }
        for client in clients { #expect(try client.join(by: .after(.seconds(60))) > 0) }
        try eventually("the request threads are gone") {
            try threadNames(of: sluice.proxy).count <= threadsBefore
        }
        #expect(try residentKilobytes(of: sluice.proxy) < bytesBefore + 6_000)
        let status = try sluice.command(["status", "--json"])
        #expect(status.output.contains("\"generation\" : 901"), "\(status.output)")
        try eventually("all connections are gone") {
            try openDescriptors(of: sluice.proxy) < 40
        }
    }

    @Test func `a changed file is taken up without being told where it is watched`() throws {
        let old = try ManualBackend()
        let new = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(old.address)\" }"], settings: ["watch: true"])
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite("\(old.address)", "\(new.address)")
        try sluice.proxy.process.waitForLine(containing: "generation 2")
        try sluice.proxy.relay(to: new).exchange("moved")
    }

    @Test func `a reload begins to watch the files, and ends it`() throws {
        let (first, second) = (try ManualBackend(), try ManualBackend())
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(first.address)\" }"], settings: ["watch: false"])
        defer { Scratch.remove(sluice.folder) }
        func isWatching() throws -> Bool {
            try threadNames(of: sluice.proxy).contains("sluice-minder")
        }
        #expect(try !isWatching())
        try sluice.rewrite("watch: false", "watch: true")
        #expect(try sluice.command(["reload"]).output.contains("restart") == false)
        try sluice.rewrite("\(first.address)", "\(second.address)")
        try sluice.proxy.process.waitForLine(containing: "generation 3")
        try sluice.proxy.relay(to: second).exchange("moved")
        #expect(try isWatching())
        // What a reload has read is not taken up a second time.
        try sluice.rewrite("watch: true", "watch: false")
        #expect(try sluice.command(["reload"]).output.contains("generation 4"))
        try eventually("nobody watches") { try !isWatching() }
        #expect(try sluice.command(["status", "--json"]).output.contains("\"generation\" : 4"))
    }

    @Test func `a reload says what waits for a restart until it is taken back`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        func told() throws -> String { try sluice.command(["reload"]).output }
        try sluice.rewrite("/admin.sock", "/other.sock")
        for _ in 0..<2 {
            let text = try told()
            #expect(
                text.contains(
                    "Nothing else has changed. admin waits for `sluice upgrade` or a restart."),
                "\(text)")
        }
        try sluice.rewrite("/other.sock", "/admin.sock")
        let text = try told()
        #expect(text.contains("Nothing has changed.") && !text.contains("waits"), "\(text)")
    }

    @Test func `a reload changes how much is read at once, under relays that live`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["limits: { relayBufferBytes: 16KiB }"])
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.relay(to: backend)
        // Several reads of 16 KiB, and no more than the system holds.
        let text = String(repeating: "0123456789", count: 6_000)
        try live.exchange(text)
        let before = try residentKilobytes(of: sluice.proxy)
        for (old, new, isLarge) in [("16KiB", "32MiB", true), ("32MiB", "20KiB", false)] {
            try sluice.rewrite("relayBufferBytes: \(old)", "relayBufferBytes: \(new)")
            let reload = try sluice.command(["reload"])
            #expect(reload.status == 0 && !reload.output.contains("restart"), "\(reload.output)")
            let resident = try residentKilobytes(of: sluice.proxy)
            #expect((resident > before + 60_000) == isLarge, "\(before) to \(resident) kB")
            try live.exchange(text)
            try sluice.proxy.relay(to: backend).exchange(text)
        }
    }

    @Test func `TERM during reloads ends the process in order`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        for _ in 0..<20 { sluice.proxy.process.signal(SIGHUP) }
        sluice.proxy.process.signal(SIGTERM)
        for _ in 0..<20 { sluice.proxy.process.signal(SIGHUP) }
        for peer in [ends.client, ends.upstream] {
            #expect(try peer.readFrame().closeCode == 1001)
        }
        try ends.client.send(Frame.close(1001).masked())
        try ends.upstream.send(Frame.close(1001))
        #expect(try sluice.proxy.process.waitForExit() == 0)
        #expect(access(sluice.socket, F_OK) != 0, "the admin socket's file is left behind")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: live WebSockets go to the next process in an upgrade, and neither clients nor apps notice; whatever ends in
// the midst of it, no socket is served by two processes, and all that could stay go on.
// Method: foreign clients echo messages of their own content over several upgrades; either process is killed at each
// step of the move (the debug build ends itself at the step that SLUICE_TEST_END_AT names).

import Foundation
import Glibc
import TLS
import Tap
import TestKit
import Testing

@Suite struct MovedSocketsTests {
    struct Report: Decodable {
        let moved: Int
        let stayed: Int
        let lost: Int
        let moveMilliseconds: Int
        let oldProcess: Int32
        let newProcess: Int32
    }

    static func started(
        _ backend: PeerAddress, route more: String = "", listeners: [ProxyListener] = [.tls()],
        settings: [String] = [], endingAt step: String? = nil
    ) throws -> Operated {
        try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend)\"\(more) }"], listeners: listeners,
            settings: ["drain: { timeout: 20s, code: 1012 }"] + settings
                // One reactor, so that all sockets are of one group.
                + (step == nil ? [] : ["workers: 1"]),
            wrapper: step.map { ["/usr/bin/env", "SLUICE_TEST_END_AT=\($0)"] } ?? [])
    }

    /// Has the next process take over.
    static func upgrade(_ sluice: Operated, _ more: [String] = []) throws -> Report {
        let upgrade = try sluice.command(["upgrade", "--json"] + more)
        let report = try report(upgrade.output)
        #expect(upgrade.status == (report.lost == 0 ? 0 : 1), "\(upgrade)")
        return report
    }

    /// What an upgrade said of itself as JSON.
    static func report(_ output: String) throws -> Report {
        let start = try #require(output.firstIndex(of: "{"), "\(output)")
        let end = try #require(output.lastIndex(of: "}"), "\(output)")
        return try JSONDecoder().decode(Report.self, from: Data(output[start...end].utf8))
    }

    @Test func `sockets that echo all the time go through five upgrades`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let file = "\(sluice.folder)/over"
        let url = sluice.proxy.url()
        let python = try PythonPeer.start(
            "moving_clients.py", [url, authority, "40", file])
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/moving_client.js"
        let node = try ChildProcess(
            ["node", script, url, authority, file],
            environment: ["NODE_PATH": "/usr/share/nodejs"])
        try python.waitForLine(containing: "ready")
        try node.waitForLine(containing: "ready")
        var process = sluice.proxy.process.identifier
        var successors: [Int32] = []
        defer { for successor in successors { kill(successor, SIGKILL) } }
        for _ in 0..<5 {
            let report = try Self.upgrade(sluice)
            successors.append(report.newProcess)
            #expect(report.moved == 41)
            #expect(report.lost == 0)
            #expect(report.stayed == 0)
            #expect(report.oldProcess == process)
            process = report.newProcess
        }
        #expect(sluice.proxy.process.hasEnded)
        try Scratch.write("", to: file)
        #expect(try python.waitForExit(by: .after(.seconds(120))) == 0, "\(python.errors)")
        #expect(try node.waitForExit(by: .after(.seconds(120))) == 0, "\(node.output)")
        let state = try sluice.ask("/state").output
        #expect(state.contains("\"pid\" : \(process)") || state.contains("\"pid\":\(process)"))
    }

    @Test func `streams of HTTP 2 and sessions of TLS 1_2 stay and are told to go`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address, listeners: [.http2(), .tls()])
        defer { Scratch.remove(sluice.folder) }
        let modern = try sluice.proxy.connect(listener: 1)
        try modern.open(Opening())
        let old = try sluice.proxy.connect(listener: 1, security: .tls(version: .tls12))
        try old.open(Opening())
        try Self.exchange(modern, "1.3")
        try Self.exchange(old, "1.2")
        let report = try Self.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1)
        #expect(report.stayed == 1)
        #expect(report.lost == 0)
        #expect(try old.readFrame().closeCode == 1012)
        try Self.exchange(modern, "goes on")
    }

    @Test func `a route that is gone keeps its sockets or tells them to go as it says`() throws {
        let backend = try ScriptedBackend.echo()
        for removal in ["keep", "drain"] {
            let sluice = try Self.started(backend.address, route: ", onRemove: \(removal)")
            defer { Scratch.remove(sluice.folder) }
            let client = try sluice.proxy.open()
            try Self.exchange(client, "before")
            try sluice.rewrite("path: /Esv/ocp", "path: /elsewhere")
            let report = try Self.upgrade(sluice)
            defer { kill(report.newProcess, SIGKILL) }
            #expect(report.lost == 0)
            #expect(report.moved == (removal == "keep" ? 1 : 0))
            #expect(report.stayed == (removal == "keep" ? 0 : 1))
            if removal == "drain" {
                #expect(try client.readFrame().closeCode == 1012)
                continue
            }
            try Self.exchange(client, "behind")
            let relays = try sluice.ask("/relays").output
            #expect(relays.contains("/Esv/ocp"), "\(relays)")
            let metrics = try sluice.ask("/metrics").output
            #expect(
                metrics.contains("sluice_relays{") && metrics.contains("route=\"/Esv/ocp\""),
                "\(metrics)")
            // Where the route comes back, what its sockets have carried here is counted on.
            let frames = "sluice_frames_total{route=\"/Esv/ocp\",direction=\"up\"}"
            let before = try #require(try sluice.scrape()[frames])
            try sluice.rewrite("path: /elsewhere", "path: /Esv/ocp")
            #expect(try sluice.command(["reload"]).status == 0)
            #expect(try sluice.scrape()[frames] == before)
            try Self.exchange(client, "and again")
            #expect(try sluice.scrape()[frames] == before + 1)
            #expect(try sluice.command(["status"]).output.contains("/Esv/ocp  1 "))
        }
    }

    @Test func `a tap is told that a socket has moved, and where it goes on`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open()
        try Self.exchange(client, "before")
        let listed = try sluice.command(["status", "--relays"]).output
        let id = try #require(listed.firstMatch(of: /\d+-\d+-\d+/)?.output).description
        let one = try Tapping(sluice, ["--relay", id])
        try one.process.waitForLine(containing: "\(id)  live")
        let all = try Tapping(sluice, ["--record", "-"]).begun()
        let report = try Self.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1)
        #expect(try one.process.waitForExit() == 0, "\(one.process.errors)")
        let lines = one.process.output
        #expect(lines.contains { $0.contains("\(id)  moved  to another process") }, "\(lines)")
        #expect(
            lines.last?.contains("goes on in the process that takes over") == true, "\(lines)")
        _ = try all.process.waitForExit()
        let closed = try #require(all.records.first { $0.type == .closed })
        #expect(closed.reason == "moved" && closed.initiator == "sluice" && closed.code == nil)
        #expect(!all.records.contains { $0.cut == true })
        try Self.exchange(client, "behind")
    }

    @Test func `limits and Pings hold on behind the move`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(
            backend.address,
            route:
                ", ping: { every: 1s, timeout: 20s, to: client }, limits: { messagesPerSecond: 5, messageBytes: 1KiB }"
        )
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open()
        try Self.exchange(client, "before")
        let report = try Self.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1)
        let ping = try client.readFrame(by: .after(.seconds(20)))
        #expect(ping.opcode == 9)
        try client.send(Frame(opcode: 10, payload: ping.payload).masked())
        try client.send(Frame.text(String(repeating: "x", count: 2_000)).masked())
        #expect(try Self.frame(of: client) { $0.closeCode != nil }.closeCode == 1009)
        let other = try sluice.proxy.open()
        try Self.exchange(other, "one")
        let second = try Self.upgrade(sluice)
        defer { kill(second.newProcess, SIGKILL) }
        #expect(second.moved == 1)
        for _ in 0..<30 { try other.send(Frame.text("flood").masked()) }
        #expect(try Self.frame(of: other) { $0.closeCode != nil }.closeCode == 1008)
    }

    @Test func `ten upgrades in a row leave nothing behind`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<5).map { _ in try sluice.proxy.open() }
        for client in clients { try Self.exchange(client, "hello") }
        var counts: [Int] = []
        var sizes: [Int] = []
        for round in 0..<10 {
            let report = try Self.upgrade(sluice)
            #expect(report.moved == 5)
            for client in clients { try Self.exchange(client, "round \(round)") }
            // What an upgrade itself needs is closed a moment later.
            var count = 0
            try eventually("the descriptors of the move are closed") {
                let before = count
                count = (try? Self.descriptors(report.newProcess)) ?? 0
                return count == before && (counts.isEmpty || count <= counts[0])
            }
            counts.append(count)
            sizes.append(try Self.residentBytes(report.newProcess))
            if round == 9 { kill(report.newProcess, SIGKILL) }
        }
        #expect(Set(counts).count == 1, "\(counts)")
        // What each process has of its own differs by some pages; what is handed on must not add up.
        #expect(sizes[9] < sizes[1] + 3 << 20, "\(sizes)")
    }

    /// Which step, which process ends there, and what has become of three sockets.
    ///
    /// docs/operations.md has the table.
    @Test(arguments: [
        ("written", 0), ("sent", 3), ("answered", 3),
    ])
    func `the old process is killed in the midst of the move`(step: String, survivors: Int) throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address, endingAt: step)
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<3).map { _ in try sluice.proxy.open() }
        for client in clients { try Self.exchange(client, "before") }
        _ = try sluice.command(["upgrade"])
        try eventually("the old process is gone") { sluice.proxy.process.hasEnded }
        var new: Int32 = 0
        try eventually("the new process answers") {
            new = (try? Self.process(of: sluice)) ?? 0
            return new > 0
        }
        defer { kill(new, SIGKILL) }
        #expect(clients.count { (try? Self.exchange($0, "behind")) != nil } == survivors)
        // It serves, whoever comes.
        try Self.exchange(try sluice.proxy.open(), "new")
    }

    @Test(
        arguments: [
            ("ready", nil), ("received", 0), ("taken", 0), ("told", 0),
        ] as [(String, Int?)])
    func `the new process is killed in the midst of the move`(step: String, survivors: Int?) throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address, endingAt: step)
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<3).map { _ in try sluice.proxy.open() }
        for client in clients { try Self.exchange(client, "before") }
        let upgrade = try sluice.command(["upgrade"])
        #expect(upgrade.status == 1)
        #expect(upgrade.output.contains("Not upgraded"), "\(upgrade.output)")
        #expect(upgrade.output.contains("ended by signal 9"), "\(upgrade.output)")
        #expect(!sluice.proxy.process.hasEnded)
        let left = clients.count { (try? Self.exchange($0, "behind")) != nil }
        if let survivors {
            #expect(left == survivors)
            #expect(upgrade.output.contains("3 sockets were lost with it"), "\(upgrade.output)")
        } else {
            // It has ended before the first message or behind it.
            #expect(left == 0 || left == 3)
        }
        // The old one goes on: it listens, and can be asked.
        try Self.exchange(try sluice.proxy.open(), "new")
        #expect(try Self.process(of: sluice) == sluice.proxy.process.identifier)
        let files = try FileManager.default.contentsOfDirectory(atPath: sluice.folder)
        #expect(!files.contains { $0.contains("kept") }, "\(files)")
    }

    /// The channel has no name, so there is nothing to connect to.
    @Test func `no other process can reach the channel`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open()
        let before = try Self.socketNames()
        let report = try Self.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        try Self.exchange(client, "moved")
        let added = try Self.socketNames().subtracting(before)
        #expect(!added.contains { $0.contains("relay") || $0.contains("move") }, "\(added)")
        let environment = try Data(
            contentsOf: URL(fileURLWithPath: "/proc/\(report.newProcess)/environ"))
        #expect(String(decoding: environment, as: UTF8.self).contains("SLUICE_RELAYS="))
    }

    /// Only root can make another user's channel.
    @Test(.enabled(if: geteuid() == 0))
    func `a channel that no Sluice has made brings nothing in`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            admin: { socket: off }
            routes: [{ path: /Esv/ocp, to: "ws://127.0.0.1:9" }]
            """, to: "\(folder)/sluice.yaml")
        let words = try PythonPeer.run(
            "strange_channel.py", [try ProxyFixture.program(), "\(folder)/sluice.yaml"])
        #expect(
            words == [
                "another user's is closed", "what is no message ends the channel",
                "what has no whole relays is refused",
            ])
    }

    // MARK: Helpers

    static func exchange(_ client: WebSocketPeer, _ text: String) throws {
        try client.send(Frame.text(text).masked())
        let frame = try Self.frame(of: client) { $0.opcode == 1 || $0.closeCode != nil }
        guard frame.text == text else { throw PeerError("got \(frame)") }
    }

    static func frame(
        of client: WebSocketPeer, where isMeant: (Frame) -> Bool
    ) throws -> Frame {
        while true {
            let frame = try client.readFrame(by: .after(.seconds(20)))
            if isMeant(frame) { return frame }
        }
    }

    static func process(of sluice: Operated) throws -> Int32 {
        let state = try sluice.command(["status", "--json"])
        let line = try #require(
            state.output.split(separator: "\n").first { $0.contains("\"pid\"") }, "\(state.output)")
        return try #require(Int32(line.filter(\.isNumber)))
    }

    private static func descriptors(_ process: Int32) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
    }

    private static func residentBytes(_ process: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS") })
        return try #require(Int(line.filter(\.isNumber))) << 10
    }

    private static func socketNames() throws -> Set<String> {
        let text = try String(contentsOfFile: "/proc/net/unix", encoding: .utf8)
        return Set(
            text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ")
                return words.count > 7 ? String(words[7]) : nil
            })
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: what happens while live sockets are on their way to the next process does not lose them, and neither what is
// said of them afterwards.
// Method: a socket that can't move yet, since its first record has come half, holds the move up for as long as the
// test wants.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct OverlappingMoveTests {
    /// An upgrade that waits for a socket of which half a record has come.
    private struct Rig {
        let sluice: Operated
        let client: WebSocketPeer
        let rest: [UInt8]
        let upgrade: ChildProcess
        let new: Int32

        init(_ backend: PeerAddress, listen more: String? = nil) throws {
            sluice = try MovedSocketsTests.started(backend, settings: ["workers: 1"])
            if let more { try sluice.rewrite("listen:", "listen:\n  - \(more)") }
            if more != nil { #expect(try sluice.command(["reload"]).status == 0) }
            client = try sluice.proxy.open()
            let wire = try client.stream.sealed(Frame.text("half").masked().bytes)
            try client.stream.sendRaw(Array(wire.prefix(8)))
            rest = Array(wire.dropFirst(8))
            let old = sluice.proxy.process.identifier
            upgrade = try ChildProcess([
                try ProxyFixture.program(), "upgrade", "--json", "--settle", "60s", "--admin",
                sluice.socket,
            ])
            var process: Int32 = 0
            let rig = sluice
            try eventually("the new process answers") {
                process = (try? MovedSocketsTests.process(of: rig)) ?? 0
                return process > 0 && process != old
            }
            new = process
        }

        /// The rest of the record comes, so that the socket can move.
        func goOn() throws {
            try client.stream.sendRaw(rest)
            #expect(
                try MovedSocketsTests.frame(of: client) { $0.opcode == 1 }.text == "half")
        }
    }

    @Test func `nothing is drained or upgraded in the new process before all have come`() throws {
        let backend = try ScriptedBackend.echo()
        let rig = try Rig(backend.address)
        defer { Scratch.remove(rig.sluice.folder) }
        defer { kill(rig.new, SIGKILL) }
        for command in [["drain", "--route", "/Esv/ocp"], ["drain"], ["rebalance", "--reactors"]] {
            let said = try rig.sluice.command(command)
            #expect(said.status == 1, "\(said)")
            #expect(said.output.contains("An upgrade is under way"), "\(said)")
        }
        let second = try rig.sluice.command(["upgrade"])
        #expect(second.status == 1 && second.output.contains("under way already"), "\(second)")
        // A name or an ID that nobody has may be that of a socket on its way.
        func ask(_ target: String, _ body: String? = nil) throws -> String {
            try rig.sluice.ask(
                target,
                (body.map { ["-X", "POST", "-d", $0] } ?? []) + ["-w", " %{http_code}"]
            ).output.trimmingCharacters(in: .newlines)
        }
        func askAll() throws -> [String] {
            try ["00000000000000ff", "0-1-77"].flatMap { relay in
                try ["close?code=1012", "extend"].map {
                    try ask("/relays/\(relay)/\($0)", $0 == "extend" ? "{\"seconds\":5}" : "")
                }
            }
        }
        for said in try askAll() {
            #expect(said.hasSuffix(" 503") && said.contains("ask again in a second"), "\(said)")
        }
        let listed = try ask("/relays?client=127.0.0.1")
        #expect(listed.hasSuffix(" 503") && listed.contains("are on their way"), "\(listed)")
        let logout = try ask("/relays/close", "{\"client\":\"127.0.0.1\"}")
        #expect(logout.hasSuffix(" 503") && logout.contains("Nothing was done"), "\(logout)")
        let tap = try rig.sluice.command(["tap", "--relay", "00000000000000ff"])
        #expect(tap.output.contains("may be on its way"), "\(tap)")
        // A reload is done at once, and those who come later live by it.
        #expect(try rig.sluice.command(["reload"]).status == 0)
        try rig.goOn()
        #expect(try rig.upgrade.waitForExit(by: .after(.seconds(60))) == 0)
        #expect(rig.upgrade.output.joined().contains("\"moved\" : 1"), "\(rig.upgrade.output)")
        try MovedSocketsTests.exchange(rig.client, "moved")
        #expect(try askAll().allSatisfy { $0.hasSuffix(" 404") })
        #expect(try ask("/relays?client=192.0.2.1").hasSuffix(" 404"))
        let other = try rig.sluice.proxy.open()
        let closed = try ask("/relays/close", "{\"client\":\"127.0.0.1\",\"reason\":\"out\"}")
        #expect(closed.filter { !$0.isWhitespace } == "{\"closed\":2}200", "\(closed)")
        for client in [rig.client, other] {
            #expect(try client.readFrame().closeCode == 1008)
        }
        // Whoever has the answer of the upgrade can go on at once.
        let last = try rig.sluice.proxy.open()
        let drained = try rig.sluice.command(["drain", "--route", "/Esv/ocp", "--background"])
        #expect(drained.status == 0, "\(drained)")
        #expect(try last.readFrame().closeCode == 1012)
    }

    @Test func `the old process is told to stop meanwhile and leaves the listeners to the new`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let path = "\(folder)/listen.sock"
        let rig = try Rig(backend.address, listen: "{ address: \"unix:\(path)\" }")
        defer { Scratch.remove(rig.sluice.folder) }
        defer { kill(rig.new, SIGKILL) }
        rig.sluice.proxy.process.signal(SIGTERM)
        #expect(try rig.client.readFrame().closeCode == 1012)
        try rig.client.send(Frame.close(1012).masked())
        try eventually("the old process is gone") { rig.sluice.proxy.process.hasEnded }
        let local = try WebSocketPeer.connect(to: .unix(path))
        try local.open(Opening())
        try MovedSocketsTests.exchange(local, "by its file")
        try MovedSocketsTests.exchange(try rig.sluice.proxy.open(), "by its port")
    }

    @Test func `sockets of a route that is gone are told of, and counted where it comes back`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try MovedSocketsTests.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open()
        try MovedSocketsTests.exchange(client, "before")
        try sluice.rewrite(
            "path: /Esv/ocp, to: \"\(backend.address)\"", "path: /else, to: \"ws://127.0.0.1:9\"")
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1)
        try MovedSocketsTests.exchange(client, "behind")
        let state = try sluice.command(["status"]).output
        #expect(state.contains("/Esv/ocp") && state.contains("\(backend.address)"), "\(state)")
        #expect(try sluice.command(["drain", "--route", "/Esv/oc"]).output.contains("/Esv/ocp"))
        func messages() throws -> Int {
            let text = try sluice.ask("/metrics").output
            let line = text.split(separator: "\n").first {
                $0.hasPrefix("sluice_messages_total{") && $0.contains("route=\"/Esv/ocp\"")
                    && $0.contains("\"up\"") && $0.contains("\"text\"")
            }
            let value = try #require(line, "\(text)").split(separator: " ")[1]
            return try #require(Int(value))
        }
        #expect(try messages() == 1)
        // It comes back, and counts on.
        try sluice.rewrite(
            "path: /else, to: \"ws://127.0.0.1:9\"", "path: /Esv/ocp, to: \"\(backend.address)\"")
        #expect(try sluice.command(["reload"]).status == 0)
        try MovedSocketsTests.exchange(client, "again")
        #expect(try messages() == 2)
        let json = try sluice.ask("/state").output
        #expect(json.contains(/"active" ?: ?1/), "\(json)")
        // It can be drained by the route's and by the endpoint's name.
        let drained = try sluice.command([
            "drain", "--endpoint", "\(backend.address)", "--background",
        ])
        #expect(drained.status == 0, "\(drained)")
        #expect(try client.readFrame().closeCode == 1012)
    }
}

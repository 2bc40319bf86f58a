// SPDX-License-Identifier: Apache-2.0
//
// Goal: what a tap writes is its owner's alone, destroys nothing where nothing is told, and is written also where the
// tap fails.
// Method: files of others, disks that are full, a Sluice that refuses, and one that tells what nobody can read.

import Foundation
import Glibc
import Tap
import TestKit
import Testing

@Suite struct TapFilesTests {
    @Test func `a file of another user is not written`() throws {
        guard getuid() == 0 else { return }
        let sluice = try Operated.tapped(ManualBackend().address)
        defer { Scratch.remove(sluice.folder) }
        let file = "\(sluice.folder)/r.jsonl"
        try Scratch.write("precious", to: file)
        #expect(chown(file, 65_534, 65_534) == 0)
        for option in ["--record", "--har"] {
            let said = try sluice.command(["tap", option, file])
            #expect(said.status == 1)
            #expect(
                said.output.contains("'\(file)' belongs to another user, who could read"), "\(said)"
            )
        }
        #expect(try Scratch.read(file) == "precious")
    }

    @Test func `where nothing is told, files stay as they were`() throws {
        let sluice = try Operated.tapped(ManualBackend().address)
        defer { Scratch.remove(sluice.folder) }
        let (record, har) = ("\(sluice.folder)/r.jsonl", "\(sluice.folder)/s.har")
        for file in [record, har] { try Scratch.write("precious", to: file) }
        let said = try sluice.command([
            "tap", "--relay", "0-99-99", "--record", record, "--har", har,
        ])
        #expect(said.status == 1 && said.output.contains("There is no relay 0-99-99"), "\(said)")
        for file in [record, har] { #expect(try Scratch.read(file) == "precious") }
        let rewritten = try Tapping(sluice, ["--har", har])
        try rewritten.process.waitForLine(containing: "Listening.")
        #expect(try rewritten.stop() == 0)
        #expect(try Scratch.read(har).hasPrefix("{"))
    }

    @Test func `an archive is written also where the record fails`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let har = "\(sluice.folder)/s.har"
        let tap = try Tapping(sluice, ["--record", "/dev/full", "--har", har])
        #expect(try tap.process.waitForExit() == 1)
        #expect(tap.process.errors.contains { $0.contains("/dev/full") }, "\(tap.process.errors)")
        #expect(try Scratch.read(har).contains("\"entries\""))
    }

    @Test func `an archive is written also where a line can't be read`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        var relay = TapRecord(.relay, atMicroseconds: 1)
        relay.relay = "0-1-1"
        var frame = TapRecord(.frame, atMicroseconds: 2)
        (frame.relay, frame.direction, frame.opcode) = ("0-1-1", "up", "text")
        (frame.final, frame.bytes) = (true, 5)
        frame.payload = Data("hello".utf8).base64EncodedString()
        let lines =
            TapRecord(.tap, atMicroseconds: 0).line + relay.line + frame.line
            + Data("{\"type\":\"of a later version\"}\n".utf8)
        let later = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\nServer: sluice\r\nConnection: close\r\n\r\n")
            try peer.send(Array(lines))
        }
        let har = "\(folder)/s.har"
        let said = try ended([
            try ProxyFixture.program(), "tap", "--har", har, "--admin",
            "127.0.0.1:\(later.address.port)",
        ])
        #expect(said.status == 1)
        #expect(said.output.contains("it has another version than this program"), "\(said)")
        #expect(try Scratch.read(har).contains("\"hello\""))
    }

    @Test func `on a terminal JSON has no bytes that steer it`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let listed = try sluice.command(["status", "--relays"]).output
        let id = try #require(listed.firstMatch(of: /\d+-\d+-\d+/)?.output).description
        let tap = try ChildProcess([
            "python3", "-c", "import pty, sys; pty.spawn(sys.argv[1:])",
            try ProxyFixture.program(), "tap", "--admin", sluice.socket, "--relay", id,
            "--record", "-",
        ])
        try tap.waitForLine(containing: "\"type\":\"relay\"")
        try ends.exchange("\u{9B}31m and \u{7F}")
        try ends.client.send(Frame.close(1000).masked())
        _ = try ends.upstream.readFrame()
        try ends.upstream.send(Frame.close(1000))
        try tap.waitForExit()
        let lines = tap.output.filter { $0.contains("31m and") }
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.contains("\\u009b31m and \\u007f") }, "\(lines)")
    }

    @Test func `status says how many taps listen`() throws {
        let sluice = try Operated.tapped(ManualBackend().address)
        defer { Scratch.remove(sluice.folder) }
        #expect(try !sluice.command(["status"]).output.contains("tap"))
        let taps = try (0..<2).map { _ in try Tapping(sluice, ["--record", "-"]).begun() }
        #expect(
            try sluice.command(["status"]).output.contains("2 taps listen to what sockets carry"))
        #expect(try sluice.command(["status", "--json"]).output.contains("\"taps\" : 2"))
        for tap in taps { #expect(try tap.stop() == 0) }
        try eventually("they are gone") {
            try sluice.command(["status", "--json"]).output.contains("\"taps\" : 0")
        }
    }

    @Test func `who asks with a wrong token leaves a line in the log`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("a-token-of-24-characters", to: "\(folder)/token")
        chmod("\(folder)/token", 0o600)
        let port = try HeldPort()
        let proxy = try ProxyFixture(
            to: ManualBackend().address,
            settings: [
                "admin: { address: \"127.0.0.1:\(port.number)\", token: \(folder)/token }"
            ])
        for _ in 0..<5 {
            let status = try run([
                "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H",
                "Authorization: Bearer another-of-24-characters",
                "http://127.0.0.1:\(port.number)/reload",
            ])
            #expect(status == ["401"])
        }
        let words = "A request at 127.0.0.1:\(port.number) was refused with 401: The token is not"
        try proxy.process.waitForLine(containing: words)
        withExtendedLifetime(port) {}
    }
}

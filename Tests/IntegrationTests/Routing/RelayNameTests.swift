// SPDX-License-Identifier: Apache-2.0
//
// Goal: an app that is told the name of a WebSocket by `{relay}` ends, extends or taps exactly that one by it, wherever it
// is; a route that tells none has none.
// Method: the app's view of handshakes by HTTP/1.1 and by the library h2; curl asks the admin socket.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct RelayNameTests {
    private struct Listed: Decodable {
        let id: String
        let name: String?
    }

    private static let fields =
        "request: { set: { X-Relay: \"{relay}\" } }, answer: { set: { X-Relay: \"{relay}\" } }"

    private static func relays(_ sluice: Operated) throws -> [Listed] {
        try JSONDecoder().decode([Listed].self, from: Data(try sluice.ask("/relays").output.utf8))
    }

    private static func close(_ sluice: Operated, _ name: String) throws -> String {
        try sluice.ask(
            "/relays/\(name)/close?code=1012", ["-X", "POST", "-w", " %{http_code}"]
        ).output.trimmingCharacters(in: .newlines)
    }

    private static func isName(_ text: String?) -> Bool {
        text?.wholeMatch(of: /[0-9a-f]{16}/) != nil && text != "0000000000000000"
    }

    @Test func `a name ends its socket and no other, and stands in the list and in the log`() throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\", \(Self.fields) }",
                "{ path: /plain, to: \"\(backend.address)\" }",
            ])
        defer { Scratch.remove(sluice.folder) }
        let forged = Opening(extra: [("X-Relay", "00000000000000ff"), ("x_relay", "forged")])
        let ends = try (0..<3).map { _ in try sluice.proxy.relay(to: backend, forged) }
        let names = try ends.map { try #require($0.request["X-Relay"]) }
        #expect(names.allSatisfy { Self.isName($0) } && Set(names).count == 3, "\(names)")
        #expect(ends.map { $0.request.all("X-Relay").count } == [1, 1, 1])
        #expect(ends.map { $0.response.all("X-Relay") } == names.map { [$0] })
        #expect(!ends[0].request.description.contains("forged"))
        let other = try sluice.proxy.relay(to: backend, Opening("/plain"))
        #expect(other.request["X-Relay"] == nil && other.response["X-Relay"] == nil)
        let listed = try Self.relays(sluice)
        #expect(Set(listed.compactMap(\.name)) == Set(names))
        #expect(listed.count { $0.name == nil } == 1)
        let status = try sluice.command(["status", "--relays", "--json"]).output
        #expect(names.allSatisfy { status.contains("\"\($0)\"") }, "\(status)")

        let told = try Self.close(sluice, names[1])
        #expect(told.hasSuffix(" 200") && told.contains("\(names[1]) is told 1012"), "\(told)")
        #expect(try ends[1].client.readFrame().closeCode == 1_012)
        #expect(try ends[1].upstream.readFrame().closeCode == 1_012)
        try ends[1].client.send(Frame.close(1_012).masked())
        try ends[1].upstream.send(Frame.close(1_012))
        let line = try sluice.proxy.process.waitForLine(containing: "name=\(names[1]) up=")
        #expect(line.last?.contains("close=1012") == true, "\(line)")
        let again = try Self.close(sluice, names[1])
        #expect(
            again.hasPrefix("There is no relay \(names[1]): it has ended, or never was.")
                && again.hasSuffix(" 404"), "\(again)")
        for unknown in ["00000000000000ff", "0000000000000000", "FFFFFFFFFFFFFFFF", "x"] {
            #expect(try Self.close(sluice, unknown).hasSuffix(" 404"), "\(unknown)")
        }
        for end in [ends[0], ends[2], other] { try end.exchange("still here") }

        let closed = try sluice.command(["status", "--close", names[2], "--code", "1012"])
        #expect(closed.status == 0, "\(closed.output)")
        #expect(try ends[2].client.readFrame().closeCode == 1_012)
        try ends[0].exchange("still here")
    }

    @Test func `a socket within HTTP 2 ends by its name`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /, to: \"\(backend.address)\", \(Self.fields) }"],
            listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let client = try PythonPeer.start(
            "h2_client.py",
            ["\(sluice.proxy.port())", try TestCertificates.shared().authority, "silent"])
        let upstream = try backend.next()
        let name = try #require(try upstream.accept()["X-Relay"])
        #expect(Self.isName(name), "\(name)")
        try upstream.send(Frame.text(try upstream.readFrame().text))
        let told = try Self.close(sluice, name)
        #expect(told.hasSuffix(" 200"), "\(told)")
        #expect(try upstream.readFrame().closeCode == 1_012)
        try upstream.send(Frame.close(1_012))
        #expect(try client.waitForLine(containing: "closed") == ["closed 1012"])
    }

    @Test func `names go along to another reactor`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\", \(Self.fields) }"],
            listeners: [.plain], settings: ["workers: 2"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try (0..<8).map { _ in try sluice.proxy.relay(to: backend) }
        let before = try Self.relays(sluice)
        #expect(before.count { $0.id.hasPrefix("0-") } == 4, "\(before)")
        var left: [String: RelayEnds] = [:]
        for end in ends {
            let name = try #require(end.request["X-Relay"])
            let id = try #require(before.first { $0.name == name }?.id)
            if id.hasPrefix("0-") {
                try end.client.send(Frame.close(1_000).masked())
                #expect(try end.upstream.readFrame().closeCode == 1_000)
                try end.upstream.send(Frame.close(1_000))
                #expect(try end.client.readFrame().closeCode == 1_000)
            } else {
                left[name] = end
            }
        }
        try eventually("half of them are gone") { try Self.relays(sluice).count == 4 }
        let balanced = try sluice.command(["rebalance", "--reactors"])
        #expect(balanced.output.contains("2 live sockets have moved"), "\(balanced.output)")
        let behind = try Self.relays(sluice)
        #expect(Set(behind.compactMap(\.name)) == Set(left.keys))
        #expect(behind.count { $0.id.hasPrefix("0-") } == 2, "\(behind)")
        for (name, end) in left {
            try end.exchange("moved")
            #expect(try Self.close(sluice, name).hasSuffix(" 200"))
            #expect(try end.client.readFrame().closeCode == 1_012)
        }
    }

    @Test func `a token's socket gets more time by its name, here and in the next process`() throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: [
                """
                { path: /Esv/ocp, to: "\(backend.address)", \(Self.fields), \
                access: { jwt: { keys: \(issuer.keys), endsWithToken: { code: 4401 } } } }
                """
            ], settings: ["drain: { timeout: 20s, code: 1012 }"])
        defer { Scratch.remove(sluice.folder) }
        func extend(_ name: String, _ seconds: Int) throws -> String {
            try sluice.ask(
                "/relays/\(name)/extend",
                ["-X", "POST", "-w", " %{http_code}", "-d", "{\"seconds\":\(seconds)}"]
            ).output.trimmingCharacters(in: .newlines)
        }
        let tokens = try issuer.sign([#"{"sub":"ann","in":900}"#, #"{"sub":"bob","in":900}"#])
        let ends = try tokens.map {
            try sluice.proxy.relay(
                to: backend, Opening(extra: [("Authorization", "Bearer \($0)")]))
        }
        let name = try #require(ends[0].request["X-Relay"])
        let told = try extend(name, 7_200)
        #expect(told.hasSuffix(" 200") && told.contains("\"\(name)\""), "\(told)")
        #expect(try extend("00000000000000ff", 5).hasSuffix(" 404"))
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 2 && report.lost == 0)
        #expect(try Self.relays(sluice).contains { $0.name == name })
        for end in ends { try end.exchange("moved") }
        #expect(try extend(name, 1).hasSuffix(" 200"))
        #expect(try ends[0].client.readFrame().closeCode == 4_401)
        try ends[1].exchange("still here")
    }

    @Test func `an upgrade that is sent to another endpoint keeps its name`() throws {
        let backends = try (0..<2).map { _ in try ManualBackend() }
        let list = backends.map { "\"\($0.address)\"" }.joined(separator: ", ")
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app, \(Self.fields) }"],
            settings: ["upstreams: { app: { endpoints: [\(list)] } }"])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        try client.send(Opening().bytes)
        let isFirst = try backends[0].hasPendingConnection(by: .after())
        let (first, second) = isFirst ? (backends[0], backends[1]) : (backends[1], backends[0])
        let lost: String?
        do {
            // It ends without a byte of an answer.
            let upstream = try first.next()
            lost = try upstream.readHead()["X-Relay"]
        }
        let upstream = try second.next()
        let name = try #require(try upstream.accept()["X-Relay"])
        #expect(Self.isName(name) && name == lost, "\(name) \(lost ?? "-")")
        #expect(try client.readHead().all("X-Relay") == [name])
        #expect(try Self.close(sluice, name).hasSuffix(" 200"))
        #expect(try client.readFrame().closeCode == 1_012)
    }

    @Test func `ordinary requests have no name, and a refused socket's name is nobody's`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\", \(Self.fields) }"],
            listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let page = try run([
            "curl", "-sS", "-D", "-", "http://localhost:\(sluice.proxy.port())/Esv/ocp",
            "-H", "X-Relay: forged",
        ])
        #expect(page.first?.contains("403") == true, "\(page)")
        #expect(!page.contains { $0.lowercased().contains("x-relay") }, "\(page)")
        #expect(!String(decoding: backend.received(0), as: UTF8.self).contains("X-Relay"))
        let refusal = try sluice.proxy.connect().refusal(of: Opening())
        #expect(refusal.status == 403)
        let name = try #require(refusal.head["X-Relay"])
        #expect(
            String(decoding: backend.received(1), as: UTF8.self).contains("X-Relay: \(name)\r\n"))
        #expect(try Self.close(sluice, name).hasSuffix(" 404"))
    }

    @Test func `a tap listens to the socket of a name`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\", \(Self.fields) }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try (0..<2).map { _ in try sluice.proxy.relay(to: backend) }
        let name = try #require(ends[1].request["X-Relay"])
        let id = try #require(try Self.relays(sluice).first { $0.name == name }?.id)
        let tap = try ChildProcess(
            [
                try ProxyFixture.program(), "tap", "--relay", name, "--record", "-", "--admin",
                sluice.socket,
            ])
        try tap.waitForLine(containing: "\"relay\":\"\(id)\"")
        try ends[0].exchange("nobody listens")
        try ends[1].exchange("heard")
        let lines = try tap.waitForLine(containing: "\"type\":\"frame\"", count: 2)
        #expect(lines.allSatisfy { $0.contains("\"relay\":\"\(id)\"") }, "\(lines)")
        let unknown = try sluice.command(["tap", "--relay", "00000000000000ff"])
        #expect(
            unknown.status != 0 && unknown.output.contains("There is no relay 00000000000000ff"),
            "\(unknown)")
    }
}

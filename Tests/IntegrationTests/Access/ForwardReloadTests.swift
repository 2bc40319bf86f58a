// SPDX-License-Identifier: Apache-2.0
//
// Goal: what another server is told, and whom a request goes to that has waited for it, follow what is configured now; a
// client's login reaches the server that is asked.
// Method: servers by script that keep what they were asked, an app over Python's ssl, raw sockets and curl.

import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite struct ForwardReloadTests {
    /// A server that grants everything, with one field; each answer waits for a gate if there is one.
    private final class Granting: Sendable {
        private let heads: Monitor<[[String: String]]>
        let server: ScriptedBackend

        init(_ names: [String], field: String, gate: Gate? = nil) throws {
            let heads = Monitor<[[String: String]]>([])
            self.heads = heads
            server = try ScriptedBackend { peer in
                while let head = try? peer.readHead() {
                    let said = names.map { ($0, head[$0] ?? "-") }
                    heads.update { $0.append(Dictionary(uniqueKeysWithValues: said)) }
                    try gate?.wait()
                    try peer.send("HTTP/1.1 200 OK\r\n\(field)\r\nContent-Length: 0\r\n\r\n")
                }
            }
        }

        var asked: [[String: String]] { heads.value }
        var url: String { "http://127.0.0.1:\(server.address.port)" }
    }

    @Test func `a request that has waited for another server goes to whom is trusted now`() throws {
        let folder = try TLSApp.certificates()
        let app = try TLSApp()
        let gate = Gate("the other server's answer")
        let other = try Granting([], field: "X-User: ann", gate: gate)
        let sluice = try Operated(
            routes: [
                "{ path: /asked, to: app, access: { forward: { to: \"\(other.url)\", timeout: 60s } } }",
                "{ path: \"/*\", to: app }",
            ], listeners: [.plain],
            settings: ["workers: 1", try TLSApp.upstream([app.url])])
        defer { Scratch.remove(sluice.folder) }
        #expect(try sluice.proxy.connect().get().status == 200)
        let waiting = try sluice.proxy.connect()
        try waiting.send("GET /asked HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try eventually("it is asked about") { other.asked.count == 1 }
        try sluice.rewrite("\(folder)/ca.pem", "\(folder)/next.pem")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try sluice.proxy.connect().get().status == 502)
        gate.open()
        let refused = try waiting.readResponse()
        #expect(refused.status == 502, "\(refused.head)")
        #expect(refused.head["Proxy-Status"]?.contains("tls_certificate_error") == true)
        // Back again, and a request that waits is served too.
        try sluice.rewrite("\(folder)/next.pem", "\(folder)/ca.pem")
        #expect(try sluice.command(["reload"]).status == 0)
        try eventually("it is served") {
            try sluice.proxy.connect().get("/asked").status == 200
        }
    }

    @Test func `what a live socket is asked about follows a reload, and an upgrade`() throws {
        let names = ["X-Group", "X-Forwarded-Method", "X-Original-URL", "Cookie"]
        let other = try Granting(names, field: "X-User: ann")
        let app = try ScriptedBackend { peer in
            try peer.send(WebSocketPeer.switching(key: peer.readHead()["Sec-WebSocket-Key"] ?? ""))
            while true { try peer.send(Frame.text(peer.readFrame().text).bytes) }
        }
        let sluice = try Operated(
            routes: [
                """
                { path: /Esv/ocp, to: "\(app.address)", access: { forward: { to: "\(other.url)", \
                fields: [X-User], recheck: 100ms } } }
                """
            ], listeners: [.tls()])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open(
            Opening(extra: [("X-Group", "admin"), ("Cookie", "sid=1")]))
        try eventually("it is asked again") { other.asked.count > 3 }
        #expect(other.asked.allSatisfy { $0["X-Group"] == "admin" })
        try sluice.rewrite("fields: [X-User]", "fields: [X-User, X-Group]")
        #expect(try sluice.command(["reload"]).status == 0)
        let before = other.asked.count
        // One may be on its way that was made by the old rule.
        try eventually("it is asked again") { other.asked.count > before + 3 }
        func expectOthersAlone(since first: Int) {
            for asked in other.asked.dropFirst(first) {
                #expect(asked["X-Group"] == "-" && asked["Cookie"] == "sid=1", "\(asked)")
                #expect(asked["X-Forwarded-Method"] == "GET", "\(asked)")
                #expect(asked["X-Original-URL"]?.hasSuffix("/Esv/ocp") == true, "\(asked)")
            }
        }
        expectOthersAlone(since: before + 1)
        // What moves to another process was made by no rule of that one's.
        try sluice.rewrite("[X-User, X-Group]", "[X-User, X-Group, Cookie2]")
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1 && report.lost == 0)
        let moved = other.asked.count
        try eventually("it is asked again") { other.asked.count > moved + 2 }
        expectOthersAlone(since: moved)
        try client.send(Frame.text("still here").masked())
        #expect(try client.readFrame().text == "still here")
    }

    @Test func `a client's login reaches the server that is asked, and the app gets that one's`()
        throws
    {
        let other = try Granting(["Authorization"], field: "Authorization: Bearer inner")
        let app = try ScriptedBackend { peer in
            while let head = try? peer.readHead() {
                let said = head["Authorization"] ?? "-"
                try peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: \(said.utf8.count)\r\n\r\n\(said)")
            }
        }
        let sluice = try Operated(
            routes: [
                """
                { path: "/*", to: "\(app.address)", access: { forward: { to: "\(other.url)", \
                fields: [Authorization] } } }
                """
            ], listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let said = try run([
            "curl", "-sS", "-u", "ann:secret", "http://localhost:\(sluice.proxy.port())/a",
        ])
        #expect(said == ["Bearer inner"])
        #expect(other.asked.map { $0["Authorization"] } == ["Basic YW5uOnNlY3JldA=="])
    }
}

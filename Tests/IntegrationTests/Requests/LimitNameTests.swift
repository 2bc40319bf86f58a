// SPDX-License-Identifier: Apache-2.0
//
// Goal: whoever is refused by a limit, and whoever reads the log, is told the key that raises it.
// Method: each limit is met once on the real program (RFC 6585 §4 and §5, RFC 9110 §15.5.9, §15.5.14,
// §15.5.15, §15.6.4, §15.6.5).

import Foundation
import TestKit
import Testing

@Suite struct LimitNameTests {
    static let upgrade =
        "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    private func expect(
        _ request: String, _ status: Int, names key: String, on proxy: ProxyFixture,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let client = try proxy.connect()
        try client.send(request)
        let answer = try client.readResponse()
        #expect(answer.status == status, "\(answer.head)", sourceLocation: sourceLocation)
        #expect(answer.text.contains(key), "\(answer.text)", sourceLocation: sourceLocation)
        #expect(
            answer.head["Proxy-Status"]?.contains(key) == true, "\(answer.head)",
            sourceLocation: sourceLocation)
        try proxy.process.waitForLine(containing: key)
    }

    @Test func `limits of heads and bodies name their keys`() throws {
        let backend = try ScriptedBackend { peer in _ = try peer.readUntilEnd() }
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /*, to: \"\(backend.address)\", limits: { bodyBytes: 10B } }"
            ],
            settings: ["limits: { headBytes: 2KiB, headFields: 20, targetBytes: 300B }"])
        func x(_ count: Int) -> String { String(repeating: "x", count: count) }
        let host = "Host: localhost\r\n"
        try expect("GET /\(x(3_000))", 414, names: "limits.headBytes", on: proxy)
        try expect(
            "GET / HTTP/1.1\r\nA: \(x(3_000))", 431, names: "limits.headBytes", on: proxy)
        try expect(
            "GET / HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 21))", 431,
            names: "limits.headFields", on: proxy)
        try expect(
            "GET /\(x(300)) HTTP/1.1\r\n\(host)\r\n", 414, names: "limits.targetBytes", on: proxy)
        try expect(
            "GET /\(x(300)) HTTP/1.1\r\n\(Self.upgrade)", 414, names: "limits.targetBytes",
            on: proxy)
        try expect(
            "POST / HTTP/1.1\r\n\(host)Content-Length: 11\r\n\r\n", 413, names: "limits.bodyBytes",
            on: proxy)
    }

    @Test func `a target may be as long as the configuration says`() throws {
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, respond: { body: fine } }"],
            settings: ["limits: { headBytes: 64KiB, targetBytes: 40000B }"])
        let client = try proxy.connect()
        let path = String(repeating: "x", count: 39_000)
        try client.send("GET /\(path) HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.readResponse().status == 200)
    }

    @Test func `deadlines name their keys`() throws {
        let backend = try ScriptedBackend.silent()
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"],
            settings: ["timeouts: { head: 300ms, body: 300ms, answer: 300ms, upgrade: 300ms }"])
        try expect("GET / HTTP/1.1\r\n", 408, names: "timeouts.head", on: proxy)
        try expect(
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 504, names: "timeouts.answer", on: proxy)
        try expect("GET / HTTP/1.1\r\n\(Self.upgrade)", 504, names: "timeouts.upgrade", on: proxy)
        try expect(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx", 408,
            names: "timeouts.body", on: proxy)
    }

    @Test func `an answer that stands still names its own key in the log`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            _ = try peer.readUntilEnd()
        }
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["timeouts: { answerBody: 200ms }"])
        let client = try proxy.connect()
        try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try client.readUntilEnd()
        try proxy.process.waitForLine(containing: "timeouts.answerBody")
    }

    @Test func `limits of relays and connections name their keys`() throws {
        for (options, status, key) in [
            ("limits: { relays: 1 }", 503, "limits.relays"),
            ("limits: { relaysPerClient: 1 }", 429, "limits.relaysPerClient"),
            ("limits: { newRelaysPerSecond: 1 }", 429, "limits.newRelaysPerSecond"),
        ] {
            let backend = try ScriptedBackend.echo()
            let proxy = try ProxyFixture(to: backend.address, options: options)
            var refused: HTTPResponse?
            var open: [WebSocketPeer] = []
            // On a slow machine a second may pass between two attempts.
            for _ in 0..<50 where refused == nil {
                let client = try proxy.connect()
                try client.send(Opening().bytes)
                let head = try client.readHead()
                if head.status == 101 {
                    open.append(client)
                } else {
                    let body = try client.readUntilEnd().bytes
                    refused = HTTPResponse(head: head, body: body)
                }
            }
            #expect(refused?.status == status)
            #expect(refused?.text.contains(key) == true, "\(refused?.text ?? "")")
        }
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(backend.address)\"], maxConnections: 1 } }"
            ])
        let first = try proxy.open()
        try expect("GET / HTTP/1.1\r\n\(Self.upgrade)", 503, names: "maxConnections", on: proxy)
        try first.send(Frame.text("undisturbed").masked())
        #expect(try first.readFrame().text == "undisturbed")
    }

    @Test func `another upgrade than websocket is noted in the access line`() throws {
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, respond: { body: fine } }"],
            settings: ["log: { format: json, access: stdout }"])
        let cases: [(String, String?)] = [
            ("h2c", "h2c"), ("tcp", "tcp"), ("a\"b\u{1B}\t[2J", nil),
            ("\"\\/\(String(repeating: "y", count: 500))", "\"\\/"),
        ]
        for (number, (sent, noted)) in cases.enumerated() {
            let client = try proxy.connect()
            try client.send(
                "GET /number\(number) HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                    + "Upgrade: \(sent)\r\n\r\n")
            let answer = try client.readResponse()
            #expect(answer.status == (noted == nil ? 400 : 200))
            guard let noted else { continue }
            let line = try proxy.process.waitForLine(containing: "\"path\":\"/number\(number)\"")
            let object = try JSONSerialization.jsonObject(with: Data((line.last ?? "").utf8))
            let upgrade = (object as? [String: Any])?["upgrade"] as? String
            #expect(upgrade?.hasPrefix(noted) == true && upgrade?.utf8.count ?? 0 <= 64)
        }
    }
}

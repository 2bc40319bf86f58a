// SPDX-License-Identifier: Apache-2.0
//
// Goal: what Sluice answers by itself: fixed answers, redirects, bounds and deadlines.
// Method: raw requests to the real program; each answer is read whole.

import Foundation
import TestKit
import Testing

@Suite struct OwnAnswerTests {
    private func ask(
        _ proxy: ProxyFixture, _ target: String, method: String = "GET", listener: Int = 0,
        fields: [String] = [], host: String = "localhost"
    ) throws -> HTTPResponse {
        let client = try proxy.connect(listener: listener)
        let lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)", "Connection: close"] + fields
        try client.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
        let head = try client.readHead()
        return HTTPResponse(head: head, body: try client.readUntilEnd().bytes)
    }

    @Test func `routes answer, point elsewhere and change fields without an upstream`() throws {
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /healthz, respond: { body: \"fine\\n\" } }",
                "{ path: /teapot, respond: { status: 418 }, answer: { set: { X-Pot: tea } } }",
                "{ path: /old/*, redirect: { to: \"https://new.example/n/*\" } }",
                "{ path: /here, redirect: { to: /there, status: 302 } }",
            ])
        let health = try ask(proxy, "/healthz")
        #expect(health.status == 200 && health.text == "fine\n")
        #expect(health.head["Content-Type"] == "text/plain; charset=utf-8")
        #expect(health.head["Date"]?.hasSuffix(" GMT") == true)
        let head = try ask(proxy, "/healthz", method: "HEAD")
        #expect(head.head["Content-Length"] == "5" && head.body.isEmpty)
        let pot = try ask(proxy, "/teapot")
        #expect(pot.status == 418 && pot.head["X-Pot"] == "tea" && pot.body.isEmpty)
        let old = try ask(proxy, "/old/a/b%20c?x=y")
        #expect(old.status == 308)
        #expect(old.head["Location"] == "https://new.example/n/a/b%20c?x=y")
        let here = try ask(proxy, "/here")
        #expect(here.status == 302 && here.head["Location"] == "/there")
        let client = try proxy.connect()
        let refused = try client.refusal(of: Opening("/healthz"))
        try expectRefusal(refused, 404, on: client)
        let nowhere = try ask(proxy, "/nowhere")
        #expect(nowhere.status == 404)
        #expect(
            nowhere.head["Proxy-Status"]?.hasPrefix("sluice; error=destination_not_found") == true)
    }

    @Test func `the plain port leads to https, and tells WebSocket clients so`() throws {
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - \(try ProxyListener.tls().settingText())
                  - { address: "127.0.0.1:0", redirect: https }
                routes: [{ path: /a, respond: {} }]
                """, listenerCount: 2)
        let answer = try ask(
            proxy, "/a/../b?c=d", method: "POST", listener: 1, fields: ["Content-Length: 0"])
        #expect(answer.status == 308)
        #expect(answer.head["Location"] == "https://localhost:\(proxy.port(0))/b?c=d")
        let client = try proxy.connect(listener: 1, security: .plain)
        let refused = try client.refusal(of: Opening("/Esv/ocp"))
        try expectRefusal(refused, 426, on: client)
        #expect(refused.text.contains("wss://localhost:\(proxy.port(0))/Esv/ocp"))
    }

    @Test func `every answer by TLS carries the transport policy where it is asked for`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n")
        let tls = try ProxyListener.tls().settingText().replacingOccurrences(
            of: "certificates:",
            with: "hsts: { maxAge: 1h, includeSubdomains: true }, certificates:")
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - \(tls)
                  - { address: "127.0.0.1:0" }
                routes:
                  - { path: /own, respond: {} }
                  - { path: /app, to: "\(backend.address)" }
                """, listenerCount: 2)
        for target in ["/own", "/app", "/none"] {
            let answer = try ask(proxy, target)
            #expect(
                answer.head.all("Strict-Transport-Security") == [
                    "max-age=3600; includeSubDomains"
                ], "\(target)")
            let plain = try ask(proxy, target, listener: 1)
            #expect(!plain.head.all("Strict-Transport-Security").contains { $0.contains("3600") })
        }
    }

    @Test func `a body over the route's bound gets 413, announced or not`() throws {
        let backend = try ScriptedBackend { peer in _ = try peer.readUntilEnd() }
        let proxy = try ProxyFixture(to: backend.address, options: "limits: { bodyBytes: 10B }")
        let announced = try proxy.connect()
        try announced.send("PUT /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n")
        try expectRefusal(try announced.readResponse(), 413, on: announced)
        #expect(backend.connectionCount == 0)
        let chunked = try proxy.connect()
        try chunked.send(
            "PUT /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "6\r\n123456\r\n6\r\n123456\r\n")
        try expectRefusal(try chunked.readResponse(), 413, on: chunked)
    }

    @Test func `each wait has its end`() throws {
        let backend = try ScriptedBackend { peer in
            if try peer.readHead().target == "/stall" {
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            }
            _ = try peer.readUntilEnd()
        }
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"],
            settings: [
                "timeouts: { answer: 200ms, body: 200ms, answerBody: 300ms, keepAlive: 300ms,"
                    + " head: 300ms }"
            ])
        #expect(try ask(proxy, "/").status == 504)
        let slow = try proxy.connect()
        try slow.send("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsome")
        try expectRefusal(try slow.readResponse(), 408, on: slow)
        let stalled = try proxy.connect()
        try stalled.send("GET /stall HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try stalled.readHead()
        let (rest, ending) = try stalled.readUntilEnd()
        #expect(rest == Array("hello".utf8) && ending == .truncated)
        let idle = try proxy.connect()
        try idle.send("GET / HTTP/1.1\r\nHost: elsewhere\r\nExpect: magic\r\n\r\n")
        try expectRefusal(try idle.readResponse(), 417, on: idle)
    }

    @Test func `a body that stands still ends an answer that has begun, one that moves does not`()
        throws
    {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["timeouts: { body: 300ms, answerBody: 1h }"])
        let client = try proxy.connect()
        try client.send("PUT /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n0")
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        #expect(try client.readHead().status == 200)
        #expect(try upstream.read(1) == [0x30])
        for digit in "1234".utf8 {
            // Each is late, and in time.
            #expect(try !client.stream.hasInput(by: .after(.milliseconds(120))))
            try client.send([digit])
            #expect(try upstream.read(1) == [digit])
        }
        // The answer goes on, which makes up for nothing.
        try upstream.send("x")
        let (rest, ending) = try client.readUntilEnd()
        #expect(rest == [0x78] && ending == .truncated)
        _ = try upstream.readUntilEnd()
    }

    @Test func `an idle connection is closed in order, and after its last request too`() throws {
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, respond: { body: x } }"],
            settings: ["timeouts: { keepAlive: 200ms }", "limits: { requestsPerConnection: 3 }"])
        let client = try proxy.connect()
        for count in 1...3 {
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.readResponse()
            #expect(answer.head["Connection"] == (count == 3 ? "close" : nil))
        }
        #expect(try client.expectEnd() == .orderly)
        let idle = try proxy.connect()
        try idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        _ = try idle.readResponse()
        #expect(try idle.expectEnd() == .orderly)
    }

    @Test func `each request has its line in the log`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        let proxy = try ProxyFixture(to: backend.address)
        _ = try ask(proxy, "/Esv/ocp?token=secret", method: "GET")
        let line = try proxy.process.waitForLine(containing: "GET localhost/Esv/ocp").last ?? ""
        #expect(line.contains(" 200 ") && line.contains("down=5B") && !line.contains("secret"))
        _ = try ask(proxy, "/none")
        let refused = try proxy.process.waitForLine(containing: "localhost/none").last ?? ""
        #expect(refused.contains("error=destination_not_found"))
    }
}

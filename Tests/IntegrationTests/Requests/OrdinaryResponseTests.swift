// SPDX-License-Identifier: Apache-2.0
//
// Goal: what an upstream answers instead of a 101 reaches the client as the ordinary HTTP response
// that it is, status and body intact, and the upstream connection is not used again.
// Method: each way of framing a body (RFC 9112 §6.3), small and large.

import TestKit
import Testing

@Suite struct OrdinaryResponseTests {
    private static let large = String(repeating: "0123456789abcdef", count: 20_000)

    static let framings = ["length", "chunked", "until close"]

    private static func response(_ status: String, _ body: String, _ framing: String) -> String {
        let start = "HTTP/1.1 \(status)\r\nContent-Type: text/html\r\nX-App: yes\r\n"
        switch framing {
        case "length": return start + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
        case "chunked":
            let half = body.utf8.count / 2
            let (first, second) = (body.prefix(half), body.dropFirst(half))
            return start + "Transfer-Encoding: chunked\r\n\r\n"
                + "\(String(half, radix: 16))\r\n\(first)\r\n"
                + "\(String(second.utf8.count, radix: 16));ext=1\r\n\(second)\r\n0\r\n\r\n"
        default: return start + "\r\n" + body
        }
    }

    @Test(arguments: framings, ["200 OK", "404 Not Found", "503 Service Unavailable"])
    func `a response is relayed whole`(framing: String, status: String) throws {
        for body in ["<h1>hello</h1>", Self.large] {
            let backend = try ScriptedBackend.answering(Self.response(status, body, framing))
            let proxy = try ProxyFixture(to: backend.address)
            let client = try proxy.connect()
            let answer = try client.refusal(of: Opening())
            #expect(answer.head.startLine == "HTTP/1.1 \(status)")
            #expect(answer.head["X-App"] == "yes")
            #expect(answer.text == body)
            let ending = try client.expectEnd()
            #expect(ending == .orderly)
            #expect(backend.connectionCount == 1)
        }
    }

    @Test func `the end of a body is found though the upstream stays open`() throws {
        for framing in ["length", "chunked"] {
            let backend = try ManualBackend()
            let proxy = try ProxyFixture(to: backend.address)
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            let upstream = try backend.next()
            _ = try upstream.readHead()
            try upstream.send(Self.response("401 Unauthorized", "who are you?", framing))
            #expect(try client.readResponse().text == "who are you?")
            _ = try client.expectEnd()
            _ = try upstream.expectEnd()
        }
    }

    @Test func `an answer without a body has none`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 204 No Content\r\nX-App: yes\r\n\r\n")
        let head = try client.readHead()
        #expect(head.status == 204)
        _ = try client.expectEnd()
    }

    @Test func `a body cut short is not made to look whole`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        #expect(try client.readHead()["Content-Length"] == "100")
        #expect(try client.readUntilEnd().bytes == Array("only this".utf8))
    }

    @Test func `a redirect keeps its location and a cookie its value`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                + "Content-Length: 0\r\n\r\n")
        let proxy = try ProxyFixture(to: backend.address)
        let answer = try proxy.connect().refusal(of: Opening())
        #expect(answer.status == 302)
        #expect(answer.head["Location"] == "/login")
        #expect(answer.head.all("Set-Cookie") == ["a=1", "b=2"])
    }
}

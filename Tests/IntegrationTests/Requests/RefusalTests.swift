// SPDX-License-Identifier: Apache-2.0
//
// Goal: each request that may not become a tunnel is refused with its status, a sentence and a
// Proxy-Status field, over TLS, and nothing of it reaches the upstream (DESIGN §7).
// Method: a table of heads, each sent on a connection of its own to one proxy; afterwards the echo
// backend has seen no connection at all.

import TestKit
import Testing

@Suite struct RefusalTests {
    /// A head, the status it deserves, and a field that must be in the answer.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let head: [UInt8]
        let status: Int
        var field: (name: String, value: String)?

        init(
            _ name: String, _ opening: Opening, _ status: Int,
            field: (name: String, value: String)? = nil
        ) {
            (self.name, head, self.status, self.field) = (name, opening.bytes, status, field)
        }

        init(_ name: String, raw: String, _ status: Int) {
            (self.name, head, self.status) = (name, Array(raw.utf8), status)
        }

        var testDescription: String { name }
    }

    static let wrongVersions: [Case] = [
        Case(
            "version 8", Opening().with("Sec-WebSocket-Version", "8"), 426,
            field: ("Sec-WebSocket-Version", "13")),
        Case(
            "no version", Opening().without("Sec-WebSocket-Version"), 426,
            field: ("Sec-WebSocket-Version", "13")),
    ]

    static let malformedUpgrades: [Case] = [
        Case("POST", Opening().with(method: "POST"), 400),
        Case("CONNECT", Opening("localhost:80").with(method: "CONNECT"), 400),
        Case("HTTP/1.0", Opening().with(version: "HTTP/1.0"), 400),
        Case("a body by length", Opening(extra: [("Content-Length", "5")]), 400),
        Case("a chunked body", Opening(extra: [("Transfer-Encoding", "chunked")]), 400),
        Case(
            "length and transfer coding",
            Opening(extra: [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]), 400),
        Case(
            "two lengths", Opening(extra: [("Content-Length", "5"), ("Content-Length", "6")]), 400),
        Case("a signed length", Opening(extra: [("Content-Length", "+0")]), 400),
        Case("no Host", Opening().without("Host"), 400),
        Case("two Hosts", Opening(extra: [("Host", "localhost")]), 400),
        Case("a Host with userinfo", Opening(host: "me@localhost"), 400),
        Case("no Connection", Opening().without("Connection"), 400),
        Case("Connection without upgrade", Opening().with("Connection", "keep-alive"), 400),
        Case("no key", Opening().without("Sec-WebSocket-Key"), 400),
        Case("two keys", Opening(extra: [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]), 400),
        Case("a key of 15 bytes", Opening(key: "dGhlIHNhbXBsZSBub25j"), 400),
        Case("a key that is not base64", Opening(key: "dGhlIHNhbXBsZSBub25jZ!=="), 400),
    ]

    static let malformedHeads: [Case] = [
        Case("bare line feeds", raw: "GET /Esv/ocp HTTP/1.1\nHost: localhost\n\n", 400),
        Case(
            "a folded line", raw: "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n", 400),
        Case("a space before the colon", raw: "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        Case("a NUL in a value", raw: "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
        Case("a CR in a value", raw: "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", 400),
        Case("an empty name", raw: "GET / HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n", 400),
        Case("no colon", raw: "GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n", 400),
        Case("a control character in the target", Opening("/a\u{1}b"), 400),
        Case("a fragment", Opening("/Esv/ocp#part"), 400),
        Case("two spaces", raw: "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        Case("an encoded NUL", Opening("/Esv%00/ocp"), 400),
        Case("a bad escape", Opening("/Esv/%zz"), 400),
        Case("a path above the root", Opening("/Esv/../../ocp"), 400),
        Case("HTTP/2's preface", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        Case(
            "a head of 20 KiB",
            Opening(extra: [("X-Long", String(repeating: "x", count: 20_000))]), 431),
        Case("too many fields", Opening(extra: (0..<200).map { ("X-\($0)", "1") }), 431),
    ]

    static let refusedByPolicy: [Case] = [
        Case("a path without a route", Opening("/nowhere"), 404),
        Case("an encoded slash", Opening("/Esv%2focp"), 404),
        Case("a path below the route's", Opening("/Esv/ocp/deeper"), 404),
        Case("another site's page", Opening(extra: [("Origin", "https://evil.example")]), 403),
        Case("a null origin", Opening(extra: [("Origin", "null")]), 403),
        Case(
            "a name that begins like ours",
            Opening(extra: [("Origin", "https://localhost.evil.example")]), 403),
    ]

    /// One proxy for the table: the cases have nothing in common but that they must be refused.
    private func check(_ cases: [Case]) throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        for item in cases {
            let client = try proxy.connect()
            try client.send(item.head)
            let response = try client.readResponse()
            try expectRefusal(response, item.status, on: client)
            if response.status != item.status { Issue.record("in the case '\(item.name)'") }
            if let field = item.field {
                #expect(response.head[field.name] == field.value, "\(item.name)")
            }
        }
        #expect(backend.connectionCount == 0)
    }

    @Test func `an upgrade of another version gets 426`() throws { try check(Self.wrongVersions) }
    @Test func `a malformed upgrade gets 400`() throws { try check(Self.malformedUpgrades) }
    @Test func `a malformed head is refused`() throws { try check(Self.malformedHeads) }
    @Test func `policy refuses with 403 and 404`() throws { try check(Self.refusedByPolicy) }

    @Test(arguments: ["https://localhost", "http://localhost:3000", "HTTPS://LOCALHOST:8443"])
    func `a page of the same host may connect`(origin: String) throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        try proxy.connect().open(Opening(extra: [("Origin", origin)]))
    }

    @Test func `a listed origin may connect and no other`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, options: "origins: [\"https://app.example\"]")
        try proxy.connect().open(Opening(extra: [("Origin", "https://app.example")]))
        let client = try proxy.connect()
        let response = try client.refusal(of: Opening(extra: [("Origin", "https://localhost")]))
        try expectRefusal(response, 403, on: client)
        #expect(backend.connectionCount == 1)
    }

    @Test func `a head that does not come to its end gets 408`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, settings: ["timeouts: { head: 300ms }"])
        let client = try proxy.connect()
        try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: local")
        try expectRefusal(try client.readResponse(), 408, on: client)
        #expect(backend.connectionCount == 0)
    }

    @Test func `a request behind a refused one is not looked at`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        for refused in [Opening("/nowhere"), Opening(extra: [("Content-Length", "300")])] {
            let client = try proxy.connect()
            try client.send(refused.bytes + Opening().bytes)
            let response = try client.readResponse()
            #expect(response.status >= 400)
            #expect(try client.expectEnd() == .orderly)
        }
        #expect(backend.connectionCount == 0)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a login that belongs to a connection (NTLM, Negotiate: RFC 4559 §6) is its client's alone: nobody
// else is answered as that user, and the client itself can log in, by requests and by upgrades.
// Method: an upstream that keeps the user of each TCP connection as NTLM does, raw clients whose
// requests are interleaved, and curl.

import Foundation
import TestKit
import Testing

@Suite struct ConnectionLoginTests {
    // MARK: NTLM, as far as a server and a client need it to agree on a name (MS-NLMP §2.2.1)

    private static let signature = Array("NTLMSSP\0".utf8)

    private static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    /// What a client begins with.
    private static let first =
        "NTLM " + base64(signature + [1, 0, 0, 0] + Array(repeating: 0, count: 20))

    /// What a server asks: names in OEM characters, NTLM.
    private static let challenge =
        "NTLM "
        + base64(
            signature + [2, 0, 0, 0] + [0, 0, 0, 0, 48, 0, 0, 0] + [0x02, 0x02, 0, 0]
                + [1, 2, 3, 4, 5, 6, 7, 8] + Array(repeating: 0, count: 16))

    /// What a client answers, with its name.
    private static func last(_ user: String) -> String {
        var bytes = signature + [3, 0, 0, 0] + Array(repeating: 0, count: 52)
        bytes[36] = UInt8(user.utf8.count)
        bytes[38] = bytes[36]
        bytes[40] = 64
        return "NTLM " + base64(bytes + Array(user.utf8))
    }

    private static func user(_ message: [UInt8]) -> String? {
        guard message.count >= 44 else { return nil }
        let length = Int(message[36]) | Int(message[37]) << 8
        let start = Int(message[40]) | Int(message[41]) << 8
        guard start + length <= message.count else { return nil }
        return String(decoding: message[start..<start + length], as: UTF8.self)
    }

    /// An upstream whose connections are logged in, not requests.
    private static func upstream() throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            var user: String?
            func answer(_ status: String, _ field: String, _ body: String) throws {
                try peer.send(
                    "HTTP/1.1 \(status)\r\n\(field)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
            }
            while let head = try? peer.readHead(by: .after(.seconds(600))) {
                let words = head["Authorization"]?.split(separator: " ").map(String.init) ?? []
                if words.first == "NTLM", words.count == 2,
                    let message = Data(base64Encoded: words[1]).map(Array.init), message.count > 8
                {
                    if message[8] == 1 {
                        user = nil
                        try answer(
                            "401 Unauthorized", "WWW-Authenticate: \(challenge)\r\n", "say who")
                        continue
                    }
                    user = Self.user(message)
                }
                guard let user else {
                    try answer("401 Unauthorized", "WWW-Authenticate: NTLM\r\n", "nobody")
                    continue
                }
                if let key = head["Sec-WebSocket-Key"] {
                    try peer.send(WebSocketPeer.switching(key: key, extra: [("X-User", user)]))
                    try peer.echo()
                    return
                }
                try answer("200 OK", "", user)
            }
        }
    }

    private static func proxy(_ backend: ScriptedBackend, _ more: String = "") throws
        -> ProxyFixture
    {
        try ProxyFixture(
            routes: ["{ path: /*, to: app }"], listeners: [.plain],
            settings: ["upstreams: { app: { endpoints: [\"\(backend.address)\"]\(more) } }"],
            workers: 1)
    }

    private func get(_ client: WebSocketPeer, _ login: String? = nil) throws -> HTTPResponse {
        let field = login.map { "Authorization: \($0)\r\n" } ?? ""
        try client.send("GET /page HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n")
        return try client.readResponse()
    }

    // MARK: Requests

    @Test func `nobody is answered as the user of another's connection`() throws {
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        let alice = try proxy.connect()
        let mallory = try proxy.connect()
        func others() throws {
            #expect(try get(mallory).text == "nobody")
            #expect(try get(try proxy.connect()).text == "nobody")
        }
        #expect(try get(alice).text == "nobody")
        try others()
        #expect(try get(alice, Self.first).head["WWW-Authenticate"] == Self.challenge)
        try others()
        #expect(try get(alice, Self.last("alice")).text == "alice")
        try others()
        // The login is the connection's: what follows says nothing of it.
        for _ in 0..<3 { #expect(try get(alice).text == "alice") }
        try others()
        // Another may log in beside her.
        _ = try get(mallory, Self.first)
        #expect(try get(mallory, Self.last("mallory")).text == "mallory")
        #expect(try get(alice).text == "alice")
        #expect(try get(mallory).text == "mallory")
        #expect(try get(try proxy.connect()).text == "nobody")
    }

    @Test func `the connection goes with the client's, and no sooner than it`() throws {
        let backend = try Self.upstream()
        defer { backend.stop() }
        // Neither the time for idle connections nor a pool of none counts for it.
        let proxy = try Self.proxy(backend, ", pool: { max: 0, idle: 1ms }")
        let alice = try proxy.connect()
        _ = try get(alice, Self.first)
        #expect(try get(alice, Self.last("alice")).text == "alice")
        #expect(try get(alice).text == "alice")
        #expect(backend.connectionCount == 1)
        alice.stream.close()
        try backend.waitForScripts(1)
        #expect(try get(try proxy.connect()).text == "nobody")
    }

    @Test func `curl logs in, and its connection serves nobody else`() throws {
        try #require(try run(["curl", "--version"]).contains { $0.contains(" NTLM") })
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        let url = "http://127.0.0.1:\(proxy.port())"
        let said = try run([
            "curl", "-s", "--max-time", "60", "--ntlm", "-u", "carol:secret",
            "-w", "\\n", "\(url)/one", "\(url)/two", "\(url)/three",
        ])
        #expect(said == ["carol", "carol", "carol"])
        for _ in 0..<4 { #expect(try get(try proxy.connect()).text == "nobody") }
    }

    @Test(arguments: [
        ("WWW-Authenticate: Negotiate", "", 2),
        ("WWW-Authenticate: Negotiate, Basic realm=\"a\"", "", 2),
        ("X-Nothing: 1", "Authorization: Negotiate YIIB\r\n", 2),
        ("X-Nothing: 1", "Authorization: NTLM TlRM\r\n", 2),
        ("WWW-Authenticate: Basic realm=\"a\"", "Authorization: Basic YTpi\r\n", 1),
    ])
    func `a field in either direction is enough, and other schemes change nothing`(
        answered: String, asked: String, connections: Int
    ) throws {
        let backend = try ScriptedBackend { peer in
            while (try? peer.readHead(by: .after(.seconds(600)))) != nil {
                try peer.send(
                    "HTTP/1.1 401 Unauthorized\r\n\(answered)\r\nContent-Length: 0\r\n\r\n")
            }
        }
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        let first = try proxy.connect()
        try first.send("GET / HTTP/1.1\r\nHost: localhost\r\n\(asked)\r\n")
        #expect(try first.readResponse().status == 401)
        let second = try proxy.connect()
        #expect(try get(second).status == 401)
        #expect(backend.connectionCount == connections)
        #expect(try get(first).status == 401)
        #expect(backend.connectionCount == connections)
    }

    @Test func `behind a trusted proxy, several share its connection but not a login`() throws {
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", trustedProxies: [127.0.0.1] }]
                routes: [{ path: /*, to: "\(backend.address)" }]
                workers: 1

                """)
        let balancer = try proxy.connect()
        func ask(as address: String, _ login: String? = nil) throws -> String {
            let field = login.map { "Authorization: \($0)\r\n" } ?? ""
            try balancer.send(
                "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: \(address)\r\n\(field)\r\n")
            return try balancer.readResponse().text
        }
        _ = try ask(as: "192.0.2.1", Self.first)
        #expect(try ask(as: "192.0.2.1", Self.last("alice")) == "alice")
        #expect(try ask(as: "192.0.2.1") == "alice")
        #expect(try ask(as: "192.0.2.2") == "nobody")
        #expect(try ask(as: "192.0.2.2") == "nobody")
    }

    @Test func `behind a trusted proxy that names nobody, a login is kept for nobody`() throws {
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", trustedProxies: [127.0.0.1] }]
                routes: [{ path: /*, to: "\(backend.address)" }]
                workers: 1

                """)
        let balancer = try proxy.connect()
        for login in [Self.first, Self.last("bob"), nil] {
            let field = login.map { "Authorization: \($0)\r\n" } ?? ""
            try balancer.send("GET / HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n")
            let text = try balancer.readResponse().text
            if login == nil { #expect(text == "nobody") }
        }
    }

    // MARK: Upgrades

    private func upgrade(_ client: WebSocketPeer, _ login: String) throws -> HTTPHead {
        try client.send(Opening("/page", extra: [("Authorization", login)]).bytes)
        let head = try client.readHead()
        if let length = head["Content-Length"].flatMap({ Int($0) }) { _ = try client.read(length) }
        return head
    }

    @Test
    func `an upgrade that is answered with a challenge keeps both connections for the next try`()
        throws
    {
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        let dave = try proxy.connect()
        let refused = try upgrade(dave, Self.first)
        #expect(refused.status == 401 && refused["WWW-Authenticate"] == Self.challenge)
        #expect(refused["Connection"] == nil)
        #expect(try get(try proxy.connect()).text == "nobody")
        let opened = try upgrade(dave, Self.last("dave"))
        #expect(opened.status == 101 && opened["X-User"] == "dave", "\(opened)")
        try dave.send(Frame.text("hello").masked())
        #expect(try dave.readFrame().text == "hello")
        #expect(try get(try proxy.connect()).text == "nobody")
        // Hers, and one for each of the others.
        #expect(backend.connectionCount == 3)
    }

    @Test func `an upgrade goes out on the connection that requests have logged in`() throws {
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        let erin = try proxy.connect()
        _ = try get(erin, Self.first)
        #expect(try get(erin, Self.last("erin")).text == "erin")
        try erin.send(Opening("/page").bytes)
        let opened = try erin.readHead()
        #expect(opened.status == 101 && opened["X-User"] == "erin", "\(opened)")
        #expect(backend.connectionCount == 1)
    }

    @Test func `places on a route are given back by an upgrade within a login`() throws {
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try ProxyFixture(
            to: backend.address, options: "limits: { relays: 1, relaysPerClient: 1 }",
            listeners: [.plain], workers: 1)
        let client = try proxy.connect()
        for _ in 0..<3 {
            try client.send(Opening(extra: [("Authorization", Self.first)]).bytes)
            #expect(try client.readResponse().status == 401)
        }
        try client.send(Opening(extra: [("Authorization", Self.last("frank"))]).bytes)
        #expect(try client.readHead().status == 101)
    }

    @Test func `where the kept connection has ended, the upgrade goes out on a new one`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        let client = try proxy.connect()
        for count in 1...3 {
            #expect(try upgrade(client, Self.first).status == 401)
            try backend.waitForScripts(count)
        }
        #expect(backend.connectionCount == 3)
    }

    @Test func `curl logs in with an upgrade`() throws {
        try #require(try run(["curl", "--version"]).contains { $0.contains(" NTLM") })
        let backend = try Self.upstream()
        defer { backend.stop() }
        let proxy = try Self.proxy(backend)
        // It takes the 101 for an interim answer and waits for more, until its time is over.
        let curl = try ChildProcess([
            "curl", "-s", "-v", "-N", "--http1.1", "--max-time", "60", "--ntlm", "-u",
            "grace:secret",
            "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H",
            "Sec-WebSocket-Version: 13",
            "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "http://127.0.0.1:\(proxy.port())/page",
        ])
        try curl.waitForLine(containing: "X-User: grace")
        #expect(try get(try proxy.connect()).text == "nobody")
    }
}

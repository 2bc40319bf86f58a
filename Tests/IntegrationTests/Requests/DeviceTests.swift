// SPDX-License-Identifier: Apache-2.0
//
// Goal: chargers and microcontrollers whose opening handshakes lack something of RFC 6455 §4.1 get
// through where the route says so and nowhere else; the app sees a right handshake (§4.2.1), and
// the device the accept for what it sent (§4.2.2).
// Method: handshakes as such devices send them, in front of a scripted app and of Python's `websockets`.

import TestKit
import Testing

@Suite struct DeviceTests {
    private static let both = "accept: { missingConnection: true, anyKeyLength: true }"

    /// Keys of 8 and 32 bytes, of 16 bytes whose padding was forgotten, and of hexadecimal digits.
    static let keys = [
        "MTIzNDU2Nzg=", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        "dGhlIHNhbXBsZSBub25jZQ", "0123456789abcdef", "YQ==",
    ]

    @Test(arguments: keys)
    func `a key of any length opens the tunnel, and each side gets its own accept`(
        key: String
    ) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, options: Self.both)
        let client = try proxy.connect()
        // An application may take the second field for the first.
        let forged = ("Sec_WebSocket_Key", "dGhlIHNhbXBsZSBub25jZQ==")
        try client.send(Opening(extra: [forged], key: key).without("Connection").bytes)
        let upstream = try backend.next()
        let request = try upstream.accept()
        #expect(request.all("Connection") == ["Upgrade"])
        #expect(request.all("Upgrade") == ["websocket"])
        let asked = try #require(request.all("Sec-WebSocket-Key").first)
        #expect(request.all("Sec-WebSocket-Key").count == 1)
        #expect(request.all("Sec_WebSocket_Key").isEmpty)
        #expect(asked.count == 24 && asked.hasSuffix("==") && asked != key)
        let head = try client.readHead()
        #expect(head.status == 101)
        let right = try Self.accept(for: key)
        #expect(head.all("Sec-WebSocket-Accept") == [right])
        try client.send(Frame.text("up").masked())
        #expect(try upstream.readFrame().text == "up")
        try upstream.send(Frame.text("down"))
        #expect(try client.readFrame().text == "down")
    }

    /// The accept as the foreign client's library computes it.
    private static func accept(for key: String) throws -> String {
        let program = "import sys, websockets.utils as u; print(u.accept_key(sys.argv[1]))"
        let said = try run([try PythonPeer.interpreter(), "-c", program, key])
        return try #require(said.first)
    }

    @Test func `a right key goes on as it is though there is no Connection`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, options: Self.both)
        let ends = try proxy.relay(to: backend, Opening().without("Connection"))
        #expect(ends.request.all("Sec-WebSocket-Key") == ["dGhlIHNhbXBsZSBub25jZQ=="])
        #expect(ends.request.all("Connection") == ["Upgrade"])
        #expect(ends.response["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func `Python's websockets, which is strict, serves such a device`() throws {
        let server = try PythonPeer.start("deflate_server.py")
        let line = try server.waitForLine(containing: "port ", by: .after(.seconds(60)))
        let port = try #require(UInt16(line[0].dropFirst(5)))
        let proxy = try ProxyFixture(to: .tcp(port), options: Self.both)
        let client = try proxy.connect()
        try client.open(Opening(key: Self.keys[0]).without("Connection"))
        try client.send(Frame.text("hello").masked())
        #expect(try client.readFrame().text == "hello")
    }

    @Test func `the accept for the client's key proves nothing where another was asked with`()
        throws
    {
        let right = try Self.accept(for: Self.keys[0])
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: \(right)\r\n\r\n")
            _ = try peer.readUntilEnd()
        }
        let proxy = try ProxyFixture(to: backend.address, options: Self.both)
        let client = try proxy.connect()
        let refusal = try client.refusal(of: Opening(key: Self.keys[0]))
        try expectRefusal(refusal, 502, on: client)
    }

    static let refused: [(name: String, options: String, opening: Opening, key: String)] = [
        (
            "no Connection by default", "", Opening().without("Connection"),
            "accept.missingConnection"
        ),
        ("a short key by default", "", Opening(key: keys[0]), "accept.anyKeyLength"),
        (
            "no Connection where keys may be short", "accept: { anyKeyLength: true }",
            Opening().without("Connection"), "accept.missingConnection"
        ),
        (
            "a short key where there may be no Connection", "accept: { missingConnection: true }",
            Opening(key: keys[0]), "accept.anyKeyLength"
        ),
        ("a Connection without upgrade", both, Opening().with("Connection", "keep-alive"), ""),
        ("no key", both, Opening().without("Sec-WebSocket-Key"), ""),
        ("an empty key", both, Opening(key: ""), ""),
        ("a key of padding", both, Opening(key: "=="), ""),
        ("a key that is no base64", both, Opening(key: "key!"), ""),
        ("a key with too much padding", both, Opening(key: "YQ==="), ""),
        ("two keys", both, Opening(extra: [("Sec-WebSocket-Key", "YQ==")], key: "YQ=="), ""),
    ]

    @Test func `what the route does not accept is refused and nothing goes upstream`() throws {
        let backend = try ManualBackend()
        for (name, options, opening, key) in Self.refused {
            let proxy = try ProxyFixture(to: backend.address, options: options)
            let client = try proxy.connect()
            let refusal = try client.refusal(of: opening)
            if refusal.status != 400 { Issue.record("in the case '\(name)'") }
            // What to do is said where something can be done.
            #expect(refusal.text.contains("accept.") == !key.isEmpty, "\(name): \(refusal.text)")
            #expect(refusal.text.contains(key) || key.isEmpty, "\(name): \(refusal.text)")
            try expectRefusal(refusal, 400, on: client)
        }
        #expect(try !backend.hasPendingConnection(by: .after(.milliseconds(1))))
    }

    @Test func `each route decides for itself`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(routes: [
            "{ path: /strict, to: \"\(backend.address)\" }",
            "{ path: /device, to: \"\(backend.address)\", \(Self.both) }",
        ])
        let strict = try proxy.connect()
        #expect(try strict.refusal(of: Opening("/strict", key: "YQ==")).status == 400)
        _ = try proxy.relay(to: backend, Opening("/device", key: "YQ=="))
        let nowhere = try proxy.connect()
        #expect(try nowhere.refusal(of: Opening("/other", key: "YQ==")).status == 404)
    }

    /// What came as offers, and what goes on of it (RFC 6455 §9.1).
    static let offers: [([String], [String])] = [
        ([";"], []), ([""], []), ([" , "], []), (["a b"], []), (["a;"], []), (["x=y"], []),
        (["permessage-deflate; client_max_window_bits="], []),
        (["a; b=\"c"], []), (["a; b=\"c, permessage-deflate"], []),
        (["permessage-deflate, ;"], ["permessage-deflate"]),
        (
            ["a b, permessage-deflate; client_max_window_bits, c;"],
            [
                "permessage-deflate; client_max_window_bits"
            ]
        ),
        (["a (\"x,y\"), b", "c; d=\"e,f\""], ["b, c; d=\"e,f\""]),
        (["", "permessage-deflate"], ["permessage-deflate"]),
        // What is sound goes on as it came.
        (["a,  b ;c", "d"], ["a,  b ;c", "d"]),
    ]

    @Test func `a malformed or empty offer of an extension is left out, for everybody`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for (came, goes) in Self.offers {
            let ends = try proxy.relay(
                to: backend, Opening(extra: came.map { ("Sec-WebSocket-Extensions", $0) }))
            #expect(ends.request.all("Sec-WebSocket-Extensions") == goes, "\(came)")
        }
    }

    @Test func `an empty list of subprotocols is none`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for value in ["", ", ,"] {
            let ends = try proxy.relay(
                to: backend, Opening(extra: [("Sec-WebSocket-Protocol", value)]))
            #expect(ends.request.all("Sec-WebSocket-Protocol").isEmpty)
        }
    }

    @Test func `what is left out of the offers can't be granted`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(
            Opening(extra: [("Sec-WebSocket-Extensions", "permessage-deflate; x=")]).bytes)
        try backend.next().accept(extra: [("Sec-WebSocket-Extensions", "permessage-deflate")])
        #expect(try client.readHead().status == 502)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: the upstream sees who came and how, told by us alone: what the client says of itself in our
// fields, by any spelling, is dropped, and so is what belongs to one hop (DESIGN §7).
// Method: the upstream's view of the request, field by field.

import TestKit
import Testing

@Suite struct ForwardedFieldsTests {
    private func request(
        _ opening: Opening, route: String = "", listeners: [ProxyListener] = [.tls()]
    ) throws -> (head: HTTPHead, port: UInt16) {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, options: route, listeners: listeners)
        return (try proxy.relay(to: backend, opening).request, proxy.port())
    }

    @Test func `the upstream learns address, scheme, host and port`() throws {
        let (head, _) = try request(Opening(host: "chat.example:1234"))
        #expect(head.all("X-Forwarded-For") == ["127.0.0.1"])
        #expect(head.all("X-Forwarded-Proto") == ["https"])
        #expect(head.all("X-Forwarded-Host") == ["chat.example:1234"])
        #expect(head.all("X-Forwarded-Port") == ["1234"])
        let forwarded = head.all("Forwarded")
        #expect(forwarded.count == 1)
        #expect(forwarded.first?.contains("for=127.0.0.1") == true, "\(forwarded)")
        #expect(forwarded.first?.contains("proto=https") == true, "\(forwarded)")
        #expect(forwarded.first?.contains("host=\"chat.example:1234\"") == true, "\(forwarded)")
    }

    @Test func `without a port in Host the client meant the usual one, wherever we listen`() throws
    {
        for (listener, port) in [(ProxyListener.tls(), "443"), (.plain, "80")] {
            let (head, own) = try request(Opening(), listeners: [listener])
            #expect(head.all("X-Forwarded-Host") == ["localhost"])
            #expect(head.all("X-Forwarded-Port") == [port])
            #expect(port != "\(own)")
        }
    }

    @Test func `without TLS the scheme is http`() throws {
        let (head, _) = try request(Opening(), listeners: [.plain])
        #expect(head.all("X-Forwarded-Proto") == ["http"])
        #expect(head["Forwarded"]?.contains("proto=http") == true)
        #expect(head["Forwarded"]?.contains("https") == false)
    }

    @Test func `a route tells as much of the way as it is told to`() throws {
        let ours = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"]
        let forged = (ours + ["Forwarded", "X-Real-IP"]).map { (name: $0, value: "forged") }
        for (options, hasX, hasForwarded, hasVia) in [
            ("via: true", true, true, true), ("via: false", true, true, false),
            ("forwarded: { xForwarded: false }", false, true, true),
            ("forwarded: { forwarded: false }", true, false, true),
            ("forwarded: { xForwarded: false, forwarded: false }, via: false", false, false, false),
        ] {
            let (head, _) = try request(Opening(extra: forged), route: options)
            for name in ours { #expect(head.all(name).count == (hasX ? 1 : 0), "\(options)") }
            #expect(head.all("Forwarded").count == (hasForwarded ? 1 : 0), "\(options)")
            #expect(head.all("Via").count == (hasVia ? 1 : 0), "\(options)")
            #expect(!head.description.contains("forged"), "\(head)")
        }
        let (head, _) = try request(Opening(host: "a.example:9"), route: "forwarded: { port: 443 }")
        #expect(head.all("X-Forwarded-Port") == ["443"])
        #expect(head.all("X-Forwarded-Host") == ["a.example:9"])
    }

    @Test func `requests on one connection are told what their routes say, and answers too`() throws
    {
        let backend = try ManualBackend()
        let options = "to: \"\(backend.address)\""
        let proxy = try ProxyFixture(routes: [
            "{ path: /all, \(options) }",
            "{ path: /none, \(options), via: false, forwarded: { xForwarded: false, forwarded: false } }",
            "{ path: /port, \(options), forwarded: { port: 8443 } }",
        ])
        let client = try proxy.connect()
        var upstream: WebSocketPeer?
        for (path, hasVia, port) in [
            ("/all", true, "443"), ("/none", false, nil), ("/port", true, "8443"),
            ("/all", true, "443"),
        ] as [(String, Bool, String?)] {
            try client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let app = try upstream ?? backend.next()
            upstream = app
            let head = try app.readHead()
            #expect(head.target == path)
            #expect(head["X-Forwarded-Port"] == port, "\(path)")
            #expect((head["Forwarded"] != nil) == hasVia && (head["Via"] != nil) == hasVia)
            try app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            let answer = try client.readResponse()
            #expect(answer.text == "ok")
            #expect((answer.head["Via"] != nil) == hasVia, "\(answer.head)")
        }
    }

    @Test func `a trusted proxy's word is told as far as the route tells it`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", trustedProxies: [127.0.0.1] }]
                routes: [{ path: /*, to: "\(backend.address)", forwarded: { forwarded: false, port: 9 } }]

                """)
        let said = [
            (name: "X-Forwarded-For", value: "192.0.2.7"),
            (name: "Forwarded", value: "for=192.0.2.7"),
        ]
        let head = try proxy.relay(to: backend, Opening(extra: said)).request
        #expect(head.all("X-Forwarded-For") == ["192.0.2.7, 127.0.0.1"])
        #expect(head.all("X-Forwarded-Port") == ["9"])
        #expect(head.all("Forwarded").isEmpty)
    }

    /// The client is Debian's OpenSSL, which says itself what was agreed on.
    @Test(arguments: [("-tls1_3", "TLSv1.3", "P-384"), ("-tls1_2", "TLSv1.2", "P-256")])
    func `a route tells the app which TLS the client speaks`(
        option: String, version: String, group: String
    ) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address,
            options: "request: { set: { X-Version: $tlsVersion, X-Cipher: $tlsCipher,"
                + " X-Group: \"$tlsGroup\", X-Both: \"$alpn by $tlsVersion\", X-Price: $$5 } }")
        let forged = ["X-Version", "x_cipher", "X-Group", "X-Both"].map { ($0, "forged") }
        let client = try ChildProcess(
            [
                "sh", "-c",
                "printf %s \"$OPENING\" | exec openssl s_client -connect 127.0.0.1:\(proxy.port()) -quiet"
                    + " \(option) -groups \(group) -alpn http/1.1 -cipher ECDHE-ECDSA-CHACHA20-POLY1305"
                    + " -ciphersuites TLS_CHACHA20_POLY1305_SHA256",
            ],
            environment: [
                "OPENING": String(decoding: Opening(extra: forged).bytes, as: UTF8.self)
            ])
        defer { client.signal(15) }
        let request = try backend.next().readHead()
        #expect(request.all("X-Version") == [version])
        #expect(
            request.all("X-Cipher") == [
                version == "TLSv1.3"
                    ? "TLS_CHACHA20_POLY1305_SHA256"
                    : "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
            ])
        #expect(request.all("X-Group") == [group])
        #expect(request.all("X-Both") == ["http/1.1 by \(version)"])
        #expect(request.all("X-Price") == ["$5"])
        #expect(request.fields.allSatisfy { $0.value != "forged" })
    }

    @Test func `without TLS a field that tells of it is left out, the client's own included`()
        throws
    {
        let (head, _) = try request(
            Opening(extra: [("X-Version", "forged")]),
            route: "request: { set: { X-Version: $tlsVersion } }", listeners: [.plain])
        #expect(head.all("X-Version").isEmpty)
    }

    @Test func `what a client says in our fields is dropped by any spelling`() throws {
        let spoofed = [
            "X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X.Forwarded.For",
            "X-Forwarded_Proto", "X-FORWARDED-HOST", "X_Forwarded-Port", "Forwarded",
        ]
        let (head, _) = try request(Opening(extra: spoofed.map { ($0, "6.6.6.6") }))
        #expect(head.fields.allSatisfy { !$0.value.contains("6.6.6.6") }, "\(head)")
        #expect(head.all("X-Forwarded-For") == ["127.0.0.1"])
    }

    @Test func `fields of one hop are dropped and so is what Connection names`() throws {
        let opening = Opening(extra: [
            ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "trailers"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"), ("X-Hop", "one"), ("X-Stays", "two"),
        ]).with("Connection", "keep-alive, Upgrade, HTTP2-Settings, X-Hop")
        let (head, _) = try request(opening)
        for name in ["Keep-Alive", "Proxy-Connection", "TE", "HTTP2-Settings", "X-Hop"] {
            #expect(head.all(name).isEmpty, "\(name)")
        }
        #expect(head["X-Stays"] == "two")
        #expect(head.all("Connection").map { $0.lowercased() } == ["upgrade"])
    }

    @Test func `naming a needed field in Connection does not remove it`() throws {
        let opening = Opening().with(
            "Connection", "Upgrade, Host, Sec-WebSocket-Key, X-Forwarded-For")
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(opening.bytes)
        if try !backend.hasPendingConnection(by: .after(.seconds(2))) {
            // To refuse the request is as good.
            #expect(try client.readResponse().status == 400)
            return
        }
        let head = try backend.next().accept()
        #expect(head.all("Host") == ["localhost"])
        #expect(head.all("Sec-WebSocket-Key").count == 1)
        #expect(head.all("X-Forwarded-For") == ["127.0.0.1"])
    }

    @Test func `only the upgrade to websocket is passed on`() throws {
        let (head, _) = try request(Opening().with("Upgrade", "h2c, WebSocket"))
        #expect(head.all("Upgrade").map { $0.lowercased() } == ["websocket"])
        #expect(head.startLine == "GET /Esv/ocp HTTP/1.1")
        #expect(head.all("Sec-WebSocket-Version") == ["13"])
    }

    @Test func `the client's own fields pass in order`() throws {
        let own = [
            ("Cookie", "a=1"), ("X-App", "one"), ("Authorization", "Bearer token"),
            ("X-App", "two"), ("User-Agent", "test/1.0"), ("Origin", "https://localhost"),
        ]
        let (head, _) = try request(Opening("/Esv/ocp?token=a%2Fb&c", extra: own))
        #expect(head.target == "/Esv/ocp?token=a%2Fb&c")
        #expect(head.all("Host") == ["localhost"])
        let names = Set(own.map(\.0))
        let passed = head.fields.filter { names.contains($0.name) }.map {
            "\($0.name): \($0.value)"
        }
        #expect(passed == own.map { "\($0.0): \($0.1)" })
    }

    @Test func `subprotocols and extensions pass both ways`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let offer = Opening(extra: [
            ("Sec-WebSocket-Protocol", "chat.v2, chat.v1"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ])
        let ends = try proxy.relay(
            to: backend, offer,
            extra: [
                ("Sec-WebSocket-Protocol", "chat.v1"),
                ("Sec-WebSocket-Extensions", "permessage-deflate"), ("Set-Cookie", "sid=1"),
            ])
        #expect(ends.request["Sec-WebSocket-Protocol"] == "chat.v2, chat.v1")
        #expect(
            ends.request["Sec-WebSocket-Extensions"] == "permessage-deflate; client_max_window_bits"
        )
        #expect(ends.response["Sec-WebSocket-Protocol"] == "chat.v1")
        #expect(ends.response["Sec-WebSocket-Extensions"] == "permessage-deflate")
        #expect(ends.response["Set-Cookie"] == "sid=1")
    }

    @Test func `the upstream sees the path as it came, without dot segments`() throws {
        let (head, _) = try request(Opening("/x/../Esv/./%6fcp?q"))
        #expect(head.target == "/Esv/%6fcp?q")
    }

    @Test func `a rewritten prefix keeps the rest of the path`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(routes: [
            "{ path: \"/chat/*\", to: \"\(backend.address)\", rewrite: \"/socket/*\" }"
        ])
        let ends = try proxy.relay(to: backend, Opening("/chat/room/7?q=1"))
        #expect(ends.request.target == "/socket/room/7?q=1")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route that asks for a token lets those in who have a good one, by HTTP/1.1 and HTTP/2, sockets and requests,
// and nobody else; the token goes neither upstream nor into a log.
// Method: tokens of joserfc, brought by curl, Python, Node and Chromium; apps of the test's say what they were asked.

import Foundation
import TestKit
import Testing

@Suite struct TokenAccessTests {
    /// A Sluice whose route `/Esv/ocp` asks for a token by these rules.
    private static func guarded(
        _ backend: PeerAddress, _ rules: String, listeners: [ProxyListener] = [.http2()]
    ) throws -> Operated {
        try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend)\", access: { jwt: { \(rules) } } }",
                "{ path: /page, respond: { body: page }, access: { jwt: { \(rules) } } }",
            ], listeners: listeners, settings: ["workers: 1"])
    }

    private static func bearer(_ token: String) -> [(name: String, value: String)] {
        [("Authorization", "Bearer \(token)")]
    }

    private static func curl(_ sluice: Operated, _ path: String, _ options: String...) throws
        -> [String]
    {
        let authority = try TestCertificates.shared().authority
        return try run(
            ["curl", "-sS", "-D", "-", "-w", "\n%{http_code}", "--cacert", authority] + options
                + ["https://localhost:\(sluice.proxy.port())\(path)"])
    }

    @Test func `tokens of all algorithms are let in, and the app is told what they claim`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Self.guarded(
            backend.address,
            """
            keys: \(issuer.keysWithSecret), issuer: "https://issuer.test", audience: [other, app], \
            claims: { role: [user, admin] }, forward: { X-User: sub, X-Roles: role, X-Gone: none }
            """)
        defer { Scratch.remove(sluice.folder) }
        let kinds = [
            ("es", "ES256"), ("es384", "ES384"), ("ed", "EdDSA"), ("rs", "RS256"), ("rs", "PS384"),
            ("hs", "HS512"),
        ]
        let tokens = try issuer.sign(
            kinds.map {
                """
                {"kid":"\($0)","alg":"\($1)","iss":"https://issuer.test","aud":["app"],"sub":"ann","role":["admin"]}
                """
            })
        var relays: [RelayEnds] = []
        for token in tokens {
            let opening = Opening(
                extra: Self.bearer(token) + [
                    ("X-User", "forged"), ("X_Roles", "forged"), ("X-Gone", "forged"),
                ])
            let ends = try sluice.proxy.relay(to: backend, opening)
            relays.append(ends)
            #expect(ends.request["Authorization"] == nil)
            #expect(ends.request.all("X-User") == ["ann"])
            #expect(ends.request.all("X-Roles") == ["[\"admin\"]"])
            #expect(ends.request["X-Gone"] == nil && ends.request["X_Roles"] == nil)
            try ends.exchange("hello")
            for version in ["--http1.1", "--http2"] {
                let page = try Self.curl(
                    sluice, "/page", version, "-H", "Authorization: bearer \(token)")
                #expect(page.suffix(2) == ["page", "200"], "\(page)")
            }
        }
        #expect(
            try sluice.ask("/relays").output.filter { !$0.isWhitespace }
                .contains("\"subject\":\"ann\""))
        #expect(
            try sluice.ask("/relays/close", ["-X", "POST", "-d", "{\"subject\":\"ann\"}"]).output
                .filter { !$0.isWhitespace } == "{\"closed\":\(kinds.count)}")
        let line = try sluice.proxy.process.waitForLine(containing: "200 GET localhost/page")
        #expect(line[0].contains(" user=ann "), "\(line)")
        for token in tokens {
            let said = sluice.proxy.process.output + sluice.proxy.process.errors
            #expect(!said.contains { $0.contains(token.suffix(20)) })
        }
    }

    @Test func `who has no good token is refused with a sentence, and the app hears nothing`()
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.guarded(
            backend.address,
            "keys: \(issuer.keys), audience: app, claims: { scope: chat }, from: [header, \"cookie:t\"]"
        )
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([
            #"{"aud":"app","scope":"chat"}"#, #"{"aud":"app","scope":"chat","in":-60}"#,
            #"{"aud":"apple","scope":"chat"}"#, #"{"aud":"app","scope":"read"}"#,
            #"{"aud":"app","scope":"chat","says":"unknown"}"#,
            #"{"kid":"hs","alg":"HS256","says":"rs","aud":"app","scope":"chat"}"#,
            #"{"kid":"next","says":"es","aud":"app","scope":"chat"}"#,
            #"{"aud":"app","scope":"chat","exp":"2100-01-01","in":null}"#,
        ])
        let good = tokens[0]
        let none = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJhcHAiLCJzY29wZSI6ImNoYXQifQ."
        let cases:
            [(extra: [(name: String, value: String)], status: Int, error: String?, words: String)] =
                [
                    ([], 401, nil, "wants a token (JWT) in an Authorization field"),
                    ([("Authorization", "Basic YTpi")], 401, nil, "wants a token"),
                    (Self.bearer(""), 401, "invalid_token", "three parts"),
                    (Self.bearer(none), 401, "invalid_token", "is not signed"),
                    (Self.bearer(tokens[1]), 401, "invalid_token", "has expired"),
                    (Self.bearer(tokens[2]), 401, "invalid_token", "another audience"),
                    (Self.bearer(tokens[3]), 403, "insufficient_scope", "claim 'scope'"),
                    (Self.bearer(tokens[4]), 401, "invalid_token", "is not known"),
                    (
                        Self.bearer(tokens[5]), 401, "invalid_token",
                        "is not for the token's algorithm"
                    ),
                    (Self.bearer(tokens[6]), 401, "invalid_token", "signature is wrong"),
                    (Self.bearer(tokens[7]), 401, "invalid_token", "'exp' is no time"),
                    (Self.bearer(good + "="), 401, "invalid_token", "base64url"),
                    (
                        Self.bearer(good.replacing("e", with: "é")), 401, "invalid_token",
                        "base64url"
                    ),
                    (
                        Self.bearer(String(repeating: "a", count: 12_000)), 401, "invalid_token",
                        "three parts"
                    ),
                    (Self.bearer(good) + Self.bearer(good), 400, "invalid_request", "several"),
                    (
                        Self.bearer(good) + [("Authorization", "Basic YTpi")], 400,
                        "invalid_request", "several"
                    ),
                    (
                        Self.bearer(good) + [("Cookie", "t=\(good)")], 400, "invalid_request",
                        "several"
                    ),
                    ([("Cookie", "t=\(good); t=\(good)")], 400, "invalid_request", "several"),
                    ([("Cookie", "t=\"\(good)\"")], 401, "invalid_token", "base64url"),
                ]
        for one in cases {
            let client = try sluice.proxy.connect()
            let refusal = try client.refusal(of: Opening(extra: one.extra))
            try expectRefusal(refusal, one.status, on: client)
            #expect(refusal.text.contains(one.words), "\(one.words): \(refusal.text)")
            let challenge = refusal.head["WWW-Authenticate"] ?? ""
            #expect(challenge.hasPrefix("Bearer realm=\"Sluice\""), "\(challenge)")
            #expect(challenge.contains("error=\"\(one.error ?? "-")\"") == (one.error != nil))
        }
        #expect(backend.connectionCount == 0)
        let counted = "sluice_access_refused_total{route=\"/Esv/ocp\",rule=\"jwt\"}"
        #expect(try sluice.scrape()[counted] == Double(cases.count))
        let lines = try sluice.proxy.process.waitForLine(
            containing: " access=jwt ", count: cases.count)
        #expect(lines.allSatisfy { !$0.contains(good.suffix(20)) && !$0.contains("user=") })
        let client = try sluice.proxy.open(Opening(extra: Self.bearer(good)))
        try client.send(Frame.text("hello").masked())
        #expect(try client.readFrame().text == "hello")
    }

    @Test func `a token is taken out of its place, and the rest stays exactly as it was`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Self.guarded(
            backend.address,
            "keys: \(issuer.keys), from: [\"cookie:jwt\", \"query:token\", \"subprotocol:bearer.\", header]",
            listeners: [.tls()])
        defer { Scratch.remove(sluice.folder) }
        let token = try issuer.sign(#"{"sub":"ann"}"#)
        func asked(_ target: String, _ extra: [(name: String, value: String)] = []) throws
            -> RelayEnds
        {
            try sluice.proxy.relay(to: backend, Opening(target, extra: extra))
        }
        for (sent, left) in [
            ("?token=\(token)", ""), ("?a=1&token=\(token)&b=%20;x&&c", "?a=1&b=%20;x&&c"),
            ("?token=\(token)&", "?"), ("?tokens=1&token=\(token)", "?tokens=1"),
        ] {
            let ends = try asked("/Esv/ocp\(sent)")
            #expect(ends.request.startLine == "GET /Esv/ocp\(left) HTTP/1.1")
        }
        for (sent, left) in [
            ("jwt=\(token)", nil), ("a=1; jwt=\(token); b=\"x\"", "a=1; b=\"x\""),
            ("jwt=\(token);a=1;  b=2", "a=1;  b=2"),
            ("xjwt=1; JWT=2; jwt=\(token)", "xjwt=1; JWT=2"),
        ] {
            let ends = try asked("/Esv/ocp", [("Cookie", sent)])
            #expect(ends.request["Cookie"] == left)
        }
        let ends = try sluice.proxy.relay(
            to: backend,
            Opening(
                extra: [("Sec-WebSocket-Protocol", "v2.chat , bearer.\(token),v1.chat")]),
            extra: [("Sec-WebSocket-Protocol", "v1.chat")])
        #expect(ends.request["Sec-WebSocket-Protocol"] == "v2.chat, v1.chat")
        #expect(ends.response.all("Sec-WebSocket-Protocol") == ["v1.chat"])
        // An app that grants none: the first of the others is granted, or a browser would give up.
        let silent = try asked(
            "/Esv/ocp", [("Sec-WebSocket-Protocol", "bearer.\(token), v2.chat, v1.chat")])
        #expect(silent.response.all("Sec-WebSocket-Protocol") == ["v2.chat"])
        // Whose token came in another way has what the app says.
        let other = try asked(
            "/Esv/ocp?token=\(token)", [("Sec-WebSocket-Protocol", "v2.chat")])
        #expect(other.response["Sec-WebSocket-Protocol"] == nil)
        for (target, extra, words) in [
            ("/Esv/ocp", [("Sec-WebSocket-Protocol", "bearer.\(token)")], "the only subprotocol"),
            ("/Esv/ocp?token=\(token)&token=x", [], "several"),
            ("/Esv/ocp?token=\(token)&%74oken=x", [], "several"),
            ("/Esv/ocp?token=\(token)", [("Cookie", "jwt=x")], "several"),
        ] {
            let client = try sluice.proxy.connect()
            let refusal = try client.refusal(of: Opening(target, extra: extra))
            #expect(refusal.status == 400 && refusal.text.contains(words), "\(refusal.text)")
        }
        let said = sluice.proxy.process.output + sluice.proxy.process.errors
        #expect(!said.contains { $0.contains(token.suffix(20)) })
    }

    @Test func `ordinary requests go upstream without their token, by either version`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            let body = try peer.read(Int(head["Content-Length"] ?? "") ?? 0)
            let said = [
                head.startLine, head.all("Cookie").joined(separator: " + "),
                head["Authorization"] ?? "-", String(decoding: body, as: UTF8.self),
            ].joined(separator: "|")
            try peer.send(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(said.utf8.count)\r\n\r\n"
                    + said)
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let sluice = try Self.guarded(
            backend.address,
            "keys: \(issuer.keys), from: [\"cookie:jwt\", \"query:token\", header]")
        defer { Scratch.remove(sluice.folder) }
        let token = try issuer.sign(#"{"sub":"ann"}"#)
        for version in ["--http1.1", "--http2"] {
            func said(_ path: String, _ options: String...) throws -> [String] {
                let all = [version] + options
                let authority = try TestCertificates.shared().authority
                return try run(
                    ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", authority] + all
                        + ["https://localhost:\(sluice.proxy.port())\(path)"])
            }
            #expect(
                try said("/Esv/ocp?a=1&token=\(token)&b=%20")
                    == ["GET /Esv/ocp?a=1&b=%20 HTTP/1.1||-|", "200"])
            #expect(
                try said("/Esv/ocp?token=\(token)", "-d", "body")
                    == ["POST /Esv/ocp HTTP/1.1||-|body", "200"])
            #expect(
                try said("/Esv/ocp?c=2", "-b", "a=1; jwt=\(token); b=2", "-d", "body")
                    == ["POST /Esv/ocp?c=2 HTTP/1.1|a=1; b=2|-|body", "200"])
            #expect(
                try said("/Esv/ocp", "-b", "jwt=\(token)")
                    == ["GET /Esv/ocp HTTP/1.1||-|", "200"])
            #expect(
                try said("/Esv/ocp", "-H", "Authorization: Bearer \(token)", "-b", "a=1")
                    == ["GET /Esv/ocp HTTP/1.1|a=1|-|", "200"])
        }
        // A client of HTTP/2 may send each cookie in a field of its own.
        let authority = try TestCertificates.shared().authority
        let crumbs = ["cookie:a=1", "cookie:jwt=\(token)", "cookie:b=2"]
        let gate = try PythonPeer.run(
            "h2_client.py", ["\(sluice.proxy.port())", authority, "gate", "/Esv/ocp"] + crumbs)
        #expect(gate.last == "request 200 -", "\(gate)")
        let last = String(
            decoding: backend.received(backend.connectionCount - 1), as: UTF8.self)
        #expect(
            last.contains("\r\ncookie: a=1; b=2\r\n") || last.contains("\r\nCookie: a=1; b=2\r\n"),
            "\(last)")
        for index in 0..<backend.connectionCount {
            let text = String(decoding: backend.received(index), as: UTF8.self)
            #expect(!text.contains(token.suffix(20)), "\(text)")
        }
        let lines = sluice.proxy.process.output + sluice.proxy.process.errors
        #expect(!lines.contains { $0.contains(token.suffix(20)) })
    }

    @Test func `a token of 12 kB is let in, and one that no head has room for gets 431`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.guarded(backend.address, "keys: \(issuer.keys)")
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign(
            [8_800, 11_500, 30_000].map { length in
                #"{"sub":"ann","more":"\#(String(repeating: "x", count: length))"}"#
            })
        #expect(tokens[0].utf8.count > 11_900 && tokens[1].utf8.count < 16_000)
        for version in ["--http1.1", "--http2"] {
            for token in tokens.prefix(2) {
                let page = try Self.curl(
                    sluice, "/page", version, "-H", "Authorization: Bearer \(token)")
                #expect(page.suffix(2) == ["page", "200"], "\(token.utf8.count)")
            }
            let long = try Self.curl(
                sluice, "/page", version, "-H", "Authorization: Bearer \(tokens[2])")
            #expect(long.last == "431")
            #expect(long.contains { $0.contains("limits.headBytes") }, "\(long)")
        }
        let ends = try sluice.proxy.open(Opening(extra: Self.bearer(tokens[1])))
        try ends.send(Frame.text("hello").masked())
        #expect(try ends.readFrame().text == "hello")
        // With more room for heads it is the token's own bound that refuses it.
        try sluice.rewrite("admin:", "limits: { headBytes: 64KiB }\nadmin:")
        #expect(try sluice.command(["reload"]).status == 0)
        let refused = try Self.curl(
            sluice, "/page", "-H", "Authorization: Bearer \(tokens[2])")
        #expect(refused.last == "401")
        #expect(refused.contains { $0.contains("longer than 16 KiB") }, "\(refused)")
    }

    @Test func `Python, Node and Chromium bring their tokens as they can`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let granting = try ScriptedBackend { peer in
            let head = try peer.readHead()
            let names = (head["Sec-WebSocket-Protocol"] ?? "").split(separator: ",")
            let last = names.last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "-"
            try peer.send(
                WebSocketPeer.switching(
                    key: head["Sec-WebSocket-Key"] ?? "", extra: [("Sec-WebSocket-Protocol", last)])
            )
            try peer.echo()
        }
        let silent = try ScriptedBackend.echo()
        let access =
            "access: { jwt: { keys: \(issuer.keys), from: [header, \"subprotocol:bearer.\"] } }"
        let sluice = try Operated(
            routes: [
                "{ path: /granting, to: \"\(granting.address)\", \(access) }",
                "{ path: /silent, to: \"\(silent.address)\", \(access) }",
                "{ path: /page, respond: { body: \"<title>page</title>\", type: text/html } }",
            ], listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let token = try issuer.sign(#"{"sub":"ann"}"#)
        let authority = try TestCertificates.shared().authority
        let url = { (path: String) in sluice.proxy.url().replacing("/Esv/ocp", with: path) }
        #expect(
            try PythonPeer.run(
                "subprotocol_client.py",
                [url("/granting"), authority, "ocpp1.6", "bearer.\(token)"])
                == ["open ocpp1.6 hello"])
        #expect(
            try PythonPeer.run(
                "subprotocol_client.py", [url("/silent"), authority, "chat", "bearer.\(token)"])
                == ["open chat hello"])
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/ws_client.js"
        let node = try ChildProcess(
            ["node", script, url("/silent"), authority, "bearer.\(token)", "chat"],
            environment: ["NODE_PATH": "/usr/share/nodejs"])
        #expect(try node.waitForExit() == 0)
        #expect(node.output == ["open 'chat' hello"], "\(node.output)")
        let home = try Scratch.makeFolder()
        defer { Scratch.remove(home) }
        #expect(
            try PythonPeer.run(
                "token_page.py", ["\(sluice.proxy.port())", authority, home, token])
                == ["ocpp1.6 hello", "chat hello", "closed with 1006", "closed with 1006"])
    }

    @Test func `rules are asked in one order, and one user comes of it, for sockets and requests`()
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let hash = try run(["perl", "-e", "print crypt('one', '$6$rounds=1000$salt')"]).first
        try Scratch.write("cat:\(hash ?? "")\n", to: "\(folder)/passwords")
        let clients = try ClientAuthority()
        let client = try clients.issue("/CN=dog")
        let backend = try ScriptedBackend.echo()
        let access = """
            access: { jwt: { keys: \(issuer.keys), from: ["cookie:t"] }, \
            basic: { file: \(folder)/passwords }, clientCertificate: {} }
            """
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\", \(access) }",
                "{ path: /page, respond: { body: page }, \(access) }",
            ],
            listeners: [
                .extended(
                    "protocols: [http/1.1], clientCertificates: { ca: \(clients.certificate) }")
            ], settings: ["workers: 1"])
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([#"{"sub":"ann"}"#, "{}"])
        let socket = [
            "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H",
            "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "--max-time", "1",
        ]
        // Each request has a line.
        var asked: [String: Int] = [:]
        func line(_ path: String, _ options: [String]) throws -> String {
            let authority = try TestCertificates.shared().authority
            let child = try ChildProcess(
                ["curl", "-sS", "-o", "/dev/null", "--cacert", authority] + options
                    + (path == "/page" ? [] : socket)
                    + ["https://localhost:\(sluice.proxy.port())\(path)"])
            try child.waitForExit()
            asked[path, default: 0] += 1
            let lines = try sluice.proxy.process.waitForLine(
                containing: "localhost\(path) ",
                count: asked[path] ?? 0)
            return lines.last ?? ""
        }
        let shown = ["--cert", client.chain, "--key", client.key]
        for path in ["/page", "/Esv/ocp"] {
            for (options, rule) in [
                ([String](), "jwt"), (["-H", "Cookie: t=\(tokens[0])"], "clientCertificate"),
                (["-H", "Cookie: t=\(tokens[0])"] + shown, "basic"),
            ] {
                let said = try line(path, options)
                #expect(said.contains(" access=\(rule) "), "\(path): \(said)")
            }
            for (token, user) in zip(tokens, ["ann", "cat"]) {
                let options = ["-H", "Cookie: t=\(token)", "-u", "cat:one"] + shown
                let said = try line(path, options)
                #expect(said.contains(" user=\(user) "), "\(path): \(said)")
            }
        }
    }

    @Test func `who is asked beside a token gets neither the token nor fields that tell of it`()
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let heads = Monitor<[String]>([])
        let verifier = try ScriptedBackend { peer in
            while let head = try? peer.readHead() {
                let names = ["Authorization", "X-Roles", "X_Roles", "X-Other"]
                heads.update { $0.append(names.map { head[$0] ?? "-" }.joined(separator: " ")) }
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let backend = try ManualBackend()
        let sluice = try Self.guarded(
            backend.address,
            "keys: \(issuer.keys), forward: { X-Roles: role } }, forward: { to: \"http://127.0.0.1:\(verifier.address.port)\""
        )
        defer { Scratch.remove(sluice.folder) }
        let token = try issuer.sign(#"{"role":"user"}"#)
        let ends = try sluice.proxy.relay(
            to: backend,
            Opening(
                extra: Self.bearer(token) + [
                    ("X-Roles", "admin"), ("X_Roles", "admin"), ("X-Other", "stays"),
                ]))
        #expect(ends.request.all("X-Roles") == ["user"] && ends.request["X_Roles"] == nil)
        let page = try Self.curl(
            sluice, "/page", "-H", "Authorization: Bearer \(token)", "-H", "X-Roles: admin")
        #expect(page.last == "200", "\(page)")
        #expect(heads.value == ["- - - stays", "- - - -"])
    }
}

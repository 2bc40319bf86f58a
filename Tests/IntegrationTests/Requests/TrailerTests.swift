// SPDX-License-Identifier: Apache-2.0
//
// Goal: what may not pass as a field does not pass as a trailer either (RFC 9110 §6.5.1, §7.6.1), in
// either direction: applications merge trailers into their fields, and CGI folds `-` and `_`.
// Method: chunked bodies with forged trailers, raw on both sides; Python's `http.client` reads them too.

import TestKit
import Testing

@Suite struct TrailerTests {
    /// Names that come too late behind a body, or that only Sluice may say.
    static let forged = [
        "X-Real-IP", "x_real_ip", "X.Real.IP", "X-Forwarded-For", "x_forwarded_for",
        "X-Forwarded-Proto", "X_FORWARDED_HOST", "X-Forwarded-Anything", "Forwarded", "Via",
        "Content-Length", "CONTENT_LENGTH", "Transfer-Encoding", "Transfer_Encoding",
        "Transfer.Encoding", "Host", "HOST", "Connection", "Keep-Alive", "keep_alive",
        "Proxy-Connection", "Proxy_Authorization", "Proxy-Authenticate", "TE", "Trailer", "Upgrade",
        "HTTP2-Settings", "Expect", "Authorization", "Cookie", "Set-Cookie", "Set_Cookie",
        "WWW-Authenticate", "Content-Type", "CONTENT_TYPE", "Content-Encoding", "Content-Range",
        "Cache-Control", "Max-Forwards", "If-Match", "If_None_Match", "Range", "Age", "Date",
        "Expires", "Location", "Retry-After", "Vary", "Origin", "Strict-Transport-Security",
        "Sec-WebSocket-Key", "Sec_WebSocket_Accept", "Sec-WebSocket-Anything",
        // What the message's own Connection names, and what the route takes away or sets.
        "X-Hop", "x-hop", "Close", "X-Removed", "X-Set",
    ]

    private static let route =
        "request: { remove: [X-Removed], set: { X-Set: ours } }, "
        + "answer: { remove: [X-Removed], set: { X-Set: ours } }"
    private static let connection = "Connection: X-Hop, close\r\n"

    private static var body: String {
        "5\r\nhello\r\n0\r\nX-Sum: 1\r\n"
            + forged.map { "\($0): forged\r\n" }.joined() + "Server-Timing: a\r\n\r\n"
    }
    private static let passed = "hello|X-Sum: 1\r\nServer-Timing: a\r\n\r\n"

    /// Reads chunks, however the payload is spread over them, and the trailers: `payload|trailers`.
    private func readBody(_ peer: WebSocketPeer) throws -> String {
        func line() throws -> String {
            var line = ""
            while !line.hasSuffix("\r\n") {
                line.unicodeScalars.append(UnicodeScalar(try peer.read(1)[0]))
            }
            return line
        }
        var text = ""
        while let count = Int(try line().dropLast(), radix: 16), count > 0 {
            text += String(decoding: try peer.read(count), as: UTF8.self)
            #expect(try line() == "\r\n")
        }
        text += "|"
        while !text.hasSuffix("|\r\n") && !text.hasSuffix("\r\n\r\n") { text += try line() }
        return text
    }

    @Test func `forged trailers of a request do not reach the app, at any split`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, options: Self.route)
        let head =
            "POST /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\(Self.connection)"
            + "Transfer-Encoding: chunked\r\n\r\n"
        let bytes = Array((head + Self.body).utf8)
        // Along with the head, behind it, and in the midst of the trailers.
        for cut in [bytes.count, head.utf8.count, head.utf8.count + 7, bytes.count - 30] {
            let client = try proxy.connect()
            try client.send(bytes, splitAt: [cut])
            let upstream = try backend.next()
            _ = try upstream.readHead()
            #expect(try readBody(upstream) == Self.passed, "cut at \(cut)")
            try upstream.send("HTTP/1.1 204 Done\r\n\r\n")
            #expect(try client.readHead().status == 204)
        }
    }

    @Test func `who the client is does not come in a trailer`() throws {
        let backend = try ManualBackend()
        let granting = try ScriptedBackend { peer in
            while (try? peer.readHead()) != nil {
                try peer.send("HTTP/1.1 200 OK\r\nRemote-User: ann\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let token = try issuer.sign(#"{"sub":"ann"}"#)
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /open, to: \"\(backend.address)\" }",
                """
                { path: /guarded, to: "\(backend.address)", access: { \
                jwt: { keys: \(issuer.keys), forward: { X-User: sub, X-None: none } }, \
                forward: { to: "http://127.0.0.1:\(granting.address.port)", fields: [Remote-User, Remote-Groups] } } }
                """,
            ])
        let certificates = ["Client-Cert", "CLIENT_CERT", "client.cert-chain", "Client_Cert_Chain"]
        let users = [
            "X-User", "x_user", "X.USER", "X-None", "X_None", "Remote-User", "REMOTE_USER",
            "Remote-Groups", "remote.groups",
        ]
        for (path, names) in [("/open", certificates), ("/guarded", certificates + users)] {
            let client = try proxy.connect()
            let forged = names.map { "\($0): forged\r\n" }.joined()
            try client.send(
                "POST \(path) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(token)\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n"
                    + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\(forged)Server-Timing: a\r\n\r\n")
            let upstream = try backend.next()
            let head = try upstream.readHead()
            #expect(head["X-User"] == (path == "/open" ? nil : "ann"))
            #expect(try readBody(upstream) == Self.passed, "\(path)")
            try upstream.send("HTTP/1.1 204 Done\r\n\r\n")
            #expect(try client.readHead().status == 204)
        }
    }

    @Test func `forged trailers of an answer do not reach the client`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, options: Self.route)
        let head = "HTTP/1.1 200 OK\r\n\(Self.connection)Transfer-Encoding: chunked\r\n\r\n"
        let bytes = Array((head + Self.body).utf8)
        for cut in [bytes.count, head.utf8.count, head.utf8.count + 7, bytes.count - 30] {
            let client = try proxy.connect()
            try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let upstream = try backend.next()
            _ = try upstream.readHead()
            try upstream.send(bytes, splitAt: [cut])
            _ = try client.readHead()
            #expect(try readBody(client) == Self.passed, "cut at \(cut)")
        }
    }

    @Test func `trailers of an answer are read as leniently as its fields`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "2\r\nok\r\n0\r\nX-Sum : 1\u{1}\r\nTransfer_Encoding : x\r\n\r\n")
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try client.readHead().status == 200)
        #expect(try readBody(client) == "ok|X-Sum: 1\u{1}\r\n\r\n")
    }

    @Test func `a head of a mebibyte with thousands of names in Connection is answered right`()
        throws
    {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["limits: { headBytes: 1MiB, headFields: 10000 }"])
        let names = (0..<40_000).map { "x-\($0)" }.joined(separator: ",")
        let fields = (30_000..<39_000).map { "X-\($0): a\r\n" }.joined()
        let client = try proxy.connect()
        try client.send(
            "GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nConnection: \(names)\r\nX-Stays: 1\r\n\(fields)\r\n"
        )
        let upstream = try backend.next()
        let head = try upstream.readHead()
        #expect(head["X-Stays"] == "1")
        #expect(head.fields.allSatisfy { !$0.name.hasPrefix("X-3") })
    }
}

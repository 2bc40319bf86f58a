// SPDX-License-Identifier: Apache-2.0
//
// Goal: answers of apps that take liberties reach the client as well as they can, and what could
// mislead it does not.
// Method: scripted apps behind; raw clients, Node's ws, Python's `websockets` and `http.client` in front.

import TestKit
import Testing

@Suite struct LenientAnswerTests {
    private static let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    /// An app that answers the upgrade with 101 and these lines, and echoes then.
    private func echoing(_ lines: String...) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let key = try peer.readHead()["Sec-WebSocket-Key"] ?? ""
            let right = WebSocketPeer.switching(key: key)
            let more = lines.map { $0 + "\r\n" }.joined() + "\r\n"
            try peer.send(right.dropLast(2) + Array(more.utf8))
            try peer.echo()
        }
    }

    /// What replaces the lines of a right 101 or stands beside them: each opens the tunnel.
    static let opening: [(name: String, lines: [String])] = [
        // RFC 9112 §6.3: a 1xx ends at its empty line whatever its fields say.
        ("a length", ["Upgrade: websocket", "Connection: Upgrade", "Content-Length: 5"]),
        ("two lengths", ["Upgrade: websocket", "Connection: Upgrade", "Content-Length: 5, 6"]),
        ("chunks", ["Upgrade: websocket", "Connection: Upgrade", "Transfer-Encoding: chunked"]),
        (
            "both",
            [
                "Upgrade: websocket", "Connection: Upgrade", "Transfer-Encoding: gzip",
                "Content-Length: 7",
            ]
        ),
        // RFC 9110 §5.3: a field that comes twice is one list.
        ("Upgrade twice", ["Upgrade: websocket", "Connection: Upgrade", "Upgrade: WebSocket"]),
        ("Upgrade as a list", ["Upgrade: websocket, websocket,", "Connection: Upgrade"]),
        (
            "Connection twice",
            ["Upgrade: websocket", "Connection: keep-alive", "Connection: upgrade"]
        ),
        // RFC 9110 §7.6.1: Connection is a list.
        ("close too", ["Upgrade: websocket", "Connection: Upgrade, close"]),
        ("close first", ["Upgrade: websocket", "Connection: close, upgrade"]),
        ("keep-alive too", ["Upgrade: websocket", "Connection: upgrade, keep-alive"]),
        // RFC 9112 §5.1: white space in front of the colon is removed.
        ("white space", ["Upgrade : websocket", "Connection\t: Upgrade"]),
        (
            "control characters",
            ["Upgrade: websocket", "Connection: Upgrade", "X-Odd: a\u{1}b\u{7F}"]
        ),
    ]

    @Test func `a 101 opens the tunnel whatever else it says`() throws {
        for (name, lines) in Self.opening {
            let backend = try ManualBackend()
            let proxy = try ProxyFixture(to: backend.address)
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            let upstream = try backend.next()
            _ = try upstream.readHead()
            let text = (["HTTP/1.1 101 Switching Protocols", Self.accept] + lines)
                .joined(separator: "\r\n")
            try upstream.send(Array((text + "\r\n\r\n").utf8) + Frame.text("at once").bytes)
            let head = try client.readHead()
            guard head.status == 101 else {
                Issue.record("\(name): \(head)")
                continue
            }
            #expect(head.all("Upgrade") == ["websocket"], "\(name)")
            #expect(head.all("Connection") == ["Upgrade"], "\(name)")
            #expect(head.all("Content-Length").isEmpty, "\(name)")
            #expect(head.all("Transfer-Encoding").isEmpty, "\(name)")
            #expect(head.all("X-Odd") == (name == "control characters" ? ["a\u{1}b\u{7F}"] : []))
            #expect(head.fields.allSatisfy { !$0.name.contains(" ") && !$0.name.contains("\t") })
            #expect(try client.readFrame().text == "at once", "\(name)")
            try client.send(Frame.text(name).masked())
            #expect(try upstream.readFrame().text == name)
        }
    }

    @Test func `an interim answer ends at its empty line whatever its fields say`() throws {
        let fields = [
            "Content-Length: 5", "Content-Length: x", "Transfer-Encoding: chunked",
            "Transfer-Encoding: gzip\r\nContent-Length: 3",
            "Content-Length: 1\r\nContent-Length: 2",
        ]
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for status in [100, 102, 103] {
            for field in fields {
                let interim = "HTTP/1.1 \(status) Soon\r\n\(field)\r\nLink: </a>\r\n\r\n"
                let client = try proxy.connect()
                try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
                let upstream = try backend.next()
                _ = try upstream.readHead()
                try upstream.send(interim + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                let head = try client.readHead()
                #expect(head.status == status, "\(field): \(head)")
                #expect(head["Content-Length"] == nil && head["Transfer-Encoding"] == nil)
                #expect(head["Link"] == "</a>")
                #expect(try client.readResponse().text == "ok", "\(field)")
                // Who speaks so of a body may send one: nothing else is read there.
                #expect(try upstream.expectEnd() == .orderly)
                let other = try proxy.connect()
                try other.send(Opening().bytes)
                let second = try backend.next()
                let key = try second.readHead()["Sec-WebSocket-Key"] ?? ""
                try second.send(Array(interim.utf8) + WebSocketPeer.switching(key: key))
                #expect(try other.readHead().status == 101, "\(field)")
            }
        }
    }

    /// RFC 9112 §6.3, the first rule: no body, whatever the fields say.
    static let bodiless: [(method: String, answer: String, isKept: Bool)] = [
        ("GET", "204 No Content\r\nContent-Length: 5", false),
        ("GET", "204 No Content\r\nTransfer-Encoding: gzip", false),
        ("GET", "204 No Content\r\nContent-Length: 0", true),
        ("GET", "304 Not Modified\r\nContent-Length: 5", true),
        ("GET", "304 Not Modified\r\nTransfer-Encoding: chunked", true),
        ("GET", "304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 6", false),
        ("HEAD", "200 OK\r\nContent-Length: 5", true),
        ("HEAD", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", false),
        ("HEAD", "200 OK\r\nContent-Length: five", false),
    ]

    @Test func `204, 304 and answers to HEAD end at their empty line`() throws {
        for (method, answer, isKept) in Self.bodiless {
            let backend = try ManualBackend()
            let proxy = try ProxyFixture(to: backend.address, workers: 1)
            let client = try proxy.connect()
            try client.send("\(method) /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
            var upstream = try backend.next()
            _ = try upstream.readHead()
            try upstream.send("HTTP/1.1 \(answer)\r\n\r\n")
            let head = try client.readHead()
            #expect("\(head.status)" == answer.prefix(3), "\(answer): \(head)")
            let isLength = method == "HEAD" && isKept
            #expect(head["Content-Length"] == (isLength ? "5" : nil), "\(answer)")
            try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if !isKept {
                #expect(try upstream.expectEnd() == .orderly, "\(answer)")
                upstream = try backend.next()
            }
            _ = try upstream.readHead()
            try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            #expect(try client.readResponse().text == "ok", "\(answer)")
        }
    }

    @Test func `interim answers without end do not keep a reactor from its work`() throws {
        let heads = String(repeating: "HTTP/1.1 102 Soon\r\n\r\n", count: 10_000)
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            while true { try peer.send(heads) }
        }
        let proxy = try ProxyFixture(to: backend.address, workers: 1)
        let client = try proxy.connect()
        let refusal = try client.refusal(of: Opening())
        #expect(refusal.text.contains("interim"), "\(refusal.text)")
        try expectRefusal(refusal, 502, on: client)
    }

    // MARK: Subprotocols (RFC 6455 §4.2.2)

    /// What was offered, what the app grants, and what the client gets.
    static let grants: [(offered: String, granted: [String], gets: [String])] = [
        ("chat, other", ["chat"], ["chat"]), ("chat", ["Chat"], []), ("chat", ["other"], []),
        ("chat", [""], []), ("", ["chat"], []), ("", [""], []), ("chat", ["chat", "chat"], []),
        ("a, chat", ["a, chat"], []),
    ]

    @Test func `a subprotocol that may not be granted is left out, and said once`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for (offered, granted, gets) in Self.grants + Self.grants {
            let opening = Opening(
                extra: offered.isEmpty ? [] : [("Sec-WebSocket-Protocol", offered)])
            let ends = try proxy.relay(
                to: backend, opening, extra: granted.map { ("Sec-WebSocket-Protocol", $0) })
            #expect(ends.response.all("Sec-WebSocket-Protocol") == gets, "\(offered) \(granted)")
            try ends.exchange("open")
        }
        try proxy.process.waitForLine(containing: "grants a subprotocol")
        let said = (proxy.process.output + proxy.process.errors).filter {
            $0.contains("grants a subprotocol")
        }
        #expect(said.count == 1, "\(said)")
        #expect(said[0].contains("'Chat'") && said[0].contains("\(backend.address)"), "\(said)")
    }

    @Test func `a strict client fails without the subprotocol it wants, a lenient one does not`()
        throws
    {
        let backend = try echoing("Sec-WebSocket-Protocol: Chat")
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        #expect(
            try strictly(proxy.url(), authority, "chat") == ["error: Server sent no subprotocol"])
        #expect(try strictly(proxy.url(), authority) == ["open '' hello"])
        let said = try PythonPeer.run("subprotocol_client.py", [proxy.url(), authority, "chat"])
        #expect(said == ["open None hello"])
    }

    @Test func `an empty list of extensions is left out of the 101`() throws {
        for lines in ["Sec-WebSocket-Extensions:", "Sec-WebSocket-Extensions: ,"] {
            let backend = try echoing(lines)
            let proxy = try ProxyFixture(to: backend.address)
            let authority = try TestCertificates.shared().authority
            #expect(try strictly(proxy.url(), authority) == ["open '' hello"])
        }
    }

    /// What Node's ws says of the socket.
    private func strictly(
        _ url: String, _ authority: String, _ subprotocols: String...
    ) throws -> [String] {
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/ws_client.js"
        return try run(
            ["node", script, url, authority] + subprotocols,
            environment: ["NODE_PATH": "/usr/share/nodejs"], by: .after(.seconds(60)))
    }

    // MARK: Ordinary answers

    @Test func `Python's http.client gets an odd answer in an even form`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 799 Odd \u{1}\r\nX-Spaced \t : a b\r\nX-Bell: \u{7}x\u{1B}[0m\u{7F}\r\n"
                + "Content-Length : 2\r\n\r\nok")
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        let url = "https://localhost:\(proxy.port())/Esv/ocp"
        let said = try PythonPeer.run("http_fields.py", [url, authority])
        #expect(said.first == "799 Odd \u{1}", "\(said)")
        #expect(said.contains("X-Spaced='a b'") && said.contains("Content-Length='2'"), "\(said)")
        #expect(said.contains("X-Bell='\\x07x\\x1b[0m\\x7f'") && said.last == "body ok", "\(said)")
    }

    @Test func `every status from 100 to 999 passes, to plain requests and to upgrades`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for status in [200, 299, 418, 599, 600, 700, 999] {
            for request in [
                Array("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), Opening().bytes,
            ] {
                let client = try proxy.connect()
                try client.send(request)
                let upstream = try backend.next()
                _ = try upstream.readHead()
                try upstream.send(
                    "HTTP/1.1 \(status) X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                let response = try client.readResponse()
                #expect(response.status == status && response.text == "ok", "\(status)")
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a WebSocket within HTTP/2 opens by RFC 8441 and RFC 6455 at once: a handshake of ours, proven before
// anything is said, and refusals that stop nobody.
// Method: the client's frames by hand, backends that record or decide; the known faults of other proxies.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2OpeningTests {
    private let authority: String

    init() throws { authority = try TestCertificates.shared().authority }

    private func proxy(_ backend: PeerAddress, settings: [String] = []) throws -> ProxyFixture {
        try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"\(backend)\" }"], listeners: [.http2()],
            settings: settings)
    }

    private func arguments(_ proxy: ProxyFixture, _ task: String, _ more: [String] = []) -> [String]
    {
        ["\(proxy.port())", authority, task] + more
    }

    /// Each socket has a key of its own, the client's goes nowhere, and no field of HTTP/2 is passed on.
    @Test func `the upstream gets an opening handshake with a key of ours`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept(extra: [
                ("Sec-WebSocket-Protocol", "chat.v2"), ("X-App", "yes"), ("X-Hop", "no"),
                ("Connection", "x-hop"), ("Keep-Alive", "timeout=5"),
            ])
            try peer.echo()
        }
        let proxy = try proxy(backend.address)
        let said = try PythonPeer.run("h2_faults.py", arguments(proxy, "handshake"))
        #expect(said == ["opened 4"])
        try backend.waitForScripts(4)
        var keys: Set<String> = []
        for index in 0..<4 {
            let bytes = backend.received(index)
            let end = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8)))
            let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                .components(separatedBy: "\r\n")
            #expect(lines[0] == "GET /chat?a=b HTTP/1.1")
            func values(_ name: String) -> [String] {
                lines.dropFirst().filter { $0.lowercased().hasPrefix("\(name):") }
                    .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
            }
            let key = try #require(values("sec-websocket-key").first)
            keys.insert(key)
            #expect(Data(base64Encoded: key)?.count == 16, "\(lines)")
            for name in ["sec-websocket-key", "host", "upgrade", "sec-websocket-version"] {
                #expect(values(name).count == 1, "\(name): \(lines)")
            }
            #expect(values("upgrade") == ["websocket"] && values("sec-websocket-version") == ["13"])
            #expect(values("connection").map { $0.lowercased() } == ["upgrade"])
            #expect(values("sec-websocket-protocol") == ["chat.v2, chat.v1"])
            #expect(values("cookie") == ["a=1; b=2"] && values("user-agent") == ["a client"])
            for name in ["te", "content-length", "transfer-encoding", "http2-settings", ""] {
                #expect(values(name).isEmpty, "\(name): \(lines)")
            }
        }
        #expect(keys.count == 4 && !keys.contains("bm90IGZvciBIVFRQLzIhIQ=="))
        let lines = try proxy.process.waitForLine(containing: "reason=close", count: 4)
        #expect(lines.allSatisfy { $0.contains(" protocol=h2 ") && $0.contains("close=1000") })
    }

    @Test func `nothing is answered and nothing goes up before the upstream's 101`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend.address)
        let client = try PythonPeer.start("h2_faults.py", arguments(proxy, "early"))
        let upstream = try backend.next(by: .after(.seconds(120)))
        let request = try upstream.readHead()
        // The proxy has taken the message and answered a PING behind it.
        try client.waitForLine(containing: "sent")
        #expect(try !upstream.stream.hasInput(by: .after(.milliseconds(100))))
        let key = try #require(request["Sec-WebSocket-Key"])
        try upstream.send(WebSocketPeer.switching(key: key))
        let message = try upstream.readFrame()
        #expect(message.text == "too early?")
        try upstream.send(Frame.text(message.text))
        try client.waitForLine(containing: "answered too early?")
        #expect(try client.waitForExit() == 0)
    }

    private static let answers: [String: String] = [
        "/401": "401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nwho",
        "/302": "302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        "/503":
            "503 Service Unavailable\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "5\r\nlater\r\n0\r\n\r\n",
        "/200": "200 OK\r\nX-App: page\r\nConnection: close\r\n\r\nno socket here",
        "/426": "426 Upgrade Required\r\nUpgrade: other\r\nConnection: upgrade, close\r\n\r\nno",
        "/accept":
            "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n",
        "/nothing": "",
    ]

    @Test func `what an upstream answers instead of a 101 comes with its status and body`() throws {
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            if let answer = Self.answers[head.target] {
                if !answer.isEmpty { try peer.send("HTTP/1.1 " + answer) }
                try peer.stream.halfClose()
                _ = try peer.readUntilEnd()
            } else {
                try peer.send(WebSocketPeer.switching(key: head["Sec-WebSocket-Key"] ?? ""))
                try peer.echo()
            }
        }
        let proxy = try proxy(backend.address)
        let paths = ["/401", "/302", "/503", "/200", "/426", "/accept", "/nothing"]
        let said = try PythonPeer.run("h2_faults.py", arguments(proxy, "refused", paths))
        try #require(said.count == 8, "\(said)")
        #expect(said[0] == "/401 401 www-authenticate=Basic who")
        #expect(said[1] == "/302 302 location=/login ")
        #expect(said[2] == "/503 503 retry-after=7 later")
        // Any 2xx would open the client's socket, and its page would be read as frames.
        #expect(said[3].hasPrefix("/200 502 The upstream answered 200 to a request"), "\(said)")
        #expect(said[4] == "/426 426 no")
        #expect(said[5].hasPrefix("/accept 502 ") && said[6].hasPrefix("/nothing 502 "))
        #expect(said[7] == "echoed")
        // Whatever was refused had nothing sent to it behind its head.
        for index in 0..<7 {
            let end = backend.received(index).firstRange(of: Array("\r\n\r\n".utf8))
            #expect(end?.upperBound == backend.received(index).count)
        }
        let lines = try proxy.process.waitForLines("lines of refusals", count: 7) {
            $0.contains(" protocol=h2 ") && !$0.contains(" opened ") && !$0.contains("reason=close")
        }
        for (line, path) in zip(lines, paths) { #expect(line.contains(path), "\(line)") }
    }

    @Test(arguments: ["ends", "resets", "leaves"], ["/refused", "/nowhere"])
    func `sockets that are refused in a row do not hang the next one`(way: String, path: String)
        throws
    {
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            if head.target == "/refused" {
                try peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                _ = try peer.readUntilEnd()
            } else {
                try peer.send(WebSocketPeer.switching(key: head["Sec-WebSocket-Key"] ?? ""))
                try peer.echo()
            }
        }
        let proxy = try ProxyFixture(
            routes: ["/", "/refused"].map { "{ path: \($0), to: \"\(backend.address)\" }" },
            listeners: [.http2()])
        // More than the streams that may be open at a time, were one of them left behind.
        let said = try PythonPeer.run(
            "h2_faults.py", arguments(proxy, "refusals", ["150", way, path]))
        #expect(said == ["echoed behind 150"])
        #expect(backend.connectionCount == (path == "/refused" ? 151 : 1))
    }
}

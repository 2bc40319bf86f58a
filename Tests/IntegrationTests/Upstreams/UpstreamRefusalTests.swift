// SPDX-License-Identifier: Apache-2.0
//
// Goal: an upstream that is not there, or does not speak WebSocket, opens no tunnel; the client
// learns by 502 or 504 what is wrong (DESIGN §2, 2).
// Method: one misbehaving backend per case.

import TestKit
import Testing

@Suite struct UpstreamRefusalTests {
    private func expectRefused(
        by upstream: PeerAddress, _ status: Int, settings: [String] = [], comment: String = ""
    ) throws {
        let proxy = try ProxyFixture(to: upstream, settings: settings)
        let client = try proxy.connect()
        let response = try client.refusal(of: Opening())
        if response.status != status { Issue.record("in the case '\(comment)'") }
        try expectRefusal(response, status, on: client)
    }

    @Test func `an upstream that refuses connections gives 502`() throws {
        try expectRefused(by: try .refusing(), 502)
    }

    @Test func `a socket file that is not there gives 502`() throws {
        try expectRefused(by: .unix("\(try Scratch.makeFolder())/nobody.sock"), 502)
    }

    private static let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    private static let upgrade = "Upgrade: websocket\r\n"
    private static let connection = "Connection: Upgrade\r\n"
    private static let status = "HTTP/1.1 101 Switching Protocols\r\n"

    private static let wrongAnswers: [(name: String, answer: String)] = [
        ("no Accept", "\(status)\(upgrade)\(connection)\r\n"),
        (
            "a wrong Accept",
            "\(status)\(upgrade)\(connection)Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        ),
        ("two Accepts", "\(status)\(upgrade)\(connection)\(accept)\(accept)\r\n"),
        ("no Upgrade", "\(status)\(connection)\(accept)\r\n"),
        ("another protocol", "\(status)Upgrade: h2c\r\n\(connection)\(accept)\r\n"),
        ("no Connection", "\(status)\(upgrade)\(accept)\r\n"),
        (
            "an extension nobody offered",
            "\(status)\(upgrade)\(connection)\(accept)Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        ),
        ("garbage", "\u{16}\u{3}\u{1}garbage that is no HTTP\r\n\r\n"),
        ("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a folded head", "\(status)\(upgrade) folded\r\n\(connection)\(accept)\r\n"),
        ("nothing", ""),
        ("half a head", "HTTP/1.1 101 Swit"),
        ("a head without end", status + String(repeating: "X: y\r\n", count: 10_000)),
    ]

    @Test func `a wrong answer gives 502`() throws {
        for (name, answer) in Self.wrongAnswers {
            let backend = try ScriptedBackend.answering(answer)
            try expectRefused(by: backend.address, 502, comment: name)
        }
    }

    @Test func `an upstream that resets before it answers gives 502`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            peer.stream.reset()
        }
        try expectRefused(by: backend.address, 502)
    }

    @Test func `an upstream that never answers gives 504`() throws {
        let backend = try ScriptedBackend.silent()
        try expectRefused(by: backend.address, 504, settings: ["timeouts: { upgrade: 300ms }"])
    }

    @Test func `an upstream that can't be reached gives 504`() throws {
        let backend = try UnreachableBackend()
        try expectRefused(by: backend.address, 504, settings: ["timeouts: { connect: 300ms }"])
        withExtendedLifetime(backend) {}
    }

    @Test func `a wrong 101 lets no bytes through in either direction`() throws {
        let backend = try ScriptedBackend.answering(
            Self.status + Self.upgrade + Self.connection + "\r\n" + "\u{1}\u{5}hello")
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes + Frame.text("early").masked().bytes)
        try expectRefusal(try client.readResponse(), 502, on: client)
        #expect(backend.received().suffix(4) == Array("\r\n\r\n".utf8)[...])
    }

    @Test func `an interim response before the 101 is passed over`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        let key = try #require(try upstream.readHead()["Sec-WebSocket-Key"])
        try upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        try upstream.send(WebSocketPeer.switching(key: key))
        var head = try client.readHead()
        if head.status == 103 { head = try client.readHead() }
        #expect(head.status == 101)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: bytes that arrive glued to a head belong to the stream and are neither lost nor let through
// too soon (DESIGN §2, 1 and 2).
// Method: frames in the same write as the request and as the 101.

import TestKit
import Testing

@Suite struct EarlyBytesTests {
    @Test func `frames behind the request wait for the 101 and then reach the upstream`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        let early = Frame.text("too early?").masked()
        try client.send(Opening().bytes + early.bytes)

        let upstream = try backend.next()
        let request = try upstream.readHead()
        // The upstream must not see a byte of the stream before it has agreed to it.
        #expect(upstream.stream.buffered.isEmpty)
        #expect(throws: PeerError.self) { try upstream.read(1, by: .after(.milliseconds(300))) }

        let key = try #require(request["Sec-WebSocket-Key"])
        try upstream.send(WebSocketPeer.switching(key: key))
        #expect(try upstream.readFrame() == early)
        #expect(try client.readHead().status == 101)
    }

    @Test func `frames behind the 101 reach the client`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let frames = [Frame.text("welcome"), Frame.ping("?"), Frame.binary([1, 2, 3])]
        try backend.next().accept(early: frames.flatMap(\.bytes))
        #expect(try client.readHead().status == 101)
        for frame in frames { #expect(try client.readFrame() == frame) }
    }

    @Test func `half a frame behind each head is completed later`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        let (up, down) = (Frame.text("client's half").masked(), Frame.text("upstream's half"))
        try client.send(Opening().bytes + up.bytes[..<3])
        let upstream = try backend.next()
        try upstream.accept(early: Array(down.bytes[..<1]))
        #expect(try client.readHead().status == 101)
        try client.send(Array(up.bytes[3...]))
        try upstream.send(Array(down.bytes[1...]))
        #expect(try upstream.readFrame() == up)
        #expect(try client.readFrame() == down)
    }

    @Test func `a client that has said all before the 101 is heard`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        let early = Frame.text("only this").masked()
        try client.send(Opening().bytes + early.bytes)
        try client.stream.halfClose()
        let upstream = try backend.next()
        try upstream.accept()
        #expect(try upstream.readFrame() == early)
        #expect(try upstream.readFrame().closeCode == 1001)
    }

    @Test func `a client that is gone before the 101 does not keep the upstream`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, settings: ["timeouts: { upgrade: 600s }"])
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        _ = try upstream.readHead()
        client.stream.reset()
        _ = try upstream.expectEnd()
    }

    @Test func `early bytes without end are bounded`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, settings: ["timeouts: { upgrade: 60s }"])
        let client = try proxy.connect()
        client.stream.stopsReading = true
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        _ = try upstream.readHead()
        // Without a 101 the program may hold a bounded part of this; the rest stays with us.
        let piece = Frame.binary([UInt8](repeating: 1, count: 16_000)).masked([0, 0, 0, 0]).bytes
        let before = try residentKilobytes(of: proxy)
        var offered = 0
        while offered < 64 << 20, try client.stream.offer(piece) { offered += piece.count }
        #expect(offered < 64 << 20)
        #expect(try residentKilobytes(of: proxy) - before < 4096)
    }

    @Test func `a refused upgrade lets no early byte through`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes + Frame.text("smuggled").masked().bytes)
        #expect(try client.readResponse().status == 404)
        _ = try client.readUntilEnd()
        let seen = String(decoding: backend.received(), as: UTF8.self)
        #expect(seen.hasSuffix("\r\n\r\n"))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a peer that writes one byte at a time is served like any other.
// Method: handshake and frames go out byte by byte, each byte its own segment and TLS record.

import TestKit
import Testing

@Suite struct TinyWritesTests {
    @Test func `a client may write everything byte by byte`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        let opening = Opening().bytes
        try client.send(opening, splitAt: Array(1..<opening.count))
        let upstream = try backend.next()
        try upstream.accept()
        #expect(try client.readHead().status == 101)

        let message = Frame.text(String(repeating: "tiny writes ", count: 50)).masked()
        try client.send(message.bytes, splitAt: Array(1..<message.bytes.count))
        #expect(try upstream.readFrame() == message)
    }

    @Test func `an upstream may write everything byte by byte`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        let key = try #require(try upstream.readHead()["Sec-WebSocket-Key"])
        let message = Frame.text(String(repeating: "tiny writes ", count: 50))
        let bytes = WebSocketPeer.switching(key: key) + message.bytes
        try upstream.send(bytes, splitAt: Array(1..<bytes.count))
        #expect(try client.readHead().status == 101)
        #expect(try client.readFrame() == message)
    }

    @Test func `many small frames in one write arrive in order`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let ends = try proxy.relay(to: backend)
        let toUpstream = (0..<5000).flatMap { Frame.text("\($0)").masked().bytes }
        let toClient = (0..<5000).flatMap { Frame.text("\($0)").bytes }
        try ends.client.send(toUpstream)
        #expect(try ends.upstream.read(toUpstream.count) == toUpstream)
        try ends.upstream.send(toClient)
        #expect(try ends.client.read(toClient.count) == toClient)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: who loses a peer that held its sender back does not take the time of the others: what the
// sender still has is read within a bound, and it is told.
// Method: the test sends as long as somebody takes it, a gigabyte at most, and counts; what the
// sockets between hold is allowed for.

import Glibc
import TestKit
import Testing

@Suite struct LostPeerTests {
    private static let piece = [UInt8](repeating: 0, count: 256 * 1024)
    private static let settings = ["timeouts: { closing: 30s, linger: 1s }"]

    /// Sends until nobody takes more for a moment, or the connection breaks.
    ///
    /// - Returns: how many bytes were taken.
    private static func pour(
        into peer: WebSocketPeer, most: Int = 1 << 30, patience: Duration
    ) throws -> Int {
        peer.stream.stopsReading = true
        var sent = 0
        while sent < most {
            do {
                if try !peer.stream.offer(piece, patience: patience) { break }
            } catch { break }
            sent += piece.count
        }
        return sent
    }

    /// The header of a frame of a gigabyte.
    private static func header(isMasked: Bool) -> [UInt8] {
        [0x82, isMasked ? 0xFF : 127, 0, 0, 0, 0, 0x40, 0, 0, 0] + (isMasked ? [0, 0, 0, 0] : [])
    }

    @Test func `an upstream that streams to a stalled client that resets`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, settings: Self.settings)
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16 * 1024)
        try ends.upstream.send(Self.header(isMasked: false))
        _ = try Self.pour(into: ends.upstream, patience: .milliseconds(300))
        ends.client.stream.reset()
        // Longer than the time after which it is cut.
        let sent = try Self.pour(into: ends.upstream, patience: .seconds(20))
        #expect(sent < 32 << 20, "\(sent)")
        ends.upstream.stream.stopsReading = false
        let line = try proxy.process.waitForLine(containing: "reason=vanished")
        #expect(line.contains { $0.contains("by=client") })
    }

    @Test func `such an upstream is told 1001 and sees the end of the stream`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, settings: Self.settings)
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16 * 1024)
        try ends.upstream.send(Self.header(isMasked: false))
        _ = try Self.pour(into: ends.upstream, patience: .milliseconds(300))
        ends.client.stream.reset()
        #expect(try ends.upstream.readFrame().closeCode == 1001)
    }

    @Test func `a client that streams to a stalled upstream that resets`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.plain], settings: Self.settings)
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16 * 1024)
        try ends.client.send(Self.header(isMasked: true))
        _ = try Self.pour(into: ends.client, patience: .milliseconds(300))
        ends.upstream.stream.reset()
        let sent = try Self.pour(into: ends.client, patience: .seconds(20))
        #expect(sent < 32 << 20, "\(sent)")
        let line = try proxy.process.waitForLine(containing: "reason=vanished")
        #expect(line.contains { $0.contains("by=upstream") })
    }

    @Test func `an upstream that streams an answer to a client that resets`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, settings: Self.settings)
        let client = try proxy.connect(receiveBufferBytes: 16 * 1024)
        try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        _ = try Self.pour(into: upstream, patience: .milliseconds(300))
        client.stream.reset()
        let sent = try Self.pour(into: upstream, patience: .seconds(20))
        #expect(sent < 32 << 20, "\(sent)")
    }

    @Test func `a client that streams the body of a request that was refused`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.plain], settings: Self.settings)
        let client = try proxy.connect()
        let length = "Content-Length: 1073741824"
        try client.send("POST /nowhere HTTP/1.1\r\nHost: localhost\r\n\(length)\r\n\r\n")
        let sent = try Self.pour(into: client, patience: .seconds(20))
        #expect(sent >= 16 << 20, "\(sent): a client may send its body before it reads")
        #expect(sent < 48 << 20, "\(sent)")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: where a frame is cut into segments makes no difference, in either direction.
// Method: a sequence of frames with each length form is sent in two pieces, cut at every byte of it.
// The second piece goes out once a round trip on another relay shows that the one worker has turned
// since it took the first, so the program sees both pieces apart, without sleeping.

import TestKit
import Testing

@Suite struct SplitFrameTests {
    /// A second relay on the proxy's only worker: when its echo is back, the worker has handled
    /// whatever had arrived before.
    private struct Pacemaker {
        let client: WebSocketPeer

        func waitForTurn() throws {
            try client.send(Frame.ping("turn").masked())
            _ = try client.readFrame()
        }
    }

    private static let frames: [Frame] = [
        .text("a"),
        Frame(opcode: 2, payload: [UInt8](repeating: 7, count: 126), isFinal: false),
        .ping("between fragments"),
        Frame(opcode: 0, payload: []),
        .binary([]),
        .pong(),
    ]

    private func withRelay(_ body: (RelayEnds, Pacemaker) throws -> Void) throws {
        let (backend, echo) = (try ManualBackend(), try ScriptedBackend.echo())
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
                "{ path: /echo, to: \"\(echo.address)\" }",
            ], workers: 1)
        let pacemaker = Pacemaker(client: try proxy.open(Opening("/echo")))
        try body(try proxy.relay(to: backend), pacemaker)
    }

    @Test func `a client's frames may be cut at every byte`() throws {
        let bytes = Self.frames.flatMap { $0.masked().bytes }
        try withRelay { ends, pacemaker in
            for place in 1..<bytes.count {
                try ends.client.send(Array(bytes[..<place]))
                try pacemaker.waitForTurn()
                try ends.client.send(Array(bytes[place...]))
                #expect(try ends.upstream.read(bytes.count) == bytes, "cut at \(place)")
            }
        }
    }

    @Test func `an upstream's frames may be cut at every byte`() throws {
        let bytes = Self.frames.flatMap(\.bytes)
        try withRelay { ends, pacemaker in
            for place in 1..<bytes.count {
                try ends.upstream.send(Array(bytes[..<place]))
                try pacemaker.waitForTurn()
                try ends.upstream.send(Array(bytes[place...]))
                #expect(try ends.client.read(bytes.count) == bytes, "cut at \(place)")
            }
        }
    }

    @Test func `the header of a long frame may be cut at every byte`() throws {
        let payload = [UInt8](repeating: 0x5a, count: 65536)
        let (masked, plain) = (Frame.binary(payload).masked(), Frame.binary(payload))
        try withRelay { ends, pacemaker in
            for place in 1...14 {
                try ends.client.send(Array(masked.bytes[..<place]))
                try ends.upstream.send(Array(plain.bytes[..<place]))
                try pacemaker.waitForTurn()
                try ends.client.send(Array(masked.bytes[place...]))
                #expect(try ends.upstream.readFrame() == masked, "cut at \(place)")
                try ends.upstream.send(Array(plain.bytes[place...]))
                #expect(try ends.client.readFrame() == plain, "cut at \(place)")
            }
        }
    }

    @Test func `payload passes before its frame is complete`() throws {
        let frame = Frame.binary([UInt8](repeating: 9, count: 1000)).masked()
        try withRelay { ends, _ in
            try ends.client.send(Array(frame.bytes[..<500]))
            #expect(try ends.upstream.read(500) == Array(frame.bytes[..<500]))
            try ends.client.send(Array(frame.bytes[500...]))
            #expect(try ends.upstream.read(508) == Array(frame.bytes[500...]))
        }
    }
}

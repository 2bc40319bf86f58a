// SPDX-License-Identifier: Apache-2.0
//
// Goal: a frame that breaks RFC 6455 ends the relay and is not passed on: Close 1002 to the one who
// sent it; to the other 1001 if the client went wrong and 1014 if the upstream did (DESIGN §7).
// Method: a table of violations, sent behind a valid frame from either side; the codes are read at
// both ends, and the valid frame before them has arrived.

import TestKit
import Testing

@Suite struct FrameViolationTests {
    /// What is wrong, as frames a server would send; from a client the same frames are masked.
    static let violations: [(name: String, frames: [Frame])] = [
        ("RSV1 that nobody negotiated", [Frame(opcode: 1, payload: [1], reservedBits: 0x40)]),
        ("RSV2", [Frame(opcode: 1, payload: [1], reservedBits: 0x20)]),
        ("RSV3 on a control frame", [Frame(opcode: 9, reservedBits: 0x10)]),
        ("opcode 3", [Frame(opcode: 3)]),
        ("opcode 11", [Frame(opcode: 11)]),
        ("opcode 15", [Frame(opcode: 15, payload: [1])]),
        ("a Ping of 126 bytes", [Frame(opcode: 9, payload: [UInt8](repeating: 0, count: 126))]),
        ("a fragmented Ping", [Frame(opcode: 9, isFinal: false)]),
        ("a continuation of nothing", [Frame(opcode: 0, payload: [1])]),
        ("a Close of one byte", [Frame(opcode: 8, payload: [3])]),
        ("a Close with 999", [.close(999)]),
        ("a Close with 1005", [.close(1005)]),
        ("a Close with 1006", [.close(1006)]),
        ("a Close with 1015", [.close(1015)]),
        ("a Close with 5000", [.close(5000)]),
        ("a fragmented Close", [Frame(opcode: 8, payload: [3, 232], isFinal: false)]),
    ]

    /// Headers that no frame has: what the length says is wrong in itself.
    static let lengths: [(name: String, header: [UInt8])] = [
        ("16 bits for 125 bytes", [126, 0, 125]),
        ("64 bits for 65535 bytes", [127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ("the top bit of 64", [127, 0x80, 0, 0, 0, 0, 1, 0, 0]),
    ]

    static let clientBytes: [(name: String, bytes: [UInt8])] =
        violations.map { ($0.name, $0.frames.flatMap { $0.masked().bytes }) }
        + lengths.map {
            ($0.name, [0x82, $0.header[0] | 0x80] + $0.header.dropFirst() + [1, 2, 3, 4])
        }
        + [("an unmasked frame", Frame.text("bare").bytes)]

    static let upstreamBytes: [(name: String, bytes: [UInt8])] =
        violations.map { ($0.name, $0.frames.flatMap(\.bytes)) }
        + lengths.map { ($0.name, [0x82] + $0.header) }
        + [("a masked frame", Frame.text("disguised").masked().bytes)]

    @Test func `a client's violation closes both sides`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for (name, bytes) in Self.clientBytes {
            let ends = try proxy.relay(to: backend)
            let valid = Frame.text("valid").masked()
            try ends.client.send(valid.bytes + bytes)
            #expect(try ends.upstream.readFrame() == valid, "\(name)")
            let toUpstream = try ends.upstream.readFrame()
            #expect(toUpstream.closeCode == 1001, "\(name): \(toUpstream)")
            #expect(toUpstream.maskKey != nil, "\(name)")
            #expect(try ends.client.readFrame().closeCode == 1002, "\(name)")
            try ends.upstream.send(Frame.close(1001))
            try ends.client.send(Frame.close(1002).masked())
            #expect(try ends.client.expectEnd() == .orderly, "\(name)")
            _ = try ends.upstream.expectEnd()
        }
    }

    @Test func `an upstream's violation closes both sides`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        for (name, bytes) in Self.upstreamBytes {
            let ends = try proxy.relay(to: backend)
            try ends.upstream.send(Frame.text("valid").bytes + bytes)
            #expect(try ends.client.readFrame() == Frame.text("valid"), "\(name)")
            let toClient = try ends.client.readFrame()
            #expect(toClient.closeCode == 1014, "\(name): \(toClient)")
            #expect(toClient.maskKey == nil, "\(name)")
            let toUpstream = try ends.upstream.readFrame()
            #expect(toUpstream.closeCode == 1002, "\(name): \(toUpstream)")
            #expect(toUpstream.maskKey != nil, "\(name)")
            try ends.client.send(Frame.close(1014).masked())
            #expect(try ends.client.expectEnd() == .orderly, "\(name)")
            _ = try ends.upstream.expectEnd()
        }
    }

    @Test func `a message started inside another closes both sides`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let start = Frame(opcode: 1, payload: [65], isFinal: false)

        var ends = try proxy.relay(to: backend)
        try ends.client.send(start.masked().bytes + Frame.text("new").masked().bytes)
        #expect(try ends.upstream.readFrame() == start.masked())
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        #expect(try ends.client.readFrame().closeCode == 1002)

        ends = try proxy.relay(to: backend)
        try ends.upstream.send(start.bytes + Frame.binary([1]).bytes)
        #expect(try ends.client.readFrame() == start)
        #expect(try ends.client.readFrame().closeCode == 1014)
        #expect(try ends.upstream.readFrame().closeCode == 1002)
    }

    @Test func `nothing passes behind a Close`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let ends = try proxy.relay(to: backend)
        let close = Frame.close(1000, "bye").masked()
        try ends.client.send(close.bytes + Frame.text("one more thing").masked().bytes)
        #expect(try ends.upstream.readFrame() == close)
        try ends.upstream.send(Frame.close(1000))
        _ = try ends.upstream.expectEnd()
    }

    @Test func `a message beyond the route's limit is closed with 1009`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, options: "limits: { messageBytes: 1KiB }")
        let ends = try proxy.relay(to: backend)
        let fits = Frame.binary([UInt8](repeating: 1, count: 1024)).masked()
        try ends.client.send(fits)
        #expect(try ends.upstream.readFrame() == fits)
        try ends.client.send(Frame.binary([UInt8](repeating: 1, count: 1025)).masked())
        #expect(try ends.client.readFrame().closeCode == 1009)
        #expect(try ends.upstream.readFrame().closeCode == 1001)
    }

    @Test func `a compressed frame needs a granted extension`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let offer = Opening(extra: [("Sec-WebSocket-Extensions", "permessage-deflate")])
        let compressed = Frame(opcode: 1, payload: [0xca, 0x00], reservedBits: 0x40)

        let granted = try proxy.relay(
            to: backend, offer, extra: [("Sec-WebSocket-Extensions", "permessage-deflate")])
        try granted.client.send(compressed.masked())
        #expect(try granted.upstream.readFrame() == compressed.masked())
        try granted.upstream.send(compressed)
        #expect(try granted.client.readFrame() == compressed)

        let declined = try proxy.relay(to: backend, offer)
        try declined.client.send(compressed.masked())
        #expect(try declined.client.readFrame().closeCode == 1002)
        #expect(try declined.upstream.readFrame().closeCode == 1001)
    }
}

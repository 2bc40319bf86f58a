// SPDX-License-Identifier: Apache-2.0
//
// Goal: however a relay ends, both sides learn how: a Close passes as sent and its answer is waited
// for, a vanished peer is reported by 1014 or 1001, and no frame is ever fabricated inside another
// (DESIGN §2, 3 and §7 "Endings").
// Method: both ends of the relay are the test's.

import TestKit
import Testing

@Suite struct EndingTests {
    private func withRelay(settings: [String] = [], _ body: (RelayEnds) throws -> Void) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, settings: settings)
        try body(try proxy.relay(to: backend))
    }

    @Test(arguments: [1000, 1001, 1011, 3000, 4999])
    func `a client's Close and its answer pass as sent`(code: Int) throws {
        try withRelay { ends in
            let close = Frame.close(code, "that is enough").masked()
            try ends.client.send(close)
            #expect(try ends.upstream.readFrame() == close)
            try ends.upstream.send(Frame.close(code, "agreed"))
            try ends.upstream.stream.halfClose()
            #expect(try ends.client.readFrame() == Frame.close(code, "agreed"))
            #expect(try ends.client.expectEnd() == .orderly)
            #expect(try ends.upstream.expectEnd() == .orderly)
        }
    }

    @Test func `an upstream's Close and its answer pass as sent`() throws {
        try withRelay { ends in
            let close = Frame.close(4000, "restart")
            try ends.upstream.send(close)
            #expect(try ends.client.readFrame() == close)
            let answer = Frame.close(4000, "fine").masked()
            try ends.client.send(answer)
            #expect(try ends.upstream.readFrame() == answer)
            try ends.upstream.stream.halfClose()
            #expect(try ends.client.expectEnd() == .orderly)
            #expect(try ends.upstream.expectEnd() == .orderly)
        }
    }

    @Test func `an empty Close passes empty`() throws {
        try withRelay { ends in
            let close = Frame(opcode: 8).masked()
            try ends.client.send(close)
            #expect(try ends.upstream.readFrame() == close)
            try ends.upstream.send(Frame(opcode: 8))
            #expect(try ends.client.readFrame() == Frame(opcode: 8))
            #expect(try ends.client.expectEnd() == .orderly)
        }
    }

    @Test func `frames on their way arrive before the answer to a Close`() throws {
        try withRelay { ends in
            try ends.client.send(Frame.close(1000).masked())
            #expect(try ends.upstream.readFrame().closeCode == 1000)
            try ends.upstream.send(Frame.text("the rest").bytes + Frame.close(1000).bytes)
            #expect(try ends.client.readFrame() == Frame.text("the rest"))
            #expect(try ends.client.readFrame() == Frame.close(1000))
            #expect(try ends.client.expectEnd() == .orderly)
        }
    }

    @Test func `an upstream that vanishes between frames gives the client 1014`() throws {
        try withRelay { ends in
            try ends.upstream.send(Frame.text("last words"))
            try ends.upstream.stream.halfClose()
            #expect(try ends.client.readFrame() == Frame.text("last words"))
            #expect(try ends.client.readFrame().closeCode == 1014)
            try ends.client.send(Frame.close(1014).masked())
            #expect(try ends.client.expectEnd() == .orderly)
        }
    }

    @Test func `an upstream that resets between frames gives the client 1014`() throws {
        try withRelay { ends in
            try ends.upstream.send(Frame.text("last words"))
            #expect(try ends.client.readFrame() == Frame.text("last words"))
            ends.upstream.stream.reset()
            #expect(try ends.client.readFrame().closeCode == 1014)
            try ends.client.send(Frame.close(1014).masked())
            #expect(try ends.client.expectEnd() == .orderly)
        }
    }

    @Test(arguments: [1, 2, 500])
    func `an upstream that vanishes inside a frame cuts the client off`(
        place: Int
    ) throws {
        try withRelay { ends in
            let frame = Frame.binary([UInt8](repeating: 5, count: 1000))
            try ends.upstream.send(Frame.text("whole").bytes + frame.bytes[..<place])
            try ends.upstream.stream.halfClose()
            #expect(try ends.client.readFrame() == Frame.text("whole"))
            let (rest, _) = try ends.client.readUntilEnd()
            if place <= 2 {
                // Nothing of the frame has gone out, so this is still a border: a Close may come.
                #expect(rest.isEmpty || rest.starts(with: [0x88]), "\(rest)")
            } else {
                #expect(rest == Array(frame.bytes[..<place]))
            }
        }
    }

    @Test func `a client that vanishes between frames gives the upstream 1001`() throws {
        try withRelay { ends in
            let last = Frame.text("last words").masked()
            try ends.client.send(last)
            try ends.client.stream.halfClose()
            #expect(try ends.upstream.readFrame() == last)
            let close = try ends.upstream.readFrame()
            #expect(close.closeCode == 1001)
            #expect(close.maskKey != nil)
            try ends.upstream.send(Frame.close(1001))
            #expect(try ends.upstream.expectEnd() == .orderly)
        }
    }

    @Test func `a client that is cut without close_notify gives the upstream 1001`() throws {
        try withRelay { ends in
            try ends.client.stream.halfCloseRaw()
            #expect(try ends.upstream.readFrame().closeCode == 1001)
            try ends.upstream.send(Frame.close(1001))
            #expect(try ends.upstream.expectEnd() == .orderly)
        }
    }

    @Test func `a client that resets between frames gives the upstream 1001`() throws {
        try withRelay { ends in
            try ends.client.send(Frame.text("last words").masked())
            _ = try ends.upstream.readFrame()
            ends.client.stream.reset()
            #expect(try ends.upstream.readFrame().closeCode == 1001)
            try ends.upstream.send(Frame.close(1001))
            #expect(try ends.upstream.expectEnd() == .orderly)
        }
    }

    @Test func `a client that resets inside a frame cuts the upstream off`() throws {
        try withRelay { ends in
            let frame = Frame.binary([UInt8](repeating: 5, count: 1000)).masked()
            try ends.client.send(Array(frame.bytes[..<500]))
            #expect(try ends.upstream.read(500) == Array(frame.bytes[..<500]))
            ends.client.stream.reset()
            #expect(try ends.upstream.readUntilEnd().bytes.isEmpty)
        }
    }

    @Test func `frames from the upstream still reach a client that has half-closed`() throws {
        try withRelay { ends in
            try ends.client.send(Frame.text("question").masked())
            try ends.client.stream.halfClose()
            _ = try ends.upstream.readFrame()
            #expect(try ends.upstream.readFrame().closeCode == 1001)
            try ends.upstream.send(Frame.text("answer").bytes + Frame.close(1001).bytes)
            #expect(try ends.client.readFrame() == Frame.text("answer"))
            #expect(try ends.client.readFrame().closeCode == 1001)
            #expect(try ends.client.expectEnd() == .orderly)
        }
    }

    @Test func `an upstream that never answers a Close is cut`() throws {
        try withRelay(settings: ["timeouts: { closing: 300ms, linger: 300ms }"]) { ends in
            try ends.client.send(Frame.close(1000).masked())
            #expect(try ends.upstream.readFrame().closeCode == 1000)
            _ = try ends.upstream.expectEnd()
            // No answer came, so none may be made up.
            #expect(try ends.client.readUntilEnd().bytes.isEmpty)
        }
    }

    @Test func `a client that never answers a Close is cut`() throws {
        try withRelay(settings: ["timeouts: { closing: 300ms, linger: 300ms }"]) { ends in
            try ends.upstream.send(Frame.close(1000))
            #expect(try ends.client.readFrame().closeCode == 1000)
            _ = try ends.client.expectEnd()
            #expect(try ends.upstream.readUntilEnd().bytes.isEmpty)
        }
    }

    @Test func `an upstream that ends instead of answering a Close ends the relay`() throws {
        try withRelay(settings: ["timeouts: { closing: 60s }"]) { ends in
            try ends.client.send(Frame.close(1000).masked())
            #expect(try ends.upstream.readFrame().closeCode == 1000)
            try ends.upstream.stream.halfClose()
            // The client may be told that its peer is gone, by a whole frame or by the end alone.
            if let frame = try ends.client.readFrameOrEnd() {
                #expect(frame.closeCode == 1014 || frame.closeCode == 1000, "\(frame)")
            }
            #expect(try ends.client.expectEnd() == .orderly)
        }
    }

    @Test func `Closes that cross are each passed on`() throws {
        try withRelay { ends in
            try ends.client.send(Frame.close(1000, "mine").masked())
            try ends.upstream.send(Frame.close(1001, "mine"))
            #expect(try ends.upstream.readFrame() == Frame.close(1000, "mine").masked())
            #expect(try ends.client.readFrame() == Frame.close(1001, "mine"))
            #expect(try ends.client.expectEnd() == .orderly)
            #expect(try ends.upstream.expectEnd() == .orderly)
        }
    }

    @Test func `fresh masking keys differ`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        var keys = Set<[UInt8]>()
        for _ in 0..<4 {
            let ends = try proxy.relay(to: backend)
            try ends.client.stream.halfClose()
            keys.insert(try #require(try ends.upstream.readFrame().maskKey))
        }
        #expect(keys.count == 4)
    }
}

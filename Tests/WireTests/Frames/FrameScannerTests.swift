// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct FrameScannerTests {
    /// Every lawful kind of frame once, as a client sends it.
    static let clientStream: [UInt8] =
        FrameBytes(first: 0x81, payload: Array("hello".utf8)).bytes
        + FrameBytes(first: 0x82).bytes
        + FrameBytes(first: 0x01, payload: [1, 2, 3]).bytes
        + FrameBytes(first: 0x89, payload: Array("ping".utf8)).bytes
        + FrameBytes(first: 0x00).bytes
        + FrameBytes(first: 0x8A).bytes
        + FrameBytes(first: 0x80, payload: Array(repeating: 7, count: 126)).bytes
        + FrameBytes(first: 0x82, payload: Array(repeating: 9, count: 65536)).bytes
        + FrameBytes(first: 0x82, payload: [1]).bytes
        + FrameBytes.close(1000, reason: "bye")

    static func client(
        reservedBits: UInt8 = 0, messageBytesMax: UInt64 = .max
    ) -> ScannerCaller {
        ScannerCaller(
            FrameScanner(
                sender: .client, reservedBits: reservedBits, messageBytesMax: messageBytesMax))
    }

    static func server(reservedBits: UInt8 = 0) -> ScannerCaller {
        ScannerCaller(FrameScanner(sender: .server, reservedBits: reservedBits))
    }

    @Test func `a scanner is small and trivial to copy`() {
        #expect(MemoryLayout<FrameScanner>.size <= 88)
        #expect(_isPOD(FrameScanner.self))
    }

    @Test func `a stream in one piece goes on whole`() {
        var caller = Self.client()
        caller.feed(Self.clientStream)
        #expect(caller.violation == .none)
        #expect(caller.forwarded == Self.clientStream)
        #expect(caller.scanner.isCloseComplete)
        #expect(caller.scanner.closeCode == 1000)
        #expect(caller.scanner.frames == 10)
        #expect(caller.scanner.messages == 5)
        #expect(caller.scanner.payloadBytes == 5 + 3 + 126 + 65536 + 1)
    }

    @Test func `a stream split at any byte goes on whole`() {
        let stream = Self.clientStream
        let insideBigPayload = 300..<65_000
        for cut in 0...stream.count where !insideBigPayload.contains(cut) {
            var caller = Self.client()
            caller.feed(stream[..<cut])
            #expect(caller.tail.count <= FrameScanner.tailBytesMax)
            caller.feed(stream[cut...])
            #expect(caller.violation == .none)
            #expect(caller.forwarded == stream)
            #expect(caller.scanner.messages == 5)
        }
    }

    @Test func `a stream that comes byte by byte goes on whole`() {
        var caller = Self.client()
        for byte in Self.clientStream { caller.feed([byte]) }
        #expect(caller.violation == .none)
        #expect(caller.forwarded == Self.clientStream)
        #expect(caller.scanner.frames == 10)
    }

    @Test func `an incomplete header is held back`() {
        var caller = Self.client()
        let frame = FrameBytes(payload: Array(repeating: 1, count: 65536)).bytes
        for byte in frame.prefix(13) {
            caller.feed([byte])
            #expect(caller.forwarded.isEmpty)
            #expect(caller.scanner.isAtFrameBorder)
            #expect(caller.scanner.frames == 0)
        }
        caller.feed([frame[13]])
        #expect(caller.forwarded.count == 14)
        #expect(!caller.scanner.isAtFrameBorder)
    }

    @Test func `a frame border is where no payload is outstanding`() {
        var caller = Self.client()
        let frame = FrameBytes(payload: [1, 2, 3]).bytes
        caller.feed(frame.prefix(7))
        #expect(!caller.scanner.isAtFrameBorder)
        #expect(caller.scanner.messages == 0)
        #expect(caller.scanner.payloadBytes == 1)
        caller.feed(frame.dropFirst(7))
        #expect(caller.scanner.isAtFrameBorder)
        #expect(caller.scanner.messages == 1)
        #expect(caller.scanner.payloadBytes == 3)
    }

    @Test func `a ping between fragments counts no message`() {
        var caller = Self.server()
        caller.feed(FrameBytes(first: 0x01, payload: [1], isMasked: false).bytes)
        caller.feed(FrameBytes(first: 0x89, payload: [9, 9], isMasked: false).bytes.prefix(3))
        #expect(caller.scanner.payloadBytes == 1)
        #expect(caller.scanner.messages == 0)
        caller.feed([9])
        caller.feed(FrameBytes(first: 0x80, payload: [2], isMasked: false).bytes)
        #expect(caller.scanner.messages == 1)
        #expect(caller.scanner.payloadBytes == 2)
        #expect(caller.violation == .none)
    }

    @Test func `a Close waits for its code before it goes on`() {
        let close = FrameBytes.close(4001, reason: "later")
        for cut in 0..<8 {
            var caller = Self.client()
            caller.feed(close.prefix(cut))
            #expect(caller.forwarded.isEmpty)
            #expect(!caller.scanner.hasSeenClose)
            #expect(caller.scanner.closeCode == 0)
            caller.feed(close.dropFirst(cut).prefix(8 - cut))
            #expect(caller.scanner.hasSeenClose)
            #expect(!caller.scanner.isCloseComplete)
            #expect(caller.scanner.closeCode == 4001)
            caller.feed(close.dropFirst(8))
            #expect(caller.scanner.isCloseComplete)
        }
    }

    @Test func `a Close without a code stands for 1005`() {
        var caller = Self.server()
        caller.feed(FrameBytes.close(nil, isMasked: false))
        #expect(caller.scanner.isCloseComplete)
        #expect(caller.scanner.closeCode == 1005)
        #expect(caller.forwarded.count == 2)
    }

    @Test func `a Close may stand between the fragments of a message`() {
        var caller = Self.client()
        caller.feed(FrameBytes(first: 0x01, payload: [1]).bytes + FrameBytes.close(1001))
        #expect(caller.violation == .none)
        #expect(caller.scanner.isCloseComplete)
    }

    @Test(arguments: FrameBytes.behindClose)
    func `what stands behind a Close is neither judged nor passed nor counted`(rest: [UInt8]) {
        let close = FrameBytes.close(1000, reason: "bye")
        for cut in 0...rest.count {
            var caller = Self.client(messageBytesMax: 10)
            caller.feed(close + rest[..<cut])
            caller.feed(rest[cut...])
            #expect(caller.violation == .none, "RFC 6455 §1.4, §5.5.1")
            #expect(caller.forwarded == close)
            #expect(caller.scanner.isCloseComplete)
            #expect(caller.scanner.closeCode == 1000)
            #expect(caller.scanner.isAtFrameBorder)
            #expect(caller.scanner.frames == 1)
            #expect(caller.scanner.messages == 0 && caller.scanner.payloadBytes == 0)
        }
    }

    @Test func `bytes that go nowhere are judged and not counted`() {
        let stream = Self.clientStream
        let insideBigPayload = 300..<65_000
        // The frames before the cut pass, wherever it is; of those behind it the Close is found.
        for cut in 0...stream.count where !insideBigPayload.contains(cut) {
            var caller = Self.client()
            caller.feed(stream[..<cut])
            let before = caller.scanner
            let rest = Array(stream[cut...])
            for piece in [rest.prefix(rest.count / 2), rest.suffix(from: rest.count / 2)] {
                caller.feedUncounted(piece)
            }
            #expect(caller.scanner.isCloseComplete)
            #expect(caller.scanner.closeCode == 1000)
            #expect(caller.scanner.frames == before.frames)
            #expect(caller.scanner.messages == before.messages)
            #expect(caller.scanner.payloadBytes == before.payloadBytes)
        }
    }

    @Test func `bytes that go nowhere break rules all the same`() {
        var caller = Self.client()
        caller.feedUncounted([0x83, 0x80])
        #expect(caller.violation == .reservedOpcode)
    }

    @Test func `RSV1 is allowed on the first frame of a message if negotiated`() {
        var caller = Self.client(reservedBits: 0x40)
        caller.feed(FrameBytes(first: 0xC1, payload: [1]).bytes)
        caller.feed(FrameBytes(first: 0x42, payload: [1]).bytes)
        caller.feed(FrameBytes(first: 0x80, payload: [1]).bytes)
        #expect(caller.violation == .none)
        #expect(caller.scanner.messages == 2)
    }

    @Test func `an unknown extension may set any bit on any data frame`() {
        var caller = Self.client(reservedBits: 0x70)
        caller.feed(FrameBytes(first: 0x71, payload: [1]).bytes)
        caller.feed(FrameBytes(first: 0xD0, payload: [1]).bytes)
        #expect(caller.violation == .none)
        caller.feed(FrameBytes(first: 0xC9).bytes)
        #expect(caller.violation == .reservedBits)
    }

    @Test func `bits outside the RSV bits are never allowed by the handshake`() {
        var caller = Self.client(reservedBits: 0xFF)
        caller.feed(FrameBytes(first: 0x83, payload: [1]).bytes)
        #expect(caller.violation == .reservedOpcode)
    }

    @Test func `a message of exactly the limit passes in one frame or in several`() {
        for limit in [0, 10, 125, 126, 1000] {
            var caller = Self.client(messageBytesMax: UInt64(limit))
            caller.feed(FrameBytes(payload: Array(repeating: 1, count: limit)).bytes)
            caller.feed(FrameBytes(first: 0x01, payload: Array(repeating: 1, count: limit)).bytes)
            caller.feed(FrameBytes(first: 0x80).bytes)
            #expect(caller.violation == .none)
            #expect(caller.scanner.messages == 2)
        }
    }

    @Test func `the size of one message does not count against the next`() {
        var caller = Self.client(messageBytesMax: 10)
        for _ in 0..<5 {
            caller.feed(FrameBytes(first: 0x01, payload: Array(repeating: 1, count: 6)).bytes)
            caller.feed(FrameBytes(first: 0x80, payload: Array(repeating: 1, count: 4)).bytes)
        }
        #expect(caller.violation == .none)
    }

    @Test func `a frame of the largest length does not trap`() {
        var caller = Self.server()
        caller.feed([0x02, 127, 0x7F] + Array(repeating: 0xFF, count: 7) + [1, 2, 3])
        #expect(caller.violation == .none)
        #expect(caller.forwarded.count == 13)
        #expect(caller.scanner.payloadBytes == 3)
    }
}

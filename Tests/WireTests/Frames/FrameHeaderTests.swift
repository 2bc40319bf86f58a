// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct FrameHeaderTests {
    static let lengths: [UInt64] = [
        0, 1, 125, 126, 127, 65535, 65536, 1 << 32, UInt64(Int64.max), .max,
    ]

    private func decode(_ bytes: some Collection<UInt8>) -> (header: FrameHeader, length: Int)? {
        Array(bytes).withUnsafeBufferPointer { buffer in
            buffer.baseAddress.flatMap { FrameHeader.decode($0, count: buffer.count) }
        }
    }

    @Test(arguments: lengths, [nil, 0x0403_0201, 0, UInt32.max])
    func `what was encoded decodes to the same, and not before it is whole`(
        length: UInt64, key: UInt32?
    ) throws {
        for opcode: UInt8 in 0..<16 {
            let header = FrameHeader(
                opcodeBits: opcode, isFinal: opcode % 2 == 0, reservedBits: opcode << 4,
                payloadLength: length, maskKey: key)
            let bytes = header.encoded()
            #expect(bytes.count == header.byteCount)
            for cut in 1..<bytes.count { #expect(decode(bytes.prefix(cut)) == nil) }
            let decoded = try #require(decode(bytes + [1, 2, 3]))
            #expect(decoded.header == header)
            #expect(decoded.length == bytes.count)
        }
    }

    @Test func `a header stands on the wire as RFC 6455 draws it`() {
        let text = FrameHeader(opcode: .text, payloadLength: 5, maskKey: 0x3D21_FA37)
        #expect(text.encoded() == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D])
        let binary = FrameHeader(opcode: .binary, isFinal: false, payloadLength: 256)
        #expect(binary.encoded() == [0x02, 126, 1, 0])
        let long = FrameHeader(opcode: .binary, payloadLength: 65536)
        #expect(long.encoded() == [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
    }

    @Test func `a reserved opcode has bits and no name`() {
        let header = FrameHeader(opcodeBits: 3, payloadLength: 0)
        #expect(header.opcode == nil)
        #expect(header.opcodeBits == 3)
        #expect(FrameHeader(opcode: .ping, payloadLength: 0).opcode == .ping)
    }

    @Test func `control frames are those with an opcode from 8 on`() {
        let all: [Opcode] = [.continuation, .text, .binary, .close, .ping, .pong]
        #expect(all.map(\.isControl) == [false, false, false, true, true, true])
    }
}

@Suite struct ControlFrameTests {
    private static func written(
        _ body: (UnsafeMutablePointer<UInt8>) -> Int
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: ControlFrame.byteCountMax + 8)
        let count = bytes.withUnsafeMutableBufferPointer { $0.baseAddress.map(body) } ?? 0
        #expect(bytes[count...].allSatisfy { $0 == 0xEE })
        return Array(bytes.prefix(count))
    }

    @Test func `a Close carries its code and reason`() {
        let bytes = Self.written {
            ControlFrame.close(.goingAway, reason: "The proxy stops.", maskKey: nil, into: $0)
        }
        #expect(bytes == [0x88, 18, 0x03, 0xE9] + Array("The proxy stops.".utf8))
    }

    @Test func `a masked Close is what a client would send`() {
        let bytes = Self.written {
            ControlFrame.close(.normal, reason: "bye", maskKey: 0x3D21_FA37, into: $0)
        }
        #expect(bytes == FrameBytes.close(1000, reason: "bye"))
    }

    @Test func `a code that must not be sent gives an empty Close`() {
        for code in [CloseCode.noStatus, .abnormal, CloseCode(rawValue: 0)] {
            let bytes = Self.written {
                ControlFrame.close(code, reason: "never seen", maskKey: nil, into: $0)
            }
            #expect(bytes == [0x88, 0])
        }
    }

    @Test func `a long reason is cut between two characters`() {
        // 122 bytes, then a character of two bytes that does not fit any more.
        let bytes = Self.written {
            ControlFrame.close(
                .normal,
                reason: """
                    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaé and more
                    """, maskKey: 1, into: $0)
        }
        #expect(bytes.count == 6 + 2 + 122)
        #expect(bytes[1] == 0x80 | 124)
    }

    @Test func `the longest reason fills the largest frame`() {
        let bytes = Self.written {
            ControlFrame.close(
                .normal,
                reason: """
                    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                    """, maskKey: 1, into: $0)
        }
        #expect(bytes.count == ControlFrame.byteCountMax)
    }

    @Test func `a Ping carries eight bytes and a Pong what it was given`() {
        let ping = Self.written {
            ControlFrame.ping(payload: 0x0102_0304_0506_0708, maskKey: nil, into: $0)
        }
        #expect(ping == [0x89, 8, 1, 2, 3, 4, 5, 6, 7, 8])
        let masked = Self.written { ControlFrame.ping(payload: 0, maskKey: 0x0403_0201, into: $0) }
        #expect(masked == [0x89, 0x88, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4])
        let pong = Self.written { place in
            [UInt8]("abc".utf8).withUnsafeBufferPointer {
                ControlFrame.pong(payload: $0, maskKey: nil, into: place)
            }
        }
        #expect(pong == [0x8A, 3] + Array("abc".utf8))
    }

    @Test func `every frame written passes the scanner`() {
        for code: UInt16 in [1000, 1001, 1002, 1009, 1011, 1012, 1014] {
            var caller = FrameScannerTests.client()
            caller.feed(Self.written { ControlFrame.ping(payload: 1, maskKey: 99, into: $0) })
            caller.feed(
                Self.written {
                    ControlFrame.close(
                        CloseCode(rawValue: code), reason: "x", maskKey: 7, into: $0)
                })
            #expect(caller.violation == .none)
            #expect(caller.scanner.closeCode == code)
        }
    }
}

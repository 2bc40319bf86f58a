// SPDX-License-Identifier: Apache-2.0
import CZlib
import Testing

@testable import Tap

/// Compresses messages as a sender of permessage-deflate does (RFC 7692 §7.2.1).
final class Deflater {
    private let stream: UnsafeMutablePointer<z_stream>

    init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    func message(_ bytes: [UInt8]) -> [UInt8] {
        var input = bytes
        var output = [UInt8](repeating: 0, count: bytes.count * 2 + 256)
        let count = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = uInt(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = uInt(output.count)
                deflate(stream, Z_SYNC_FLUSH)
                return output.count - Int(stream.pointee.avail_out)
            }
        }
        return Array(output[..<(count - 4)])
    }

    func message(_ text: String) -> [UInt8] { message(Array(text.utf8)) }
}

@Suite struct InflaterTests {
    @Test func inflatesTheExamplesOfTheRFC() throws {
        // RFC 7692 §7.2.3.1 and §7.2.3.2: "Hello", and again with the window of the first.
        let inflater = Inflater()
        let first: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        let second: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
        for message in [first, second] {
            let made = try inflater.inflate(message, isFinal: true, keeping: 100)
            #expect(made.bytes == Array("Hello".utf8))
            #expect(made.count == 5)
        }
    }

    @Test func inflatesBlocksWithoutCompressionAndWithTheFinalBit() throws {
        // RFC 7692 §7.2.3.3 and §7.2.3.4.
        let inflater = Inflater()
        let stored: [UInt8] = [
            0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00,
        ]
        let final: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]
        let two: [UInt8] = [
            0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00,
        ]
        for message in [stored, final, two, final, stored] {
            let made = try inflater.inflate(message, isFinal: true, keeping: 100)
            #expect(made.bytes == Array("Hello".utf8))
        }
    }

    @Test func refusesWhatRefersToMessagesThatItHasNotSeen() throws {
        let deflater = Deflater()
        let first = deflater.message("the quick brown fox")
        let second = deflater.message("the quick brown fox")
        let late = Inflater()
        #expect(throws: Inflater.Fault.self) {
            try late.inflate(second, isFinal: true, keeping: 100)
        }
        #expect(!late.hasWindow)
        let whole = Inflater()
        _ = try whole.inflate(first, isFinal: true, keeping: 100)
        let made = try whole.inflate(second, isFinal: true, keeping: 100)
        #expect(made.bytes == Array("the quick brown fox".utf8))
    }

    @Test func beginsAgainWithAMessageThatRefersToNothing() throws {
        let deflater = Deflater()
        _ = deflater.message("a")
        let late = Inflater()
        // Bytes that the window does not have are sent as they are.
        let fresh = deflater.message("0123456789bcdefghijklm")
        let made = try late.inflate(fresh, isFinal: true, keeping: 100)
        #expect(made.bytes == Array("0123456789bcdefghijklm".utf8))
        let next = try late.inflate(
            deflater.message("0123456789bcdefghijklm"), isFinal: true, keeping: 100)
        #expect(next.bytes == Array("0123456789bcdefghijklm".utf8))
    }

    @Test func keepsTheFirstBytesAndCountsTheRest() throws {
        let deflater = Deflater()
        let bytes = [UInt8](repeating: 7, count: 1_000_000)
        let made = try Inflater().inflate(deflater.message(bytes), isFinal: true, keeping: 10)
        #expect(made.bytes == [UInt8](repeating: 7, count: 10))
        #expect(made.count == 1_000_000)
    }

    @Test func endsABombAndGoesOnBehindIt() throws {
        let inflater = Inflater()
        let deflater = Deflater()
        var bomb: [UInt8] = []
        let mebibyte = [UInt8](repeating: 0, count: 1 << 20)
        // Each is a message of its own to the sender; behind one another they are one to us.
        for _ in 0...(Inflater.bytesMax >> 20) {
            bomb += deflater.message(mebibyte) + [0, 0, 0xFF, 0xFF]
        }
        #expect(throws: Inflater.Fault.tooLong) {
            try inflater.inflate(bomb, isFinal: true, keeping: 10)
        }
        let made = try inflater.inflate(
            Deflater().message("after"), isFinal: true, keeping: 10)
        #expect(made.bytes == Array("after".utf8))
    }

    @Test func takesAMessageInPieces() throws {
        let message = Deflater().message("a message that is cut where nobody would cut it")
        let inflater = Inflater()
        var text: [UInt8] = []
        for (index, byte) in message.enumerated() {
            let made = try inflater.inflate(
                [byte], isFinal: index == message.count - 1, keeping: 100)
            text += made.bytes
        }
        #expect(text == Array("a message that is cut where nobody would cut it".utf8))
    }

    @Test func staysSaneUnderAnyBytes() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let inflater = Inflater()
            for _ in 0..<3 {
                let count = Int.random(in: 0...60, using: &random)
                let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                let made = try? inflater.inflate(
                    bytes, isFinal: Bool.random(using: &random), keeping: 1_000)
                #expect((made?.bytes.count ?? 0) <= 1_000)
            }
        }
    }
}

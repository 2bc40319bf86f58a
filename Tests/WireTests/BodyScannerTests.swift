// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct BodyScannerTests {
    /// Feeds pieces and says what passed, whether it ended and whether it broke.
    static func run(
        _ framing: BodyFraming, _ pieces: [ArraySlice<UInt8>]
    ) -> (passed: Int, isDone: Bool, isBroken: Bool) {
        var scanner = BodyScanner(framing)
        var passed = 0
        for piece in pieces {
            let outcome = Array(piece).withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { scanner.scan($0, count: buffer.count) }
            }
            guard let outcome else { continue }
            passed += outcome.consumed
            if outcome.isDone || outcome.isBroken {
                return (passed, outcome.isDone, outcome.isBroken)
            }
        }
        return (passed, false, false)
    }

    static let chunkedBodies = [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=\"d e\"\r\nhello\r\n00A\r\n0123456789\r\n000\r\n\r\n",
        "1\r\n\r\r\n2\r\n\r\n\r\n0;x\r\nA: b\r\nC:\t\u{E9}\r\n\r\n",
    ]

    @Test(arguments: chunkedBodies)
    func `a chunked body ends behind its last line wherever it is split`(body: String) {
        let bytes = Array(body.utf8)
        let behind = Array("HTTP/1.1".utf8)
        for cut in 0...bytes.count {
            let result = Self.run(.chunked, [bytes[..<cut], bytes[cut...] + behind])
            #expect(result == (bytes.count, true, false))
            if cut < bytes.count {
                #expect(Self.run(.chunked, [bytes[..<cut]]) == (cut, false, false))
            }
        }
        let single = bytes.indices.map { bytes[$0...$0] }
        #expect(Self.run(.chunked, single) == (bytes.count, true, false))
    }

    static let brokenBodies: [(String, Int)] = [
        ("x", 0), ("\r\n", 0), (" 5\r\n", 0), (";a\r\n", 0), ("-1\r\n", 0), ("0x5\r\n", 1),
        ("5 \r\n", 1), ("5\n", 1), ("5\rx", 2), ("5;a\n", 3), ("5;\u{0}", 2), ("5;a\r\r", 4),
        ("1234567890123456", 15), ("0000000000000000", 15),
        ("2\r\nabc", 5), ("2\r\nab\rx", 6), ("2\r\nab\n", 5), ("2\r\nab\r\n\r\n", 7),
        ("0\r\n\n", 3), ("0\r\n:a", 3), ("0\r\n a: b", 3), ("0\r\nA: b\n", 7),
        ("0\r\nA: b\rx", 8), ("0\r\nA\u{1}", 4), ("0\r\n\rx", 4),
    ]

    @Test(arguments: brokenBodies)
    func `a broken chunked body is cut before the offence`(body: String, passed: Int) {
        let bytes = Array(body.utf8)
        for cut in 0...bytes.count {
            let result = Self.run(.chunked, [bytes[..<cut], bytes[cut...]])
            #expect(result == (passed, false, true), "cut at \(cut)")
        }
    }

    @Test func `lines between chunks are bounded`() {
        let long = Array("5;".utf8) + Array(repeating: UInt8(ascii: "x"), count: 10_000)
        #expect(Self.run(.chunked, [long[...]]) == (BodyScanner.lineBytesMax, false, true))
        let start = Array("0\r\n".utf8)
        let trailers = start + Array(String(repeating: "A: b\r\n", count: 2000).utf8)
        #expect(
            Self.run(.chunked, [trailers[...]])
                == (start.count + BodyScanner.lineBytesMax, false, true))
    }

    @Test func `many chunks are not bounded together`() {
        let bytes = Array((String(repeating: "1\r\na\r\n", count: 5000) + "0\r\n\r\n").utf8)
        #expect(Self.run(.chunked, [bytes[...]]) == (bytes.count, true, false))
    }

    @Test func `a counted body ends behind its last byte`() {
        let bytes = Array("hello, and more".utf8)
        for cut in 0...5 {
            #expect(Self.run(.length(5), [bytes[..<cut], bytes[cut...]]) == (5, true, false))
        }
        #expect(Self.run(.length(100), [bytes[...]]) == (bytes.count, false, false))
        #expect(Self.run(.length(.max), [bytes[...]]) == (bytes.count, false, false))
    }

    @Test func `no body is done at once and one until the close never`() {
        let bytes = Array("abc".utf8)
        #expect(Self.run(.none, [bytes[...]]) == (0, true, false))
        #expect(Self.run(.length(0), [bytes[...]]) == (0, true, false))
        #expect(Self.run(.untilClose, [bytes[...], bytes[...]]) == (6, false, false))
    }

    @Test(arguments: 0..<4)
    func `mutated chunks come to the same end however they are cut`(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        for round in 0..<600 {
            let body = Array(Self.chunkedBodies[round % Self.chunkedBodies.count].utf8)
            let bytes = random.mutated(body)
            let whole = Self.run(.chunked, [bytes[...]])
            #expect(Self.run(.chunked, random.pieces(of: bytes, upTo: 6)) == whole)
            #expect(whole.passed <= bytes.count)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

import TestKit
import Testing

@testable import Wire

@Suite struct BodyDecoderTests {
    struct Result: Equatable {
        var payload: [UInt8] = []
        var consumed = 0
        var isDone = false
        var isBroken = false
        var trailers: [String] = []
    }

    /// Decodes the pieces, and checks that what is not the message's stays as it was.
    static func run(_ framing: BodyFraming, _ pieces: [ArraySlice<UInt8>]) -> Result {
        var decoder = BodyDecoder(framing)
        var result = Result()
        for piece in pieces where !piece.isEmpty {
            var bytes = Array(piece)
            let outcome = bytes.withUnsafeMutableBufferPointer { buffer in
                buffer.baseAddress.map { decoder.decode($0, count: buffer.count) }
            }
            guard let outcome else { continue }
            #expect(outcome.payload <= outcome.consumed && outcome.consumed <= piece.count)
            #expect(bytes[outcome.consumed...] == ArraySlice(piece.dropFirst(outcome.consumed)))
            result.payload += bytes[..<outcome.payload]
            result.consumed += outcome.consumed
            result.isDone = outcome.isDone
            result.isBroken = outcome.fault != nil
            if result.isDone || result.isBroken { break }
        }
        let payloadBytes = decoder.payloadBytes
        #expect(payloadBytes == UInt64(result.payload.count))
        if let trailers = decoder.trailers {
            result.trailers = trailers.fields.map {
                String(decoding: trailers.name(of: $0), as: UTF8.self) + "="
                    + String(decoding: trailers.value(of: $0), as: UTF8.self)
            }
        }
        return result
    }

    static let chunkedBodies: [(String, String, [String])] = [
        ("0\r\n\r\n", "", []), ("5\r\nhello\r\n0\r\n\r\n", "hello", []),
        (
            "5;a=b;c=\"d e\"\r\nhello\r\n00A\r\n0123456789\r\n000\r\n\r\n", "hello0123456789", []
        ),
        ("1\r\n\r\r\n2\r\n\r\n\r\n0;x\r\nA: b\r\nC:\t d \r\n\r\n", "\r\r\n", ["A=b", "C=d"]),
        (
            "0\r\nContent-Length: 3\r\nDigest: x\r\nSet-Cookie: a\r\nX-Forwarded-For: b\r\n\r\n",
            "",
            ["Digest=x"]
        ),
        (
            "0\r\nContent_Length: 3\r\nx.real_ip: a\r\nproxy-status: b\r\nTRANSFER_ENCODING: c\r\n\r\n",
            "", ["proxy-status=b"]
        ),
    ]

    @Test(arguments: chunkedBodies)
    func `a chunked body gives the same wherever it is split`(
        body: String, payload: String, trailers: [String]
    ) {
        let bytes = Array(body.utf8)
        let behind = Array("HTTP/1.1 200".utf8)
        let whole = Result(
            payload: Array(payload.utf8), consumed: bytes.count, isDone: true, trailers: trailers)
        for cut in 0...bytes.count {
            #expect(Self.run(.chunked, [bytes[..<cut], bytes[cut...] + behind]) == whole)
        }
        #expect(Self.run(.chunked, bytes.indices.map { bytes[$0...$0] }) == whole)
    }

    static let brokenBodies = [
        "x", "\r\n", " 5\r\n", ";a\r\n", "-1\r\n", "+1\r\n", "0x5\r\n", "5 \r\n", "5\n", "5\rx",
        "5;a\n", "5;\u{0}", "5;a\r\r", "1234567890123456", "0000000000000000", "2\r\nabc",
        "2\r\nab\rx", "2\r\nab\n", "2\r\nab\r\n\r\n", "0\r\n\n", "0\r\n:a\r\n", "0\r\n a: b\r\n",
        "0\r\nA: b\n", "0\r\nA b\r\n", "0\r\nA\u{1}: b\r\n", "0\r\nA : b\r\n", "g\r\n", "5,\r\n",
        "5;" + String(repeating: "e", count: 257),
    ]

    @Test(arguments: brokenBodies)
    func `a broken body is refused wherever it is split`(body: String) {
        let bytes = Array(body.utf8)
        for cut in 0...bytes.count {
            let result = Self.run(.chunked, [bytes[..<cut], bytes[cut...]])
            #expect(result.isBroken && !result.isDone)
            #expect(result.payload.count <= 2)
        }
    }

    @Test func `lengths are counted, and the end of the stream ends the rest`() {
        let bytes = Array("hello, world".utf8)
        for cut in 0...bytes.count {
            let counted = Self.run(.length(5), [bytes[..<cut], bytes[cut...]])
            #expect(counted.payload == Array("hello".utf8) && counted.isDone)
            let all = Self.run(.untilClose, [bytes[..<cut], bytes[cut...]])
            #expect(all.payload == bytes && !all.isDone)
        }
        func begun(_ framing: BodyFraming) -> (isDone: Bool, isCompleteAtEnd: Bool) {
            let decoder = BodyDecoder(framing)
            return (decoder.isDone, decoder.isCompleteAtEnd)
        }
        #expect(begun(.none).isDone && begun(.length(0)).isDone)
        #expect(begun(.untilClose).isCompleteAtEnd && !begun(.length(1)).isCompleteAtEnd)
        #expect(!begun(.chunked).isCompleteAtEnd)
    }

    @Test func `a body that is all framing is refused, one of tiny chunks is not`() {
        let tiny = Array(String(repeating: "1\r\nx\r\n", count: 100_000).utf8)
        #expect(!Self.run(.chunked, [tiny[...]]).isBroken)
        let extended = "1;" + String(repeating: "e", count: 200) + "\r\nx\r\n"
        let attack = Array(String(repeating: extended, count: 1_000).utf8)
        let result = Self.run(.chunked, [attack[...]])
        #expect(result.isBroken && result.payload.count < 500)
    }

    @Test func `trailers are bounded`() {
        let line = "A: " + String(repeating: "b", count: 100) + "\r\n"
        let bytes = Array(("0\r\n" + String(repeating: line, count: 200)).utf8)
        let result = Self.run(.chunked, [bytes[...]])
        #expect(result.isBroken && result.consumed < 20_000)
    }

    @Test func `what the writer frames the decoder takes out again`() {
        var generator = SplitMix(seed: 11)
        for _ in 0..<200 {
            var wire: [UInt8] = []
            var payload: [UInt8] = []
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                let count = Int.random(in: 1...70_000, using: &generator)
                let piece = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
                payload += piece
                var room = [UInt8](repeating: 7, count: 18) + piece + [7, 7, 9]
                room.withUnsafeMutableBufferPointer { buffer in
                    guard let start = buffer.baseAddress else { return }
                    let chunk = ChunkWriter.frame(start + 18, count: count)
                    wire += UnsafeBufferPointer(start: chunk.start, count: chunk.count)
                }
                #expect(room.last == 9 && room.first == 7)
            }
            wire += ChunkWriter.last(trailers: nil)
            let cut = Int.random(in: 0...wire.count, using: &generator)
            let result = Self.run(.chunked, [wire[..<cut], wire[cut...]])
            #expect(result.payload == payload && result.isDone && result.consumed == wire.count)
        }
    }

    @Test func `random and mutated bytes never trap`() {
        var generator = SplitMix(seed: 12)
        let valid = Array("5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n".utf8)
        for round in 0..<5_000 {
            var bytes =
                round % 2 == 0
                ? valid : (0..<40).map { _ in UInt8.random(in: 0...255, using: &generator) }
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[place] = UInt8.random(in: 0...255, using: &generator)
            }
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let split = Self.run(.chunked, [bytes[..<cut], bytes[cut...]])
            #expect(split == Self.run(.chunked, [bytes[...]]))
        }
    }

    /// What ends the body of a request by HTTP/2 (RFC 9113 §8.1).
    @Test(arguments: [
        ("\r\n", [], false),
        (
            "x-sum: 1\r\ncookie: a\r\nserver-timing: b\r\n\r\n", ["x-sum=1", "server-timing=b"],
            false
        ),
        ("x-sum: 1\r\n", [], true), ("x sum: 1\r\n\r\n", [], true),
    ])
    func `trailers may come with the end of a stream`(
        lines: String, passed: [String], isBroken: Bool
    ) {
        var decoder = BodyDecoder(.untilClose)
        var bytes = Array("hello".utf8)
        let outcome = bytes.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.map { decoder.decode($0, count: buffer.count) }
        }
        #expect(outcome?.payload == 5)
        let fault = Array(lines.utf8).withUnsafeBytes { decoder.streamEnded(trailers: $0) }
        let (isDone, trailers) = (decoder.isDone, decoder.trailers)
        #expect((fault != nil) == isBroken && isDone == !isBroken)
        let said = trailers?.fields.map { field in
            [trailers?.name(of: field), trailers?.value(of: field)]
                .map { String(decoding: $0 ?? [], as: UTF8.self) }.joined(separator: "=")
        }
        #expect(said ?? [] == passed)
    }

    @Test func `a body with a length has no place for trailers`() {
        var decoder = BodyDecoder(.length(5))
        let fault = Array("x-sum: 1\r\n\r\n".utf8).withUnsafeBytes {
            decoder.streamEnded(trailers: $0)
        }
        let (isDone, trailers) = (decoder.isDone, decoder.trailers)
        #expect(fault == nil && !isDone && trailers == nil)
    }
}

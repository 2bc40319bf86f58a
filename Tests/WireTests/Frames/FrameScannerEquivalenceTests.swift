// SPDX-License-Identifier: Apache-2.0

import FuzzTargets
import TestKit
import Testing
import Wire

/// The scanner against a naive one, on streams of random frames in random pieces.
@Suite struct FrameScannerEquivalenceTests {
    private static func randomFrame(
        isClient: Bool, isInside: inout Bool, using random: inout SplitMix
    ) -> [UInt8] {
        var frame = FrameBytes(isMasked: isClient, key: random.bytes(4))
        let lengths = [0, 1, 5, 60, 124, 125, 126, 127, 300, 1000, 65535, 65536]
        // Long ones seldom, or the streams get slow to check.
        let choices = Int.random(in: 0..<20, using: &random) == 0 ? lengths.count : 9
        let length = lengths[Int.random(in: 0..<choices, using: &random)]
        switch Int.random(in: 0..<12, using: &random) {
        case 0: frame.first = 0x89
        case 1: frame.first = 0x8A
        case 2 where !isInside || Bool.random(using: &random):
            return FrameBytes.close(
                Bool.random(using: &random) ? 1000 : nil, reason: "done", isMasked: isClient)
        default:
            let isFinal = Int.random(in: 0..<3, using: &random) > 0
            frame.first =
                (isFinal ? 0x80 : 0) | (isInside ? 0 : UInt8.random(in: 1...2, using: &random))
            if !isInside && Bool.random(using: &random) { frame.first |= 0x40 }
            isInside = !isFinal
        }
        frame.payload = random.bytes(frame.first & 8 != 0 ? min(length, 125) : length)
        return frame.bytes
    }

    private static func randomStream(
        isClient: Bool, using random: inout SplitMix
    ) -> [UInt8] {
        var isInside = false
        var stream: [UInt8] = []
        for _ in 0..<Int.random(in: 1...25, using: &random) {
            stream += randomFrame(isClient: isClient, isInside: &isInside, using: &random)
        }
        return stream
    }

    private static func expectAgreement(
        _ stream: [UInt8], isClient: Bool, using random: inout SplitMix
    ) {
        let bits: UInt8 = [0, 0x40, 0x40, 0x40, 0x70][Int.random(in: 0..<5, using: &random)]
        let limit: UInt64 = [.max, .max, 2000, 100][Int.random(in: 0..<4, using: &random)]
        let fragmentsMax: UInt32 = [.max, .max, 1, 3][Int.random(in: 0..<4, using: &random)]
        let messagesMax: UInt64? = [nil, nil, 0, 4][Int.random(in: 0..<4, using: &random)]
        var naive = NaiveScanner(isClient: isClient, reservedBits: bits, messageBytesMax: limit)
        naive.fragmentsMax = fragmentsMax
        naive.messagesMax = messagesMax
        naive.run(stream)
        let tally = FrameTally()
        var caller = ScannerCaller(
            FrameScanner(
                sender: isClient ? .client : .server, reservedBits: bits, messageBytesMax: limit,
                fragmentsMax: fragmentsMax, tally: tally.cells))
        caller.scanner.allow(messages: messagesMax)
        let lengthMax = [1, 3, 20, 500, 100_000][Int.random(in: 1..<5, using: &random)]
        for piece in random.pieces(of: stream, upTo: lengthMax) {
            caller.feed(piece)
            if caller.violation == .none {
                #expect(caller.tail.count <= FrameScanner.tailBytesMax)
            }
        }
        let scanner = caller.scanner
        #expect(caller.violation == naive.violation)
        #expect(caller.forwarded == Array(stream.prefix(naive.forwardable)))
        #expect(scanner.frames == naive.frames)
        #expect(scanner.messages == naive.messages)
        #expect(scanner.payloadBytes == naive.payloadBytes)
        #expect(scanner.closeCode == naive.closeCode)
        #expect(scanner.isAtFrameBorder == naive.isAtBorder)
        for kind in FrameTally.Kind.allCases {
            let count = tally.count(of: kind)
            #expect(count == naive.count(of: kind), "\(kind)")
        }
        let (bytes, sizes) = (tally.messageBytes, tally.sizes)
        #expect(bytes == naive.messageSizes.reduce(0, +))
        let bounds = FrameTally.sizeBounds
        for (index, count) in sizes.enumerated() {
            let expected = naive.messageSizes.filter { size in
                (index == 0 || size > bounds[index - 1])
                    && (index == bounds.count || size <= bounds[index])
            }
            #expect(count == expected.count, "of size \(index)")
        }
    }

    @Test(arguments: 0..<8)
    func `random lawful frames are seen alike`(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        for round in 0..<60 {
            let stream = Self.randomStream(isClient: round % 2 == 0, using: &random)
            Self.expectAgreement(stream, isClient: round % 2 == 0, using: &random)
        }
    }

    @Test(arguments: 100..<108)
    func `mutated frames are seen alike`(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        for round in 0..<80 {
            let stream = random.mutated(
                Self.randomStream(isClient: round % 2 == 0, using: &random))
            Self.expectAgreement(stream, isClient: round % 2 == 0, using: &random)
        }
    }

    @Test(arguments: 200..<204)
    func `random bytes are seen alike`(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        for round in 0..<500 {
            let stream = random.bytes(Int.random(in: 0...40, using: &random))
            Self.expectAgreement(stream, isClient: round % 2 == 0, using: &random)
        }
    }
}

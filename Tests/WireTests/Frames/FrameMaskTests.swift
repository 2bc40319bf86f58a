// SPDX-License-Identifier: Apache-2.0

import TestKit
import Testing
import Wire

@Suite struct FrameMaskTests {
    static let keyBytes: [UInt8] = [0x12, 0xC4, 0x5E, 0xF7]
    static let key: UInt32 = 0xF75E_C412

    static func naive(_ bytes: ArraySlice<UInt8>, phase: Int) -> [UInt8] {
        bytes.enumerated().map { $1 ^ keyBytes[(phase + $0) % 4] }
    }

    @Test(arguments: 0..<9)
    func `every phase, length and alignment gives what a loop over bytes gives`(phase: Int) {
        var random = SplitMix(seed: 1)
        let source = random.bytes(400)
        for offset in 0..<9 {
            for length in 0...300 {
                var bytes = source
                bytes.withUnsafeMutableBufferPointer { buffer in
                    guard let start = buffer.baseAddress else { return }
                    FrameMask.apply(Self.key, phase: phase, to: start + offset, count: length)
                }
                let end = offset + length
                let isSame =
                    bytes[..<offset] == source[..<offset] && bytes[end...] == source[end...]
                    && Array(bytes[offset..<end])
                        == Self.naive(source[offset..<end], phase: phase)
                #expect(isSame, "offset \(offset), length \(length)")
            }
        }
    }

    @Test func `a payload masked in pieces is the payload masked at once`() {
        var random = SplitMix(seed: 2)
        let source = random.bytes(5000)
        for _ in 0..<50 {
            var bytes = source
            var done = 0
            for piece in random.pieces(of: source, upTo: 700) {
                bytes.withUnsafeMutableBufferPointer { buffer in
                    guard let start = buffer.baseAddress else { return }
                    FrameMask.apply(Self.key, phase: done, to: start + done, count: piece.count)
                }
                done += piece.count
            }
            #expect(bytes == Self.naive(source[...], phase: 0))
        }
    }

    @Test func `nothing to mask is nothing done`() {
        var byte: UInt8 = 7
        FrameMask.apply(Self.key, phase: 3, to: &byte, count: 0)
        #expect(byte == 7)
    }
}

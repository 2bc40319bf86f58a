// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Random numbers that nobody can guess, drawn many at a time, so that most of them cost a load and a store.
public struct RandomNumbers: ~Copyable {
    private static let numbersPerDraw = 64
    private var drawn = InlineArray<64, UInt64>(repeating: 0)
    private var left = 0

    /// No numbers yet: the first one draws them.
    public init() {}

    /// The next number, of 64 bits.
    @inline(__always)
    public mutating func next() -> UInt64 {
        if left == 0 { draw() }
        left &-= 1
        let number = drawn[left]
        // Each is used once.
        drawn[left] = 0
        return number
    }

    /// The next number that is not 0.
    @inline(__always)
    public mutating func nextName() -> UInt64 {
        while true {
            let number = next()
            if number != 0 { return number }
        }
    }

    private mutating func draw() {
        assert(Self.numbersPerDraw == drawn.count)
        let isDrawn = withUnsafeMutableBytes(of: &drawn) { bytes in
            RAND_bytes(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
        }
        precondition(isDrawn == 1, "OpenSSL has no random bytes")
        left = Self.numbersPerDraw
    }
}

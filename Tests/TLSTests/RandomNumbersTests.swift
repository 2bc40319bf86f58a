// SPDX-License-Identifier: Apache-2.0
import TLS
import Testing

/// Numbers for names: each comes once, over more draws than one.
struct RandomNumbersTests {
    @Test func `no number comes twice, and all bits change`() {
        var numbers = RandomNumbers()
        var other = RandomNumbers()
        var seen: Set<UInt64> = []
        var (ones, zeros) = (UInt64.min, UInt64.min)
        for _ in 0..<1_000 {
            for number in [numbers.nextName(), other.next()] {
                #expect(seen.insert(number).inserted)
                ones |= number
                zeros |= ~number
            }
        }
        #expect(ones == .max && zeros == .max)
    }
}

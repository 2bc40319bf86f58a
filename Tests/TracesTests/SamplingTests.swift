// SPDX-License-Identifier: Apache-2.0
import Ledger
import TLS
import Testing
import Wire

/// Which traces are recorded.
struct SamplingTests {
    @Test(arguments: [0, 100, 10_000, 250_000, 1_000_000])
    func `so many are recorded as was asked for`(share: Int) {
        let sampling = TraceSampling(perMillion: share)
        var numbers = RandomNumbers()
        let all = 200_000
        var taken = 0
        for _ in 0..<all {
            if sampling.takes(TraceID(high: numbers.next(), low: numbers.nextName())) { taken += 1 }
        }
        let expected = Double(all) * Double(share) / 1_000_000
        // Ten standard deviations: once in more runs than there are ever going to be.
        let slack = 10 * (expected * (1 - Double(share) / 1_000_000)).squareRoot()
        #expect(abs(Double(taken) - expected) <= slack + 0.5)
    }

    @Test func `the last seven bytes decide, so that two who sample decide alike`() {
        let half = TraceSampling(perMillion: 500_000)
        #expect(half.takes(TraceID(high: 0, low: 0x00ff_ffff_ffff_ffff)))
        #expect(half.takes(TraceID(high: 0, low: 0xff80_0000_0000_ffff)))
        #expect(!half.takes(TraceID(high: .max, low: 0xff00_0000_0000_0001)))
        let tenth = TraceSampling(perMillion: 100_000)
        var numbers = RandomNumbers()
        for _ in 0..<10_000 {
            let trace = TraceID(high: 1, low: numbers.next())
            if tenth.takes(trace) { #expect(half.takes(trace)) }
        }
    }

    @Test func `none and all are exactly that`() {
        for low in [0, 1, 0x00ff_ffff_ffff_ffff, UInt64.max] {
            #expect(!TraceSampling(perMillion: 0).takes(TraceID(high: 1, low: low)))
            #expect(TraceSampling(perMillion: 1_000_000).takes(TraceID(high: 1, low: low)))
        }
    }
}

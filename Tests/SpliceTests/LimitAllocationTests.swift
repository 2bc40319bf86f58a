// SPDX-License-Identifier: Apache-2.0
import Ledger
import TLS
import TestKit
import Testing
import Wire

@testable import Splice

/// Goal: with every limit on, a small message that passes in steady state allocates nothing either.
///
/// Method: that of `AllocationTests`.
@Suite(.enabled(if: AllocationCounting.isPossible, Comment(rawValue: AllocationCounting.whyNot)))
struct LimitAllocationTests {
    @Test func `a small message that is counted allocates nothing in steady state`() throws {
        let counted = try AllocationCounting.run(suite: "CountedLimitAllocationTests")
        #expect(counted.status == 0, "\(counted.output)")
        #expect(counted.output.contains("with 1 test in 1 suite passed"), "\(counted.output)")
    }
}

/// What runs under the counting library, and nowhere else.
@Suite(.enabled(if: AllocationCounting.isOn, "it needs the counting library"))
struct CountedLimitAllocationTests {
    @Test(arguments: [(false, false), (true, true)])
    func `a thousand small messages within limits allocate nothing`(
        tls: Bool, released: Bool
    ) throws {
        SessionMemory.install()
        let first = try #require(AllocationCounting.countOfThread)
        let probe = UnsafeMutablePointer<UInt64>.allocate(capacity: 1_000)
        #expect(AllocationCounting.countOfThread ?? 0 > first, "the library counts")
        probe.deallocate()

        var limits = RelayLimits(messageBytesMax: 1_000)
        limits.fragmentsMax = 4
        limits.messagesPerSecond = 1_000
        limits.bytesPerSecond = 1_000_000
        let rig = try RelayRig.open(tls ? .tls : .plain, released: released, limits: limits)
        let up = Frames.client(.text, [UInt8](repeating: 0x61, count: 100))
        let down = Frames.server(.text, [UInt8](repeating: 0x62, count: 100))
        var allocations: UInt = 0
        for round in 0..<1_100 {
            rig.client.enqueue(up)
            rig.backend.enqueue(down)
            let before = AllocationCounting.countOfThread ?? 0
            rig.passTime(1)
            rig.turn()
            // The first rounds may still make what is made once.
            if round >= 100 { allocations += (AllocationCounting.countOfThread ?? 0) - before }
            rig.client.pump()
            rig.backend.pump()
        }
        #expect(rig.upCounts.messages == 1_100 && rig.downCounts.messages == 1_100)
        #expect(allocations == 0)
    }
}

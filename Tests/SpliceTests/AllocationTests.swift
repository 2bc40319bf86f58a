// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import TLS
import TestKit
import Testing
import Wire

@testable import Splice

/// Goal: a small message that passes in steady state allocates nothing.
///
/// Method: this test program runs itself once more, with one test of it, under a library that counts
/// each thread's allocations. In this process the count would be that of all tests at once.
@Suite(.enabled(if: AllocationCounting.isPossible, Comment(rawValue: AllocationCounting.whyNot)))
struct AllocationTests {
    @Test func `a small message allocates nothing in steady state`() throws {
        let counted = try AllocationCounting.run(suite: "CountedAllocationTests")
        #expect(counted.status == 0, "\(counted.output)")
        #expect(counted.output.contains("with 1 test in 1 suite passed"), "\(counted.output)")
    }
}

/// What runs under the counting library, and nowhere else.
@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["SLUICE_COUNTS_ALLOCATIONS"] != nil,
        "it needs the counting library"))
struct CountedAllocationTests {
    @Test(arguments: [(false, false), (true, false), (true, true)])
    func `a thousand small messages each way allocate nothing`(
        tls: Bool, released: Bool
    ) throws {
        // As the program does first of all: then what OpenSSL frees is kept.
        SessionMemory.install()
        typealias Count = @convention(c) () -> UInt
        let symbol = try #require(dlsym(nil, "sluice_allocation_count"))
        let count = unsafeBitCast(symbol, to: Count.self)
        let before = count()
        let probe = UnsafeMutablePointer<UInt64>.allocate(capacity: 1_000)
        #expect(count() > before, "the library counts")
        probe.deallocate()

        let rig = try RelayRig.open(tls ? .tls : .plain, released: released)
        let up = Frames.client(.text, [UInt8](repeating: 0x61, count: 100))
        let down = Frames.server(.text, [UInt8](repeating: 0x62, count: 100))
        var allocations: UInt = 0
        for round in 0..<1_100 {
            rig.client.enqueue(up)
            rig.backend.enqueue(down)
            let before = count()
            rig.turn()
            // The first rounds may still make what is made once.
            if round >= 100 { allocations += count() - before }
            rig.client.pump()
            rig.backend.pump()
        }
        #expect(rig.upCounts.messages == 1_100 && rig.downCounts.messages == 1_100)
        #expect(rig.talliedTexts == (1_100, 1_100), "counting for metrics is on")
        #expect(allocations == 0)
    }
}

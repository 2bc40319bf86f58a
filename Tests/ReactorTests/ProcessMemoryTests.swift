// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import TestKit
import Testing

@testable import Reactor

/// Goal: what a burst has taken goes back to the system when it is over, and nothing is done before or without need.
struct ProcessMemoryTests {
    @Test(
        .enabled(if: AllocationCounting.isPossible, "the address sanitizer has a malloc of its own")
    )
    func `free pages between things that stay go back to the system`() throws {
        // As connections do: much for a moment, and between that a little that stays.
        var staying: [UnsafeMutableRawPointer] = []
        var passing: [UnsafeMutableRawPointer] = []
        for _ in 0..<4_000 {
            let large = try #require(malloc(30_000))
            memset(large, 1, 30_000)
            passing.append(large)
            staying.append(try #require(malloc(200)))
        }
        let before = try Self.residentBytes()
        passing.forEach { free($0) }
        ProcessMemory.giveBack()
        let after = try Self.residentBytes()
        staying.forEach { free($0) }
        // Other tests of the process may take some meanwhile.
        #expect(before - after > 60_000_000, "\(before) and then \(after)")
    }

    @Test func `little is not worth it, and a burst that goes on has to end first`() {
        let pause = BurstMemory.Pause()
        var burst = BurstMemory(pause: pause)
        let now: UInt64 = .max / 2
        func gave(waiting: Int = 0, at time: UInt64, of burst: inout BurstMemory) -> Bool {
            var hasGivenKept = false
            let isGiven = burst.giveBack(waiting: waiting, nowMilliseconds: time) {
                hasGivenKept = true
            }
            #expect(hasGivenKept == isGiven)
            return isGiven
        }
        burst.released(BurstMemory.sessionsMin - 1, nowMilliseconds: now)
        let little = gave(at: now, of: &burst)
        burst.released(1, nowMilliseconds: now)
        let early = gave(waiting: BurstMemory.waitingMax + 1, at: now, of: &burst)
        let enough = gave(at: now, of: &burst)
        let again = gave(at: now + 10_000, of: &burst)
        #expect([little, early, enough, again] == [false, false, true, false])
        var other = BurstMemory(pause: pause)
        other.released(1_000, nowMilliseconds: now)
        let soon = gave(at: now + BurstMemory.pauseMilliseconds - 1, of: &other)
        let later = gave(at: now + BurstMemory.pauseMilliseconds, of: &other)
        #expect([soon, later] == [false, true], "threads of a process do so for each other")
        var steady = BurstMemory(pause: pause)
        let apart = BurstMemory.usualWindowMilliseconds + 1
        steady.released(BurstMemory.sessionsMin - 1, nowMilliseconds: now)
        steady.released(1, nowMilliseconds: now + apart)
        #expect(steady.nextMilliseconds(waiting: 0) == .max, "what comes one by one is no burst")
        steady.released(BurstMemory.sessionsMin, nowMilliseconds: now + apart + 1)
        #expect(steady.nextMilliseconds(waiting: 0) < .max)
        #expect(steady.nextMilliseconds(waiting: BurstMemory.waitingMax + 1) == .max)
    }

    private static func residentBytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let pages = try #require(text.split(separator: " ").dropFirst().first.flatMap { Int($0) })
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}

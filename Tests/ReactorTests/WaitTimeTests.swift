// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

/// How long a reactor waits.
struct WaitTimeTests {
    @Test func `with nothing to do it waits for as long as nothing happens`() {
        var wait = WaitTime(now: 1_000)
        wait.limit(until: .max)
        wait.limit(by: TimerWheel(now: 0))
        wait.limit(to: -1)
        #expect(wait.milliseconds == -1)
    }

    @Test func `the earliest counts, in whatever order they are told`() {
        for order in [[1_300, 1_200, 1_500], [1_200, 1_500, 1_300], [1_500, 1_300, 1_200]] {
            var wait = WaitTime(now: 1_000)
            for moment in order { wait.limit(until: UInt64(moment)) }
            #expect(wait.milliseconds == 200)
        }
    }

    @Test func `what is due already is not waited for`() {
        var wait = WaitTime(now: 1_000)
        wait.limit(until: 999)
        wait.limit(to: 50)
        #expect(wait.milliseconds == 0)
    }

    @Test func `it is reckoned from the time of asking, and not from that of the last turn`() {
        var timers = TimerWheel(tickMilliseconds: 1, now: 0)
        timers.reserve(index: 0)
        timers.arm(Token(index: 0, generation: 0), at: 100)
        var wait = WaitTime(now: 60)
        wait.limit(by: timers)
        #expect(wait.milliseconds <= 40)
        #expect(WaitTime().now >= Clock.nowMilliseconds() - 60_000)
    }

    @Test func `a moment far away is looked at again after a minute`() {
        var wait = WaitTime(now: 0)
        wait.limit(until: 10_000_000)
        #expect(wait.milliseconds == 60_000)
    }
}

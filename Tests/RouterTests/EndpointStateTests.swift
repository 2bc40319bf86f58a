// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Router

/// What is passed over and for how long: failures, failed answers, checks, and the slow start after.
struct EndpointStateTests {
    private func upstream(
        _ count: Int, _ rules: UpstreamRules, _ loads: [EndpointLoad]? = nil
    ) -> Upstream {
        Upstream(
            name: "u",
            endpoints: (0..<count).map { (loads?[$0] ?? EndpointLoad(), "ws://h:\($0)") },
            rules: rules)
    }

    private func picks(_ upstream: Upstream, _ count: Int, at now: UInt64) -> [Int] {
        var picks = [Int](repeating: 0, count: upstream.endpointCount)
        for _ in 0..<count {
            if let endpoint = upstream.pick(nowMilliseconds: now) { picks[endpoint] += 1 }
        }
        return picks
    }

    // MARK: Of two that are drawn

    @Test func `of two that are drawn the one with fewer relays is taken`() {
        let upstream = upstream(3, UpstreamRules.made(balance: .random2))
        for _ in 0..<5 { upstream.take(1) }
        // The fullest is drawn in two thirds of the cases, and never taken.
        let picks = picks(upstream, 3_000, at: 0)
        #expect(picks[1] == 0)
        #expect(picks[0] > 1_200 && picks[2] > 1_200, "\(picks)")
    }

    @Test func `two choices keep the counts close together`() {
        let upstream = upstream(10, UpstreamRules.made(balance: .random2))
        for _ in 0..<10_000 { _ = upstream.claim(nowMilliseconds: 0) }
        for endpoint in 0..<10 { #expect(abs(upstream.active(endpoint) - 1_000) <= 10) }
    }

    @Test func `of one endpoint, and of none that takes anything, two can be drawn too`() {
        let rules = UpstreamRules.made(balance: .random2, activeMax: 1)
        let upstream = upstream(2, rules)
        upstream.take(0)
        #expect(picks(upstream, 10, at: 0) == [0, 10])
        upstream.take(1)
        #expect(upstream.pick(nowMilliseconds: 0) == nil)
    }

    // MARK: Failures

    @Test func `each failure in a row is followed by twice the time, up to the most`() {
        let rules = UpstreamRules.made(
            balance: .roundRobin, cooldownMilliseconds: 100, cooldownMaxMilliseconds: 700)
        let upstream = upstream(2, rules)
        #expect(upstream.failed(0, nowMilliseconds: 0) == 100)
        var now: UInt64 = 0
        for length: UInt64 in [100, 200, 400, 700, 700] {
            #expect(upstream.isCoolingDown(0, nowMilliseconds: now + length - 1))
            #expect(!upstream.isCoolingDown(0, nowMilliseconds: now + length))
            now += length
            // One tries it, and fails again.
            #expect(picks(upstream, 10, at: now)[0] == 1)
            #expect(upstream.failed(0, nowMilliseconds: now) == nil, "it was failing before")
        }
        #expect(upstream.succeeded(0, nowMilliseconds: now))
        #expect(!upstream.succeeded(0, nowMilliseconds: now), "that is said once")
        #expect(upstream.failed(0, nowMilliseconds: now) == 100, "it begins anew")
    }

    @Test func `many that fail at the same time count as one`() {
        let rules = UpstreamRules.made(cooldownMilliseconds: 100, cooldownMaxMilliseconds: 10_000)
        let upstream = upstream(2, rules)
        #expect((0..<50).compactMap { _ in upstream.failed(0, nowMilliseconds: 7) } == [100])
        #expect(!upstream.isCoolingDown(0, nowMilliseconds: 107))
    }

    @Test func `failures without end do not trap`() {
        let upstream = upstream(2, UpstreamRules.made(cooldownMilliseconds: 1))
        var now: UInt64 = 0
        for _ in 0..<100 {
            upstream.failed(0, nowMilliseconds: now)
            now += 120_000
            _ = picks(upstream, 2, at: now)
        }
        #expect(upstream.isCoolingDown(0, nowMilliseconds: now + 119_999))
        #expect(!upstream.isCoolingDown(0, nowMilliseconds: now + 120_000))
    }

    @Test func `so many failed answers in a row are a failure, until an answer comes`() {
        let rules = UpstreamRules.made(cooldownMilliseconds: 100, failedAnswersMax: 3)
        let upstream = upstream(2, rules)
        for _ in 0..<2 { #expect(upstream.answerFailed(0, nowMilliseconds: 0) == nil) }
        #expect(!upstream.answered(0, nowMilliseconds: 0), "there was no cool-down to end")
        for _ in 0..<2 { #expect(upstream.answerFailed(0, nowMilliseconds: 0) == nil) }
        #expect(upstream.answerFailed(0, nowMilliseconds: 0) == 100)
        #expect(picks(upstream, 10, at: 99) == [0, 10])
        // The one that tries it is connected, which does not tell how it answers.
        #expect(picks(upstream, 10, at: 100)[0] == 1)
        #expect(!upstream.succeeded(0, nowMilliseconds: 100))
        #expect(picks(upstream, 10, at: 100)[0] == 0)
        #expect(upstream.answered(0, nowMilliseconds: 100))
        #expect(picks(upstream, 10, at: 100)[0] == 5)
    }

    @Test func `failed answers can be left uncounted`() {
        let upstream = upstream(2, UpstreamRules.made(failedAnswersMax: 0))
        for _ in 0..<100 { #expect(upstream.answerFailed(0, nowMilliseconds: 0) == nil) }
        #expect(!upstream.isCoolingDown(0, nowMilliseconds: 0))
    }

    // MARK: Checks

    @Test(arguments: [Balance.roundRobin, .leastConnections, .random2, .hash])
    func `an unhealthy endpoint gets nothing as long as there is another`(balance: Balance) {
        let loads = (0..<3).map { _ in EndpointLoad() }
        let upstream = upstream(3, UpstreamRules.made(balance: balance, activeMax: 2), loads)
        loads[0].health = .unhealthy
        loads[1].health = .pending
        loads[2].health = .healthy
        #expect(picks(upstream, 10, at: 0) == [0, 0, 10])
        // Also where the healthy one is full, or has failed.
        upstream.failed(2, nowMilliseconds: 0)
        #expect(picks(upstream, 10, at: 0) == [0, 0, 10])
        upstream.succeeded(2, nowMilliseconds: 0)
        upstream.take(2)
        upstream.take(2)
        #expect(upstream.pick(nowMilliseconds: 0) == nil)
        #expect(upstream.isFull(nowMilliseconds: 0))
        // An attempt that has failed there goes on with what there is.
        #expect(upstream.pick(nowMilliseconds: 0, excluding: [2]) != nil)
    }

    @Test func `with none healthy all are tried`() {
        let loads = (0..<3).map { _ in EndpointLoad() }
        let upstream = upstream(3, UpstreamRules.made(balance: .roundRobin), loads)
        for load in loads { load.health = .unhealthy }
        #expect(picks(upstream, 30, at: 0) == [10, 10, 10])
        loads[1].isDraining = true
        loads[2].health = .healthy
        #expect(picks(upstream, 10, at: 0) == [0, 0, 10])
        loads[2].isDraining = true
        #expect(picks(upstream, 10, at: 0) == [10, 0, 0])
    }

    // MARK: Slow start

    @Test func `the share of an endpoint that has joined grows, with turns`() {
        let loads = (0..<4).map { _ in EndpointLoad() }
        let rules = UpstreamRules.made(balance: .roundRobin, slowStartMilliseconds: 1_000)
        let upstream = upstream(4, rules, loads)
        loads[3].join(nowMilliseconds: 5_000)
        // Of 10,000 picks a quarter is its whole share; the others share the rest evenly.
        for (age, share) in [(0, 0.1), (500, 0.5), (999, 1), (1_000, 1)] {
            let picks = picks(upstream, 10_000, at: 5_000 + UInt64(age))
            let whole = share / (3 + share) * 10_000
            #expect(abs(Double(picks[3]) - whole) < 300, "\(picks) at \(age) ms")
            for endpoint in 0..<3 { #expect(abs(picks[endpoint] - picks[0]) < 100) }
        }
    }

    @Test(arguments: [Balance.leastConnections, .random2])
    func `the load of an endpoint that has joined grows with its share`(balance: Balance) {
        let loads = (0..<4).map { _ in EndpointLoad() }
        let rules = UpstreamRules.made(balance: balance, slowStartMilliseconds: 1_000)
        let upstream = upstream(4, rules, loads)
        loads[3].join(nowMilliseconds: 5_000)
        for _ in 0..<3_500 { _ = upstream.claim(nowMilliseconds: 5_500) }
        #expect(abs(upstream.active(3) - 500) <= 5, "half of what the others have")
        for _ in 0..<4_500 { _ = upstream.claim(nowMilliseconds: 6_000) }
        for endpoint in 0..<4 { #expect(abs(upstream.active(endpoint) - 2_000) <= 5) }
    }

    @Test func `where all have just come back, all get something`() {
        let loads = (0..<3).map { _ in EndpointLoad() }
        let rules = UpstreamRules.made(balance: .roundRobin, slowStartMilliseconds: 1_000)
        let upstream = upstream(3, rules, loads)
        for load in loads { load.join(nowMilliseconds: 100) }
        let picks = picks(upstream, 3_000, at: 100)
        #expect(picks.reduce(0, +) == 3_000)
        for endpoint in 0..<3 { #expect(abs(picks[endpoint] - 1_000) < 150, "\(picks)") }
    }

    @Test func `an endpoint begins slowly when its cool-down has ended`() {
        let rules = UpstreamRules.made(
            balance: .roundRobin, cooldownMilliseconds: 100, slowStartMilliseconds: 1_000)
        let upstream = upstream(2, rules)
        upstream.failed(1, nowMilliseconds: 0)
        upstream.succeeded(1, nowMilliseconds: 100)
        #expect(picks(upstream, 1_000, at: 100)[1] < 200)
        #expect(picks(upstream, 1_000, at: 1_100)[1] == 500)
    }

    // MARK: Waiting for a place

    @Test func `who can wait for a place does so rather than go where something failed`() {
        var rules = UpstreamRules.made(cooldownMilliseconds: 100, activeMax: 1)
        #expect(upstream(2, rules).pick(nowMilliseconds: 0) != nil)
        rules.waitsForPlace = true
        let upstream = upstream(2, rules)
        upstream.failed(0, nowMilliseconds: 0)
        upstream.take(1)
        #expect(upstream.pick(nowMilliseconds: 0) == nil)
        #expect(upstream.isFull(nowMilliseconds: 0))
        // When the cool-down ends there is a place.
        #expect(!upstream.isFull(nowMilliseconds: 100))
        #expect(upstream.pick(nowMilliseconds: 100) == 0)
        // Where all have failed, nothing is waited for.
        upstream.closed(1)
        upstream.failed(1, nowMilliseconds: 101)
        #expect(upstream.pick(nowMilliseconds: 101) == 1)
    }

    @Test
    func `what has failed is failing until something reaches it, not until its cool-down ends`() {
        let load = EndpointLoad()
        let upstream = Upstream(
            name: "app", endpoints: [(load, "a")],
            rules: .made(cooldownMilliseconds: 100))
        #expect(!load.isFailing && load.lastFailure == nil)
        upstream.failed(0, nowMilliseconds: 1_000)
        #expect(!upstream.isCoolingDown(0, nowMilliseconds: 5_000))
        #expect(load.isFailing)
        upstream.undecided(0, nowMilliseconds: 5_000)
        #expect(load.isFailing)
        upstream.succeeded(0, nowMilliseconds: 6_000)
        #expect(!load.isFailing)
    }
}

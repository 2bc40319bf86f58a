// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import Router

/// Which endpoint a relay gets.
///
/// Time is a number here.
struct UpstreamTests {
    @Test func `each endpoint has its turn`() {
        let upstream = Upstream(name: "u", endpointCount: 3, balance: .roundRobin)
        #expect((0..<6).map { _ in upstream.pick(nowMilliseconds: 0) } == [0, 1, 2, 0, 1, 2])
    }

    @Test func `the endpoint with the fewest relays is chosen`() {
        let upstream = Upstream(name: "u", endpointCount: 3, balance: .leastConnections)
        upstream.take(0)
        upstream.take(0)
        upstream.take(1)
        upstream.take(2)
        upstream.closed(2)
        #expect(upstream.pick(nowMilliseconds: 0) == 2)
        upstream.take(2)
        upstream.take(2)
        #expect(upstream.pick(nowMilliseconds: 0) == 1)
        #expect((0..<3).map(upstream.active) == [2, 1, 2])
    }

    @Test func `reactors that choose at one time never choose one that carries much more`() throws {
        let upstream = Upstream(name: "u", endpointCount: 3, balance: .leastConnections)
        for _ in 0..<1_000 { upstream.take(0) }
        let reactors = (0..<4).map { _ in
            TestThread {
                var wrong = 0
                for _ in 0..<100_000 {
                    let endpoint = upstream.claim(nowMilliseconds: 0)
                    if endpoint == nil || endpoint == 0 { wrong += 1 }
                    if let endpoint { upstream.closed(endpoint) }
                }
                return wrong
            }
        }
        for reactor in reactors { #expect(try reactor.join() == 0) }
        #expect((0..<3).map(upstream.active) == [1_000, 0, 0])
    }

    @Test func `endpoints with equally few relays take turns`() {
        let upstream = Upstream(name: "u", endpointCount: 3, balance: .leastConnections)
        upstream.take(1)
        #expect((0..<4).map { _ in upstream.pick(nowMilliseconds: 0) } == [0, 2, 0, 2])
    }

    @Test(arguments: [Balance.roundRobin, .leastConnections])
    func `a full endpoint and a drained one are passed over, also when nothing else is left`(
        balance: Balance
    ) {
        let loads = (0..<3).map { _ in EndpointLoad() }
        let endpoints = loads.map { ($0, "same") }
        let upstream = Upstream(
            name: "u", endpoints: endpoints,
            rules: UpstreamRules.made(balance: balance, activeMax: 1))
        #expect(!upstream.isFull(nowMilliseconds: 0))
        loads[2].isDraining = true
        #expect(upstream.open(0))
        #expect(!upstream.open(0))
        #expect((0..<4).map { _ in upstream.pick(nowMilliseconds: 0) } == [1, 1, 1, 1])
        #expect(upstream.claim(nowMilliseconds: 0) == 1)
        #expect(upstream.pick(nowMilliseconds: 0) == nil)
        #expect(upstream.isFull(nowMilliseconds: 0))
        #expect(!upstream.isDraining)
        upstream.closed(0)
        #expect(upstream.pick(nowMilliseconds: 0) == 0)
        for load in loads { load.isDraining = true }
        #expect(upstream.isDraining)
        #expect(upstream.pick(nowMilliseconds: 0) == nil)
        // Another that is made of the same loads knows what runs on them.
        let other = Upstream(name: "v", endpoints: endpoints, rules: UpstreamRules.made())
        #expect(other.active(1) == 1)
    }

    @Test(arguments: [Balance.roundRobin, .leastConnections])
    func `each attempt gets another endpoint until there is none`(balance: Balance) {
        let upstream = Upstream(name: "u", endpointCount: 100, balance: balance)
        var tried: [Int] = []
        while let endpoint = upstream.pick(nowMilliseconds: 5, excluding: tried) {
            tried.append(endpoint)
            upstream.failed(endpoint, nowMilliseconds: 5)
        }
        #expect(tried.sorted() == Array(0..<100))
    }

    @Test(arguments: [Balance.roundRobin, .leastConnections])
    func `a failed endpoint is passed over until its cool-down ends`(balance: Balance) {
        let upstream = Upstream(
            name: "u", endpointCount: 3, balance: balance, cooldownMilliseconds: 100)
        upstream.failed(1, nowMilliseconds: 1_000)
        #expect(upstream.isCoolingDown(1, nowMilliseconds: 1_099))
        #expect(!upstream.isCoolingDown(1, nowMilliseconds: 1_100))
        // Its neighbours share what it does not get.
        #expect(picks(upstream, 40, at: 1_099) == [20, 0, 20])
        // Then one pick gets it, and the others wait for what becomes of that.
        #expect(picks(upstream, 40, at: 1_100)[1] == 1)
        #expect(picks(upstream, 40, at: 1_199)[1] == 0)
        upstream.succeeded(1, nowMilliseconds: 1_199)
        #expect(picks(upstream, 30, at: 1_199) == [10, 10, 10])
    }

    @Test func `when all have failed, the one that failed first is tried first`() {
        let upstream = Upstream(name: "u", endpointCount: 3, balance: .roundRobin)
        upstream.failed(2, nowMilliseconds: 1)
        upstream.failed(0, nowMilliseconds: 2)
        upstream.failed(1, nowMilliseconds: 3)
        #expect(upstream.pick(nowMilliseconds: 4) == 2)
        #expect(upstream.pick(nowMilliseconds: 4, excluding: [2]) == 0)
        #expect(upstream.pick(nowMilliseconds: 4, excluding: [0, 2]) == 1)
        #expect(upstream.pick(nowMilliseconds: 4, excluding: [0, 1, 2]) == nil)
    }

    @Test
    func
        `an attempt that tells nothing of an endpoint neither begins a cool-down nor goes on with one`()
    {
        let upstream = Upstream(
            name: "u", endpointCount: 2, balance: .roundRobin, cooldownMilliseconds: 100)
        upstream.undecided(0, nowMilliseconds: 5)
        #expect((0..<4).map { _ in upstream.pick(nowMilliseconds: 5) } == [0, 1, 0, 1])
        upstream.failed(0, nowMilliseconds: 10)
        // The one try behind the cool-down, after which the endpoint is passed over.
        #expect((0..<3).compactMap { _ in upstream.pick(nowMilliseconds: 111) }.contains(0))
        #expect((0..<4).map { _ in upstream.pick(nowMilliseconds: 112) } == [1, 1, 1, 1])
        upstream.undecided(0, nowMilliseconds: 113)
        #expect((0..<3).compactMap { _ in upstream.pick(nowMilliseconds: 113) }.contains(0))
        #expect((0..<4).map { _ in upstream.pick(nowMilliseconds: 114) } == [1, 1, 1, 1])
    }

    @Test func `a cool-down of nothing passes nobody over`() {
        let upstream = Upstream(
            name: "u", endpointCount: 2, balance: .roundRobin, cooldownMilliseconds: 0)
        upstream.failed(0, nowMilliseconds: 7)
        #expect(picks(upstream, 10, at: 7) == [5, 5])
    }

    @Test func `a cool-down at the end of time does not trap`() {
        let upstream = Upstream(name: "u", endpointCount: 2, balance: .roundRobin)
        upstream.failed(0, nowMilliseconds: .max - 1)
        #expect(upstream.pick(nowMilliseconds: .max - 1) == 1)
    }

    @Test(arguments: [Balance.roundRobin, .leastConnections])
    func `reactors that pick at once never get none and count right`(balance: Balance) async {
        let upstream = Upstream(
            name: "u", endpointCount: 4, balance: balance, cooldownMilliseconds: 3)
        let lost = await withTaskGroup(of: Int.self) { group in
            for task in 0..<8 {
                group.addTask { Self.attempts(2_000, on: upstream, task) }
            }
            return await group.reduce(0, +)
        }
        #expect(lost == 0)
        #expect((0..<4).map(upstream.active) == [0, 0, 0, 0])
    }

    @Test(arguments: [Balance.roundRobin, .leastConnections, .random2])
    func `no endpoint ever has more than it may have, however many reactors claim at once`(
        balance: Balance
    ) async {
        let upstream = Upstream(
            name: "u", endpointCount: 3, rules: UpstreamRules.made(balance: balance, activeMax: 2))
        let most = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var most = 0
                    for _ in 0..<5_000 {
                        guard let endpoint = upstream.claim(nowMilliseconds: 0) else { continue }
                        most = max(most, upstream.active(endpoint))
                        upstream.closed(endpoint)
                    }
                    return most
                }
            }
            return await group.reduce(0, max)
        }
        #expect(most > 0 && most <= 2)
        #expect((0..<3).map(upstream.active) == [0, 0, 0])
    }

    @Test func `a certain endpoint is claimed only where it is well and has a place`() {
        let loads = (0..<2).map { _ in EndpointLoad() }
        let upstream = Upstream(
            name: "u", endpoints: loads.map { ($0, "same") },
            rules: UpstreamRules.made(activeMax: 2))
        #expect(upstream.claim(only: 1))
        #expect((0..<2).map(upstream.active) == [0, 1])
        loads[1].health = .unhealthy
        #expect(!upstream.claim(only: 1))
        loads[1].health = .healthy
        upstream.failed(1, nowMilliseconds: 0)
        #expect(!upstream.claim(only: 1))
        upstream.succeeded(1, nowMilliseconds: 0)
        loads[1].isDraining = true
        #expect(!upstream.claim(only: 1))
        loads[1].isDraining = false
        #expect(upstream.claim(only: 1))
        #expect(!upstream.claim(only: 1), "it has two")
    }

    /// Attempts of which every seventh fails; hands back how many found no endpoint.
    private static func attempts(_ count: Int, on upstream: Upstream, _ task: Int) -> Int {
        var lost = 0
        for turn in 0..<count {
            let now = UInt64(turn)
            guard let endpoint = upstream.pick(nowMilliseconds: now) else {
                lost += 1
                continue
            }
            upstream.take(endpoint)
            if (turn + task) % 7 == 0 {
                upstream.failed(endpoint, nowMilliseconds: now)
            } else {
                upstream.succeeded(endpoint, nowMilliseconds: now)
            }
            upstream.closed(endpoint)
        }
        return lost
    }

    /// How often each endpoint is picked.
    private func picks(_ upstream: Upstream, _ count: Int, at now: UInt64) -> [Int] {
        var picks = [Int](repeating: 0, count: upstream.endpointCount)
        for _ in 0..<count {
            if let endpoint = upstream.pick(nowMilliseconds: now) { picks[endpoint] += 1 }
        }
        return picks
    }
}

extension Upstream {
    /// An upstream of well endpoints.
    convenience init(
        name: String, endpointCount: Int, balance: Balance, cooldownMilliseconds: UInt64 = 10_000
    ) {
        self.init(
            name: name, endpointCount: endpointCount,
            rules: UpstreamRules.made(balance: balance, cooldownMilliseconds: cooldownMilliseconds))
    }

    /// Takes a place at an endpoint that has one.
    func take(_ endpoint: Int) { #expect(open(endpoint)) }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: endpoints get what their weights say, by every balance, and a priority gets something only while
// no lower number is in service (RFC 2782).
// Method: many picks, counted; the state of the endpoints is changed by hand.

import Glibc
import Testing

@testable import Router

@Suite struct StandingTests {
    private func upstream(
        _ standings: [(priority: UInt16, weight: UInt16)], _ balance: Balance = .leastConnections,
        activeMax: Int = .max, waits: Bool = false
    ) -> Upstream {
        var rules = UpstreamRules.made(balance: balance)
        rules.activeMax = activeMax
        rules.waitsForPlace = waits
        return Upstream(
            name: "app",
            endpoints: standings.indices.map { (EndpointLoad(), "e\($0)") }, rules: rules,
            standings: standings.map { Standing(priority: $0.priority, weight: $0.weight) })
    }

    private func counts(_ upstream: Upstream, _ picks: Int) throws -> [Int] {
        var counts = [Int](repeating: 0, count: upstream.endpointCount)
        for index in 0..<picks {
            let key = StableHash.of("key \(index)")
            counts[try #require(upstream.pick(nowMilliseconds: 1, key: key))] += 1
        }
        return counts
    }

    @Test func `turns are laid out by weight, at every length`() throws {
        for picks in [40, 400, 4_000] {
            let counts = try counts(upstream([(1, 10), (1, 20), (1, 10)], .roundRobin), picks)
            for (count, part) in zip(counts, [1, 2, 1]) {
                #expect(abs(count - picks * part / 4) <= 3, "\(counts) of \(picks)")
            }
        }
    }

    @Test func `a weight of 0 gets next to nothing, and not nothing`() throws {
        let counts = try counts(upstream([(1, 0), (1, 100)], .roundRobin), 16_010)
        #expect((5...15).contains(counts[0]), "\(counts)")
    }

    @Test func `one that rests gets nothing, whatever becomes of the others`() throws {
        for balance in [Balance.roundRobin, .leastConnections, .random2, .hash] {
            let rests = [false, true, false]
            let loads = rests.map { _ in EndpointLoad() }
            let upstream = Upstream(
                name: "app", endpoints: loads.enumerated().map { ($1, "e\($0)") },
                rules: .made(balance: balance),
                standings: rests.map { Standing(isResting: $0) })
            let spread = try counts(upstream, 600)
            #expect(spread[1] == 0 && spread[0] > 0 && spread[2] > 0, "\(balance): \(spread)")
            #expect(!upstream.claim(only: 1) && upstream.isResting(1) && !upstream.isResting(0))
            #expect(upstream.shares(nowMilliseconds: 1) == [1, nil, 1])
            upstream.failed(0, nowMilliseconds: 1)
            upstream.failed(2, nowMilliseconds: 1)
            #expect(try counts(upstream, 60)[1] == 0)
            #expect(!upstream.isDraining)
            loads[0].isDraining = true
            loads[2].isDraining = true
            #expect(upstream.pick(nowMilliseconds: 1) == nil && upstream.isDraining)
        }
    }

    @Test func `one alone that rests gets nothing`() {
        let upstream = Upstream(
            name: "app", endpoints: [(EndpointLoad(), "a")], rules: .made(),
            standings: [Standing(isResting: true)])
        #expect(upstream.pick(nowMilliseconds: 1) == nil)
        #expect(upstream.isDraining)
    }

    @Test func `relays are in proportion to weights`() throws {
        let upstream = upstream([(1, 1), (1, 3), (1, 6)])
        for _ in 0..<1_000 { _ = try #require(upstream.claim(nowMilliseconds: 1)) }
        for (endpoint, share) in [100, 300, 600].enumerated() {
            #expect(abs(upstream.active(endpoint) - share) <= 2)
        }
        let random = self.upstream([(1, 1), (1, 3)], .random2)
        for _ in 0..<1_000 { _ = try #require(random.claim(nowMilliseconds: 1)) }
        #expect(abs(random.active(0) - 250) <= 10)
    }

    @Test func `keys are spread by weight, and only those of one that goes move`() throws {
        let upstream = upstream([(1, 10), (1, 30), (1, 60)], .hash)
        let keys = (0..<20_000).map { StableHash.of("user \($0)") }
        let before = try keys.map { try #require(upstream.pick(nowMilliseconds: 1, key: $0)) }
        for (endpoint, part) in [0.1, 0.3, 0.6].enumerated() {
            let share = Double(before.count { $0 == endpoint }) / Double(keys.count)
            #expect(abs(share - part) < 0.015, "\(endpoint): \(share)")
        }
        let after = try keys.map {
            try #require(upstream.pick(nowMilliseconds: 1, key: $0, excluding: [1]))
        }
        #expect(zip(before, after).allSatisfy { $0 == 1 || $0 == $1 })
    }

    @Test(arguments: [0, 1, 1 << 11, .max / 3, .max / 2 + 1, .max] as [UInt64])
    func `the logarithm is one`(drawn: UInt64) {
        let number = (Double(drawn &>> 11) + 0.5) * 0x1p-53
        #expect(abs(Standings.exponential(drawn) + log(number)) < 1e-6)
    }

    @Test(arguments: [Balance.roundRobin, .leastConnections, .random2, .hash])
    func `a later priority gets something only while no earlier one is in service`(
        balance: Balance
    ) throws {
        let upstream = upstream([(20, 1), (10, 1), (10, 1), (30, 1)], balance)
        func served(_ now: UInt64) throws -> Set<Int> {
            Set(
                try (0..<64).map { index in
                    let key = StableHash.of("\(index)")
                    return try #require(upstream.pick(nowMilliseconds: now, key: key))
                })
        }
        #expect(try served(1) == [1, 2])
        upstream.loads[1].isDraining = true
        #expect(try served(1) == [2])
        upstream.failed(2, nowMilliseconds: 1)
        #expect(try served(2) == [0])
        #expect(upstream.shares(nowMilliseconds: 2) == [1, nil, nil, 0])
        upstream.loads[0].isDraining = true
        #expect(try served(2) == [3])
        upstream.loads[0].isDraining = false
        upstream.loads[1].isDraining = false
        #expect(try served(2) == [1])
        upstream.succeeded(2, nowMilliseconds: 3)
        #expect(try served(4) == [1, 2])
        #expect(upstream.shares(nowMilliseconds: 4) == [0, 1, 1, 0])
    }

    @Test func `one that is tried leads to the next priority, to the last`() throws {
        let upstream = upstream([(1, 1), (2, 1), (3, 1)])
        #expect(upstream.pick(nowMilliseconds: 1) == 0)
        #expect(upstream.pick(nowMilliseconds: 1, excluding: [0]) == 1)
        #expect(upstream.pick(nowMilliseconds: 1, excluding: [0, 1]) == 2)
        #expect(upstream.pick(nowMilliseconds: 1, excluding: [0, 1, 2]) == nil)
    }

    @Test func `a full priority lets the next one help, unless its places are waited for`() throws {
        let helped = upstream([(1, 1), (2, 1)], activeMax: 1)
        #expect(helped.claim(nowMilliseconds: 1) == 0)
        #expect(helped.claim(nowMilliseconds: 1) == 1)
        #expect(helped.claim(nowMilliseconds: 1) == nil)
        #expect(helped.isFull(nowMilliseconds: 1))
        let waiting = upstream([(1, 1), (2, 1)], activeMax: 1, waits: true)
        #expect(waiting.claim(nowMilliseconds: 1) == 0)
        #expect(waiting.claim(nowMilliseconds: 1) == nil)
        #expect(waiting.isFull(nowMilliseconds: 1))
    }

    @Test func `with all of them failing, all are tried`() throws {
        let upstream = upstream([(1, 1), (2, 1)])
        upstream.failed(0, nowMilliseconds: 1)
        upstream.failed(1, nowMilliseconds: 5)
        #expect(upstream.pick(nowMilliseconds: 6) == 0)
        #expect(upstream.pick(nowMilliseconds: 6, excluding: [0]) == 1)
    }
}

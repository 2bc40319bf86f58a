// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Router

/// The same key leads to the same endpoint, and a change of the endpoints moves no more keys than it
/// has to.
struct HashingTests {
    private static let keyCount = 100_000

    private static let keys = (0..<keyCount).map { StableHash.of("user-\($0)") }

    private func upstream(_ labels: [String], _ loads: [EndpointLoad]? = nil) -> Upstream {
        Upstream(
            name: "u",
            endpoints: labels.enumerated().map {
                (loads?[$0.offset] ?? EndpointLoad(), $0.element)
            },
            rules: UpstreamRules.made(balance: .hash, slowStartMilliseconds: 1_000))
    }

    private func labels(_ count: Int) -> [String] { (1...count).map { "ws://10.0.0.\($0):9000" } }

    /// Where each of the keys leads, or each of so many.
    private func choices(
        _ upstream: Upstream, _ labels: [String], at now: UInt64 = 0, count: Int = keyCount / 10
    ) -> [String] {
        Self.keys.prefix(count).map {
            upstream.pick(nowMilliseconds: now, key: $0).map { labels[$0] } ?? "none"
        }
    }

    private func shares(_ choices: [String]) -> [String: Int] {
        choices.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    @Test func `hashes are those of FNV-1a, in every process`() {
        // Test vectors of the algorithm's authors.
        #expect(StableHash.of("") == 0xCBF2_9CE4_8422_2325)
        #expect(StableHash.of("a") == 0xAF63_DC4C_8601_EC8C)
        #expect(StableHash.of("foobar") == 0x8594_4171_F739_67E8)
        // The first number of SplitMix64 for the seed 0.
        #expect(StableHash.mixed(0) == 0xE220_A839_7B1D_CDAF)
    }

    @Test func `the home of a key is where it leads, though that is full, and nothing is counted`()
    {
        let rules = UpstreamRules.made(balance: .hash, activeMax: 1)
        let endpoints = labels(5).map { (load: EndpointLoad(), label: $0) }
        let upstream = Upstream(name: "u", endpoints: endpoints, rules: rules)
        for key in Self.keys.prefix(1_000) {
            #expect(
                upstream.home(of: key, nowMilliseconds: 0)
                    == upstream.pick(nowMilliseconds: 0, key: key))
        }
        let homes = Self.keys.prefix(100).map { upstream.home(of: $0, nowMilliseconds: 0) }
        for endpoint in 0..<5 { #expect(upstream.claim(only: endpoint)) }
        #expect(Self.keys.prefix(100).map { upstream.home(of: $0, nowMilliseconds: 0) } == homes)
        // What is drained is nobody's home.
        endpoints[0].load.isDraining = true
        #expect(
            Self.keys.prefix(100).allSatisfy { upstream.home(of: $0, nowMilliseconds: 0) != 0 })
        let inTurn = Upstream(
            name: "u", endpoints: endpoints, rules: UpstreamRules.made(balance: .roundRobin))
        #expect(inTurn.home(of: 1, nowMilliseconds: 0) == nil)
    }

    @Test func `where keys lead is the same after a restart`() {
        let labels = labels(5)
        let found = (0..<12).map { number in
            upstream(labels).pick(nowMilliseconds: 0, key: StableHash.of("user-\(number)")) ?? -1
        }
        // Written down once: other numbers would move the clients of a running deployment.
        #expect(found == Self.known)
    }

    private static let known = [3, 3, 2, 1, 0, 0, 1, 3, 3, 2, 4, 0]

    @Test func `every endpoint gets its share of the keys`() {
        let labels = labels(7)
        let choices = choices(upstream(labels), labels, count: Self.keyCount)
        for share in shares(choices).values {
            #expect(abs(share - Self.keyCount / 7) < Self.keyCount / 70)
        }
    }

    @Test func `the order of the endpoints is no matter`() {
        let labels = labels(6)
        let turned = Array(labels.reversed())
        #expect(choices(upstream(labels), labels) == choices(upstream(turned), turned))
    }

    @Test func `without one of the endpoints its keys alone move, to all others evenly`() {
        let labels = labels(10)
        let fewer = labels.filter { $0 != labels[3] }
        let before = choices(upstream(labels), labels, count: Self.keyCount)
        let after = choices(upstream(fewer), fewer, count: Self.keyCount)
        var gained: [String: Int] = [:]
        for (old, new) in zip(before, after) where old != new {
            #expect(old == labels[3])
            gained[new, default: 0] += 1
        }
        let moved = gained.values.reduce(0, +)
        #expect(moved == shares(before)[labels[3]])
        #expect(abs(moved - Self.keyCount / 10) < Self.keyCount / 100, "a tenth of them")
        for share in gained.values { #expect(abs(share - moved / 9) < moved / 45) }
    }

    @Test(arguments: ["fails", "is drained", "is unhealthy", "is full"])
    func `the keys of an endpoint move for as long as it takes none`(why: String) {
        let labels = labels(4)
        let loads = labels.map { _ in EndpointLoad() }
        let upstream = Upstream(
            name: "u", endpoints: Array(zip(loads, labels)),
            rules: UpstreamRules.made(balance: .hash, activeMax: 1))
        let before = choices(upstream, labels)
        switch why {
        case "fails": upstream.failed(2, nowMilliseconds: 0)
        case "is drained": loads[2].isDraining = true
        case "is unhealthy": loads[2].health = .unhealthy
        default: #expect(upstream.open(2))
        }
        let after = choices(upstream, labels)
        #expect(!after.contains(labels[2]))
        for (old, new) in zip(before, after) where old != new { #expect(old == labels[2]) }
        switch why {
        case "fails": upstream.succeeded(2, nowMilliseconds: 0)
        case "is drained": loads[2].isDraining = false
        case "is unhealthy": loads[2].health = .healthy
        default: upstream.closed(2)
        }
        #expect(choices(upstream, labels) == before)
    }

    @Test func `an endpoint that is back gets more and more of its own keys, and none of others'`()
    {
        let labels = labels(5)
        let loads = labels.map { _ in EndpointLoad() }
        let upstream = upstream(labels, loads)
        let whole = choices(upstream, labels)
        let own = shares(whole)[labels[1]] ?? 0
        loads[1].join(nowMilliseconds: 10_000)
        var before: Set<Int> = []
        for (age, share) in [(0, 0.1), (250, 0.25), (500, 0.5), (750, 0.75), (1_000, 1)] {
            let now = choices(upstream, labels, at: 10_000 + UInt64(age))
            let its = Set(now.indices.filter { now[$0] == labels[1] })
            #expect(abs(Double(its.count) / Double(own) - share) < 0.05, "at \(age) ms")
            #expect(before.isSubset(of: its), "whoever is back stays")
            #expect(its.allSatisfy { whole[$0] == labels[1] })
            before = its
        }
        #expect(choices(upstream, labels, at: 11_000) == whole)
    }

    @Test func `an endpoint that stands there twice has two shares`() {
        let labels = ["ws://a:1", "ws://b:1", "ws://a:1"]
        let share = shares(choices(upstream(labels), labels))["ws://a:1"] ?? 0
        #expect(abs(share - Self.keyCount / 15) < Self.keyCount / 300)
    }

    @Test func `who has no key goes where there are the fewest`() {
        let upstream = upstream(labels(3))
        upstream.take(0)
        upstream.take(2)
        #expect((0..<3).map { _ in upstream.pick(nowMilliseconds: 0) } == [1, 1, 1])
    }
}

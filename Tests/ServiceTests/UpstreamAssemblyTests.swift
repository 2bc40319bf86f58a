// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Frontend
import Health
import Ledger
import Reactor
import Router
import Testing

@testable import Service

/// How the settings of an upstream reach the engine, and what a reload leaves as it was.
struct UpstreamAssemblyTests {
    private func assembly(_ upstream: String, previous: Assembly? = nil) throws -> Assembly {
        let yaml = """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /*, to: chat }]
            upstreams: { chat: { \(upstream) } }
            """
        return try Assembly(
            try Configuration.load(yaml: yaml, file: "s.yaml"), previous: previous)
    }

    private func group(_ assembly: Assembly) throws -> EndpointGroup {
        try #require(assembly.routing.upstreams.first)
    }

    private static let one = "endpoints: [\"ws://127.0.0.1:1\"]"
    private static let two = "endpoints: [\"ws://127.0.0.1:2\", \"ws://127.0.0.1:1\"]"

    @Test func `an endpoint that stands twice is warned of, and served as before`() throws {
        let twice = try assembly(
            "endpoints: [\"ws://127.0.0.1:1\", \"ws://127.0.0.1:2\", \"ws://127.0.0.1:1\"]")
        #expect(try group(twice).endpoints.map(\.label).count == 3)
        let warning = try #require(twice.warnings.first)
        #expect(twice.warnings.count == 1 && warning.place.line == 3, "\(twice.warnings)")
        #expect(
            warning.sentence
                == "upstreams.chat.endpoints: ws://127.0.0.1:1 stands twice. It is one endpoint, and would get"
                + " a share of the clients for each time; write it once")
        #expect(try assembly(Self.two).warnings.isEmpty)
    }

    @Test func `rules, waiting and checks arrive`() throws {
        let assembly = try assembly(
            Self.one
                + ", balance: random2, cooldown: 3s, cooldownMax: 40s, failedUpgrades: 0, slowStart: 9s, "
                + "maxConnections: 7, queue: { wait: 1500ms, size: 8 }, health: { path: /up, host: h:1, "
                + "status: [201, 202], every: 4s, timeout: 300ms, rise: 5, fall: 6 }")
        let group = try group(assembly)
        var rules = UpstreamRules(
            balance: .random2, cooldownMilliseconds: 3_000, cooldownMaxMilliseconds: 40_000,
            failedAnswersMax: 0, slowStartMilliseconds: 9_000, activeMax: 7)
        rules.waitsForPlace = true
        #expect(group.picker.rules == rules)
        #expect(group.queue != nil)
        #expect(group.queueLimits == QueueLimits(waitMilliseconds: 1_500, size: 8))
        #expect(
            assembly.checks.map(\.check) == [
                HealthCheck(
                    .get(path: "/up", statuses: [201, 202]), host: "h:1", everyMilliseconds: 4_000,
                    timeoutMilliseconds: 300, rise: 5, fall: 6)
            ])
        #expect(assembly.checks.first?.endpoints.first === group.endpoints[0])
    }

    @Test func `localhost is one endpoint at both loopback addresses, each or not (RFC 6761 §6.3)`()
        throws
    {
        for resolve in ["one", "each"] {
            for name in ["localhost", "app.localhost"] {
                let group = try group(
                    try assembly("endpoints: [\"ws://\(name):3000\"], resolve: \(resolve)"))
                #expect(
                    group.endpoints.map { $0.addresses.map(\.description) }
                        == [["127.0.0.1:3000", "[::1]:3000"]])
                #expect(group.endpoints.map(\.label) == ["ws://\(name):3000"])
                #expect(group.endpoints.map(\.authority) == ["\(name):3000"])
            }
        }
    }

    @Test func `addresses to come from are taken in turn, each for its family`() throws {
        let group = try group(try assembly(Self.one + ", source: [127.0.0.1, 127.0.0.2, \"::1\"]"))
        let peer = try #require(Address(host: "127.0.0.9", port: 1))
        let turns = (0..<4).map { _ in group.sources(for: peer).map(\.hostString) }
        #expect(Set(turns) == [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
        #expect(turns[0] != turns[1])
        let other = try #require(Address(host: "::1", port: 1))
        #expect(group.sources(for: other).map(\.hostString) == ["::1"])
        #expect(group.sources(for: try Address(parsing: "unix:/a")).isEmpty)
    }

    @Test(arguments: ["192.0.2.77", "0.0.0.0", "\"::\""])
    func `an address to come from that is none of this machine's is refused with its place`(
        address: String
    ) {
        #expect {
            _ = try assembly(Self.one + ", source: [127.0.0.1, \(address)]")
        } throws: { error in
            "\(error)".contains("s.yaml:3:") && "\(error)".contains("source: ")
                && "\(error)".contains(address.replacingOccurrences(of: "\"", with: ""))
        }
    }

    @Test func `without a word nobody waits, is checked or begins slowly`() throws {
        let assembly = try assembly(Self.one)
        let group = try group(assembly)
        let silent = UpstreamSettings(endpoints: [])
        #expect(
            group.picker.rules
                == UpstreamRules(
                    balance: .leastConnections,
                    cooldownMilliseconds: silent.cooldown.wholeMilliseconds,
                    cooldownMaxMilliseconds: silent.cooldownMax.wholeMilliseconds,
                    failedAnswersMax: silent.failedUpgrades, slowStartMilliseconds: 0,
                    activeMax: .max))
        #expect(
            group.pool
                == PoolLimits(
                    idleMax: silent.pool.max,
                    idleMilliseconds: silent.pool.idle.wholeMilliseconds))
        #expect(group.queue == nil && group.hash == nil)
        #expect(assembly.checks.isEmpty)
    }

    @Test(arguments: [
        ("hash(path)", HashSource.path), ("hash(client)", .client),
        ("hash(cookie:Sid)", .cookie(Array("Sid".utf8))),
        ("hash(header:X-User)", .header(Array("x-user".utf8))),
    ])
    func `what is hashed arrives; names of fields have no case`(
        text: String, source: HashSource
    ) throws {
        let group = try group(assembly(Self.one + ", balance: \(text)"))
        #expect(group.picker.rules.balance == .hash)
        #expect(group.hash == source)
    }

    @Test func `after a reload one that stays is what it was, and one that joins begins slowly`()
        throws
    {
        let rules = ", maxConnections: 3, queue: { wait: 1s }, slowStart: 10s"
        let before = try assembly(Self.one + rules)
        let old = try group(before)
        #expect(!old.endpoints[0].load.hasJoined, "there is nobody to begin with")
        old.endpoints[0].load.health = .unhealthy
        old.picker.failed(0, nowMilliseconds: 5)
        let after = try assembly(Self.two + rules, previous: before)
        let new = try group(after)
        #expect(new.endpoints[1] === old.endpoints[0])
        #expect(new.endpoints[1].load.health == .unhealthy)
        #expect(new.picker.isCoolingDown(1, nowMilliseconds: 6))
        #expect(new.endpoints[0].load.hasJoined)
        #expect(new.queue != nil && new.queue === old.queue, "those that wait go on waiting")
    }
}

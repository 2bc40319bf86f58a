// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Testing

@testable import Frontend

/// What stays of a route when a reload takes it out and another brings it back.
struct RoutingTests {
    private func routing(_ names: [String], _ previous: Routing?) throws -> Routing {
        let entries = try names.map {
            RouteEntry(
                host: try HostPattern(parsing: nil), path: try PathPattern(parsing: $0),
                place: "test")
        }
        let group = EndpointGroup(
            name: "app", endpoints: [Endpoint(label: "ws://app", address: .loopback(port: 1))],
            rules: UpstreamRules(balance: .roundRobin))
        return Routing(
            table: try RouteTable(entries), routes: names.map { Route(name: $0, upstream: group) },
            previous: previous)
    }

    @Test func `a route that relays of another process came for goes on with their counts`() throws
    {
        let first = try routing(["/b"], nil)
        let tally = RouteTally()
        first.adopt(tally, of: "/a")
        tally.opened()
        let second = try routing(["/b"], first)
        #expect(second.departedCounts.map(\.name) == ["/a"])
        let third = try routing(["/b", "/a"], second)
        #expect(third.plans[1].tally === tally)
        #expect(third.relayCounts == [0, 1])
        #expect(try routing(["/a"], third).plans[0].tally === tally)
    }

    @Test func `a route that comes back has its live relays and its places`() throws {
        let limits = AdmissionLimits(relays: 1)
        let client = Address.ipv4(192, 0, 2, 7, port: 1)
        var current = try routing(["/a", "/b"], nil)
        var relay: RoutePlan? = current.plans[0]
        relay?.tally.opened()
        #expect(
            relay?.tally.admission.enter(client, limits, nowMilliseconds: 0) == .admitted)
        for names in [["/b"], ["/c"]] {
            current = try routing(names, current)
            #expect(current.departedCounts.map(\.name) == ["/a"])
            #expect(current.departedCounts.map(\.count) == [1])
        }
        current = try routing(["/b", "/a"], current)
        #expect(current.relayCounts == [0, 1])
        #expect(current.departedCounts.isEmpty)
        #expect(
            current.plans[1].tally.admission.enter(client, limits, nowMilliseconds: 0) == .full)
        // A handshake under way counts its relay where the route is counted by then.
        let handshake = current.plans[0]
        current = try routing(["/a"], current)
        current = try routing(["/a", "/b"], current)
        handshake.tally.opened()
        #expect(current.relayCounts == [1, 1])
        relay?.tally.closed()
        relay = nil
        current = try routing(["/b"], current)
        #expect(current.departedCounts.isEmpty)
        current = try routing(["/a", "/b"], current)
        #expect(current.relayCounts == [0, 1])
        #expect(
            current.plans[0].tally.admission.enter(client, limits, nowMilliseconds: 0) == .admitted,
            "of a route that nothing uses nothing is kept")
    }

    @Test
    func `the counts of a route that is gone are kept for a while, and go on if it comes back`()
        throws
    {
        var kept = KeptTallies()
        var current = try routing(["/a", "/b"], nil)
        current.plans[0].tally.opened()
        _ = current.plans[0].tally.meters.meter(of: 0, among: 1)
        let next = try routing(["/b"], current)
        kept.tend(next, nowMilliseconds: 0)
        current = next
        let name = current.tallies.first { $0.name == "/a" }
        let first = ObjectIdentifier(try #require(name?.tally))
        name?.tally.closed()
        // The time begins with the first look behind the last relay, however late that is.
        kept.tend(current, nowMilliseconds: 1_000_000)
        kept.tend(current, nowMilliseconds: 1_299_999)
        #expect(current.tallies.map(\.name) == ["/b", "/a"])
        let back = try routing(["/a", "/b"], current)
        #expect(ObjectIdentifier(back.plans[0].tally) == first)
        kept.tend(back, nowMilliseconds: 1_299_999)
        #expect(kept.count == 0)
    }

    @Test func `the counts of a route that is gone for long are let go`() throws {
        var kept = KeptTallies()
        var current = try routing(["/a", "/b"], nil)
        let next = try routing(["/b"], current)
        kept.tend(next, nowMilliseconds: 0)
        current = next
        #expect(current.tallies.map(\.name) == ["/b", "/a"])
        kept.tend(current, nowMilliseconds: KeptTallies.idleMilliseconds)
        #expect(kept.count == 0 && current.tallies.map(\.name) == ["/b"])
    }

    @Test func `totals are told when every reactor has looked`() {
        let drain = Drain(
            DrainPlan(
                code: 1001, reason: "", spreadMilliseconds: nil, timeoutMilliseconds: 1_000),
            workers: 2)
        _ = drain.find()
        drain.looked()
        #expect(drain.progress.isLooking)
        drain.looked()
        #expect(!drain.progress.isLooking && drain.progress.found == 1)
    }

    @Test func `what is drained is drained by its name, whenever it is there`() throws {
        var names = DrainedNames()
        var plan = DrainPlan(
            code: 1001, reason: "", spreadMilliseconds: nil, timeoutMilliseconds: 1_000)
        plan.routes = ["/a"]
        names.set(plan, isDrained: true)
        plan.routes = []
        plan.endpoint = "ws://app"
        names.set(plan, isDrained: true)
        let later = try routing(["/a", "/b"], nil)
        names.apply(to: later)
        #expect(later.draining == [true, false])
        #expect(later.endpoints.map(\.load.isDraining) == [true])
        names.set(plan, isDrained: false)
        names.apply(to: later)
        #expect(later.draining == [true, false])
        #expect(later.endpoints.map(\.load.isDraining) == [false])
        #expect(!names.isEmpty)
    }
}

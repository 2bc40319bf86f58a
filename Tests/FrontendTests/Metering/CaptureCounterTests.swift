// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Testing

@testable import Frontend

/// Goal: what is counted by the values of segments is bounded, stays over reloads, and costs nothing where nothing is
/// listed.
struct CaptureCounterTests {
    private func routing(
        _ path: String, listing names: [String], _ previous: Routing? = nil
    ) throws -> Routing {
        let taken = try PathCapture.take(outOf: path)
        let entry = RouteEntry(
            host: try HostPattern(parsing: nil),
            path: try PathPattern(
                parsing: taken.plain, isRewrite: false, captures: taken.captures),
            place: "test")
        let group = EndpointGroup(
            name: "app", endpoints: [Endpoint(label: "ws://app", address: .loopback(port: 1))],
            rules: UpstreamRules(balance: .roundRobin))
        var route = Route(name: path, upstream: group)
        route.captures = taken.captures
        route.countedCaptures = taken.captures.filter { names.contains($0.name) }
        return Routing(table: try RouteTable([entry]), routes: [route], previous: previous)
    }

    @Test func `a hundred values are told apart, and the rest is counted together`() {
        let counter = CaptureCounter()
        for round in 0..<2 {
            for number in 0..<130 {
                counter.count("v\(number)") { $0.requests += 1 }
                if round == 0 { counter.count("v\(number)") { $0.relaysOpened += 1 } }
            }
        }
        let all = counter.all.map(\.counted)
        #expect(all.map(\.value) == (0..<100).map { "v\($0)" } + ["/other"])
        #expect(
            all.dropLast().allSatisfy { $0.counts.requests == 2 && $0.counts.relaysOpened == 1 })
        #expect(all.last?.counts.requests == 60 && all.last?.counts.relaysOpened == 30)
        #expect(counter.place(of: "v3") == 3 && counter.place(of: "new") == 100)
    }

    @Test func `a value that is too long has no place, and who is refused takes none`() {
        let counter = CaptureCounter()
        let longest = String(repeating: "x", count: 128)
        #expect(counter.place(of: longest + "x") == CaptureCounter.placeOfRest)
        #expect(counter.place(of: longest) == 0)
        counter.count("refused", takesPlace: false) { $0.requests += 1 }
        counter.count(longest, takesPlace: false) { $0.requests += 1 }
        #expect(counter.all.map(\.counted.value) == [longest, "/other"])
        #expect(counter.all.map(\.counted.counts.requests) == [1, 1])
    }

    @Test func `each listed segment has its value`() throws {
        let path = "/{tenant}/rooms/{room}"
        let listed = try #require(
            try routing(path, listing: ["room", "tenant"]).plans[0].captures)
        let asked = Array("/t1/rooms/a%22b".utf8)
        #expect(listed.map(\.name) == ["tenant", "room"])
        #expect(listed.map { $0.value(in: asked.span) } == ["t1", "a%22b"])
        let other = Array("/t1".utf8)
        #expect(listed[1].value(in: other.span) == nil)
        #expect(try routing(path, listing: []).plans[0].captures == nil)
        #expect(try routing(path, listing: []).counting.isEmpty)
    }

    @Test func `counts stay over reloads, also over one in which the segment is not listed`() throws
    {
        let path = "/{tenant}/rooms/{room}"
        let first = try routing(path, listing: ["room"])
        let plan = first.plans[0]
        plan.captures?[0].counter.count("lobby") { $0.requests += 1 }
        let second = try routing(path, listing: ["room", "tenant"], first)
        #expect(second.plans[0].captures?.count == 2)
        #expect(second.captures(of: plan)?.count == 2, "a relay is counted as its route is now")
        let third = try routing(path, listing: [], second)
        #expect(third.captures(of: plan) == nil)
        let fourth = try routing(path, listing: ["room"], third)
        let counter = try #require(fourth.plans[0].captures?.first?.counter)
        #expect(counter.all.first?.counted.value == "lobby")
        // A route that is gone is told of as it was.
        let fifth = try routing("/elsewhere", listing: [], fourth)
        #expect(fifth.captures(of: plan)?.first?.counter === counter)
    }
}

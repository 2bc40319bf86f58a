// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Router

/// A look-up among 100,000 routes costs what one among 10 does.
///
/// A step is one slot of the table that was looked at: what a clock would measure, without its noise.
struct RouteTableStepsTests {
    @Test func `100,000 routes look up in the steps of 10`() throws {
        let small = try Self.steps(routeCount: 10)
        let large = try Self.steps(routeCount: 100_000)
        // Three segments and the host: four slots are the least.
        #expect(small.average >= 4)
        #expect(large.average < small.average + 1)
        #expect(large.worst < 64)
    }

    @Test func `a path that leads nowhere costs no more than one that does`() throws {
        let table = try table(Self.patterns(count: 100_000))
        let miss = Array(("/api" + String(repeating: "/x", count: 4_000)).utf8)
        var steps = 0
        #expect(table.match(host: "h7.example.com", path: miss, steps: &steps) == nil)
        #expect(steps < 64)
    }

    @Test func `the table is never more than half full`() throws {
        for count in 0..<100 {
            let table = try table(Self.patterns(count: count))
            #expect(table.edges.count * 2 <= table.slots.count)
        }
    }

    private static func steps(routeCount: Int) throws -> (average: Double, worst: Int) {
        let patterns = patterns(count: routeCount)
        let table = try table(patterns)
        var total = 0
        var worst = 0
        for (index, (host, pattern)) in patterns.enumerated() {
            var steps = 0
            let match = table.match(host: host ?? "other", path: Array(pattern.utf8), steps: &steps)
            try #require(match?.index == index)
            total += steps
            worst = max(worst, steps)
        }
        return (Double(total) / Double(patterns.count), worst)
    }

    /// Routes of a hundred hosts and of any host, three segments deep.
    private static func patterns(count: Int) -> [(String?, String)] {
        (0..<count).map { index in
            let host = index % 2 == 0 ? "h\(index % 100).example.com" : nil
            return (host, "/api/service\(index / 10)/v\(index)")
        }
    }
}

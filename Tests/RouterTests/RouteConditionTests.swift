// SPDX-License-Identifier: Apache-2.0
//
// Goal: of the routes for one host and path the narrower one whose conditions hold is taken, then less specific paths
// and hosts; two of which neither is narrower are refused.
// Method: tables whose conditions are asked of a list of names that hold.

import Testing

@testable import Router

@Suite struct RouteConditionTests {
    private static func conditions(_ change: (inout RouteConditions) -> Void) -> RouteConditions {
        var conditions = RouteConditions()
        change(&conditions)
        return conditions
    }

    private static let none = RouteConditions()
    private static let upgrade = conditions { $0.upgrade = true }
    private static let plain = conditions { $0.upgrade = false }
    private static let post = conditions { $0.methods = ["POST"] }
    private static let write = conditions { $0.methods = ["POST", "PUT"] }
    private static let read = conditions { $0.methods = ["GET", "POST"] }
    private static let inner = conditions { $0.listeners = ["inner"] }
    private static let innerPost = conditions {
        $0.listeners = ["inner"]
        $0.methods = ["POST"]
    }
    private static let beta = conditions { $0.fields = ["x-tier": ValueGlob("beta")] }
    private static let tier = conditions { $0.fields = ["x-tier": ValueGlob("b*")] }
    private static let anyTier = conditions { $0.fields = ["x-tier": ValueGlob("*")] }
    private static let gold = conditions { $0.fields = ["x-tier": ValueGlob("gold")] }
    private static let page = conditions { $0.query = ["page": ValueGlob("1")] }

    @Test(
        arguments: [
            (none, none, .same), (upgrade, none, .narrower), (none, upgrade, .wider),
            (upgrade, plain, .apart), (post, write, .narrower), (write, post, .wider),
            (write, read, .across), (upgrade, post, .across), (inner, innerPost, .wider),
            (innerPost, post, .narrower), (beta, tier, .narrower), (tier, beta, .wider),
            (tier, anyTier, .narrower), (beta, gold, .apart), (gold, tier, .apart),
            (page, beta, .across), (page, none, .narrower), (innerPost, write, .narrower),
        ] as [(RouteConditions, RouteConditions, RouteConditions.Relation)])
    func `conditions are compared by what fits them`(
        one: RouteConditions, other: RouteConditions, relation: RouteConditions.Relation
    ) {
        #expect(one.relation(to: other) == relation)
        let turned: [RouteConditions.Relation] =
            switch relation {
            case .narrower: [.wider]
            case .wider: [.narrower]
            case let same: [same]
            }
        #expect([other.relation(to: one)] == turned)
        if relation == .narrower { #expect(one.rank > other.rank) }
        if relation == .wider { #expect(one.rank < other.rank) }
    }

    @Test func `more routes beside each other than may be are refused, with both places`() throws {
        let entries = try (0...RouteTable.besideMax).map { number in
            RouteEntry(
                host: .any, path: try PathPattern(parsing: "/a"), place: "file:\(number)",
                conditions: Self.conditions { $0.fields = ["x": ValueGlob("\(number)")] })
        }
        #expect(RouteTable.conflicts(in: Array(entries.dropLast())).isEmpty)
        let conflicts = RouteTable.conflicts(in: entries)
        #expect(conflicts.map(\.second) == ["file:256"])
        #expect(
            conflicts.first?.sentence
                == "this route is one more for the host (*) and path (/a) that the one at file:0 has, allowed: 256 of them",
            "\(conflicts)")
    }

    @Test(arguments: [
        ("beta", "beta", true), ("beta", "bet", false), ("beta", "Beta", false), ("*", "", true),
        ("b*", "b", true), ("b*a", "ba", true), ("b*a", "beta", true), ("b*a", "betas", false),
        ("*t*a*", "beta", true), ("*.example.com", "a.example.com", true), ("**", "x", true),
        ("a*b*c", "aXbXbc", true), ("a*b*c", "acb", false), ("", "", true), ("", "a", false),
    ])
    func `a star stands for any run`(glob: String, value: String, fits: Bool) {
        #expect(ValueGlob(glob).matches(value.utf8.span) == fits)
    }

    private static func entry(
        _ path: String, _ conditions: RouteConditions, _ line: Int, host: String? = nil
    ) throws -> RouteEntry {
        RouteEntry(
            host: try HostPattern(parsing: host), path: try PathPattern(parsing: path),
            place: "s.yaml:\(line):1", conditions: conditions)
    }

    private static func route(
        _ table: RouteTable, _ path: String, holding: Set<Int>, host: String = "a.example"
    ) -> Int? {
        table.index(host: host.utf8.span, path: path.utf8.span) { holding.contains($0) }
    }

    @Test(arguments: [false, true])
    func `the narrowest that holds is taken, then less specific paths and hosts`(isTurned: Bool)
        throws
    {
        var entries = [
            try Self.entry("/chat", Self.none, 1), try Self.entry("/chat", Self.post, 2),
            try Self.entry("/chat", Self.innerPost, 3), try Self.entry("/chat", Self.inner, 4),
            try Self.entry("/*", Self.none, 5),
            try Self.entry("/chat", Self.upgrade, 6, host: "a.example"),
        ]
        // `inner` and `post` have requests in common, so that both can't stand there.
        entries.remove(at: 3)
        let order = isTurned ? Array(entries.indices.reversed()) : Array(entries.indices)
        let table = try RouteTable(order.map { entries[$0] })
        func found(_ holding: Set<Int>, _ path: String = "/chat") -> Int? {
            let own = Set(holding.compactMap { order.firstIndex(of: $0) })
            return Self.route(table, path, holding: own).map { order[$0] }
        }
        #expect(table.hasConditions)
        #expect(found([0, 1, 2, 3, 4]) == 4)
        #expect(found([0, 1, 2, 3]) == 2)
        #expect(found([0, 1, 3]) == 1)
        #expect(found([0, 3]) == 0)
        #expect(found([3]) == 3)
        #expect(found([]) == nil)
        #expect(found([0, 1, 2, 3, 4], "/other") == 3)
    }

    @Test func `two of which neither is narrower are refused with both places`() throws {
        for (one, other) in [
            (Self.upgrade, Self.post), (Self.write, Self.read), (Self.page, Self.beta),
        ] {
            let entries = [
                try Self.entry("/a", Self.none, 1), try Self.entry("/a", one, 2),
                try Self.entry("/a", other, 3),
            ]
            let conflicts = RouteTable.conflicts(in: entries)
            #expect(
                conflicts.map(\.second) == ["s.yaml:3:1"]
                    && conflicts.map(\.first) == ["s.yaml:2:1"])
            #expect(conflicts[0].sentence.contains("of which neither says more"), "\(conflicts)")
        }
        let same = [try Self.entry("/a", Self.post, 1), try Self.entry("/a", Self.post, 2)]
        #expect(RouteTable.conflicts(in: same).first?.sentence.contains("never reached") == true)
        let apart = [
            try Self.entry("/a", Self.upgrade, 1), try Self.entry("/a", Self.plain, 2),
            try Self.entry("/a/*", Self.post, 3), try Self.entry("/b", Self.write, 4),
        ]
        #expect(RouteTable.conflicts(in: apart).isEmpty)
    }
}

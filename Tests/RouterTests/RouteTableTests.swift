// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Router

/// Which route a request takes.
struct RouteTableTests {
    @Test(arguments: [
        ("a.example.com", "/chat", 0), ("a.example.com", "/chat/", 1),
        ("a.example.com", "/chat/x", 1), ("a.example.com", "/chat/deep/x", 2),
        ("a.example.com", "/chat/deep", 1), ("a.example.com", "/chat/deep/exact", 3),
        ("a.example.com", "/chat/deep/exact/", 2), ("a.example.com", "/chatter", 7),
        ("b.example.com", "/chat", 4), ("b.example.com", "/chat/x", 7),
        ("a.b.example.com", "/chat", 7), ("example.com", "/chat", 7), (".example.com", "/chat", 7),
        ("other", "/any", 5), ("a.example.com", "/any", 6), ("b.example.com", "/any", 6),
        ("", "/any", 5), ("::1", "/six", 8), ("::2", "/six", 7),
    ])
    func `the more specific route wins`(host: String, path: String, expected: Int) throws {
        let table = try table([
            ("a.example.com", "/chat"), ("a.example.com", "/chat/*"),
            ("a.example.com", "/chat/deep/*"), ("a.example.com", "/chat/deep/exact"),
            ("*.example.com", "/chat"), (nil, "/any"), ("*.example.com", "/any"), (nil, "/*"),
            ("[::1]", "/six"),
        ])
        #expect(table.match(host: host, path: Array(path.utf8))?.index == expected)
    }

    @Test func `the order of the routes does not matter`() throws {
        let patterns: [(String?, String)] = [
            (nil, "/*"), (nil, "/a"), (nil, "/a/*"), (nil, "/a/b/*"), ("h", "/a/*"),
            ("*.h", "/a/*"),
        ]
        let requests = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/b"]
        let forwards = try table(patterns)
        let backwards = try table(patterns.reversed())
        for host in ["h", "x.h", "x"] {
            for path in requests {
                let one = forwards.match(host: host, path: Array(path.utf8))?.index
                let other = backwards.match(host: host, path: Array(path.utf8))?.index
                #expect(one == other.map { patterns.count - 1 - $0 }, "\(host)\(path)")
            }
        }
    }

    @Test func `without a route that fits there is no match`() throws {
        let table = try table([("h", "/a"), ("h", "/a/b/*"), ("*.h", "/c")])
        for (host, path) in [
            ("h", "/"), ("h", "/a/"), ("h", "/a/b"), ("x", "/a"), ("h", ""), ("h", "a"), ("h", "*"),
            ("h", "/A"), ("x.h", "/a"), ("h", "/c"), ("x.y.h", "/c"), ("h.", "/a"), ("h", "//a"),
        ] {
            #expect(table.match(host: host, path: Array(path.utf8)) == nil, "\(host)\(path)")
        }
        #expect(try RouteTable([]).match(host: "h", path: Array("/".utf8)) == nil)
    }

    @Test func `empty segments are segments`() throws {
        let table = try table([(nil, "/"), (nil, "/a/"), (nil, "/a//*"), (nil, "//b"), (nil, "//")])
        for (path, index) in [
            ("/", 0), ("/a/", 1), ("/a//", 2), ("/a//x", 2), ("//b", 3), ("//", 4),
        ] {
            #expect(table.match(host: "h", path: Array(path.utf8))?.index == index, "\(path)")
        }
    }

    @Test(
        arguments: [
            ("/chat/*", "/socket/*", "/chat/a/b", "/socket/a/b"),
            ("/chat/*", "/socket/*", "/chat/", "/socket/"),
            ("/chat/*", "/*", "/chat/a", "/a"),
            ("/*", "/socket/*", "/a", "/socket/a"),
            ("/chat/*", "/socket", "/chat/a/b", "/socket"),
            ("/chat", "/a/very/different/one", "/chat", "/a/very/different/one"),
            ("/chat/*", nil, "/chat/a%2C", "/chat/a%2C"),
        ] as [(String, String?, String, String)])
    func `a rewrite stands in place of the pattern`(
        pattern: String, rewrite: String?, path: String, expected: String
    ) throws {
        let table = try RouteTable([try entry(nil, pattern, rewrite: rewrite)])
        let match = try #require(table.match(host: "h", path: Array(path.utf8)))
        #expect(String(decoding: match.path, as: UTF8.self) == expected)
    }

    @Test(arguments: [
        ("/~u/*", "/s/*", "/%7eu/%41", "/s/%41"), ("/a/b/*", "/*", "/%61/%62/", "/"),
        ("/*", "/s/*", "/%41/", "/s/%41/"), ("/a/*", "/s", "/a/%41", "/s"),
    ])
    func `a path that is not canonical keeps what stands behind as many slashes`(
        pattern: String, rewrite: String, path: String, expected: String
    ) throws {
        let table = try RouteTable([try entry(nil, pattern, rewrite: rewrite)])
        let sent = Array(path.utf8)
        let made = try #require(table.rewritten(sent[...], isCanonical: false, by: 0))
        #expect(String(decoding: made, as: UTF8.self) == expected)
    }

    @Test func `what a rewrite keeps begins with its slash`() throws {
        let table = try RouteTable([
            try entry(nil, "/a/*", rewrite: "/b/*"), try entry(nil, "/c/*", rewrite: "/d"),
            try entry(nil, "/e/*"),
        ])
        #expect(
            table.keptByRewrite(Array("/a/x/y".utf8), by: 0).map(Array.init) == Array("/x/y".utf8))
        #expect(table.keptByRewrite(Array("/c/x".utf8), by: 1) == nil)
        #expect(table.keptByRewrite(Array("/e/x".utf8), by: 2) == nil)
    }

    @Test func `a table knows how many routes it holds`() throws {
        #expect(try table([(nil, "/a"), (nil, "/b")]).count == 2)
    }
}

/// Routes that cannot stand side by side.
struct RouteConflictTests {
    @Test(
        arguments: [
            ("A.example.com.", "/a%7Eb", "a.example.com", "/a~b", "a.example.com", "/a~b"),
            (nil, "/a/*", "*", "/a/*", "*", "/a/*"),
            ("*.example.com", "/%c3%bc", "*.EXAMPLE.com", "/ü", "*.example.com", "/%C3%BC"),
        ] as [(String?, String, String?, String, String, String)])
    func `equal routes are refused with both places, however they are written`(
        hostA: String?, pathA: String, hostB: String?, pathB: String, host: String, path: String
    ) throws {
        let entries = [
            try entry(hostA, pathA, place: "s.yaml:2:5"),
            try entry("else", pathA, place: "s.yaml:3:5"),
            try entry(hostB, pathB, place: "s.yaml:4:5"),
        ]
        let conflict = #expect(throws: RouteConflict.self) { try RouteTable(entries) }
        #expect(conflict?.first == "s.yaml:2:5")
        #expect(conflict?.second == "s.yaml:4:5")
        #expect(
            conflict?.sentence
                == "this route is never reached: the route at s.yaml:2:5 has the same "
                + "host (\(host)) and path (\(path))")
    }

    @Test func `a rewrite cannot keep what an exact path does not leave`() throws {
        let entries = [try entry(nil, "/a", rewrite: "/b/*", place: "s.yaml:2:5")]
        let conflict = #expect(throws: RouteConflict.self) { try RouteTable(entries) }
        #expect(
            conflict?.sentence
                == "the route at s.yaml:2:5 has the exact path /a, so nothing is left that the '*' of "
                + "its rewrite could stand for")
    }

    @Test func `all conflicts can be listed`() throws {
        let entries = try ["/a", "/b", "/a", "/b", "/a/*", "/a"].enumerated().map { index, path in
            try entry(nil, path, place: "\(index)")
        }
        let conflicts = RouteTable.conflicts(in: entries)
        #expect(conflicts.map(\.first) == ["0", "1", "0"])
        #expect(conflicts.map(\.second) == ["2", "3", "5"])
        #expect(RouteTable.conflicts(in: Array(entries.prefix(2))) == [])
    }
}

func table(_ patterns: [(String?, String)]) throws -> RouteTable {
    try RouteTable(try patterns.map { try entry($0.0, $0.1) })
}

func entry(
    _ host: String?, _ path: String, rewrite: String? = nil, place: String = "here"
) throws -> RouteEntry {
    RouteEntry(
        host: try HostPattern(parsing: host), path: try PathPattern(parsing: path),
        rewrite: try rewrite.map { try PathPattern(parsing: $0) }, place: place)
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a segment in braces takes any one segment, the more specific route wins, and what was taken can be told and put
// into a rewrite.
// Method: small tables, and many random ones beside a plain reader of the patterns.

import TestKit
import Testing

@testable import Router

@Suite struct CaptureTests {
    private static func pattern(_ text: String, isRewrite: Bool = false) throws -> PathPattern {
        let taken = try PathCapture.take(outOf: text)
        return try PathPattern(
            parsing: taken.plain, isRewrite: isRewrite, captures: taken.captures)
    }

    private static func table(_ paths: [String], rewrites: [String?] = []) throws -> RouteTable {
        try RouteTable(
            paths.enumerated().map { index, path in
                RouteEntry(
                    host: .any, path: try pattern(path),
                    rewrite: try index < rewrites.count
                        ? rewrites[index].map { try pattern($0, isRewrite: true) } : nil,
                    place: "s.yaml:\(index + 1):1")
            })
    }

    private static func route(_ table: RouteTable, _ path: String) -> Int? {
        table.index(host: "a.example".utf8.span, path: path.utf8.span)
    }

    @Test func `a name in braces stands for one whole segment that is not empty`() throws {
        let table = try Self.table(["/ocpp/{station}", "/api/{version}/*", "/a/{x}/b"])
        for (path, index) in [
            ("/ocpp/CP-1", 0), ("/ocpp/%7Bstation%7D", 0), ("/ocpp/-", 0), ("/ocpp", nil),
            ("/ocpp/", nil),
            ("/ocpp/CP-1/", nil), ("/ocpp/CP-1/x", nil), ("/api/v1/", 1), ("/api/v1/a/b", 1),
            ("/api/v1", nil), ("/api//a", nil), ("/a/1/b", 2), ("/a/1/c", nil), ("/a//b", nil),
        ] as [(String, Int?)] {
            #expect(Self.route(table, path) == index, "\(path)")
        }
    }

    @Test func `what is written goes before a name, and a name before everything below`() throws {
        let table = try Self.table([
            "/{a}/{b}", "/chat/{room}", "/chat/lobby", "/chat/*", "/{a}/lobby/*",
            "/chat/{room}/info", "/*",
        ])
        for (path, index) in [
            ("/chat/lobby", 2), ("/chat/x", 1), ("/chat/x/info", 5), ("/chat/x/y", 3),
            ("/chat/", 3),
            ("/y/lobby", 0), ("/y/lobby/z", 4), ("/y/z", 0), ("/y/z/w", 6), ("/chat/lobby/info", 5),
            ("/chat/lobby/z", 3), ("/", 6),
        ] {
            #expect(Self.route(table, path) == index, "\(path)")
        }
    }

    @Test func `a way that leads nowhere is left again`() throws {
        let table = try Self.table(["/a/b/c", "/a/{x}/d", "/{y}/b/e"])
        #expect(Self.route(table, "/a/b/c") == 0)
        #expect(Self.route(table, "/a/b/d") == 1)
        #expect(Self.route(table, "/a/b/e") == 2)
        #expect(Self.route(table, "/a/b/f") == nil)
    }

    @Test func `what was taken is put into a rewrite, as it was sent`() throws {
        let table = try Self.table(
            ["/ocpp/{station}", "/api/{version}/*", "/{a}/{b}/*", "/swap/{a}/{b}"],
            rewrites: ["/stations/{station}/socket", "/{version}/service/*", "/x/*", "/{b}/-/{a}"])
        func rewritten(_ path: String, _ sent: String? = nil) throws -> String {
            let index = try #require(Self.route(table, path))
            let made = table.rewritten(
                Array((sent ?? path).utf8)[...], isCanonical: sent == nil, by: index)
            return String(decoding: try #require(made), as: UTF8.self)
        }
        #expect(try rewritten("/ocpp/CP-1") == "/stations/CP-1/socket")
        #expect(try rewritten("/ocpp/~1", "/ocpp/%7E1") == "/stations/%7E1/socket")
        #expect(try rewritten("/api/v1/a/b") == "/v1/service/a/b")
        #expect(try rewritten("/api/version-2/") == "/version-2/service/")
        #expect(try rewritten("/some/thing/else/") == "/x/else/")
        #expect(try rewritten("/swap/1/22") == "/22/-/1")
        let kept = table.keptByRewrite(Array("/api/version-2/a/b".utf8), by: 1)
        #expect(kept.map { String(decoding: $0, as: UTF8.self) } == "/a/b")
    }

    @Test(arguments: [
        ("/a/{x}/{x}", "the name {x} stands there a second time"),
        ("/a/{}", "braces stand around a whole segment"), ("/a/{x", "braces stand around"),
        ("/a/x}", "braces stand around"), ("/a/p-{x}", "braces stand around"),
        ("/a/{x}.json", "braces stand around"), ("/a/{1}", "braces stand around"),
        ("/a/{a b}", "braces stand around"), ("/a/{{x}}", "braces stand around"),
        ("/{*}", "braces stand around"),
    ])
    func `braces that are no name are told`(text: String, start: String) {
        #expect {
            _ = try Self.pattern(text)
        } throws: { "\($0)".contains(start) }
    }

    @Test func `routes that differ in their names alone are one`() {
        #expect {
            _ = try Self.table(["/a/{x}", "/a/{y}"])
        } throws: { ("\($0)").contains("/a/{y}") && "\($0)".contains("s.yaml:1:1") }
        #expect {
            _ = try Self.table(["/a/{x}"], rewrites: ["/b/{y}"])
        } throws: {
            "\($0)".contains("has {y}, which its path /a/{x} has not, allowed: {x}")
        }
    }

    // MARK: Beside a plain reader

    /// How well each segment of a path fits: 0 as written, 1 by a name, 2 by everything below; nil where it does not.
    private static func fit(_ pattern: String, _ path: String) -> [Int]? {
        let wanted = pattern.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let given = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        var fit: [Int] = []
        var rest = given[...]
        for segment in wanted {
            if segment == "*" { return rest.isEmpty ? nil : fit + [2] }
            guard let next = rest.popFirst() else { return nil }
            if segment == next {
                fit.append(0)
            } else if segment.hasPrefix("{"), !next.isEmpty {
                fit.append(1)
            } else {
                return nil
            }
        }
        return rest.isEmpty ? fit : nil
    }

    @Test func `the table finds what a plain reader finds`() throws {
        var random = SplitMix(seed: 9)
        for _ in 0..<300 {
            var paths: Set<String> = []
            for _ in 0..<8 {
                var names = ["{a}", "{b}", "{c}", "{d}"][...]
                var segments = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                    Bool.random(using: &random)
                        ? ["x", "y"].randomElement(using: &random) ?? "x"
                        : String(names.popFirst() ?? "x")
                }
                if Bool.random(using: &random) { segments.append("*") }
                paths.insert("/" + segments.joined(separator: "/"))
            }
            let all = paths.sorted()
            let table = try Self.table(all)
            for _ in 0..<60 {
                let path =
                    (0..<Int.random(in: 1...5, using: &random)).map { _ in
                        "/" + (["x", "y", "z", ""].randomElement(using: &random) ?? "")
                    }.joined()
                let best = all.indices.compactMap { index in
                    Self.fit(all[index], path).map { (index, $0) }
                }.min { $0.1.lexicographicallyPrecedes($1.1) }
                #expect(Self.route(table, path) == best?.0, "\(path) among \(all)")
            }
        }
    }
}

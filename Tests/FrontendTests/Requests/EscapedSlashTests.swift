// SPDX-License-Identifier: Apache-2.0
import Router
import Testing
import Wire

@testable import Frontend

/// An escaped slash is an escape (RFC 3986 §2.2), and opens no other route.
struct EscapedSlashTests {
    private struct Pattern {
        let host: String?
        let path: String
        let rewrite: String?
    }

    private static func routing(_ patterns: [Pattern]) throws -> Routing {
        let entries = try patterns.map { pattern in
            RouteEntry(
                host: try HostPattern(parsing: pattern.host),
                path: try PathPattern(parsing: pattern.path),
                rewrite: try pattern.rewrite.map { try PathPattern(parsing: $0) }, place: "here")
        }
        let routes = patterns.map { pattern in
            Route(
                name: (pattern.host ?? "") + pattern.path,
                action: .respond(FixedAnswer(status: 200, type: "", body: [])))
        }
        return Routing(table: try RouteTable(entries), routes: routes)
    }

    private static func text(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: Array(bytes), as: UTF8.self)
    }

    @Test(
        arguments: [
            ("/a/b", ["/a/b"]),
            ("/a%2Fb", ["/a/b"]),
            ("/a%5Cb", ["/a/b"]),
            ("/a%2Fb%5Cc", ["/a/b/c", "/a/b%5Cc", "/a%2Fb/c"]),
            ("/a/..%2Fb", ["/a/../b", "/b"]),
            ("/a%2F.%2Fb", ["/a/./b", "/a/b"]),
            ("/a/%2Fb", ["/a//b", "/a/b"]),
            ("/a/%2F..%2Fb", ["/a//../b", "/a/../b", "/a/b", "/b"]), ("/a%2F%2F..%2F..", nil),
            ("//a", ["//a", "/a"]), ("/a;x/b", ["/a;x/b", "/a/b"]),
            ("/;x/a", ["/;x/a", "//a", "/a"]),
            ("//;x/a", ["//;x/a", "///a", "/;x/a", "//a", "/a"]),
            ("/a%2Fb;c", ["/a/b;c", "/a%2Fb", "/a/b"]),
            ("/..%2F", nil), ("/a/..%2F..%5C", nil), ("/a%5C..%2F..", nil), ("/a%2F..;x", nil),
        ] as [(String, [String]?)])
    func `a path has a reading for each kind of server`(path: String, expected: [String]?) {
        let readings = EscapedSlash.readings(of: Array(path.utf8))
        #expect(readings?.map { Self.text($0) } == expected)
        #expect(EscapedSlash.isIn(Array(path.utf8)) == path.contains("%"))
        let target = try? RequestTarget(parsing: path.utf8)
        if let target { #expect(target.hasOtherReadings == (path != "/a/b")) }
    }

    /// What an app of some kind would see: this test's own way to read a path, one segment at a time.
    private static func seen(_ path: String, by server: Server) -> [String]? {
        var path = path
        for escape in server.escapes { path = path.replacing(escape, with: "/") }
        if server.isDropping { path = path.replacing(/;[^\/]*/, with: "") }
        let merging = server.isMerging
        while merging, path.contains("//") { path = path.replacing("//", with: "/") }
        var segments: [String] = []
        let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            switch part {
            case ".": if isLast { segments.append("") }
            case "..":
                if segments.popLast() == nil { return nil }
                if isLast { segments.append("") }
            default: segments.append(String(part))
            }
        }
        return segments
    }

    /// How an app reads a path.
    private struct Server {
        /// What it takes for a slash.
        let escapes: [String]
        /// It takes slashes in a row for one.
        let isMerging: Bool
        /// It drops parameters.
        let isDropping: Bool
    }

    private static let servers = [[], ["%2F"], ["%5C"], ["%2F", "%5C"]].flatMap { escapes in
        [(false, false), (false, true), (true, false), (true, true)].map {
            Server(escapes: escapes, isMerging: $0.0, isDropping: $0.1)
        }
    }

    @Test(arguments: 0..<12)
    func `what is let through is the same route's however it is read`(seed: UInt64) throws {
        var random = Generator(state: seed &+ 1)
        var passed = 0
        var refused = 0
        for _ in 0..<60 {
            let routing = try Self.routing(Self.patterns(&random))
            for _ in 0..<60 {
                let sent = Self.path(&random)
                let host = ["h", "a.h", "x"].randomElement(using: &random) ?? "h"
                guard let target = try? RequestTarget(parsing: sent.utf8),
                    let found = routing.table.index(
                        host: host.utf8.span, path: target.path.span)
                else { continue }
                guard target.hasOtherReadings else { continue }
                let refusal = routing.refusal(
                    ofReadings: target.path, host: host.utf8.span, route: found)
                guard refusal == nil else {
                    refused += 1
                    continue
                }
                passed += 1
                let path = Self.text(target.path)
                for server in Self.servers {
                    let segments = try #require(Self.seen(path, by: server), "\(sent)")
                    let plain = "/" + segments.joined(separator: "/")
                    let other = routing.table.index(host: host.utf8.span, path: plain.utf8.span)
                    #expect(other == found, "\(sent) as \(plain)")
                    // What stands in place of a prefix is not left, whoever reads it.
                    guard routing.table.keptByRewrite(target.path, by: found) != nil else {
                        continue
                    }
                    let goesOn = try #require(
                        routing.table.rewritten(
                            target.sentPath[...], isCanonical: false, by: found))
                    let canonical = try RequestTarget(parsing: goesOn)
                    let seen = try #require(
                        Self.seen(Self.text(canonical.path), by: server))
                    #expect(seen.starts(with: ["in", "side"]), "\(sent) as \(seen)")
                }
            }
        }
        #expect(passed > 30 && refused > 30, "\(passed) \(refused)")
    }

    @Test func `a route may want none at all`() throws {
        var route = Route(
            name: "/*", action: .respond(FixedAnswer(status: 200, type: "", body: [])))
        route.rejectsEscapedSlash = true
        let entry = RouteEntry(host: .any, path: try PathPattern(parsing: "/*"), place: "here")
        let routing = Routing(table: try RouteTable([entry]), routes: [route])
        for path in ["/a%2Fb", "/%5C"] {
            let refusal = routing.refusal(
                ofReadings: Array(path.utf8), host: "h".utf8.span, route: 0)
            #expect(refusal == .escapedSlash(rejectedBy: "/*"))
        }
        for path in ["//a", "/a;b", "/a//b"] {
            #expect(
                routing.refusal(
                    ofReadings: Array(path.utf8), host: "h".utf8.span, route: 0) == nil)
        }
    }

    private static func patterns(_ random: inout Generator) -> [Pattern] {
        var patterns: [String: Pattern] = [:]
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let host = [nil, nil, "h", "*.h"].randomElement(using: &random) ?? nil
            var path = ""
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                path += "/" + (["a", "b", "c", ""].randomElement(using: &random) ?? "a")
            }
            let isPrefix = path.isEmpty || Bool.random(using: &random)
            path += isPrefix ? "/*" : ""
            let rewrite = isPrefix && Bool.random(using: &random) ? "/in/side/*" : nil
            patterns["\(host ?? "")\(path)"] = Pattern(host: host, path: path, rewrite: rewrite)
        }
        return patterns.values.sorted { ($0.host ?? "", $0.path) < ($1.host ?? "", $1.path) }
    }

    private static func path(_ random: inout Generator) -> String {
        let pieces = ["a", "b", "c", "/", "/", "%2F", "%2f", "%5C", "..", ".", "%2e", ";"]
        return "/"
            + (0..<Int.random(in: 1...9, using: &random)).map { _ in
                pieces.randomElement(using: &random) ?? "a"
            }.joined()
    }

    /// xorshift64: the same seed gives the same paths.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &*= 0x9E37_79B9_7F4A_7C15
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
    }
}

extension Routing {
    /// The refusal where no route has conditions.
    fileprivate func refusal(
        ofReadings path: [UInt8], host: Span<UInt8>, route index: Int
    ) -> Refusal? {
        refusal(ofReadings: path, host: host, route: index) {
            preconditionFailure("no route has conditions")
        }
    }
}

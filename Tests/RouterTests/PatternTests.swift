// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Router

/// Patterns as configuration writes them.
struct PatternTests {
    @Test(
        arguments: [
            (nil, HostPattern.any), ("*", .any), ("a.example.com", .exact("a.example.com")),
            ("A.Example.COM.", .exact("a.example.com")), ("localhost", .exact("localhost")),
            ("my_app", .exact("my_app")), ("10.0.0.1", .exact("10.0.0.1")),
            ("*.Example.com", .wildcard("example.com")), ("[::1]", .exact("::1")),
            ("FE80::1", .exact("fe80::1")),
        ] as [(String?, HostPattern)])
    func `hosts`(text: String?, expected: HostPattern) throws {
        #expect(try HostPattern(parsing: text) == expected)
        #expect(try HostPattern(parsing: expected.description) == expected)
    }

    @Test(arguments: [
        ("", "a label of a host name is never empty", 1),
        ("a..b", "a label of a host name is never empty", 3),
        ("*.", "a label of a host name is never empty", 2),
        ("a.*.b", "'*' stands only for the whole first label, as in *.example.com", 3),
        ("a*", "'*' stands only for the whole first label, as in *.example.com", 2),
        ("*.*.a", "'*' stands only for the whole first label, as in *.example.com", 3),
        ("a:80", "a host stands here without a port", 2),
        ("[::1]:80", "a host stands here without a port, as in [::1]", 8),
        ("[::g]", "this is no IPv6 address", 4),
        ("a/b", "a host stands here without scheme and path", 2),
        ("a b", "this character cannot stand in a host name", 2),
        ("ü.de", "write an international name in its xn-- form", 1),
        (String(repeating: "a", count: 64), "a label of a host name has at most 63 characters", 64),
        (
            String(repeating: "a.", count: 127) + "a", "a host name has at most 253 characters", 254
        ),
    ])
    func `what is no host`(text: String, sentence: String, column: Int) {
        #expect(throws: PatternFault(sentence, at: column)) { try HostPattern(parsing: text) }
    }

    @Test(arguments: [
        ("/", "/", false), ("/*", "/", true), ("/a", "/a", false), ("/a/*", "/a/", true),
        ("/%7euser/%2c", "/~user/%2C", false), ("/ü", "/%C3%BC", false),
        ("/a%2Ab", "/a%2Ab", false),
        ("/a.b/..c/...", "/a.b/..c/...", false), ("//a", "//a", false), ("/%20", "/%20", false),
        ("/a:b@c!$&'()+,;=", "/a:b@c!$&'()+,;=", false),
    ])
    func `paths`(text: String, bytes: String, isPrefix: Bool) throws {
        let pattern = try PathPattern(parsing: text)
        #expect(String(decoding: pattern.bytes, as: UTF8.self) == bytes)
        #expect(pattern.isPrefix == isPrefix)
        #expect(try PathPattern(parsing: pattern.description) == pattern)
    }

    static let slash =
        "a request with this escape takes the route that it would take with '/' there, so this never"
        + " matches"

    @Test func `a rewrite may hold an escaped slash`() throws {
        #expect(try PathPattern(parsing: "/%2f/*", isRewrite: true).description == "/%2F/*")
        #expect(throws: PatternFault.self) { try PathPattern(parsing: "/%00", isRewrite: true) }
    }

    @Test(arguments: [
        ("", "a path begins with '/'", 1),
        ("chat", "a path begins with '/'", 1),
        ("*", "a path begins with '/'", 1),
        (
            "/a*",
            "'*' stands only for everything below, as the last segment in /chat/*; write %2A for the character",
            3
        ),
        (
            "/*/a",
            "'*' stands only for everything below, as the last segment in /chat/*; write %2A for the character",
            2
        ),
        ("/a?b", "routes look at the path only, not at a query", 3),
        ("/a#b", "a fragment never reaches a server", 3),
        ("/a\\b", "a path is written with '/'", 3),
        ("/a b", "this character stands in a path as %20", 3),
        ("/{id}", "this character stands in a path as %7B", 2),
        ("/\u{0}", "this character stands in a path as %00", 2),
        ("/%", "'%' begins an escape of two hexadecimal digits", 2),
        ("/a%2", "'%' begins an escape of two hexadecimal digits", 3),
        ("/%zz", "'%' begins an escape of two hexadecimal digits", 2),
        ("/%00", "requests with this escape are refused, so it never matches", 2),
        ("/%2f", Self.slash, 2),
        ("/%5C", Self.slash, 2),
        ("/a/../b", "'.' and '..' are resolved in requests, so this never matches", 4),
        ("/%7E/..;a", "'.' and '..' are resolved in requests, so this never matches", 6),
        ("/%2e/*", "'.' and '..' are resolved in requests, so this never matches", 2),
    ])
    func `what is no path`(text: String, sentence: String, column: Int) {
        #expect(throws: PatternFault(sentence, at: column)) { try PathPattern(parsing: text) }
    }
}

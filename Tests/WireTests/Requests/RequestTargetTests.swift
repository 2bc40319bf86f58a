// SPDX-License-Identifier: Apache-2.0

import TestKit
import Testing
import Wire

@Suite struct RequestTargetTests {
    static func text(_ bytes: [UInt8]?) -> String? {
        bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    static let paths: [(String, String)] = [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("//", "//"),
        ("/a//b", "/a//b"),
        ("/%61%7E%7e%2D%5f", "/a~~-_"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%25", "/%25"),
        ("/%2525", "/%2525"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/%3a:%40@%21!", "/%3A:%40@%21!"),
        ("/%20%0d%0A", "/%20%0D%0A"),
        ("/<a>\"^`{|}[]", "/%3Ca%3E%22%5E%60%7B%7C%7D%5B%5D"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/../b", "/b"),
        ("/a/b/../../c", "/c"),
        ("/a/b/..", "/a/"),
        ("/a//..", "/a/"),
        ("/a//../..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/%2e/a", "/a"),
        ("/...", "/..."),
        ("/.a/..b/c.", "/.a/..b/c."),
        ("/a;b=1/c", "/a;b=1/c"),
        ("/*", "/*"),
        ("/a%2fb/%2F", "/a%2Fb/%2F"),
        ("/..%2f..%5c", "/..%2F..%5C"),
        ("/%2e%2fa", "/.%2Fa"),
    ]

    @Test(arguments: paths)
    func `a path has one form`(path: String, expected: String) throws {
        let target = try RequestTarget(parsing: path.utf8)
        #expect(Self.text(target.path) == expected)
        #expect(target.query == nil)
        #expect(target.authority == nil)
        #expect(Self.text(try RequestTarget.canonicalPath(path)) == expected)
        #expect(Self.text(try RequestTarget.canonicalPath(expected)) == expected)
    }

    /// What was sent, and what goes on.
    static let sent: [(String, String)] = [
        ("/%7Eu/%3a/x|y/[1]", "/%7Eu/%3a/x|y/[1]"),
        ("/%c3%a9/%2f/%5c", "/%c3%a9/%2f/%5c"),
        ("/<a>\"^`{|}", "/<a>\"^`{|}"),
        ("/\u{E9}/%41", "/%C3%A9/%41"),
        ("/%41/./%42/../%43", "/%41/%43"),
        ("/%41/.%2e/%2E/b|", "/b|"),
        ("/a/%2e", "/a/"),
        ("/%2e%2e%2e", "/%2e%2e%2e"),
    ]

    @Test(arguments: sent)
    func `the path goes on as it came where nothing has to be resolved`(
        path: String, expected: String
    ) throws {
        #expect(Self.text(try RequestTarget(parsing: path.utf8).sentPath) == expected)
    }

    /// RFC 3986 §6.2.2: what goes on and what was routed are the same but for the case of escapes, escapes
    /// that need not be, and dot segments.
    @Test(arguments: 0..<8)
    func `what goes on has the canonical form that was routed`(seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed))
        let alphabet = Array("//..%2e2Ff5cC41aA;b|[\"~\u{E9}?".utf8)
        var count = 0
        for _ in 0..<4_000 {
            let bytes = (0..<Int.random(in: 0...16, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            let sent = [UInt8(ascii: "/")] + bytes
            guard let target = try? RequestTarget(parsing: sent) else { continue }
            count += 1
            let again = try RequestTarget(parsing: target.sentPath)
            #expect(again.path == target.path)
            #expect(again.sentPath == target.sentPath)
            #expect(target.sentPath.allSatisfy { 0x21...0x7E ~= $0 })
            let slash = UInt8(ascii: "/")
            #expect(
                target.sentPath.count { $0 == slash } == target.path.count { $0 == slash })
            #expect(target.query?.allSatisfy { $0 < 0x80 } != false)
            let path = bytes.prefix { $0 != UInt8(ascii: "?") }
            let text = String(decoding: path, as: UTF8.self).replacing("%2e", with: ".")
            let hasDots = text.split(separator: "/").contains { $0 == "." || $0 == ".." }
            if !hasDots, path.allSatisfy({ $0 < 0x80 }) {
                #expect(target.sentPath == [slash] + path)
            }
        }
        #expect(count > 500)
    }

    static let queries: [(String, String, String)] = [
        ("/a?", "/a", ""),
        ("/a?b=%2F%zz/../?x", "/a", "b=%2F%zz/../?x"),
        ("/%61/..?q", "/", "q"),
        ("/?|\\", "/", "|\\"),
        ("/?a=\u{E9}%e9", "/", "a=%C3%A9%e9"),
    ]

    @Test(arguments: queries)
    func `a query is left as it is`(target: String, path: String, query: String) throws {
        let parsed = try RequestTarget(parsing: target.utf8)
        #expect(Self.text(parsed.path) == path)
        #expect(Self.text(parsed.query) == query)
    }

    static let absolutes: [(String, String, String, String?)] = [
        ("http://a.example/b?c", "a.example", "/b", "c"),
        ("HTTPS://A.example:8443", "A.example:8443", "/", nil),
        ("ws://a?q", "a", "/", "q"),
        ("wss://[::1]:1/a/../b", "[::1]:1", "/b", nil),
    ]

    @Test(arguments: absolutes)
    func `an absolute target gives its authority too`(
        target: String, authority: String, path: String, query: String?
    ) throws {
        let parsed = try RequestTarget(parsing: target.utf8)
        #expect(Self.text(parsed.authority) == authority)
        #expect(Self.text(parsed.path) == path)
        #expect(Self.text(parsed.query) == query)
    }

    static let root = "The path climbs above the root with '..'."
    static let escape = "The path has a '%' without two hexadecimal digits behind it."
    static let parameter = "The path has a dot segment with parameters."
    static let form = "The target is neither a path that begins with '/' nor a URL."
    static let character = "The target holds a character that must be percent-encoded."
    static let backslash = "The path holds a backslash; one that is meant is written as %5C."

    static let doubtful: [(String, String)] = [
        ("", form), ("*", form), ("a", form), ("a.example:443", form), ("ftp://a/", form),
        ("http:/a", form), ("?a", form), ("%2Fa", form), ("\\a", form),
        ("http://", "The URL in the request line has no host."),
        ("http:///a", "The URL in the request line has no host."),
        ("/..", root), ("/../a", root), ("/a/../..", root), ("/%2e%2e", root),
        ("/.%2E/a", root), ("/./..", root), ("http://a/..", root),
        ("/%", escape), ("/%1", escape), ("/%g1", escape), ("/%1g", escape), ("/%%", escape),
        ("/%u0041", escape), ("/a%2", escape), ("/%+1", escape), ("/% 1", character),
        ("/%00", "The path holds an escaped NUL (%00)."),
        ("/a\\b", backslash), ("/..\\", backslash),
        ("/a/..;/b", parameter), ("/.;x", parameter), ("/a/%2e%2e;x=1/b", parameter),
        ("/a b", character), ("/a#b", character), ("/a?b#c", character),
        ("/a\u{0}", character), ("/a?\r\n", character), ("/\u{7F}", character),
    ]

    @Test(arguments: doubtful)
    func `a doubtful target is refused`(target: String, sentence: String) {
        #expect(throws: HeadFault(status: 400, sentence: sentence)) {
            try RequestTarget(parsing: target.utf8)
        }
    }

    static let configured: [(String, String)] = [
        ("", "The path does not begin with '/'."),
        ("a", "The path does not begin with '/'."),
        ("/a?b", "The path holds a '?' or '#'; a path ends before them."),
        ("/a#b", "The path holds a '?' or '#'; a path ends before them."),
        ("/a\tb", "The path holds a control character."),
        ("/..", root),
        ("/%zz", escape),
    ]

    @Test(arguments: configured)
    func `a configured path is refused likewise`(path: String, sentence: String) {
        #expect(throws: HeadFault(status: 400, sentence: sentence)) {
            try RequestTarget.canonicalPath(path)
        }
    }

    @Test func `a configured path may hold what a request must escape`() throws {
        #expect(Self.text(try RequestTarget.canonicalPath("/für alle")) == "/f%C3%BCr%20alle")
        let asked = try RequestTarget(parsing: "/f%c3%bcr%20alle".utf8)
        #expect(asked.path == (try RequestTarget.canonicalPath("/für alle")))
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct OriginRuleTests {
    static func allows(_ rule: OriginRule, _ origin: String?, host: String = "a.example:8443")
        throws
        -> Bool
    {
        rule.allows(origin: origin.map { Array($0.utf8) }, host: try HostNameTests.host(host))
    }

    @Test func `a request without an origin comes from no browser`() throws {
        for rule in [OriginRule.any, .same, .list(same: false, origins: [])] {
            #expect(try Self.allows(rule, nil))
        }
    }

    @Test func `any means any`() throws {
        for origin in ["https://evil.example", "null", "", "garbage"] {
            #expect(try Self.allows(.any, origin))
        }
    }

    static let sameCases: [(String, Bool)] = [
        ("https://a.example", true), ("http://A.EXAMPLE:1", true),
        ("https://a.example.:8443", true),
        ("https://b.example", false), ("https://a.example.evil", false), ("null", false),
        ("https://xa.example", false), ("", false), ("a.example", false), ("//a.example", false),
        ("https://evil@a.example", false), ("https://a.example/", false),
        ("https://a.example, https://evil", false), ("https://", false), ("https:a.example", false),
    ]

    @Test(arguments: sameCases)
    func `the same host is the same name on any port`(origin: String, isAllowed: Bool) throws {
        #expect(try Self.allows(.same, origin) == isAllowed)
        #expect(try Self.allows(.list(same: true, origins: []), origin) == isAllowed)
        #expect(try !Self.allows(.list(same: false, origins: []), origin))
    }

    @Test func `names and addresses of loopback are one host`() throws {
        let loopback = ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"]
        for host in loopback {
            for page in loopback {
                #expect(try Self.allows(.same, "http://\(page):1", host: host))
            }
            #expect(try !Self.allows(.same, "http://a.example", host: host))
        }
        #expect(try !Self.allows(.same, "http://localhost", host: "a.example"))
        // A list is what it says.
        let listed = OriginRule.list(same: false, origins: ["http://localhost:3000"])
        #expect(try !Self.allows(listed, "http://127.0.0.1:3000", host: "localhost"))
    }

    static let kinds: [(OriginPattern, [String], [String])] = [
        (
            "https://*.Example.com", ["https://a.example.com", "HTTPS://A.example.COM:443"],
            [
                "https://example.com", "https://a.b.example.com", "http://a.example.com",
                "https://a.example.com:1", "https://aexample.com", "https://*.example.com/",
            ]
        ),
        ("http://*.a.example:3000", ["http://b.a.example:3000"], ["http://b.a.example"]),
        (
            "vscode-webview://*", ["vscode-webview://0abc", "VSCODE-WEBVIEW://x:1"],
            [
                "vscode-webview://", "vscode-webview2://x", "https://vscode-webview",
                "vscode-webview:x",
            ]
        ),
        ("https://*", ["https://a:1", "https://[::1]"], ["http://a", "https://", "https://a/b"]),
        ("chrome-extension://ab", ["chrome-extension://ab"], ["chrome-extension://abc"]),
        ("app+v1.2-x://-", ["app+v1.2-x://-", "APP+v1.2-x://-"], ["app+v1.2://-"]),
        (
            "https://a.example/Path", ["https://a.example/Path", "HTTPS://A.example/Path"],
            ["https://a.example/path", "https://a.example", "https://a.example/Path/"]
        ),
        ("file://", ["file://", "FILE://"], ["file:///", "file://a", "file:"]),
        ("file:///a", ["file:///a"], ["file:///A", "file:///b"]),
        ("1a://x", ["1a://x"], ["1a://x:1"]),
        ("null", ["null", "NULL"], ["nul", "", "null://"]),
    ]

    @Test(arguments: kinds)
    func `each kind of origin has its rule (RFC 3986 §3.1)`(
        pattern: OriginPattern, allowed: [String], others: [String]
    ) throws {
        let rule = OriginRule.list(same: false, origins: [pattern])
        for origin in allowed { #expect(try Self.allows(rule, origin), "\(origin)") }
        for origin in others { #expect(try !Self.allows(rule, origin), "\(origin)") }
    }

    @Test func `an IPv6 host is compared without its brackets`() throws {
        #expect(try Self.allows(.same, "http://[::1]:3000", host: "[::1]:8443"))
        #expect(try !Self.allows(.same, "http://[::2]:3000", host: "[::1]:8443"))
    }

    static let listCases: [(String, Bool)] = [
        ("https://app.example", true), ("HTTPS://App.Example:443", true),
        ("http://dev.example:3000", true), ("https://other.example", true),
        ("http://old.example:80", true), ("null", true), ("file://", true),
        ("chrome-extension://abcdef", true), ("http://app.example", false),
        ("https://app.example:444", false), ("http://dev.example", false),
        ("https://app.example.evil", false), ("nullx", false), ("", false),
        ("https://a.example", false),
    ]

    @Test(arguments: listCases)
    func `a list compares scheme, host and port`(origin: String, isAllowed: Bool) throws {
        let rule = OriginRule.list(
            same: false,
            origins: [
                "https://app.example", "http://DEV.example:3000", "https://other.example:443",
                "http://old.example", "null", "file://", "chrome-extension://abcdef",
            ])
        #expect(try Self.allows(rule, origin) == isAllowed)
    }
}

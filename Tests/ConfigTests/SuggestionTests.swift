// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// What is suggested is taken: whoever writes it in the place of what was found has mended that.
struct SuggestionTests {
    /// A file with one mistake: `@` stands for what is written there, wrong at first.
    struct Slip: Sendable, CustomStringConvertible {
        let file: String
        let wrong: String
        /// What has to be suggested; nil for nothing.
        let right: String?

        init(_ file: String, _ wrong: String, _ right: String?) {
            self.file = file
            self.wrong = wrong
            self.right = right
        }

        var description: String { file.replacing("@", with: wrong) }
    }

    private static func listening(_ wrong: String, _ right: String?) -> Slip {
        Slip("listen: [{ address: \"@\" }]\n" + route, wrong, right)
    }

    private static func leading(_ wrong: String, _ right: String?) -> Slip {
        Slip(listen + "routes: [{ path: /a, to: \"@\" }]\n", wrong, right)
    }

    private static func at(_ wrong: String, _ right: String?) -> Slip {
        Slip(listen + "routes: [{ path: \"@\", to: \"ws://h:1\" }]\n", wrong, right)
    }

    private static func from(_ wrong: String, _ right: String?, beside other: String = "") -> Slip {
        Slip(
            listen + "routes: [{ path: /a, to: \"ws://h:1\", origins: [\(other)\"@\"] }]\n", wrong,
            right)
    }

    private static func more(_ key: String, _ wrong: String, _ right: String?) -> Slip {
        Slip(listen + route + key, wrong, right)
    }

    private static let listen = "listen: [{ address: \"127.0.0.1:0\" }]\n"
    private static let route = "routes: [{ path: /a, to: \"ws://h:1\" }]\n"

    static let slips = [
        leading("wss://127.0.0.1:9000/x", "wss://127.0.0.1:9000"),
        leading("https://h/x?y#z", "https://h"),
        leading("http://h:1/x", "http://h:1"), leading("h:1", "ws://h:1"),
        leading("3000", "ws://127.0.0.1:3000"), leading("0", nil), leading("70000", nil),
        leading("wss://u@h/x", nil), leading("wss://h:0", nil), leading("wss://::1/", nil),
        leading("a b:1", nil),
        listening("8443", "127.0.0.1:8443"), listening("localhost", "127.0.0.1:8443"),
        listening("localhost:1", "127.0.0.1:1"), listening("*:1", ":1"),
        listening("::1", "[::1]:8443"), listening("[::1]", "[::1]:8443"),
        listening("127.0.0.1", "127.0.0.1:8443"), listening("::1:8443", "[::1]:8443"),
        listening("fe80::12345", nil), listening("::8443", "[::]:8443"),
        listening("fe80::dead:beef", "[fe80::dead:beef]:8443"),
        listening("example.com", nil), listening("example.com:1", nil), listening("70000", nil),
        at("chat", "/chat"), at("chat/*", "/chat/*"), at("*", "/*"), at("a.b/c~d", "/a.b/c~d"),
        at("cha*t", nil), at("../a", nil), at("a//b", nil), at("a?b", nil), at("http://h/a", nil),
        from("*", "any"), from("*", nil, beside: "same, "), from("smae", "same"),
        from("smae", "same", beside: "\"https://a.b\", "), from("ayn", "any"),
        from("ayn", nil, beside: "same, "), from("a.b", "https://a.b"),
        from("https://a.b/", "https://a.b"), from("https://a.b?c", "https://a.b"),
        from("https://*.a.b/", nil), from("https://a b/", nil),
        more("drain: { timeout: @ }", "5", "5s"), more("drain: { timeout: @ }", "5min", "5m"),
        more("drain: { timeout: @ }", "90000", nil), more("drain: { timeout: @ }", "9days", nil),
        more("timeouts: { connect: @ }", "00", nil),
        more("timeouts: { connect: @ }", "99999999999999999999s", nil),
        more("limits: { relayBufferBytes: @ }", "64K", "64KiB"),
        more("limits: { relayBufferBytes: @ }", "64", nil),
        more("limits: { relayBufferBytes: @ }", "100G", nil),
        more("@: {}", "drian", "drain"), more("drain: {}\n@: {}", "drian", nil),
        more("upstreams: { a: { endpoints: [\"@\"] } }", "wss://h/x", "wss://h"),
        more(
            "upstreams: { a: { endpoints: [\"ws://h:1\"], balance: @ } }", "roundrobin",
            "roundRobin"),
        more(
            "upstreams: { a: { endpoints: [\"ws://h:1\"], health: { path: \"@\" } } }", "healthz",
            "/healthz"),
        more("log: { access: @ }", "stdot", "stdout"),
        more("log: { format: @ }", "jsn", "json"),
    ]

    @Test(arguments: slips)
    func `what is suggested is accepted`(slip: Slip) throws {
        let found = problems(of: slip.file.replacing("@", with: slip.wrong))
        #expect(found.count == 1, "\(found)")
        let hint = found.first?.firstMatch(of: #/did you mean '(.*)'\?/#).map { String($0.1) }
        #expect(hint == slip.right, "\(found)")
        guard let hint else { return }
        #expect(problems(of: slip.file.replacing("@", with: hint)) == [], "\(slip)")
    }

    @Test(arguments: [
        ("h2c", "h2"), ("http/1.0", nil),
    ])
    func `a protocol that stands there is not suggested again`(wrong: String, right: String?) {
        func found(_ protocols: String) -> [String] {
            problems(
                of: """
                    listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ chain: a, key: b }], protocols: [\(protocols)] } }]
                    routes: [{ path: /a, to: "ws://h:1" }]
                    """)
        }
        let first = found("\(wrong), http/1.1")
        #expect(first.count == 1)
        #expect(first[0].contains("did you mean") == (right != nil), "\(first)")
        if let right { #expect(found("\(right), http/1.1") == []) }
        let again = found("h2, http/1.1, \(wrong)")
        #expect(again.count == 1 && !again[0].contains("did you mean"), "\(again)")
    }

    @Test(arguments: [
        (
            "listen: [{ adress: \":1\" }]\nroutes: [{ path: /a, to: \"ws://h:1\" }]",
            "1:12: listen[0]: unknown key 'adress'", "(did you mean 'address'?)"
        ),
        (
            "listen: [{ address: \":1\" }]\nroutes: [{ path: /a, too: \"ws://h:1\" }]",
            "2:22: routes[0]: unknown key 'too'", "(did you mean 'to'?)"
        ),
        (
            "listn: [{ address: \":1\" }]\nroutes: [{ path: /a, to: \"ws://h:1\" }]",
            "1:1: unknown key 'listn'", "(did you mean 'listen'?)"
        ),
        (
            """
            listen: [{ address: ":1" }]
            routes: [{ path: /a, to: chat }]
            upstream: { chat: { endpoints: ["ws://h:1"] } }
            """, "3:1: unknown key 'upstream'", "(did you mean 'upstreams'?)"
        ),
    ])
    func `a mistyped key is one problem`(yaml: String, start: String, end: String) throws {
        let found = problems(of: yaml)
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.hasPrefix("sluice.yaml:" + start) == true, "\(found)")
        #expect(found.first?.hasSuffix(end) == true, "\(found)")
    }

    @Test func `an endpoint by wss has no path either`() {
        #expect(
            problems(of: Self.listen + "routes: [{ path: /a, to: \"wss://127.0.0.1:9000/x\" }]")
                == [
                    "sluice.yaml:2:26: routes[0].to: found 'wss://127.0.0.1:9000/x', but an endpoint has no path;"
                        + " the route's rewrite says which path the upstream sees (did you mean"
                        + " 'wss://127.0.0.1:9000'?)"
                ])
    }
}

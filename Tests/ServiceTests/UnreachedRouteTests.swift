// SPDX-License-Identifier: Apache-2.0
import Config
import TestKit
import Testing

@testable import Service

/// Routes that no request reaches, though each of their keys is right; and those that some request does.
struct UnreachedRouteTests {
    private func assembly(
        routes: [String], listen: String, upstreams: String = "{}"
    ) throws -> Assembly {
        let yaml = """
            listen: [\(listen)]
            routes: [
              \(routes.joined(separator: ",\n  "))
            ]
            upstreams: \(upstreams)
            """
        return try Assembly(try Configuration.load(yaml: yaml, file: "s.yaml"))
    }

    private static let inner = "{ address: \"127.0.0.1:0\", name: inner }"
    private static let outer = "{ address: \"127.0.0.1:0\", name: outer }"

    @Test(arguments: [
        ("host: a.example, when: { fields: { Host: b.example } }", true),
        ("host: \"*.example\", when: { fields: { Host: a.b.example } }", true),
        ("host: \"*.example\", when: { fields: { Host: example } }", true),
        ("when: { fields: { Host: a/b } }", true),
        ("host: a.example, when: { fields: { Host: A.example.:8443 } }", false),
        ("host: \"*.example\", when: { fields: { Host: \"a.example:81\" } }", false),
        ("host: a.example, when: { fields: { Host: \"b.*\" } }", false),
        ("when: { fields: { Host: \"[::1]:81\" } }", false),
    ])
    func `a host and a field Host that never come together are refused`(
        keys: String, isRefused: Bool
    ) throws {
        let route = "{ path: /a, respond: {}, \(keys) }"
        guard isRefused else {
            _ = try assembly(routes: [route], listen: Self.inner)
            return
        }
        let problems = #expect(throws: ConfigurationProblems.self) {
            try assembly(routes: [route], listen: Self.inner)
        }
        let sentence = problems?.problems.first?.sentence ?? ""
        #expect(sentence.contains("can never be met: "), "\(sentence)")
    }

    @Test func `a route by listeners that send all on to https is refused`() throws {
        let files = try TestCertificates.shared().local.setting
        let listen =
            "{ address: \"127.0.0.1:0\", name: plain, redirect: https },"
            + " { address: \"127.0.0.1:0\", name: tls, tls: { certificates: [\(files)] } }"
        for names in ["[tls]", "[plain, tls]"] {
            _ = try assembly(
                routes: ["{ path: /a, respond: {}, listen: \(names) }"], listen: listen)
        }
        let problems = #expect(throws: ConfigurationProblems.self) {
            try assembly(routes: ["{ path: /a, respond: {}, listen: [plain] }"], listen: listen)
        }
        #expect(
            problems?.problems.map(\.sentence) == [
                "listen: can never be met: 'plain' sends every request on to https (listen[].redirect)"
            ])
    }

    @Test(
        arguments: [
            // Who takes what is left, by the numbers of the routes; nil where something is left for each.
            (["when: { upgrade: true }", "when: { upgrade: false }", ""], [0, 1]),
            (["", "when: { upgrade: true }"], nil),
            (["when: { upgrade: true }", "when: { upgrade: false, methods: [GET] }", ""], nil),
            (["when: { methods: [POST], upgrade: false }", "when: { methods: [POST] }"], [0]),
            (["when: { methods: [GET], upgrade: false }", "when: { methods: [GET] }"], nil),
            (
                [
                    "when: { methods: [GET] }", "when: { methods: [POST] }",
                    "when: { methods: [GET, POST] }",
                ], [0, 1]
            ),
            (["when: { methods: [GET, POST] }", ""], nil),
            (["listen: [inner]", "listen: [outer]", ""], [0, 1]), (["listen: [inner]", ""], nil),
            (
                [
                    "listen: [inner]", "listen: [outer], when: { upgrade: true }",
                    "listen: [outer], when: { upgrade: false }", "",
                ], [0, 1, 2]
            ),
            (
                [
                    "when: { upgrade: true, fields: { A: b } }",
                    "when: { upgrade: false, fields: { A: b } }", "when: { fields: { A: b } }", "",
                ], [0, 1]
            ),
            (["when: { upgrade: true, fields: { A: b } }", "when: { upgrade: false }", ""], nil),
            (["when: { upgrade: true, query: { a: b } }", "when: { query: { a: c } }", ""], nil),
        ] as [([String], [Int]?)])
    func `a route for which nothing is left is warned of`(
        conditions: [String], takers: [Int]?
    ) throws {
        let warnings = try assembly(
            routes: conditions.map { "{ path: /a, respond: {}\($0.isEmpty ? "" : ", ")\($0) }" },
            listen: "\(Self.inner), \(Self.outer)"
        ).warnings
        guard let takers else {
            #expect(warnings.isEmpty, "\(warnings)")
            return
        }
        let places = takers.map { "s.yaml:\($0 + 3):3" }.joined(separator: " and ")
        let whose = takers.count == 1 ? "the one" : "those"
        #expect(
            warnings.map(\.sentence) == [
                "no request is left for this route: what fits it is taken by \(whose) at \(places)"
            ])
    }

    @Test(arguments: [
        ("Host: a.example", "'host' beside 'when'"), ("Host: \"a.example:8443\"", nil),
        ("Host: \"*.example\"", nil), ("upgrade: websocket", "'upgrade: true' in 'when'"),
        ("Connection: Upgrade", "'upgrade: true' in 'when'"), ("Connection: close", nil),
        ("Upgrade: h2c", nil), ("Upgrade: \"*ebsocket\"", nil),
    ])
    func `a field that a key says better is warned of`(field: String, words: String?) throws {
        let warnings = try assembly(
            routes: ["{ path: /a, respond: {}, when: { fields: { \(field) } } }"],
            listen: Self.inner
        ).warnings.map(\.sentence)
        guard let words else {
            #expect(warnings.isEmpty, "\(warnings)")
            return
        }
        #expect(warnings.count == 1 && warnings[0].contains(words), "\(warnings)")
    }

    @Test(arguments: [
        ("none", "", "", true), ("lax", "", "", false),
        ("none", "", "trustedProxies: [127.0.0.1]", false),
        ("none", "listen: [other], ", "", false),
    ])
    func `a cookie that browsers drop is warned of`(
        sameSite: String, route: String, listener: String, isWarned: Bool
    ) throws {
        let keys = listener.isEmpty ? "" : ", \(listener)"
        let warnings = try assembly(
            routes: ["{ path: /a, \(route)to: app }"],
            listen: "{ address: \"127.0.0.1:0\", name: plain\(keys) },"
                + " { address: \"127.0.0.1:0\", name: other, trustedProxies: [unix] }",
            upstreams: "{ app: { endpoints: [\"ws://h:1\"], sticky: { sameSite: \(sameSite) } } }"
        ).warnings.map(\.sentence)
        #expect(warnings.count == (isWarned ? 1 : 0), "\(warnings)")
        #expect(warnings.allSatisfy { $0.contains("drop a cookie with SameSite=None") })
    }
}

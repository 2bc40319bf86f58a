// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import TestKit
import Testing

@testable import Service

/// What is right of each route and upstream, and wrong or doubtful of several together.
struct AccessAssemblyTests {
    private static let listeners = """
        [{ address: "127.0.0.1:0", name: inner }, { address: "127.0.0.1:0" }]
        """

    private func assembly(
        routes: [String], upstreams: String = "{}", listeners: String = listeners
    ) throws -> Assembly {
        let yaml = """
            listen: \(listeners)
            routes: [
              \(routes.joined(separator: ",\n  "))
            ]
            upstreams: \(upstreams)
            """
        return try Assembly(try Configuration.load(yaml: yaml, file: "s.yaml"))
    }

    private static let allow = "access: { addresses: { allow: [10.0.0.0/8] } }"

    @Test(arguments: [
        (["path: /a, when: { methods: [POST] }, \(allow)", "path: /a"], 1),
        (["path: /a, listen: [inner], \(allow)", "path: /a"], 1),
        (["path: /a, when: { methods: [POST] }, \(allow)", "path: /a, \(allow)"], 0),
        (
            [
                "path: /a, when: { methods: [POST] }, \(allow)",
                "path: /a, access: { addresses: { deny: [10.0.0.0/8] } }",
            ], 1
        ),
        (["path: /a, when: { methods: [POST] }, \(allow)", "path: /b"], 0),
        (["path: /a, when: { methods: [POST] }", "path: /a, \(allow)"], 0),
        (
            [
                "path: /a, when: { methods: [POST] }, \(allow)",
                "path: /a, when: { methods: [GET] }",
            ], 0
        ),
    ])
    func `a route that takes what misses the conditions of a guarded one is warned of`(
        routes: [String], count: Int
    ) throws {
        let warnings = try assembly(routes: routes.map { "{ \($0), respond: {} }" }).warnings
        #expect(warnings.count == count, "\(warnings)")
        for warning in warnings {
            #expect(warning.place.line == 3)
            #expect(
                warning.sentence.hasPrefix(
                    "access: requests that miss the conditions of this route (when, listen) are taken by the one"
                        + " at s.yaml:4:"), "\(warning.sentence)")
        }
    }

    @Test func `a server that is asked can't want to know the client by the connection`() throws {
        func made(_ proxyProtocol: String) throws -> Assembly {
            try assembly(
                routes: ["{ path: /a, respond: {}, access: { forward: { to: asked } } }"],
                upstreams: "{ asked: { endpoints: [\"ws://h:1\"]\(proxyProtocol) } }")
        }
        _ = try made("")
        let error = #expect(throws: ConfigurationProblems.self) {
            try made(", proxyProtocol: v2")
        }
        #expect(error?.problems.first?.sentence.contains("its upstream has proxyProtocol") == true)
    }

    @Test func `faults begin anew where they are to last for another time`() throws {
        func made(_ keys: String, previous: Assembly? = nil) throws -> Assembly {
            let yaml = """
                listen: [{ address: "127.0.0.1:0" }]
                routes: [{ path: /a, to: "ws://127.0.0.1:1", faults: { cut: 1%\(keys) } }]
                allowFaults: true
                """
            return try Assembly(
                try Configuration.load(yaml: yaml, file: "s.yaml"), previous: previous)
        }
        let first = try made(", for: 1h")
        let same = try made(", for: 1h", previous: first)
        let longer = try made(", for: 2h", previous: same)
        let endless = try made("", previous: longer)
        let plans = [first, same, longer, endless].map { $0.routing.routes[0].faults }
        #expect(plans.allSatisfy { $0 != nil })
        #expect(plans[0] === plans[1])
        #expect(plans[1] !== plans[2] && plans[2] !== plans[3])
    }

    @Test(arguments: [
        ("", "", "", "", false), ("host: a.x, ", "host: b.x, ", "", "", true),
        ("host: a.x, ", "host: a.x, ", "", "", false),
        ("host: a.x, ", "host: \"*.x\", ", "", "", false),
        ("host: x, ", "host: \"*.x\", ", "", "", true),
        ("host: a.x, ", "", "", "", false), ("", "", "cookie: one", "", true),
        ("", "", "path: /one", "path: /two", true),
    ])
    func `two upstreams with one cookie are refused where a browser can reach both by one host`(
        one: String, two: String, first: String, second: String, isAllowed: Bool
    ) throws {
        func made() throws -> Assembly {
            try assembly(
                routes: ["{ \(one)path: /one, to: first }", "{ \(two)path: /two, to: second }"],
                upstreams: "{ first: { endpoints: [\"ws://h:1\"], sticky: { \(first) } }, "
                    + "second: { endpoints: [\"ws://h:2\"], sticky: { \(second) } } }")
        }
        if isAllowed {
            _ = try made()
            return
        }
        let problems = #expect(throws: ConfigurationProblems.self) { try made() }
        let sentence = problems?.problems.first?.sentence ?? ""
        #expect(
            sentence.contains("sticky: the cookie 'sluice' is that of upstreams."), "\(sentence)")
    }

    @Test(arguments: [
        ("certificate", "fields: [client_cert]", "request: {}", 1),
        ("certificate", "fields: [Client-Cert-Chain]", "request: {}", 0),
        ("chain", "fields: [Client-Cert-Chain]", "request: { set: { Client.Cert: a } }", 2),
        ("nothing", "fields: [Client-Cert]", "request: {}", 0),
    ])
    func `what the app is told of a certificate is written by one key alone`(
        tell: String, fields: String, request: String, count: Int
    ) throws {
        let problems = #expect(throws: ConfigurationProblems.self) {
            try assembly(routes: [
                """
                { path: /a, to: "ws://h:1", \(request), access: { clientCertificate: { tell: \(tell) }, \
                forward: { to: "http://h:1", \(fields) } } }
                """
            ])
        }
        // Without TLS such a route is refused in any case.
        let sentences = (problems?.problems.map(\.sentence) ?? [])
            .filter { $0.hasPrefix("access.clientCertificate.tell: found 'Client-Cert") }
        #expect(sentences.count == count, "\(problems?.problems.map(\.sentence) ?? [])")
    }

    @Test(arguments: [
        ("X-User: sub", "X-Name", "{}", nil),
        (
            "X-User: sub", "X-Name, x_user", "{}",
            "access.jwt.forward: found 'X-User', which 'access.forward.fields'"
        ),
        (
            "X.User: sub", "X-Name", "{ set: { x-user: a } }",
            "access.jwt.forward: found 'X.User', which 'request'"
        ),
        (
            "X-User: sub", "X-Name", "{ add: { x_name: a } }",
            "access.forward.fields: found 'X-Name', which 'request'"
        ),
    ])
    func `one field that two keys would write is refused, and both are named`(
        told: String, granted: String, request: String, words: String?
    ) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let keys = #"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#
        try Scratch.write(keys, to: "\(folder)/keys.json")
        func made() throws -> Assembly {
            try assembly(routes: [
                """
                { path: /a, to: "ws://h:1", request: \(request), access: { jwt: { keys: \(folder)/keys.json, \
                forward: { \(told) } }, forward: { to: "http://h:1", fields: [\(granted)] } } }
                """
            ])
        }
        guard let words else {
            _ = try made()
            return
        }
        let problems = #expect(throws: ConfigurationProblems.self) { try made() }
        let sentences = problems?.problems.map(\.sentence) ?? []
        #expect(sentences.count == 1 && sentences[0].hasPrefix(words), "\(sentences)")
    }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// The token that a route asks for, as files say it.
struct TokenSettingsTests {
    private static func load(_ token: String) throws -> TokenSettings? {
        try Configuration.load(
            yaml: """
                listen: [{ address: ":1" }]
                routes: [{ path: /a, to: "ws://h:1", access: { jwt: \(token) } }]

                """, file: "/etc/sluice/sluice.yaml"
        ).routes.first?.access?.token
    }

    @Test func `a file of keys is enough`() throws {
        let token = try #require(try Self.load("{ keys: keys.json }"))
        #expect(token.keys == .file("/etc/sluice/keys.json") && token.file != nil)
        #expect(token.from == [.header] && token.end == nil && token.leeway == .seconds(10))
        #expect(token.issuers.isEmpty && token.audiences.isEmpty && token.claims.isEmpty)
        let ends = try Self.load("{ keys: keys.json, endsWithToken: {} }")
        #expect(ends?.end == TokenSettings.End())
        #expect(try Self.load("{ keys: \"http://127.0.0.1:8080/keys\" }") != nil)
        #expect(try Self.load("{ keys: \"http://localhost/keys\" }") != nil)
    }

    @Test(arguments: [
        ("{}", "'keys' is missing"),
        ("{ keys: \"ftp://issuer.test/keys\" }", "a JWK Set, or its URL"),
        ("{ keys: \"http://issuer.test/keys\" }", "anybody on the way could put in keys"),
        ("{ keys: \"http://127.0.0.1.issuer.test/keys\" }", "anybody on the way"),
        ("{ keys: \"https://user@issuer.test/keys\" }", "found a login in the URL"),
        ("{ keys: k, ca: ca.pem }", "found 'ca' beside a file of keys"),
        ("{ keys: k, from: [] }", "found an empty list"),
        ("{ keys: k, from: [headers] }", "did you mean 'header'"),
        ("{ keys: k, from: [\"cookie:\"] }", "found 'cookie:', allowed: header"),
        ("{ keys: k, from: [\"query:a=b\"] }", "allowed: header, cookie:NAME"),
        ("{ keys: k, from: [header, header] }", "found a place twice"),
        ("{ keys: k, forward: { Host: sub } }", "which Sluice itself writes"),
        ("{ keys: k, forward: { X-Forwarded-User: sub } }", "which Sluice itself writes"),
        ("{ keys: k, forward: { X-A: sub, x-a: iss } }", "a second time"),
        ("{ keys: k, forward: { X-A: sub, X_a: iss } }", "found 'X_a' a second time, as 'X-A'"),
        ("{ keys: k, claims: { role: [] } }", "found an empty list"),
        ("{ keys: k, issuer: [] }", "found an empty list"),
        ("{ keys: k, leeway: 10m }", "allowed: 0s to 5m"),
        ("{ keys: k, endsWithToken: { code: 1006 } }", "1000, 1001, 1012, 1013 or 3000 to 4999"),
        ("{ keys: k, endsWithToken: { before: -1s } }", "endsWithToken.before"),
        ("{ key: k }", "did you mean 'keys'"),
    ])
    func `what is wrong is told with its place`(token: String, words: String) {
        let error = #expect(throws: ConfigurationProblems.self) { try Self.load(token) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(words), "\(String(describing: error))")
    }
}

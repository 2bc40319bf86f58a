// SPDX-License-Identifier: Apache-2.0
//
// Goal: a token that its issuer has signed with a new key is not called wrong while nobody knows that yet.
// Method: an HTTPS server in Python that holds its answer back; curl asks.

import Foundation
import TestKit
import Testing

@Suite struct NewKeyTests {
    private static func asked(_ sluice: Operated, _ token: String) throws -> [String] {
        try run([
            "curl", "-sS", "-D", "-", "-w", "\n%{http_code}", "-H",
            "Authorization: Bearer \(token)",
            "http://localhost:\(sluice.proxy.port())/page",
        ])
    }

    /// What is answered to a later token for the only WebSocket.
    private static func extended(_ sluice: Operated, _ token: String) throws -> String {
        let relays = try sluice.ask("/relays").output.filter { !$0.isWhitespace }
        let id = try #require(relays.firstMatch(of: /"id":"([0-9-]+)"/)).1
        return try sluice.ask(
            "/relays/\(id)/extend",
            ["-X", "POST", "-w", " %{http_code}", "-d", "{\"token\":\"\(token)\"}"]
        ).output.trimmingCharacters(in: .newlines)
    }

    @Test func `who comes with a new key is told to come again, until its issuer has answered`()
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let server = try issuer.serve()
        let authority = try TestCertificates.shared().authority
        let sluice = try Operated(
            routes: [
                """
                { path: /socket, to: "\(try ScriptedBackend.echo().address)", access: { jwt: { audience: app, \
                endsWithToken: {}, keys: "https://localhost:\(server.port)/jwks.json", ca: \(authority) } } }
                """,
                """
                { path: /page, respond: { body: page }, access: { jwt: { audience: app, \
                keys: "https://localhost:\(server.port)/jwks.json", ca: \(authority) } } }
                """,
            ], listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([
            #"{"aud":"app"}"#, #"{"aud":"app","kid":"next"}"#, #"{"aud":"app","says":"none"}"#,
            #"{"aud":"app","sub":"ann","in":600}"#,
            #"{"aud":"app","sub":"ann","in":7200,"kid":"next"}"#,
        ])
        try eventually("keys are there") { try Self.asked(sluice, tokens[0]).last == "200" }
        let socket = try sluice.proxy.open(
            Opening("/socket", extra: [("Authorization", "Bearer \(tokens[3])")]))
        try issuer.rotate()
        try issuer.setMode("held")
        for _ in 0..<3 {
            let early = try Self.asked(sluice, tokens[1])
            #expect(early.last == "503", "\(early)")
            #expect(early.contains { $0.lowercased().hasPrefix("retry-after: 1") }, "\(early)")
            #expect(early.contains { $0.contains("its issuer is being asked") }, "\(early)")
            #expect(!early.contains { $0.lowercased().hasPrefix("www-authenticate") }, "\(early)")
        }
        // So is who brings one for a live WebSocket.
        let early = try Self.extended(sluice, tokens[4])
        #expect(early.hasSuffix(" 503") && early.contains("its issuer is being asked"), "\(early)")
        // Whoever is known goes on meanwhile.
        #expect(try Self.asked(sluice, tokens[0]).last == "200")
        try Scratch.write("", to: "\(issuer.folder)/free")
        try sluice.proxy.process.waitForLine(containing: "jwks.json have changed: 1 key")
        #expect(try Self.asked(sluice, tokens[1]).last == "200")
        #expect(try Self.extended(sluice, tokens[4]).hasSuffix(" 200"))
        withExtendedLifetime(socket) {}
        // Nothing is awaited any more.
        try eventually("it is refused") { try Self.asked(sluice, tokens[2]).last == "401" }
    }
}

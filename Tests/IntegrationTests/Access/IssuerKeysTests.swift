// SPDX-License-Identifier: Apache-2.0
//
// Goal: keys are fetched from their issuer, and whatever it answers lets nobody in and takes nothing away.
// Method: an HTTPS server in Python with a private authority, which is away, answers HTML, hangs, redirects, or has other
// keys; curl asks.

import Foundation
import TestKit
import Testing

@Suite struct IssuerKeysTests {
    private static func status(
        _ sluice: Operated, _ token: String, _ path: String = "/page"
    ) throws -> String {
        let said = try run([
            "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H",
            "Authorization: Bearer \(token)", "http://localhost:\(sluice.proxy.port())\(path)",
        ])
        return said.last ?? ""
    }

    private static func started(
        _ port: Int, _ more: String = "", queries: [String] = [""]
    ) throws -> Operated {
        let authority = try TestCertificates.shared().authority
        return try Operated(
            routes: queries.enumerated().map { number, query in
                """
                { path: /page\(number == 0 ? "" : "\(number)"), respond: { body: page }, access: { jwt: { \
                audience: app, keys: "https://localhost:\(port)/jwks.json\(query)", ca: \(authority)\(more) } } }
                """
            }, listeners: [.plain], settings: ["workers: 1"])
    }

    @Test func `a route without keys lets nobody in, and keys that were there stay`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        try issuer.setMode("away")
        let server = try issuer.serve()
        let sluice = try Self.started(server.port)
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([#"{"aud":"app"}"#, #"{"aud":"app","kid":"next"}"#])
        #expect(try Self.status(sluice, tokens[0]) == "503")
        try sluice.proxy.process.waitForLine(containing: "can't be fetched, and nobody is let in")
        let url = "url=\"https://localhost:\(server.port)/jwks.json\""
        #expect(try sluice.scrape()["sluice_jwks_keys{\(url)}"] == 0)
        try issuer.setMode("good")
        try eventually("keys are there") { try Self.status(sluice, tokens[0]) == "200" }
        try sluice.proxy.process.waitForLine(containing: "jwks.json are there: 4 keys")
        // A key that is not known is asked for, once in a while.
        try issuer.rotate()
        #expect(try Self.status(sluice, tokens[1]) == "503")
        try sluice.proxy.process.waitForLine(containing: "jwks.json have changed: 1 key")
        #expect(try Self.status(sluice, tokens[1]) == "200")
        #expect(try Self.status(sluice, tokens[0]) == "401")
        // A reload with the same URL keeps thread and keys, whatever the issuer answers.
        try issuer.setMode("html")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try Self.status(sluice, tokens[1]) == "200")
        let samples = try sluice.scrape()
        #expect(samples["sluice_jwks_keys{\(url)}"] == 1)
        #expect(
            samples[
                "sluice_jwks_refreshes_total{\(url.replacing("\"", with: "\"")),result=\"success\"}"
            ] == 2)
        #expect(try threadNames(of: sluice.proxy).count { $0 == "sluice-keys" } == 1)
        #expect(try sluice.proxy.terminate() == 0)
    }

    @Test(arguments: [
        ("html", "it is HTML or XML"), ("large", "more than 512 KiB"),
        (
            "redirect",
            "it answered 302, a redirect to https://evil.test/keys, which is not followed"
        ),
        ("away", "it answered 503"), ("none", "no key to check signatures with"),
    ])
    func `an issuer that answers nonsense is told of, and lets nobody in`(
        mode: String, words: String
    )
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        try issuer.setMode(mode)
        let server = try issuer.serve()
        let sluice = try Self.started(server.port)
        defer { Scratch.remove(sluice.folder) }
        let line = try sluice.proxy.process.waitForLine(containing: "can't be fetched")
        #expect(line[0].contains(words), "\(line)")
        #expect(try Self.status(sluice, try issuer.sign(#"{"aud":"app"}"#)) == "503")
    }

    @Test(arguments: ["html", "large", "redirect", "away", "none", "hang"])
    func `keys stay whatever the issuer turns into`(mode: String) throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let server = try issuer.serve()
        let sluice = try Self.started(server.port)
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([#"{"aud":"app"}"#, #"{"aud":"app","kid":"next"}"#])
        try eventually("keys are there") { try Self.status(sluice, tokens[0]) == "200" }
        try issuer.setMode(mode)
        // A key that is not known has the issuer asked at once; until it has answered, nobody knows the token to be wrong.
        let refusals = ["401", "503"]
        #expect(refusals.contains(try Self.status(sluice, tokens[1])))
        try server.process.waitForLine(containing: mode)
        #expect(try Self.status(sluice, tokens[0]) == "200")
        try sluice.proxy.process.waitForLine(
            containing: "can't be fetched, and those of before go on being used",
            by: .after(.seconds(60)))
        #expect(try Self.status(sluice, tokens[0]) == "200")
        #expect(refusals.contains(try Self.status(sluice, tokens[1])))
        let url = "url=\"https://localhost:\(server.port)/jwks.json\""
        #expect(try sluice.scrape()["sluice_jwks_keys{\(url)}"] == 4)
        // Where it is well again, its new keys take their place.
        try issuer.rotate()
        try issuer.setMode("good")
        try sluice.proxy.process.waitForLine(
            containing: "jwks.json are there: 1 key", by: .after(.seconds(60)))
        #expect(try Self.status(sluice, tokens[1]) == "200")
        #expect(refusals.contains(try Self.status(sluice, tokens[0])))
    }

    @Test func `an issuer that hangs keeps neither the start nor the stop waiting`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        try issuer.setMode("hang")
        let server = try issuer.serve()
        let sluice = try Self.started(server.port)
        defer { Scratch.remove(sluice.folder) }
        try server.process.waitForLine(containing: "hang")
        #expect(try Self.status(sluice, try issuer.sign(#"{"aud":"app"}"#)) == "503")
        #expect(try sluice.proxy.terminate(by: .after(.seconds(8))) == 0)
    }

    @Test func `an issuer whose certificate is not trusted has no keys here`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let server = try issuer.serve()
        let sluice = try Operated(
            routes: [
                """
                { path: /page, respond: { body: page }, access: { jwt: { \
                keys: "https://localhost:\(server.port)/jwks.json" } } }
                """
            ], listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let line = try sluice.proxy.process.waitForLine(containing: "can't be fetched")
        #expect(line[0].lowercased().contains("certificate"), "\(line)")
        // Whom the token is for is not asked, which is told.
        try sluice.proxy.process.waitForLine(containing: "without 'audience'")
    }

    @Test
    func `authorities that are named take the place of the system's, and their file is read again`()
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let server = try issuer.serve()
        let trusted = try TestCertificates.shared().authority
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // The system trusts the issuer, by its folder alone; the file that is named has somebody else.
        let system = "\(folder)/certs"
        let hash = try run(["openssl", "x509", "-noout", "-hash", "-in", trusted]).last ?? ""
        try FileManager.default.createDirectory(
            atPath: system, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: trusted, toPath: "\(system)/\(hash).0")
        try run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "\(folder)/other.key", "-out", "\(folder)/ca.pem", "-subj",
            "/CN=somebody else", "-days", "2",
        ])
        try FileManager.default.copyItem(
            atPath: "\(folder)/ca.pem", toPath: "\(system)/ca-certificates.crt")
        let keys = "keys: \"https://localhost:\(server.port)/jwks.json\""
        let sluice = try Operated(
            routes: [
                "{ path: /page, respond: {}, access: { jwt: { \(keys), ca: \(folder)/ca.pem } } }",
                "{ path: /system, respond: {}, access: { jwt: { \(keys) } } }",
            ], listeners: [.plain],
            wrapper: [
                "unshare", getuid() == 0 ? "-m" : "-rm", "sh", "-c",
                "mount --bind \(system) /etc/ssl/certs && exec \"$@\"", "sh",
            ])
        defer { Scratch.remove(sluice.folder) }
        let token = try issuer.sign(#"{"sub":"ann"}"#)
        try eventually("the system trusts it") {
            try Self.status(sluice, token, "/system") == "200"
        }
        let line = try sluice.proxy.process.waitForLine(containing: "can't be fetched")
        #expect(line[0].lowercased().contains("certificate"), "\(line)")
        #expect(try Self.status(sluice, token) == "503")
        // Another content of the same file has the issuer asked at once.
        try Scratch.write(
            try String(contentsOfFile: trusted, encoding: .utf8), to: "\(folder)/ca.pem")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try Self.status(sluice, token) == "200")
    }

    @Test func `the query of the URL is told nowhere`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        try issuer.setMode("redirect")
        let server = try issuer.serve()
        let sluice = try Self.started(server.port, queries: ["?key=s3cret", "?key=other-s3cret"])
        defer { Scratch.remove(sluice.folder) }
        let lines = try sluice.proxy.process.waitForLine(containing: "can't be fetched", count: 2)
        try issuer.setMode("good")
        let more = try sluice.proxy.process.waitForLine(
            containing: "jwks.json are there", count: 2)
        #expect(!(lines + more).contains { $0.contains("s3cret") }, "\(lines) \(more)")
        let samples = try sluice.scrape().keys.filter { $0.hasPrefix("sluice_jwks_keys") }
        let url = "https://localhost:\(server.port)/jwks.json"
        #expect(
            Set(samples) == [
                "sluice_jwks_keys{url=\"\(url)\"}", "sluice_jwks_keys{url=\"\(url) (2)\"}",
            ], "\(samples)")
        let state = try sluice.ask("/state").output
        #expect(!state.contains("s3cret"), "\(state)")
    }

    @Test func `keys go on behind an upgrade while the issuer is away`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let server = try issuer.serve()
        let sluice = try Self.started(server.port)
        defer { Scratch.remove(sluice.folder) }
        let token = try issuer.sign(#"{"aud":"app"}"#)
        try eventually("keys are there") { try Self.status(sluice, token) == "200" }
        try issuer.setMode("away")
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(try Self.status(sluice, token) == "200")
        try eventually("the new process has asked") {
            let failed = "sluice_jwks_refreshes_total{"
            return try sluice.scrape().contains {
                $0.key.hasPrefix(failed) && $0.key.contains("failure") && $0.value > 0
            }
        }
        #expect(try Self.status(sluice, token) == "200")
    }
}

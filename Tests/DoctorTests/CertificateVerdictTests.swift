// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import TestKit
import Testing

@testable import Doctor

/// Goal: what is wrong in the handshake and with the certificate is told apart.
///
/// Method: the program itself; `openssl s_server` with certificates of every kind, and Sluice.
struct CertificateVerdictTests {
    @Test func `certificates: each fault by its name`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let ca = ["--ca", papers.authority]
        let good = try SecureServer(try papers.issue("good"))
        expect(try diagnose(good.url()), .untrustedAuthority, at: "certificate", "Root")
        expect(
            try diagnose("wss://127.0.0.1:\(good.port)/", ca), .wrongName, at: "certificate",
            "for localhost, not for 127.0.0.1")
        let own = try SecureServer(try papers.selfSigned())
        expect(try diagnose(own.url()), .selfSigned, at: "certificate", "sluice cert trust")
        let old = try SecureServer(try papers.issue("old", to: "20240601000000Z"))
        expect(
            try diagnose(old.url(), ca), .expired, at: "certificate", "time was over on 2024-06-01")
        let young = try SecureServer(try papers.issue("young", from: "20480101000000Z"))
        expect(try diagnose(young.url(), ca), .notYetValid, at: "certificate", "clock")
        let weak = try SecureServer(
            try papers.issue("weak", rsaBits: 1_024) + ["-cipher", "ALL:@SECLEVEL=0"])
        expect(try diagnose(weak.url(), ca), .weakKey, at: "certificate", "1024 bits")
        _ = try papers.issue("between", extensions: "signer")
        let leaf = try papers.issue("leaf", by: "between", extensions: "public")
        let alone = try SecureServer(leaf)
        expect(
            try diagnose(alone.url(), ca), .missingIntermediate, at: "certificate", "full chain")
        let whole = try SecureServer(leaf + ["-cert_chain", "\(papers.folder)/between.pem"])
        let trusted = try diagnose(whole.url(), ca + ["--timeout", "1"])
        #expect(trusted.steps.contains { $0.name == "certificate" && $0.isGood }, "\(trusted)")
    }

    @Test func `an authority is taken in DER form, and what is none is told`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let server = try SecureServer(try papers.issue("good"))
        let der = "\(papers.folder)/root.cer"
        try run(["openssl", "x509", "-in", papers.authority, "-outform", "DER", "-out", der])
        let finding = try diagnose(server.url(), ["--ca", der])
        #expect(
            finding.steps.contains { $0.name == "certificate" && $0.isGood }, "\(finding)")
        let cut = "\(papers.folder)/cut.cer"
        try run(["sh", "-c", "head -c 200 \(der) > \(cut)"])
        let refused = try ChildProcess([
            try ProxyFixture.program(), "cert", "show", server.url(), "--ca", cut,
        ])
        #expect(try refused.waitForExit() == 64)
        #expect(refused.errors.joined().contains(cut), "\(refused.errors)")
    }

    @Test func `what the system trusts is trusted, in a file or in a directory of hashes`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let server = try SecureServer(try papers.issue("good"))
        let hashed = "\(papers.folder)/hashed"
        try run(["mkdir", hashed])
        try run(["cp", papers.authority, "\(hashed)/root.pem"])
        try run(["openssl", "rehash", hashed])
        let nowhere = "/nowhere"
        for (file, folder, verdict) in [
            (papers.authority, nowhere, Verdict.notUpgraded), (nowhere, hashed, .notUpgraded),
            (nowhere, nowhere, .untrustedAuthority),
        ] {
            let finding = try diagnose(
                server.url(), environment: ["SSL_CERT_FILE": file, "SSL_CERT_DIR": folder])
            #expect(finding.verdict == verdict.rawValue, "\(file) \(folder) \(finding)")
        }
        let made = try #require(try run(["ls", hashed]).first { $0.hasSuffix(".0") })
        #expect(made.count == 10, "the name by which such a directory is known")
    }

    @Test func `faults that OpenSSL lets pass and browsers do not`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let ca = ["--ca", papers.authority]
        let nameless = try SecureServer(try papers.issue("localhost", extensions: "nameless"))
        expect(
            try diagnose(nameless.url(), ca), .wrongName, at: "certificate", "is for no name",
            "browsers ignore the CN")
        let client = try SecureServer(try papers.issue("client", extensions: "client"))
        expect(
            try diagnose(client.url(), ca), .badCertificate, at: "certificate", "purpose")
        let hashed = try SecureServer(
            try papers.issue("hashed", digest: "sha1") + ["-cipher", "ALL:@SECLEVEL=0"])
        expect(
            try diagnose(hashed.url(), ca), .weakKey, at: "certificate", "is signed with SHA-1")
    }

    @Test func `a certificate with several faults, and what comes behind them`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let old = try SecureServer(try papers.issue("old", to: "20240601000000Z"))
        let finding = try diagnose("wss://127.0.0.1:\(old.port)/")
        expect(finding, .untrustedAuthority, at: "certificate", "CN=Root")
        let besides = finding.notes.filter { $0.hasPrefix("Besides: ") }.joined()
        #expect(besides.contains("not for 127.0.0.1"), "\(finding)")
        #expect(besides.contains("was over on 2024-06-01"), "\(finding)")
        #expect(finding.beyond?.verdict == "not-upgraded", "\(finding)")
        // Sluice's own certificate is not trusted by default, and all the rest works.
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let other = try diagnose(proxy.url())
        expect(other, .untrustedAuthority, at: "certificate", "sluice cert trust")
        #expect(other.beyond?.verdict == "healthy" && other.beyond?.remedy == "", "\(other)")
        #expect(other.notes.contains("Apart from that: The socket opens and answers a ping."))
    }

    @Test func `an authority that lies near is named, and the advice holds when it is followed`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let program = try ProxyFixture.program()
        try run(["env", "HOME=\(folder)", program, "cert", "--directory", "\(folder)/certs"])
        let server = try SecureServer([
            "-cert", "\(folder)/certs/localhost.pem", "-key", "\(folder)/certs/localhost-key.pem",
        ])
        let inFolder = ["env", "-C", folder]
        let found = try diagnose(server.url(), wrapper: inFolder)
        expect(
            found, .untrustedAuthority, at: "certificate", "certs/ca.pem has that name",
            "`sluice cert trust --directory certs`", "--ca certs/ca.pem.")
        let followed = try diagnose(server.url(), ["--ca", "certs/ca.pem"], wrapper: inFolder)
        #expect(followed.verdict == "not-upgraded", "\(followed)")
        // Elsewhere the reader is told what to look for.
        let away = try diagnose(server.url(), wrapper: ["env", "-C", "/"])
        expect(away, .untrustedAuthority, at: "certificate", "with --directory DIR if its ca.pem")
    }

    @Test func `handshakes that the server refuses`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let good = try papers.issue("good")
        let ca = ["--ca", papers.authority]
        let old = try SecureServer(good + ["-tls1", "-cipher", "ALL:@SECLEVEL=0"])
        expect(try diagnose(old.url(), ca), .tlsVersion, at: "TLS", "TLSv1")
        let none = try SecureServer(["-nocert", "-tls1_2"])
        expect(try diagnose(none.url(), ca), .tlsCipher, at: "TLS", "in common")
        let foreign = try SecureServer(
            try papers.issue("rsa", rsaBits: 2_048)
                + ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"])
        expect(try diagnose(foreign.url(), ca), .tlsCipher, at: "TLS", "with browsers")
        let client = try SecureServer(good + ["-Verify", "1"])
        expect(try diagnose(client.url(), ca), .clientCertificate, at: "upgrade", "certificate")
        let older = try SecureServer(good + ["-Verify", "1", "-tls1_2"])
        expect(try diagnose(older.url(), ca), .clientCertificate, at: "TLS", "certificate")
        let named = try SecureServer(
            good + ["-servername", "other.test", "-servername_fatal", "-cert2"]
                + [good[1], "-key2", good[3]])
        expect(try diagnose(named.url(), ca), .tlsAlert, at: "TLS", "SNI")
    }

    /// Servers that old, or that broken, are not to be had any more: their alerts as bytes
    /// (RFC 8446 §6).
    @Test(arguments: [
        (70, Verdict.tlsVersion, "no version of TLS that browsers speak"),
        (71, .tlsCipher, "no cipher suite"), (80, .tlsAlert, "internal error"),
        (86, .tlsAlert, "inappropriate fallback"), (116, .clientCertificate, "show a certificate"),
    ])
    func `each alert by its name`(number: UInt8, verdict: Verdict, words: String) throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.read(1)
            try peer.send([0x15, 3, 3, 0, 2, 2, number])
            _ = try peer.readUntilEnd()
        }
        let finding = try diagnose("wss://127.0.0.1:\(backend.address.port)/")
        expect(finding, verdict, at: "TLS", words)
        #expect(finding.steps.last?.found.contains("(\(number))") == true, "\(finding)")
    }

    @Test(arguments: [
        (["shop.com"], "--permit shop.com "), (["localhost", "app.test", "10.0.0.1"], ""),
        (["*.shop.com", "a_b"], "--permit shop.com --permit a_b "), (["8.8.8.8"], "--any-name "),
        (["shop.com", "::8"], "--any-name "), (["[2001:db8::8]"], "--any-name "),
        (["no name"], ""), ([], ""),
    ])
    func `what has to be permitted is said as options of sluice cert`(
        names: [String], options: String
    ) {
        #expect(NameScope.options(for: names) == options)
    }
}

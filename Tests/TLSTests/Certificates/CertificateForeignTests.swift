// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import Testing

/// The `openssl` program judges what was made: by verification, by its text, by a live handshake.
struct CertificateForeignTests {
    let scratch: CertificateScratch

    init() throws {
        scratch = try CertificateScratch()
        try scratch.ensureLeaf(["localhost", "*.example.test", "127.0.0.1", "::1"])
    }

    @Test(arguments: [
        ("-verify_hostname", "localhost"), ("-verify_hostname", "a.example.test"),
        ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1"),
    ])
    func `a made chain verifies for each of its names`(option: String, name: String) throws {
        let verdict = try verify(option, name)
        #expect(verdict.status == 0, "\(verdict.output)")
    }

    @Test(arguments: [
        ("-verify_hostname", "example.test"), ("-verify_hostname", "a.b.example.test"),
        ("-verify_hostname", "other.test"), ("-verify_ip", "127.0.0.2"),
    ])
    func `and for no other`(option: String, name: String) throws {
        #expect(try verify(option, name).status != 0)
    }

    @Test func `the authority's text is as intended`() throws {
        let text = try scratch.openssl("x509", "-in", "ca.pem", "-noout", "-text").output
        for expected in [
            "Version: 3", "ecdsa-with-SHA256", "NIST CURVE: P-256",
            "Basic Constraints: critical\n                CA:TRUE, pathlen:0",
            "Key Usage: critical\n                Certificate Sign, CRL Sign",
            "Subject Key Identifier", "CN = Sluice development CA ",
        ] {
            #expect(text.contains(expected), "\(expected) in \(text)")
        }
    }

    @Test func `the leaf's text is as intended`() throws {
        let text = try scratch.openssl("x509", "-in", "leaf.pem", "-noout", "-text").output
        for expected in [
            "Version: 3", "ecdsa-with-SHA256", "NIST CURVE: P-256", "CA:FALSE",
            "Key Usage: critical\n                Digital Signature",
            "Extended Key Usage: \n                TLS Web Server Authentication",
            "DNS:localhost, DNS:*.example.test, IP Address:127.0.0.1, "
                + "IP Address:0:0:0:0:0:0:0:1",
            "Subject Key Identifier", "Authority Key Identifier",
        ] {
            #expect(text.contains(expected), "\(expected) in \(text)")
        }
    }

    @Test func `facts say what the certificates say`() throws {
        let root = try CertificateFacts.read(pemFile: scratch.path("ca.pem"))
        let leaf = try CertificateFacts.read(pemFile: scratch.path("leaf.pem"))
        let now = Int64(Date().timeIntervalSince1970)
        #expect(root.isCA)
        #expect(!leaf.isCA)
        #expect(root.issuer == root.subject)
        #expect(leaf.issuer == root.subject)
        #expect(leaf.subject.hasPrefix("CN=localhost,O=Sluice"))
        #expect(leaf.names == ["localhost", "*.example.test", "127.0.0.1", "::1"])
        #expect(leaf.keyKind == "EC P-256")
        #expect(abs(now - 3600 - leaf.notBefore) < 60)
        #expect(leaf.notAfter - leaf.notBefore < 397 * 86_400)
        #expect(root.notAfter - root.notBefore > 3_650 * 86_400)
    }

    @Test(arguments: [
        ("RSA 2048", ["-newkey", "rsa:2048"]), ("ED25519", ["-newkey", "ed25519"]),
        ("EC P-384", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ])
    func `facts name the kind of a foreign key`(kind: String, options: [String]) throws {
        let output = Pipe()
        let process = scratch.program(
            ["req", "-x509", "-nodes", "-subj", "/CN=x"] + options
                + ["-keyout", "other-key.pem", "-out", "other.pem"], output: output)
        try process.run()
        process.waitUntilExit()
        let facts = try CertificateFacts.read(pemFile: scratch.path("other.pem"))
        #expect(facts.keyKind == kind)
        #expect(facts.names.isEmpty)
    }

    @Test func `serial numbers are random`() throws {
        let first = try scratch.openssl("x509", "-in", "leaf.pem", "-noout", "-serial").output
        try scratch.ensureLeaf(["another.test"])
        let second = try scratch.openssl("x509", "-in", "leaf.pem", "-noout", "-serial").output
        #expect(first != second)
        #expect(first.hasPrefix("serial="))
        #expect(first.count > 30)
    }

    @Test func `a live handshake verifies for the name and fails for another`() throws {
        let output = Pipe()
        let server = scratch.program(
            [
                "s_server", "-accept", "127.0.0.1:0", "-cert", "leaf.pem", "-key", "leaf-key.pem",
                "-www",
            ], output: output)
        try server.run()
        defer {
            // Not terminate(): Process hands down a signal mask in which SIGTERM may be blocked.
            kill(server.processIdentifier, SIGKILL)
            server.waitUntilExit()
        }
        let port = try #require(portAnnounced(on: output))
        for (name, isGood) in [("localhost", true), ("x.example.test", true), ("x.test", false)] {
            let client = try scratch.openssl(
                "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", "ca.pem",
                "-verify_return_error", "-verify_hostname", name, "-brief")
            #expect((client.status == 0) == isGood, "\(name): \(client.output)")
            #expect(client.output.contains("Verification: OK") == isGood)
        }
    }

    private func verify(_ option: String, _ name: String) throws -> (status: Int32, output: String)
    {
        try scratch.openssl(
            "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem",
            "-no-CApath", "-no-CAstore", option, name, "leaf.pem")
    }

    /// Waits for `ACCEPT 127.0.0.1:PORT`.
    private func portAnnounced(on output: Pipe) -> Int? {
        var text = ""
        while true {
            let bytes = output.fileHandleForReading.availableData
            if bytes.isEmpty { return nil }
            text += String(decoding: bytes, as: UTF8.self)
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("ACCEPT") }),
                text.hasSuffix("\n"), let colon = line.lastIndex(of: ":")
            else { continue }
            return Int(line[line.index(after: colon)...])
        }
    }
}

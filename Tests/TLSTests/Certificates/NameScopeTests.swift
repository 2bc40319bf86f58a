// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

@testable import TLS

/// Goal: an authority that is trusted on a developer's machine can't be used against that developer.
///
/// Method: OpenSSL's own program judges, also certificates that were signed behind our back.
struct NameScopeTests {
    private func authority(
        _ scope: NameScope, _ scratch: CertificateScratch
    ) throws -> CertificateAuthority {
        try CertificateAuthority.loadOrMake(in: scratch.directory, scope: scope)
    }

    private func leaf(
        _ names: [String], _ authority: CertificateAuthority, _ scratch: CertificateScratch
    ) throws {
        _ = try authority.ensureLeaf(
            for: names, chainPath: scratch.path("leaf.pem"), keyPath: scratch.path("leaf-key.pem"))
    }

    @Test(arguments: [
        ["localhost", "127.0.0.1", "::1"], ["app.test", "*.app.test"], ["printer.local"],
        ["192.168.1.20"], ["10.1.2.3", "fd00::5"], ["deep.app.localhost", "nas.home.arpa"],
    ])
    func `local names and addresses are signed for and believed`(names: [String]) throws {
        let scratch = try CertificateScratch()
        try leaf(names, try authority(.local(more: []), scratch), scratch)
        let said = try scratch.openssl("verify", "-x509_strict", "-CAfile", "ca.pem", "leaf.pem")
        #expect(said.status == 0, "\(said.output)")
        #expect(try CertificateFacts.read(pemFile: scratch.path("ca.pem")).isConstrained)
    }

    @Test(arguments: ["shop.com", "*.example.org", "8.8.8.8", "2001:4860:4860::8888", "mytest"])
    func `others are refused with what to do, and nothing is written`(name: String) throws {
        let scratch = try CertificateScratch()
        let authority = try authority(.local(more: []), scratch)
        let fault = #expect(throws: CertificateFault.self) {
            try leaf(["localhost", name], authority, scratch)
        }
        // Whoever prints it says the command.
        #expect(fault?.file == name && fault?.wanted == ["localhost", name])
        #expect(fault?.directory.isEmpty == false)
        #expect(fault?.description.contains("sluice cert") == false, "\(String(describing: fault))")
        #expect(!CertificateFiles.hasContent(scratch.path("leaf.pem")))
        #expect(!CertificateFiles.hasContent(scratch.path("leaf-key.pem")))
    }

    @Test func `what was permitted when it was made is signed for`() throws {
        let scratch = try CertificateScratch()
        let authority = try authority(.local(more: ["shop.com"]), scratch)
        try leaf(["shop.com", "*.shop.com", "localhost"], authority, scratch)
        #expect(try scratch.openssl("verify", "-CAfile", "ca.pem", "leaf.pem").status == 0)
        #expect(throws: CertificateFault.self) {
            try leaf(["myshop.com"], authority, scratch)
        }
    }

    @Test(
        arguments: [
            (["shop.com"], ["shop.com"]), (["localhost", "app.test", "10.0.0.1"], []),
            (["*.shop.com", "a_b"], ["shop.com", "a_b"]), (["8.8.8.8"], nil),
            (["shop.com", "::8"], nil),
        ] as [([String], [String]?)])
    func `what has to be permitted is known before an authority is made`(
        names: [String], permitted: [String]?
    ) throws {
        let refused = try NameScope.local(more: []).refused(names)
        #expect(refused.isEmpty == (permitted == []))
        guard !refused.isEmpty else { return }
        let scratch = try CertificateScratch()
        let folder = scratch.path("new")
        #expect(throws: CertificateFault.self) {
            try CertificateAuthority.loadOrMake(in: folder, for: names)
        }
        #expect(access(folder, F_OK) != 0)
        let scope = permitted.map { NameScope.local(more: $0) } ?? .any
        let authority = try CertificateAuthority.loadOrMake(in: folder, scope: scope, for: names)
        for name in names { #expect(try authority.permits(name), "\(name)") }
        #expect(try authority.permits("example.org") == (scope == .any))
        #expect(try CertificateAuthority.present(in: folder)?.permits("localhost") == true)
    }

    @Test(arguments: ["*.shop.com", "10.0.0.1", "no name"])
    func `only DNS names can be permitted`(name: String) throws {
        let scratch = try CertificateScratch()
        #expect(throws: CertificateFault.self) { try authority(.local(more: [name]), scratch) }
        #expect(!CertificateFiles.hasContent(scratch.path("ca.pem")))
    }

    @Test func `whoever steals the key can't sign for others`() throws {
        let scratch = try CertificateScratch()
        _ = try authority(.local(more: []), scratch)
        try scratch.write("subjectAltName=DNS:bank.com", to: "names")
        try scratch.openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bank.com", "-keyout", "k.pem",
            "-out", "request.pem")
        let signed = try scratch.openssl(
            "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
            "-extfile", "names", "-out", "stolen.pem", "-days", "5")
        #expect(signed.status == 0, "\(signed.output)")
        let said = try scratch.openssl("verify", "-CAfile", "ca.pem", "stolen.pem")
        #expect(said.status != 0)
        #expect(said.output.contains("permitted subtree violation"), "\(said.output)")
    }

    @Test func `an authority for any name stays one`() throws {
        let scratch = try CertificateScratch()
        _ = try authority(.any, scratch)
        let again = try authority(.local(more: []), scratch)
        #expect(!again.isNew)
        #expect(try CertificateFacts.read(pemFile: again.certificatePath).isConstrained == false)
        try leaf(["shop.com", "8.8.8.8"], again, scratch)
        #expect(try scratch.openssl("verify", "-CAfile", "ca.pem", "leaf.pem").status == 0)
    }

    /// A leaf that somebody who has the key signs by hand, with these extensions.
    private func forge(
        _ extensions: String, _ scratch: CertificateScratch, subject: String = "/CN=forged"
    ) throws {
        try scratch.write(extensions, to: "extensions")
        try scratch.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            subject, "-keyout", "forged-key.pem", "-out", "request.pem")
        let signed = try scratch.openssl(
            "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
            "-extfile", "extensions", "-out", "forged.pem", "-days", "5")
        try #require(signed.status == 0, "\(signed.output)")
    }

    /// RFC 5280 §4.2.1.10 and §4.2.1.12: what an authority for servers can't vouch for.
    @Test(arguments: [
        ("subjectAltName=email:a@bank.com", "smimesign"),
        ("subjectAltName=email:a@localhost", "smimesign"),
        ("subjectAltName=email:a@invalid", "any"),
        ("subjectAltName=URI:https://bank.com/", "any"),
        ("subjectAltName=URI:https://localhost/", "any"),
        ("subjectAltName=URI:spiffe://invalid/x", "any"),
        ("subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth", "sslclient"),
        ("subjectAltName=DNS:localhost", "sslclient"),
        ("subjectAltName=DNS:localhost\nextendedKeyUsage=emailProtection", "smimesign"),
    ])
    func `what is no server is refused, with any scope`(
        extensions: String, purpose: String
    ) throws {
        for scope in [NameScope.local(more: ["bank.com"]), .any] {
            let scratch = try CertificateScratch()
            _ = try authority(scope, scratch)
            try forge(extensions, scratch)
            let said = try scratch.openssl(
                "verify", "-CAfile", "ca.pem", "-purpose", purpose, "forged.pem")
            #expect(said.status != 0, "\(scope) \(extensions): \(said.output)")
        }
    }

    @Test(arguments: [NameScope.local(more: []), .any])
    func `servers are believed by OpenSSL and GnuTLS`(scope: NameScope) throws {
        let scratch = try CertificateScratch()
        try leaf(["localhost", "127.0.0.1"], try authority(scope, scratch), scratch)
        let said = try scratch.openssl(
            "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "leaf.pem")
        #expect(said.status == 0, "\(said.output)")
        #expect(try certtool("leaf.pem", "1.3.6.1.5.5.7.3.1", scratch) == 0)
        #expect(try certtool("leaf.pem", "1.3.6.1.5.5.7.3.2", scratch) != 0)
        try forge("subjectAltName=email:a@bank.com", scratch)
        #expect(try certtool("forged.pem", nil, scratch) != 0)
    }

    /// Names of kinds for which the authority has no constraint: see docs/security.md for why.
    private static let otherNames = [
        // A user's name for smart cards, an XMPP address, a service.
        "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:admin@bank.com",
        "otherName:1.3.6.1.5.5.7.8.5;UTF8:admin@bank.com",
        "otherName:1.3.6.1.5.5.7.8.7;IA5:_ldap.bank.com", "RID:1.2.3.4", "dirName:somebody",
    ]

    /// RFC 5280 §4.2.1.12: the authority's extended key usage stands in for the constraint.
    @Test(arguments: otherNames)
    func `names of other kinds vouch for nobody but a server`(name: String) throws {
        let scratch = try CertificateScratch()
        _ = try authority(.local(more: []), scratch)
        try forge("subjectAltName=DNS:localhost,\(name)\n[somebody]\nO=bank.com", scratch)
        for purpose in ["sslclient", "smimesign", "smimeencrypt", "timestampsign"] {
            let said = try scratch.openssl(
                "verify", "-CAfile", "ca.pem", "-purpose", purpose, "forged.pem")
            #expect(said.status != 0, "\(purpose): \(said.output)")
        }
        // It is a server's certificate, for the DNS name that stands there and no other.
        for (host, isGood) in [("localhost", true), ("bank.com", false)] {
            let said = try scratch.openssl(
                "verify", "-CAfile", "ca.pem", "-purpose", "sslserver", "-verify_hostname", host,
                "forged.pem")
            #expect((said.status == 0) == isGood, "\(host): \(said.output)")
        }
    }

    /// Where no DNS name stands in it, the common name is read as one, and is constrained as one.
    @Test(arguments: otherNames + ["otherName:1.3.6.1.5.5.7.8.9;UTF8:admin@bank.com"])
    func `names of other kinds do not hide a common name`(name: String) throws {
        let scratch = try CertificateScratch()
        _ = try authority(.local(more: []), scratch)
        try forge(
            "subjectAltName=\(name)\n[somebody]\nO=bank.com", scratch, subject: "/CN=bank.com")
        #expect(
            try scratch.openssl("verify", "-CAfile", "ca.pem", "-purpose", "any", "forged.pem")
                .status
                != 0)
        #expect(try certtool("forged.pem", nil, scratch) != 0)
    }

    /// RFC 9598 §3: constraints on mail addresses hold for those in UTF-8 too, which OpenSSL knows.
    @Test func `a mail address in UTF-8 is refused`() throws {
        let scratch = try CertificateScratch()
        _ = try authority(.local(more: []), scratch)
        try forge(
            "subjectAltName=DNS:localhost,otherName:1.3.6.1.5.5.7.8.9;UTF8:admin@bank.com", scratch)
        let said = try scratch.openssl(
            "verify", "-CAfile", "ca.pem", "-purpose", "any", "forged.pem")
        #expect(said.status != 0, "\(said.output)")
    }

    @Test
    func `a leaf for code is no server's, and what vouches for code is the verifier's to say`()
        throws
    {
        let scratch = try CertificateScratch()
        _ = try authority(.local(more: []), scratch)
        try forge("subjectAltName=DNS:localhost\nextendedKeyUsage=codeSigning", scratch)
        for purpose in ["sslserver", "sslclient", "smimesign", "timestampsign"] {
            let said = try scratch.openssl(
                "verify", "-CAfile", "ca.pem", "-purpose", purpose, "forged.pem")
            #expect(said.status != 0, "\(purpose): \(said.output)")
        }
        #expect(try certtool("forged.pem", "1.3.6.1.5.5.7.3.1", scratch) != 0)
        // GnuTLS looks at the usages of the leaf alone; docs/security.md says so for as long as it does.
        #expect(try certtool("forged.pem", "1.3.6.1.5.5.7.3.3", scratch) == 0)
    }

    /// Why such names are not excluded.
    ///
    /// Who does not know a kind of constraint refuses every leaf, as it must (RFC 5280 §4.2), and GnuTLS does
    /// so for registered numbers.
    @Test func `an authority that excluded registered numbers would not be believed by GnuTLS`()
        throws
    {
        let scratch = try CertificateScratch()
        for (constraint, isBelieved) in [("", true), (",excluded;RID:1.2.3.4", false)] {
            try scratch.openssl(
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=own", "-keyout",
                "ca-key.pem", "-out", "ca.pem", "-addext",
                "nameConstraints=critical,permitted;DNS:localhost\(constraint)")
            try forge("subjectAltName=DNS:localhost", scratch, subject: "/CN=localhost")
            #expect(try scratch.openssl("verify", "-CAfile", "ca.pem", "forged.pem").status == 0)
            #expect((try certtool("forged.pem", nil, scratch) == 0) == isBelieved, "\(constraint)")
        }
    }

    /// GnuTLS's verdict, for a purpose (RFC 5280 §4.2.1.12) or for none.
    private func certtool(
        _ file: String, _ purpose: String?, _ scratch: CertificateScratch
    ) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.currentDirectoryURL = URL(fileURLWithPath: scratch.directory)
        process.arguments =
            ["certtool", "--verify", "--load-ca-certificate", "ca.pem", "--infile", file]
            + (purpose.map { ["--verify-purpose", $0] } ?? [])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test func `authorities of the same user have names of their own, and tell what they are for`()
        throws
    {
        let scratch = try CertificateScratch()
        let facts = try ["a", "b"].map { name in
            let authority = try CertificateAuthority.loadOrMake(in: scratch.path(name))
            return try CertificateFacts.read(pemFile: authority.certificatePath)
        }
        #expect(facts[0].subject != facts[1].subject)
        #expect(facts.allSatisfy { $0.isForServersOnly && $0.isConstrained })
        try scratch.openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=older", "-keyout",
            "old-key.pem", "-out", "old.pem", "-addext", "nameConstraints=permitted;DNS:localhost")
        let old = try CertificateFacts.read(pemFile: scratch.path("old.pem"))
        #expect(old.isConstrained && !old.isForServersOnly)
    }
}

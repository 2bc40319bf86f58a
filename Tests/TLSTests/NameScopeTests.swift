// SPDX-License-Identifier: Apache-2.0
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
        #expect(fault?.description.contains("--permit") == true, "\(String(describing: fault))")
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
}

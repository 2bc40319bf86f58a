// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import Testing

/// Each fault names the file, what was found there and what to do, and leaves the files alone.
struct CertificateFaultTests {
    let scratch: CertificateScratch

    init() throws { scratch = try CertificateScratch() }

    @Test func `an authority without its key is not made anew`() throws {
        _ = try CertificateAuthority.loadOrMake(in: scratch.directory)
        try FileManager.default.removeItem(atPath: scratch.path("ca-key.pem"))
        let fault = fault { try scratch.ensureLeaf(["localhost"]) }
        #expect(fault?.file == scratch.path("ca-key.pem"))
        #expect(fault?.remedy.contains("put the key back") == true)
    }

    @Test func `an authority with another's key is refused`() throws {
        _ = try CertificateAuthority.loadOrMake(in: scratch.directory)
        try scratch.openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", "ca-key.pem")
        let fault = fault { try scratch.ensureLeaf(["localhost"]) }
        #expect(fault?.found == "it is not the key of \(scratch.path("ca.pem"))")
    }

    @Test func `a key with a passphrase is refused without asking`() throws {
        _ = try CertificateAuthority.loadOrMake(in: scratch.directory)
        try scratch.openssl(
            "pkey", "-in", "ca-key.pem", "-aes256", "-passout", "pass:secret", "-out", "new.pem")
        try scratch.write(try scratch.read("new.pem"), to: "ca-key.pem")
        let fault = fault { try scratch.ensureLeaf(["localhost"]) }
        #expect(fault?.description.contains("passphrase") == true)
    }

    @Test func `a leaf as authority is refused`() throws {
        try scratch.ensureLeaf(["localhost"])
        try scratch.write(try scratch.read("leaf.pem"), to: "ca.pem")
        try scratch.write(try scratch.read("leaf-key.pem"), to: "ca-key.pem")
        let fault = fault { try scratch.ensureLeaf(["localhost"]) }
        #expect(fault?.found.contains("CA:TRUE") == true)
    }

    @Test func `a certificate from elsewhere is not overwritten`() throws {
        try scratch.openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Elsewhere",
            "-keyout", "leaf-key.pem", "-out", "leaf.pem")
        let before = try scratch.read("leaf.pem")
        let fault = fault { try scratch.ensureLeaf(["localhost"]) }
        #expect(fault?.found == "a certificate issued by CN=Elsewhere")
        #expect(try scratch.read("leaf.pem") == before)
    }

    @Test func `a key without a certificate is not overwritten`() throws {
        try scratch.openssl("genpkey", "-algorithm", "ED25519", "-out", "leaf-key.pem")
        let before = try scratch.read("leaf-key.pem")
        #expect(
            fault { try scratch.ensureLeaf(["localhost"]) }?.file == scratch.path("leaf-key.pem"))
        #expect(try scratch.read("leaf-key.pem") == before)
    }

    @Test func `the authority's own files are not overwritten`() throws {
        let authority = try CertificateAuthority.loadOrMake(in: scratch.directory)
        let certificate = try scratch.read("ca.pem")
        let key = try scratch.read("ca-key.pem")
        #expect(
            fault {
                try authority.ensureLeaf(
                    for: ["localhost"], chainPath: scratch.path("ca.pem"),
                    keyPath: scratch.path("ca-key.pem"))
            } != nil)
        try scratch.ensureLeaf(["localhost"])
        #expect(
            fault {
                try authority.ensureLeaf(
                    for: ["localhost"], chainPath: scratch.path("leaf.pem"),
                    keyPath: scratch.path("ca-key.pem"))
            }?.found == "the authority's own key")
        #expect(try scratch.read("ca.pem") == certificate)
        #expect(try scratch.read("ca-key.pem") == key)
    }

    @Test func `a file that is no certificate is named`() throws {
        try scratch.write("hello\n", to: "leaf.pem")
        let fault = fault { try scratch.ensureLeaf(["localhost"]) }
        #expect(fault?.file == scratch.path("leaf.pem"))
        #expect(fault?.found.contains("no certificate") == true)
    }

    @Test func `a file in the place of the directory is named`() throws {
        try scratch.write("hello\n", to: "file")
        let fault = fault { try CertificateAuthority.loadOrMake(in: scratch.path("file")) }
        #expect(fault?.found == "it is a file")
    }

    @Test func `facts of a missing file say so`() throws {
        let fault = fault { try CertificateFacts.read(pemFile: scratch.path("none.pem")) }
        #expect(fault?.found == "there is no such file" && fault?.remedy == "correct the path")
    }

    @Test(arguments: [
        "", "a b", "a..b", "-a.test", "a-.test", "*.localhost", "*", "a.*.test", "a,IP:1.2.3.4",
        "300.1.2.3", "1.2.3", "[::g]", "ä.test", "a/b", String(repeating: "a", count: 64),
    ])
    func `what is no name is refused`(name: String) throws {
        #expect(fault { try scratch.ensureLeaf([name]) }?.file == "\"\(name)\"")
    }

    private func fault<Value>(_ body: () throws -> Value) -> CertificateFault? {
        do {
            _ = try body()
            return nil
        } catch {
            return error as? CertificateFault
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import Testing

/// What is made, kept, renewed and refused in a directory of certificates.
struct CertificateAuthorityTests {
    let scratch: CertificateScratch

    init() throws { scratch = try CertificateScratch() }

    @Test func `links in the place of certificate and key stay, and what they lead to is renewed`()
        throws
    {
        let scratch = try CertificateScratch()
        try FileManager.default.createDirectory(
            atPath: scratch.path("real"), withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700])
        for name in ["leaf.pem", "leaf-key.pem"] {
            try FileManager.default.createSymbolicLink(
                atPath: scratch.path(name), withDestinationPath: "real/\(name)")
        }
        #expect(try scratch.ensureLeaf(["a.test"]) == .made)
        let before = try scratch.read("real/leaf.pem")
        try scratch.ensureLeaf(["a.test", "b.test"])
        #expect(try scratch.read("real/leaf.pem") != before)
        #expect(try scratch.mode("real/leaf-key.pem") == 0o600)
        for name in ["leaf.pem", "leaf-key.pem"] {
            let target = try FileManager.default.destinationOfSymbolicLink(
                atPath: scratch.path(name))
            #expect(target == "real/\(name)")
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path("real"))
        #expect(left.sorted() == ["leaf-key.pem", "leaf.pem"])
    }

    @Test func `an authority is made once and kept`() throws {
        let first = try CertificateAuthority.loadOrMake(in: scratch.directory)
        let made = try scratch.read("ca.pem")
        let second = try CertificateAuthority.loadOrMake(in: scratch.directory)
        #expect(first.isNew)
        #expect(!second.isNew)
        #expect(try scratch.read("ca.pem") == made)
        #expect(second.certificatePath == scratch.path("ca.pem"))
    }

    @Test func `keys are for the owner only and nothing temporary stays`() throws {
        try scratch.ensureLeaf(["localhost"])
        #expect(try scratch.mode("ca-key.pem") == 0o600)
        #expect(try scratch.mode("leaf-key.pem") == 0o600)
        #expect(!CertificateFacts.isReadableByOthers(scratch.path("leaf-key.pem")))
        #expect(CertificateFacts.isReadableByOthers(scratch.path("leaf.pem")))
        #expect(!CertificateFacts.isReadableByOthers(scratch.path("nothing.pem")))
        let files = try FileManager.default.contentsOfDirectory(atPath: scratch.directory)
        #expect(files.sorted() == ["ca-key.pem", "ca.pem", "leaf-key.pem", "leaf.pem"])
    }

    @Test func `missing directories are made for the owner only`() throws {
        _ = try CertificateAuthority.loadOrMake(in: scratch.path("a/b"))
        #expect(try scratch.mode("a") == 0o700)
        #expect(try scratch.mode("a/b") == 0o700)
    }

    @Test func `a leaf that does is kept`() throws {
        #expect(try scratch.ensureLeaf(["localhost", "127.0.0.1", "::1"]) == .made)
        let made = try scratch.read("leaf.pem")
        #expect(try scratch.ensureLeaf(["localhost", "127.0.0.1", "::1"]) == .kept)
        #expect(try scratch.ensureLeaf(["LOCALHOST.", "0:0:0:0:0:0:0:1"]) == .kept)
        #expect(try scratch.read("leaf.pem") == made)
    }

    @Test func `a wildcard covers one label`() throws {
        try scratch.ensureLeaf(["*.example.test"])
        #expect(try scratch.ensureLeaf(["a.example.test"]) == .kept)
        #expect(
            try scratch.ensureLeaf(["a.b.example.test"])
                == .renewed(.namesMissing(["a.b.example.test"])))
    }

    @Test func `a name more renews the leaf`() throws {
        try scratch.ensureLeaf(["localhost"])
        #expect(
            try scratch.ensureLeaf(["localhost", "app.test"])
                == .renewed(.namesMissing(["app.test"])))
        let facts = try CertificateFacts.read(pemFile: scratch.path("leaf.pem"))
        #expect(facts.names == ["localhost", "app.test"])
    }

    @Test func `names that nobody asks for stay, or go where that is wanted`() throws {
        func names() throws -> [String] {
            try CertificateFacts.read(pemFile: scratch.path("leaf.pem")).names
        }
        func ensure(_ names: [String], _ others: OtherNames) throws -> LeafOutcome {
            let authority = try CertificateAuthority.loadOrMake(in: scratch.directory)
            return try authority.ensureLeaf(
                for: names, others: others, chainPath: scratch.path("leaf.pem"),
                keyPath: scratch.path("leaf-key.pem"))
        }
        #expect(try ensure(["localhost", "127.0.0.1", "10.0.0.7"], .stay) == .made)
        #expect(
            try ensure(["localhost", "app.test"], .stay)
                == .renewed(.namesMissing(["app.test"])))
        #expect(try names() == ["localhost", "app.test", "127.0.0.1", "10.0.0.7"])
        // What is covered is no reason to make it anew, and so no reason to take addresses out.
        #expect(try ensure(["localhost"], .stayUnlessOfNetwork) == .kept)
        #expect(
            try ensure(["localhost", "10.0.0.9"], .stayUnlessOfNetwork)
                == .renewed(.namesMissing(["10.0.0.9"])))
        #expect(try names() == ["localhost", "10.0.0.9", "app.test", "127.0.0.1"])
        #expect(
            try ensure(["localhost"], .go)
                == .renewed(.namesTooMany(["10.0.0.9", "app.test", "127.0.0.1"])))
        #expect(try names() == ["localhost"])
        #expect(try ensure(["localhost"], .go) == .kept)
    }

    @Test func `names that another authority may not sign for do not stay`() throws {
        let files = (scratch.path("leaf.pem"), scratch.path("leaf-key.pem"))
        let wide = try CertificateAuthority.loadOrMake(in: scratch.directory, scope: .any)
        _ = try wide.ensureLeaf(
            for: ["localhost", "shop.example.com"], chainPath: files.0, keyPath: files.1)
        try FileManager.default.removeItem(atPath: scratch.path("ca.pem"))
        try FileManager.default.removeItem(atPath: scratch.path("ca-key.pem"))
        let narrow = try CertificateAuthority.loadOrMake(in: scratch.directory)
        #expect(
            try narrow.ensureLeaf(for: ["localhost"], chainPath: files.0, keyPath: files.1)
                == .renewed(.signedByAnotherAuthority))
        #expect(try CertificateFacts.read(pemFile: files.0).names == ["localhost"])
    }

    @Test func `another authority renews the leaf`() throws {
        try scratch.ensureLeaf(["localhost"])
        try FileManager.default.removeItem(atPath: scratch.path("ca.pem"))
        try FileManager.default.removeItem(atPath: scratch.path("ca-key.pem"))
        #expect(try scratch.ensureLeaf(["localhost"]) == .renewed(.signedByAnotherAuthority))
    }

    @Test func `a missing or foreign key renews the leaf`() throws {
        try scratch.ensureLeaf(["localhost"])
        try FileManager.default.removeItem(atPath: scratch.path("leaf-key.pem"))
        #expect(try scratch.ensureLeaf(["localhost"]) == .renewed(.keyMissing))
        try scratch.openssl("genpkey", "-algorithm", "RSA", "-out", "leaf-key.pem")
        #expect(try scratch.ensureLeaf(["localhost"]) == .renewed(.keyOfAnotherCertificate))
        #expect(try scratch.ensureLeaf(["localhost"]) == .kept)
    }

    @Test(arguments: [(29, false), (31, true), (-1, false)])
    func `a leaf with 30 days or less is renewed`(days: Int, isKept: Bool) throws {
        try scratch.ensureLeaf(["localhost"])
        try scratch.write("subjectAltName=DNS:localhost\n", to: "names.cnf")
        try scratch.openssl(
            "req", "-new", "-key", "leaf-key.pem", "-subj", "/CN=localhost", "-out", "leaf.csr")
        let signed = try scratch.openssl(
            "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
            "-extfile", "names.cnf", "-days", "\(days)", "-out", "leaf.pem")
        #expect(signed.status == 0, "\(signed.output)")
        let expected: LeafOutcome =
            isKept ? .kept : .renewed(.nearExpiry(days: max(0, days)))
        #expect(try scratch.ensureLeaf(["localhost"]) == expected)
        #expect(try scratch.ensureLeaf(["localhost"]) == .kept)
    }

    @Test func `an authority's key without its certificate is taken up`() throws {
        _ = try CertificateAuthority.loadOrMake(in: scratch.directory)
        let key = try scratch.read("ca-key.pem")
        try scratch.ensureLeaf(["localhost"])
        try FileManager.default.removeItem(atPath: scratch.path("ca.pem"))
        #expect(try CertificateAuthority.loadOrMake(in: scratch.directory).isNew)
        #expect(try scratch.read("ca-key.pem") == key)
        #expect(try scratch.ensureLeaf(["localhost"]) == .kept)
    }

    @Test func `many at once make one authority`() async throws {
        let directory = scratch.directory
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask { try CertificateAuthority.loadOrMake(in: directory).isNew }
            }
            var makers = 0
            for try await isNew in group where isNew { makers += 1 }
            #expect(makers == 1)
        }
        try scratch.ensureLeaf(["localhost"])
    }
}

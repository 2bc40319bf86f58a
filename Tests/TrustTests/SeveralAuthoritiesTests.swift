// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import TestKit
import Testing

@testable import Trust

/// Goal: each authority is trusted and forgotten by itself, and another root is changed within alone.
///
/// Method: two authorities of one user, in databases and systems of the test's.
struct SeveralAuthoritiesTests {
    private func stores(_ place: TrustPlace, _ authority: String) throws -> TrustStores {
        try TrustStores(
            authorityPath: authority, home: "\(place.folder)/home", root: "\(place.folder)/root")
    }

    @Test func `a second one does not evict the first, and each goes alone`() throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        try place.makeDatabase("home/.mozilla/firefox/a.default")
        let first = place.authority.certificatePath
        let second = try CertificateAuthority.loadOrMake(in: "\(place.folder)/second")
            .certificatePath
        func outcomes(_ authority: String) throws -> [StoreReport.Outcome] {
            try stores(place, authority).status().map(\.outcome)
        }
        let all = { (outcome: StoreReport.Outcome) in Array(repeating: outcome, count: 3) }
        #expect(try stores(place, first).trust().map(\.outcome) == all(.added))
        #expect(try stores(place, second).trust().map(\.outcome) == all(.added))
        #expect(try outcomes(first) == all(.trusted))
        #expect(try stores(place, first).untrust().map(\.outcome) == all(.removed))
        #expect(try outcomes(first) == all(.absent))
        #expect(try outcomes(second) == all(.trusted))
        #expect(try stores(place, first).untrust().map(\.outcome) == all(.absent))
        #expect(try stores(place, second).untrust().map(\.outcome) == all(.removed))
        #expect(try outcomes(second) == all(.absent))
    }

    /// As older versions made them: NSS shows certificates of one subject for one.
    @Test func `two of one subject are told apart`() throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        let paths = try ["x", "y"].map { name in
            let path = "\(place.folder)/\(name).pem"
            try run([
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/O=Sluice/CN=Sluice development CA a@b",
                "-keyout", "\(place.folder)/\(name).key", "-out", path,
            ])
            return path
        }
        func browser(_ path: String) throws -> TrustStores {
            try TrustStores(authorityPath: path, home: "\(place.folder)/home", root: nil)
        }
        for order in [[0, 1], [1, 0]] {
            for path in paths { #expect(try browser(path).trust().map(\.outcome) == [.added]) }
            #expect(try browser(paths[order[0]]).untrust().map(\.outcome) == [.removed])
            #expect(try browser(paths[order[0]]).status().map(\.outcome) == [.absent])
            #expect(try browser(paths[order[1]]).status().map(\.outcome) == [.trusted])
            #expect(try browser(paths[order[0]]).untrust().map(\.outcome) == [.absent])
            #expect(try browser(paths[order[1]]).untrust().map(\.outcome) == [.removed])
        }
    }

    @Test func `the file of an older version counts, and goes with its authority alone`() throws {
        let place = try TrustPlace()
        let old = "\(place.folder)/root/usr/local/share/ca-certificates/sluice-ca.crt"
        try FileManager.default.copyItem(atPath: place.authority.certificatePath, toPath: old)
        try place.updateSystem()
        let second = try CertificateAuthority.loadOrMake(in: "\(place.folder)/second")
            .certificatePath
        func system(_ path: String) throws -> TrustStores {
            try TrustStores(authorityPath: path, home: nil, root: "\(place.folder)/root")
        }
        #expect(try place.stores(home: false).trust().map(\.outcome) == [.trusted])
        #expect(try system(second).trust().map(\.outcome) == [.added])
        #expect(try system(second).untrust().map(\.outcome) == [.removed])
        #expect(try place.stores(home: false).status().map(\.outcome) == [.trusted])
        #expect(try place.stores(home: false).untrust().map(\.outcome) == [.removed])
        #expect(!FileManager.default.fileExists(atPath: old))
    }

    @Test func `what somebody else put there stays, and that is said`() throws {
        let place = try TrustPlace()
        try FileManager.default.copyItem(
            atPath: place.authority.certificatePath,
            toPath: "\(place.folder)/root/usr/local/share/ca-certificates/by-hand.crt")
        try place.updateSystem()
        let before = try place.contents("root")
        let report = try #require(try place.stores(home: false).untrust().first)
        #expect(report.text.contains("still trusted: "), "\(report.text)")
        #expect(report.text.contains("/by-hand.crt holds it, which Sluice did not put there"))
        #expect(try place.contents("root") == before)
    }

    @Test(arguments: [
        "usr/local/share/ca-certificates", "etc/ssl/certs", "etc/ca-certificates.conf",
        "etc/ssl/certs/ca-certificates.crt.new",
    ])
    func `a link out of the root is followed by nobody`(part: String) throws {
        let place = try TrustPlace()
        try place.make("outside")
        let path = "\(place.folder)/root/\(part)"
        _ = try? FileManager.default.removeItem(atPath: path)
        try run(["ln", "-s", "\(place.folder)/outside", path])
        let before = try place.contents("root")
        let report = try #require(try place.stores(home: false).trust().first)
        #expect(report.text.contains("is a link that leads out of"), "\(report.text)")
        #expect(place.files("outside").isEmpty)
        #expect(try place.contents("root") == before)
    }

    @Test func `hooks of an image do not run on this machine`() throws {
        let place = try TrustPlace()
        let hook = "\(place.folder)/root/etc/ca-certificates/update.d/hook"
        try Scratch.writeProgram("#!/bin/sh\ntouch '\(place.folder)/ran'\n", to: hook)
        #expect(try place.stores(home: false).trust().map(\.outcome) == [.added])
        #expect(!FileManager.default.fileExists(atPath: "\(place.folder)/ran"))
    }
}

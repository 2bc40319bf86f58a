// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import TestKit
import Testing

@testable import Trust

/// Goal: the authority gets into every store that is there, once, and out again without a trace.
///
/// Method: the system's own programs (`certutil`, `update-ca-certificates`) on a home and a root of the
/// test's.
struct TrustStoresTests {
    /// A home and a root, and an authority in them.
    private final class Place {
        let folder: String
        let authority: CertificateAuthority

        init() throws {
            folder = try Scratch.makeFolder()
            authority = try CertificateAuthority.loadOrMake(in: "\(folder)/data")
            for part in ["home", "root/etc/ssl/certs", "root/usr/share/ca-certificates"] {
                try make(part)
            }
            try Scratch.write("", to: "\(folder)/root/etc/ca-certificates.conf")
            try make("root/usr/local/share/ca-certificates")
            try make("root/etc/ca-certificates/update.d")
        }

        deinit { Scratch.remove(folder) }

        func make(_ part: String) throws {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(part)", withIntermediateDirectories: true)
        }

        func makeDatabase(_ part: String) throws {
            try make(part)
            try run(["certutil", "-N", "-d", "sql:\(folder)/\(part)", "--empty-password"])
        }

        func stores(home: Bool = true, root: Bool = true) throws -> TrustStores {
            try TrustStores(
                authorityPath: authority.certificatePath, home: home ? "\(folder)/home" : nil,
                root: root ? "\(folder)/root" : nil)
        }

        func files(_ part: String) -> Set<String> {
            Set(FileManager.default.subpaths(atPath: "\(folder)/\(part)") ?? [])
        }
    }

    @Test func `every browser's database has it once, and loses it`() throws {
        let place = try Place()
        let databases = [
            "home/.pki/nssdb", "home/snap/chromium/current/.pki/nssdb",
            "home/.var/app/com.google.Chrome/data/pki/nssdb", "home/.mozilla/firefox/a.default",
            "home/.mozilla/firefox/b.default-esr",
            "home/snap/firefox/common/.mozilla/firefox/c.default",
            "home/.var/app/org.mozilla.firefox/.mozilla/firefox/d.default",
        ]
        for database in databases { try place.makeDatabase(database) }
        // A profile folder without a database is none.
        try place.make("home/.mozilla/firefox/Crash Reports")
        let stores = try place.stores(root: false)
        func outcomes(_ reports: [StoreReport]) -> [StoreReport.Outcome] { reports.map(\.outcome) }
        func all(_ outcome: StoreReport.Outcome) -> [StoreReport.Outcome] {
            Array(repeating: outcome, count: databases.count)
        }
        #expect(outcomes(stores.status()) == all(.absent))
        #expect(outcomes(stores.trust()) == all(.added))
        #expect(Set(stores.status().map(\.path)) == Set(databases.map { "\(place.folder)/\($0)" }))
        #expect(outcomes(stores.trust()) == all(.trusted))
        #expect(outcomes(stores.status()) == all(.trusted))
        for database in databases {
            let list = try run(["certutil", "-L", "-d", "sql:\(place.folder)/\(database)"])
            #expect(list.filter { $0.contains("Sluice development CA") }.count == 1)
        }
        #expect(outcomes(stores.untrust()) == all(.removed))
        #expect(outcomes(stores.untrust()) == all(.absent))
        for database in databases {
            let list = try run(["certutil", "-L", "-d", "sql:\(place.folder)/\(database)"])
            #expect(!list.contains { $0.contains("Sluice") })
        }
    }

    @Test func `a database without trust flags counts as not trusting, and is mended`() throws {
        let place = try Place()
        try place.makeDatabase("home/.pki/nssdb")
        let stores = try place.stores(root: false)
        _ = stores.trust()
        let database = "sql:\(place.folder)/home/.pki/nssdb"
        let facts = try CertificateFacts.read(pemFile: place.authority.certificatePath)
        let name = "Sluice development CA \(facts.fingerprint.prefix(16))"
        try run(["certutil", "-M", "-d", database, "-n", name, "-t", ",,"])
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(stores.status().map(\.outcome) == [.trusted])
    }

    @Test func `a missing database of Chromium is made, and goes again`() throws {
        let place = try Place()
        // The browser was used here, but never asked for a certificate.
        try place.make("home/.config/chromium")
        let before = place.files("home")
        let stores = try place.stores(root: false)
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(try place.stores(root: false).status().map(\.outcome) == [.trusted])
        #expect(try place.stores(root: false).untrust().map(\.outcome) == [.removed])
        #expect(place.files("home") == before)
    }

    @Test func `a database that somebody else uses stays`() throws {
        let place = try Place()
        try place.make("home/.config/chromium")
        _ = try place.stores(root: false).trust()
        let other = try CertificateAuthority.loadOrMake(in: "\(place.folder)/other")
        let database = "sql:\(place.folder)/home/.pki/nssdb"
        try run([
            "certutil", "-A", "-d", database, "-n", "Another", "-t", "C,,", "-i",
            other.certificatePath,
        ])
        #expect(try place.stores(root: false).untrust().map(\.outcome) == [.removed])
        #expect(try run(["certutil", "-L", "-d", database]).contains { $0.hasPrefix("Another") })
    }

    @Test func `the system's store has it, and loses it without a trace`() throws {
        let place = try Place()
        let other = try CertificateAuthority.loadOrMake(in: "\(place.folder)/other")
        let anchors = "\(place.folder)/root/usr/local/share/ca-certificates"
        try FileManager.default.copyItem(
            atPath: other.certificatePath, toPath: "\(anchors)/other.crt")
        let stores = try place.stores(home: false)
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.untrust().map(\.outcome) == [.absent])
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(stores.trust().map(\.outcome) == [.trusted])
        let bundle = "\(place.folder)/root/etc/ssl/certs/ca-certificates.crt"
        let leaf = "\(place.folder)/data/leaf.pem"
        _ = try place.authority.ensureLeaf(
            for: ["localhost"], chainPath: leaf, keyPath: "\(place.folder)/data/leaf-key.pem")
        let verified = try run(["openssl", "verify", "-CAfile", bundle, leaf])
        #expect(verified == ["\(leaf): OK"])
        #expect(stores.untrust().map(\.outcome) == [.removed])
        #expect(stores.status().map(\.outcome) == [.absent])
        let left = place.files("root").filter { $0.contains("sluice") }
        #expect(left == [])
        let text = try String(contentsOfFile: bundle, encoding: .utf8)
        #expect(text.components(separatedBy: "BEGIN CERTIFICATE").count == 2, "the other's stays")
    }

    @Test func `an authority that was made anew takes the old one's place`() throws {
        let place = try Place()
        _ = try place.stores(home: false).trust()
        try FileManager.default.removeItem(atPath: place.authority.certificatePath)
        try FileManager.default.removeItem(atPath: place.authority.keyPath)
        _ = try CertificateAuthority.loadOrMake(in: "\(place.folder)/data")
        #expect(try place.stores(home: false).status().map(\.outcome) == [.absent])
        #expect(try place.stores(home: false).trust().map(\.outcome) == [.added])
        #expect(try place.stores(home: false).status().map(\.outcome) == [.trusted])
    }

    @Test func `a store of no known layout is said to be so`() throws {
        let place = try Place()
        let stores = try TrustStores(
            authorityPath: place.authority.certificatePath, home: nil,
            root: "\(place.folder)/home")
        let report = try #require(stores.trust().first)
        guard case .failed(let reason) = report.outcome else {
            Issue.record("\(report)")
            return
        }
        #expect(reason.contains(place.authority.certificatePath))
        #expect(report.text.hasPrefix("system"))
    }

    @Test func `a file that is no certificate is refused with its name`() throws {
        let place = try Place()
        try Scratch.write("nothing", to: "\(place.folder)/x.pem")
        #expect(throws: CertificateFault.self) {
            try TrustStores(
                authorityPath: "\(place.folder)/x.pem", home: nil, root: place.folder)
        }
    }
}

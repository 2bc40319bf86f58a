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
    @Test func `every browser's database has it once, and loses it`() throws {
        let place = try TrustPlace()
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
            // Nor do its bytes lie about in pages that are free.
            for file in ["cert9.db", "key4.db"] {
                let bytes = try Data(
                    contentsOf: URL(fileURLWithPath: "\(place.folder)/\(database)/\(file)"))
                #expect(bytes.range(of: Data("Sluice development".utf8)) == nil, "\(file)")
            }
        }
    }

    @Test func `a database without trust flags counts as not trusting, and is mended`() throws {
        let place = try TrustPlace()
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

    @Test func `a database that trusts it for mail alone does not trust it`() throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        let stores = try place.stores(root: false)
        _ = stores.trust()
        let facts = try CertificateFacts.read(pemFile: place.authority.certificatePath)
        try run([
            "certutil", "-M", "-d", "sql:\(place.folder)/home/.pki/nssdb", "-n",
            "Sluice development CA \(facts.fingerprint.prefix(16))", "-t", ",C,",
        ])
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.trust().map(\.outcome) == [.added])
    }

    @Test(arguments: ["By hand", "Sluice development CA x@y - Sluice"])
    func `one that was imported by hand keeps its name, counts, and goes`(name: String) throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        let other = try TestCertificates.shared().authority
        let database = "sql:\(place.folder)/home/.pki/nssdb"
        for (name, file, flags) in [
            ("Another", other, "C,,"),
            (name, place.authority.certificatePath, ",,"),
        ] {
            try run(["certutil", "-A", "-d", database, "-n", name, "-t", flags, "-i", file])
        }
        let stores = try place.stores(root: false)
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(stores.trust().map(\.outcome) == [.trusted])
        #expect(stores.untrust().map(\.outcome) == [.removed])
        let left = try run(["certutil", "-L", "-d", database])
        #expect(left.contains { $0.hasPrefix("Another") }, "\(left)")
        #expect(!left.contains { $0.hasPrefix(name) }, "\(left)")
    }

    @Test func `what is trusted is forgotten also when its file is gone`() throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        _ = try place.stores().trust()
        let without = try TrustStores(
            authorityPath: nil, home: "\(place.folder)/home", root: "\(place.folder)/root")
        #expect(without.status().map(\.outcome) == [.absent, .absent])
        #expect(without.untrust().map(\.outcome) == [.removed, .removed])
        #expect(without.untrust().map(\.outcome) == [.absent, .absent])
    }

    @Test func `only the certificate goes into the system's store, and through no link`() throws {
        let place = try TrustPlace()
        let authority = place.authority.certificatePath
        let certificate = try Scratch.read(authority)
        try Scratch.write("before\n\(certificate)secret\n", to: authority)
        let facts = try CertificateFacts.read(pemFile: authority)
        let target =
            "\(place.folder)/root/usr/local/share/ca-certificates/sluice-ca-"
            + "\(facts.fingerprint.prefix(16)).crt"
        let precious = "\(place.folder)/precious"
        try Scratch.write("precious", to: precious)
        try run(["ln", "-s", precious, target])
        let stores = try place.stores(home: false)
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(stores.status().map(\.outcome) == [.trusted])
        #expect(try Scratch.read(target) == certificate)
        #expect(try Scratch.read(precious) == "precious")
    }

    @Test(arguments: [
        ("/home/a/ca.pem", "/home/a/ca.pem"), ("", "''"), ("a b", "'a b'"),
        ("/o'brien/$(x)", "'/o'\\''brien/$(x)'"), ("wss://a:1/*", "'wss://a:1/*'"),
    ])
    func `words for a shell`(text: String, word: String) throws {
        #expect(Shell.word(text) == word)
        #expect(try run(["sh", "-c", "printf '%s\\n' \(word)"]) == [text])
    }

    @Test func `a missing database of Chromium is made, and goes again`() throws {
        let place = try TrustPlace()
        // The browser was used here, but never asked for a certificate.
        try place.make("home/.config/chromium")
        let before = place.files("home")
        let stores = try place.stores(root: false)
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(try place.stores(root: false).status().map(\.outcome) == [.trusted])
        #expect(try place.stores(root: false).untrust().map(\.outcome) == [.removed])
        #expect(place.files("home") == before)
    }

    @Test func `a database with a primary password is left as it was, and the command is said`()
        throws
    {
        let place = try TrustPlace()
        let folder = "\(place.folder)/home/.mozilla/firefox/a.default"
        try place.make("home/.mozilla/firefox/a.default")
        try Scratch.write("secret-word\n", to: "\(place.folder)/password")
        let database = ["-d", "sql:\(folder)", "-f", "\(place.folder)/password"]
        try run(["certutil", "-N"] + database)
        let before = try run(["certutil", "-L"] + database)
        let firefox = try place.stores(root: false).trust().filter { $0.name == "Firefox" }
        guard case .failed(let reason)? = firefox.first?.outcome, firefox.count == 1 else {
            Issue.record("\(firefox)")
            return
        }
        #expect(reason.contains("certutil -A -d sql:\(folder) -n '"), "\(reason)")
        #expect(try run(["certutil", "-L"] + database) == before)
        // Done by hand, with the password, it counts; and goes without one.
        let facts = try CertificateFacts.read(pemFile: place.authority.certificatePath)
        let name = "Sluice development CA \(facts.fingerprint.prefix(16))"
        try run(
            ["certutil", "-A", "-n", name, "-t", "C,,", "-i", place.authority.certificatePath]
                + database)
        func outcome(_ reports: [StoreReport]) -> StoreReport.Outcome? {
            reports.first { $0.name == "Firefox" }?.outcome
        }
        #expect(outcome(try place.stores(root: false).status()) == .trusted)
        #expect(outcome(try place.stores(root: false).untrust()) == .removed)
        #expect(try run(["certutil", "-L"] + database) == before)
    }

    @Test func `a profile without a database is left alone, and that is said`() throws {
        let place = try TrustPlace()
        try place.make("home/.mozilla/firefox/new.default")
        try Scratch.write("{}", to: "\(place.folder)/home/.mozilla/firefox/new.default/times.json")
        let before = place.files("home/.mozilla")
        let stores = try place.stores(root: false)
        for reports in [stores.status(), stores.trust(), stores.untrust()] {
            let report = try #require(reports.first { $0.name == "Firefox" })
            #expect(report.text.contains("left alone: it has no cert9.db yet"), "\(report.text)")
        }
        #expect(place.files("home/.mozilla") == before)
    }

    @Test func `a database that somebody else uses stays`() throws {
        let place = try TrustPlace()
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
        let place = try TrustPlace()
        let other = try CertificateAuthority.loadOrMake(in: "\(place.folder)/other")
        let anchors = "\(place.folder)/root/usr/local/share/ca-certificates"
        // Two: openssl rehash takes a bundle of one for a certificate like the others.
        let another = try TestCertificates.shared().authority
        for (path, name) in [(other.certificatePath, "other"), (another, "another")] {
            try FileManager.default.copyItem(atPath: path, toPath: "\(anchors)/\(name).crt")
        }
        try place.updateSystem()
        let before = try place.contents("root")
        let stores = try place.stores(home: false)
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.untrust().map(\.outcome) == [.absent])
        #expect(try place.contents("root") == before)
        #expect(stores.trust().map(\.outcome) == [.added])
        let during = try place.contents("root")
        #expect(stores.trust().map(\.outcome) == [.trusted])
        #expect(try place.contents("root") == during && during != before)
        let bundle = "\(place.folder)/root/etc/ssl/certs/ca-certificates.crt"
        let leaf = "\(place.folder)/data/leaf.pem"
        _ = try place.authority.ensureLeaf(
            for: ["localhost"], chainPath: leaf, keyPath: "\(place.folder)/data/leaf-key.pem")
        let verified = try run(["openssl", "verify", "-CAfile", bundle, leaf])
        #expect(verified == ["\(leaf): OK"])
        #expect(stores.untrust().map(\.outcome) == [.removed])
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(try place.contents("root") == before, "every file, link and mode is as it was")
    }

    @Test func `an authority that was made anew is trusted beside the old one`() throws {
        let place = try TrustPlace()
        _ = try place.stores(home: false).trust()
        try FileManager.default.removeItem(atPath: place.authority.certificatePath)
        try FileManager.default.removeItem(atPath: place.authority.keyPath)
        _ = try CertificateAuthority.loadOrMake(in: "\(place.folder)/data")
        #expect(try place.stores(home: false).status().map(\.outcome) == [.absent])
        #expect(try place.stores(home: false).trust().map(\.outcome) == [.added])
        #expect(try place.stores(home: false).status().map(\.outcome) == [.trusted])
        // Without a file nobody has been named, and there are two.
        let unnamed = try TrustStores(authorityPath: nil, home: nil, root: "\(place.folder)/root")
        guard case .leftAlone(let reason)? = unnamed.untrust().first?.outcome else {
            Issue.record("one of two was taken")
            return
        }
        #expect(reason.contains("--all"), "\(reason)")
        #expect(unnamed.untrust(all: true).map(\.outcome) == [.removed])
        #expect(try place.stores(home: false).status().map(\.outcome) == [.absent])
    }

    @Test func `a store of no known layout is said to be so`() throws {
        let place = try TrustPlace()
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
        let place = try TrustPlace()
        try Scratch.write("nothing", to: "\(place.folder)/x.pem")
        #expect(throws: CertificateFault.self) {
            try TrustStores(
                authorityPath: "\(place.folder)/x.pem", home: nil, root: place.folder)
        }
    }
}

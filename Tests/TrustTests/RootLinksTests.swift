// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import TestKit
import Testing

@testable import Trust

/// Goal: in a folder that stands for `/`, links lead where they would lead after chroot(2): an absolute
/// target is one inside.
///
/// Method: Debian's own program on trees whose folders are such links.
struct RootLinksTests {
    /// Takes what is there away, and puts a link in its place.
    private func link(_ place: TrustPlace, _ part: String, to target: String) throws {
        let path = "\(place.folder)/root/\(part)"
        try? FileManager.default.removeItem(atPath: path)
        try run(["ln", "-s", target, path])
    }

    @Test func `folders and files that are absolute links are those inside`() throws {
        let place = try TrustPlace()
        for part in ["srv/sluice-anchors", "srv/sluice-links", "srv/sluice-shipped"] {
            try place.make("root/\(part)")
        }
        try Scratch.write("", to: "\(place.folder)/root/srv/sluice-list")
        try link(place, "usr/local/share/ca-certificates", to: "/srv/sluice-anchors")
        try link(place, "etc/ssl/certs", to: "../../../../srv/sluice-links")
        try link(place, "usr/share/ca-certificates", to: "/srv/sluice-shipped")
        try link(place, "etc/ca-certificates.conf", to: "/srv/sluice-list")
        let before = try place.contents("root")
        let stores = try place.stores(home: false)
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(stores.status().map(\.outcome) == [.trusted])
        #expect(stores.systemBundle == "\(place.folder)/root/srv/sluice-links/ca-certificates.crt")
        #expect(place.files("root/srv/sluice-anchors").count == 1)
        // None of these is there on this machine.
        #expect(!FileManager.default.fileExists(atPath: "/srv/sluice-anchors"))
        #expect(stores.untrust().map(\.outcome) == [.removed])
        let bundle = "srv/sluice-links/ca-certificates.crt"
        #expect(try place.contents("root").filter { $0.key != bundle } == before)
    }

    @Test func `links that are made lead to files of the image`() throws {
        let place = try TrustPlace()
        #expect(try place.stores(home: false).trust().map(\.outcome) == [.added])
        let root = RootFolder(path: "\(place.folder)/root")
        let links = place.files("root/etc/ssl/certs").filter {
            RootFolder.target("\(place.folder)/root/etc/ssl/certs/\($0)") != nil
        }
        // The certificate under its own name and under the hash of its subject.
        #expect(links.count >= 2, "\(links)")
        for name in links { #expect(root.exists("/etc/ssl/certs/\(name)"), "\(name)") }
        for name in links where name.hasSuffix(".pem") {
            let target = RootFolder.target("\(place.folder)/root/etc/ssl/certs/\(name)")
            #expect(target?.hasPrefix("/usr/local/share/ca-certificates/sluice-ca-") == true)
        }
    }

    @Test func `links of the image that lead nowhere on this machine stay`() throws {
        let place = try TrustPlace()
        try place.make("root/opt/sluice-image")
        try FileManager.default.copyItem(
            atPath: place.authority.certificatePath,
            toPath: "\(place.folder)/root/opt/sluice-image/own.pem")
        try link(place, "etc/ssl/certs/own.pem", to: "/opt/sluice-image/own.pem")
        try link(place, "etc/ssl/certs/0123abcd.0", to: "own.pem")
        try link(place, "etc/ssl/certs/gone.pem", to: "/opt/sluice-image/gone.pem")
        let stores = try place.stores(home: false)
        for outcome in [stores.trust(), stores.untrust()] {
            #expect([.added, .removed].contains(outcome.first?.outcome))
            let now = try place.contents("root/etc/ssl/certs")
            #expect(now["own.pem"] == "-> /opt/sluice-image/own.pem")
            #expect(now["0123abcd.0"] == "-> own.pem")
        }
    }

    /// The program runs on this machine, and would put in what this machine has by that name.
    @Test(arguments: [
        "usr/local/share/ca-certificates/corp.crt", "usr/share/ca-certificates/corp.crt",
    ])
    func `a certificate that is a link to elsewhere on this machine is told, and nothing changed`(
        part: String
    ) throws {
        let place = try TrustPlace()
        try Scratch.write("corp.crt\n", to: "\(place.folder)/root/etc/ca-certificates.conf")
        try place.make("root\(place.folder)")
        let secret = "\(place.folder)/secret"
        try Scratch.write("secret", to: secret)
        try Scratch.write("corp", to: "\(place.folder)/root\(secret)")
        try link(place, part, to: secret)
        let before = try place.contents("root")
        let report = try #require(try place.stores(home: false).trust().first)
        #expect(report.text.contains("corp.crt is a link that leads out of"), "\(report.text)")
        #expect(try place.contents("root") == before)
    }

    @Test func `paths are followed as chroot would`() throws {
        let place = try TrustPlace()
        let root = RootFolder(path: "\(place.folder)/root")
        try place.make("root/a/b")
        try link(place, "round", to: "/round")
        try link(place, "up", to: "../../../../a")
        try link(place, "a/back", to: "/up/b/../b")
        #expect(root.resolved("/etc/ssl/certs") == "\(root.path)/etc/ssl/certs")
        #expect(root.resolved("/a/./b/../../../a//b/") == "\(root.path)/a/b")
        #expect(root.resolved("/up/b") == "\(root.path)/a/b")
        #expect(root.resolved("/a/back/none/there") == "\(root.path)/a/b/none/there")
        #expect(root.resolved("/round") == nil && !root.exists("/round"))
        #expect(root.entry("/up/back") == "\(root.path)/a/back")
        // The machine's own needs no such thing.
        #expect(RootFolder(path: "").resolved("/a/../b") == "/a/../b")
    }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import TLS
import TestKit
import Testing

@testable import Trust

/// Goal: the system's store of Fedora and of Arch has the authority, and loses it without a trace.
///
/// Method: trees laid out as those distributions document them (update-ca-trust(8)), entered by chroot,
/// with the real `trust` of p11-kit within, which their update-ca-trust is a wrapper of. The distributions
/// themselves do not run here.
@Suite(.enabled(if: geteuid() == 0, "chroot(2) is root's"))
struct OtherLayoutTests {
    /// A tree of one of the two, with an authority of somebody else's in it.
    private struct Tree {
        let place = TreeFolder()
        let anchors: String
        let bundle: String
        var root: String { place.folder + "/root" }

        init(anchors: String, bundle: String) throws {
            self.anchors = anchors
            self.bundle = bundle
            for folder in [anchors, (bundle as NSString).deletingLastPathComponent, "/bin"] {
                try make(folder)
            }
            let module = try #require(
                try run(["sh", "-c", "ls /usr/lib/*/pkcs11/p11-kit-trust.so"]).first)
            try put("/bin/sh", as: "/bin/sh")
            for file in ["/usr/bin/trust", module] { try put(file, as: file) }
            let libraries = try run(["ldd", "/bin/sh", "/usr/bin/trust", module])
                .flatMap { $0.split(whereSeparator: \.isWhitespace) }.map(String.init)
                .filter { $0.hasPrefix("/") && !$0.hasSuffix(":") }
            for file in Set(libraries) { try put(file, as: file) }
            // Where the distributions' builds of p11-kit look; Debian's looks elsewhere.
            try make("/usr/share/p11-kit/modules")
            try Scratch.write(
                """
                module: p11-kit-trust.so
                trust-policy: yes
                x-init-reserved: paths='\((anchors as NSString).deletingLastPathComponent)'

                """, to: "\(root)/usr/share/p11-kit/modules/p11-kit-trust.module")
            try Scratch.writeProgram(
                """
                #!/bin/sh
                [ "$*" = extract ] || exit 64
                exec trust extract --format=pem-bundle --filter=ca-anchors --overwrite --comment \
                    --purpose server-auth \(bundle)

                """, to: "\(root)/usr/bin/update-ca-trust")
            let other = try CertificateAuthority.loadOrMake(in: "\(place.folder)/other")
            try put(other.certificatePath, as: "\(anchors)/other.pem")
            try run(["chroot", root, "update-ca-trust", "extract"])
        }

        private func make(_ folder: String) throws {
            try FileManager.default.createDirectory(
                atPath: root + folder, withIntermediateDirectories: true)
        }

        private func put(_ file: String, as name: String) throws {
            try make((name as NSString).deletingLastPathComponent)
            try run(["cp", "-L", file, root + name])
        }

        func contents(_ folder: String) throws -> [String: Data] {
            var all: [String: Data] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: root + folder) {
                all[name] =
                    FileManager.default.contents(atPath: "\(root)\(folder)/\(name)") ?? Data()
            }
            return all
        }
    }

    /// A folder that goes with the last who refers to it.
    private final class TreeFolder {
        let folder: String
        init() { folder = (try? Scratch.makeFolder()) ?? "/nowhere" }
        deinit { Scratch.remove(folder) }
    }

    @Test(arguments: [
        (
            "/etc/pki/ca-trust/source/anchors", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
        ),
        (
            "/etc/ca-certificates/trust-source/anchors",
            "/etc/ca-certificates/extracted/tls-ca-bundle.pem"
        ),
    ])
    func `trusted once, and no more without a trace`(anchors: String, bundle: String) throws {
        let tree = try Tree(anchors: anchors, bundle: bundle)
        let authority = try CertificateAuthority.loadOrMake(in: "\(tree.place.folder)/data")
        let stores = try TrustStores(
            authorityPath: authority.certificatePath, home: nil, root: tree.root)
        #expect(stores.systemBundle == tree.root + bundle)
        let before = try tree.contents("/etc")
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(stores.trust().map(\.outcome) == [.added])
        #expect(stores.trust().map(\.outcome) == [.trusted])
        #expect(stores.status().map(\.outcome) == [.trusted])
        let leaf = "\(tree.place.folder)/data/leaf.pem"
        _ = try authority.ensureLeaf(
            for: ["localhost"], chainPath: leaf, keyPath: "\(tree.place.folder)/data/leaf-key.pem")
        let verified = try run(["openssl", "verify", "-CAfile", tree.root + bundle, leaf])
        #expect(verified == ["\(leaf): OK"])
        #expect(stores.untrust().map(\.outcome) == [.removed])
        #expect(stores.status().map(\.outcome) == [.absent])
        #expect(try tree.contents("/etc") == before)
    }

    @Test func `a program that fails leaves nothing behind`() throws {
        let tree = try Tree(
            anchors: "/etc/pki/ca-trust/source/anchors",
            bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")
        try Scratch.write(
            "#!/bin/sh\necho 'no room' >&2\nexit 1\n", to: "\(tree.root)/usr/bin/update-ca-trust")
        let before = try tree.contents("/etc")
        let authority = try CertificateAuthority.loadOrMake(in: "\(tree.place.folder)/data")
        let reports = try TrustStores(
            authorityPath: authority.certificatePath, home: nil, root: tree.root
        ).trust()
        #expect(
            reports.map(\.outcome) == [
                .failed("update-ca-trust in \(tree.root): no room")
            ])
        #expect(try tree.contents("/etc") == before)
    }
}

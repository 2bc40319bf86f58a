// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import TestKit

@testable import Trust

/// A home and a root, and an authority in them.
final class TrustPlace {
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

    /// Has the system's own program make its files, so that they can be compared with later ones.
    func updateSystem() throws {
        try run([
            "update-ca-certificates", "--certsdir", "\(folder)/root/usr/share/ca-certificates",
            "--certsconf", "\(folder)/root/etc/ca-certificates.conf", "--localcertsdir",
            "\(folder)/root/usr/local/share/ca-certificates", "--etccertsdir",
            "\(folder)/root/etc/ssl/certs", "--hooksdir",
            "\(folder)/root/etc/ca-certificates/update.d",
        ])
    }

    /// Every file below a part with its mode and content, every link with where it leads.
    func contents(_ part: String) throws -> [String: String] {
        let files = FileManager.default
        var all: [String: String] = [:]
        for name in self.files(part) {
            let path = "\(folder)/\(part)/\(name)"
            let attributes = try files.attributesOfItem(atPath: path)
            let mode = attributes[.posixPermissions] as? Int ?? 0
            if let target = try? files.destinationOfSymbolicLink(atPath: path) {
                all[name] = "-> \(target)"
            } else {
                let bytes = files.contents(atPath: path)?.base64EncodedString() ?? "folder"
                all[name] = "\(mode) \(bytes)"
            }
        }
        return all
    }
}

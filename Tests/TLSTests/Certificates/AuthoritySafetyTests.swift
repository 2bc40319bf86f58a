// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

@testable import TLS

/// Goal: an authority that somebody else may have put there, or whose key others can read, is not taken.
///
/// Method: modes, owners and links on the file system; root's tests change owners.
struct AuthoritySafetyTests {
    let scratch: CertificateScratch
    private var home: String { scratch.path("home") }

    init() throws {
        scratch = try CertificateScratch()
        chmod(scratch.directory, 0o755)
        mkdir(scratch.path("home"), 0o755)
        _ = try CertificateAuthority.loadOrMake(in: scratch.path("home"))
    }

    private func fault(_ directory: String? = nil) -> CertificateFault? {
        do throws(CertificateFault) {
            let authority = try CertificateAuthority.loadOrMake(in: directory ?? home)
            #expect(!authority.isNew)
            return nil
        } catch {
            return error
        }
    }

    @Test func `what only its owner can change is taken`() {
        for mode: mode_t in [0o755, 0o700, 0o750] {
            chmod(home, mode)
            #expect(fault() == nil)
        }
        chmod("\(home)/ca.pem", 0o444)
        #expect(fault() == nil)
    }

    @Test(arguments: [0o777, 0o757, 0o1777] as [mode_t])
    func `a directory that everybody can write to is refused`(mode: mode_t) {
        chmod(home, mode)
        let fault = fault()
        #expect(fault?.file == home)
        #expect(fault?.found.contains("everybody can write to this directory") == true)
        #expect(fault?.remedy.contains("chmod go-w") == true)
    }

    @Test func `so is one below another that everybody can write to, unless that is sticky`() {
        chmod(scratch.directory, 0o777)
        #expect(fault()?.file == scratch.directory)
        chmod(scratch.directory, 0o1777)
        #expect(fault() == nil)
    }

    @Test(arguments: [0o644, 0o640, 0o604, 0o620] as [mode_t])
    func `a key that others can read or write is refused`(mode: mode_t) {
        chmod("\(home)/ca-key.pem", mode)
        let fault = fault()
        #expect(fault?.file == "\(home)/ca-key.pem")
        #expect(fault?.found.contains("others can read this private key") == true)
    }

    @Test func `a certificate that others can write is refused`() {
        chmod("\(home)/ca.pem", 0o646)
        #expect(fault()?.found == "others can write to it")
    }

    @Test func `a link is judged by where it leads`() throws {
        let link = scratch.path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: home)
        #expect(fault(link) == nil)
        chmod(home, 0o777)
        #expect(fault(link)?.file == home)
        chmod(home, 0o755)
        // The certificate lies where everybody can put another one.
        let open = scratch.path("open")
        mkdir(open, 0o755)
        chmod(open, 0o777)
        rename("\(home)/ca.pem", "\(open)/ca.pem")
        try FileManager.default.createSymbolicLink(
            atPath: "\(home)/ca.pem", withDestinationPath: "\(open)/ca.pem")
        #expect(fault()?.file == open)
    }

    @Test(.enabled(if: geteuid() == 0, "changes owners"))
    func `what belongs to another account is refused, but by sudo to that account's`() {
        for path in ["\(home)/ca.pem", "\(home)/ca-key.pem", home] {
            chown(path, 1, 0)
            #expect(fault()?.file == path, "\(path)")
            chown(path, 0, 0)
        }
        #expect(fault() == nil)
    }

    @Test(.enabled(if: geteuid() == 0, "changes owners"))
    func `a group of others is others, root's is not`() {
        chmod(home, 0o775)
        #expect(fault() == nil, "group 0 is root's own")
        chown(home, 0, 1)
        #expect(fault()?.found.hasPrefix("group ") == true)
    }
}

// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import TLS

/// Goal: a directory that OpenSSL can look authorities up in is known as such, and no other is.
struct SystemAuthoritiesTests {
    @Test func `a directory is hashed once openssl has hashed it`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        #expect(!SystemAuthorities.isHashed(folder))
        for name in ["0123456789.0", "abcdefgh.0", "01234567.1", "01234567.r0", "1234567.0"] {
            try Scratch.write("", to: "\(folder)/\(name)")
        }
        #expect(!SystemAuthorities.isHashed(folder))
        try run(["cp", try TestCertificates.shared().authority, "\(folder)/root.pem"])
        try run(["openssl", "rehash", folder])
        #expect(SystemAuthorities.isHashed(folder))
        #expect(!SystemAuthorities.isHashed("\(folder)/nothing"))
    }
}

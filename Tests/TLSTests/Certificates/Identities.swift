// SPDX-License-Identifier: Apache-2.0
import Foundation

@testable import TLS

/// Chains and keys that the tests share, made once per process.
struct Identities: Sendable {
    /// EC, for localhost and 127.0.0.1.
    let local: IdentityFiles
    /// RSA, for localhost.
    let localRSA: IdentityFiles
    /// EC, for chat.example.
    let chat: IdentityFiles
    /// EC, for *.wild.example and deep.wild.example.
    let wild: IdentityFiles
    /// EC, for deep.wild.example alone.
    let deep: IdentityFiles
    let authority: String
    let scratch: CertificateScratch

    private static let made = Result {
        let made = try Identities()
        // What is made once per process goes with it.
        atexit {
            guard let directory = try? Identities.shared().scratch.directory else { return }
            try? FileManager.default.removeItem(atPath: directory)
        }
        return made
    }

    static func shared() throws -> Identities { try made.get() }

    private init() throws {
        scratch = try CertificateScratch()
        let authority = try CertificateAuthority.loadOrMake(in: scratch.directory)
        self.authority = authority.certificatePath
        func issue(_ name: String, _ names: [String], _ scratch: CertificateScratch) throws
            -> IdentityFiles
        {
            let files = IdentityFiles(
                chain: scratch.path("\(name).pem"), key: scratch.path("\(name)-key.pem"))
            _ = try authority.ensureLeaf(for: names, chainPath: files.chain, keyPath: files.key)
            return files
        }
        local = try issue("local", ["localhost", "127.0.0.1"], scratch)
        chat = try issue("chat", ["chat.example"], scratch)
        wild = try issue("wild", ["*.wild.example"], scratch)
        deep = try issue("deep", ["deep.wild.example"], scratch)
        try scratch.openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", "rsa-key.pem", "-out", "rsa.pem")
        localRSA = IdentityFiles(chain: scratch.path("rsa.pem"), key: scratch.path("rsa-key.pem"))
    }

    /// A store of these chains, sealed by keys of its own unless some are given.
    func store(
        _ files: [IdentityFiles],
        options: TLSServerOptions = TLSServerOptions(minimumVersion: .tls12),
        tickets: TicketKeys? = nil
    ) throws -> CertificateStore {
        try CertificateStore(files, options: options, tickets: try tickets ?? TicketKeys())
    }
}

/// A client that believes anything, of one version.
func client(_ version: TLSVersion = .tls13, protocols: [String] = ["http/1.1"]) throws -> TLSContext
{
    try TLSContext.client(
        trusting: nil, minimumVersion: version, maximumVersion: version,
        applicationProtocols: protocols)
}

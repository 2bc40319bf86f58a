// SPDX-License-Identifier: Apache-2.0
//
// Goal: each client gets the certificate for the name it asks for, of a kind it can use.
// Method: one listener with several certificates; our client verifies names, `openssl s_client`
// tells which certificate was shown.

import TLS
import TestKit
import Testing

@Suite struct ServerNameTests {
    private static func start() throws -> ProxyFixture {
        let certificates = try TestCertificates.shared()
        return try ProxyFixture(
            to: try .refusing(),
            listeners: [
                .tls([
                    certificates.local, certificates.localRSA, certificates.chat,
                    certificates.wildcard,
                ])
            ])
    }

    /// The common name of the certificate that is shown for these s_client arguments.
    private func subject(_ proxy: ProxyFixture, _ arguments: [String]) throws -> String {
        let lines = try clientSays(proxy, arguments)
        let line = try #require(lines.first { $0.hasPrefix("subject=") })
        return String(line.split(separator: "=").last ?? "").trimmingPrefix(" ").description
    }

    @Test(arguments: [
        ("localhost", "local"), ("chat.example", "chat"), ("a.wild.example", "wildcard"),
        ("CHAT.example", "chat"),
    ])
    func `a name gets its certificate`(name: String, expected: String) throws {
        let proxy = try Self.start()
        #expect(try subject(proxy, ["-servername", name]) == expected)
    }

    @Test(arguments: ["unknown.example", "wild.example", "a.b.wild.example"])
    func `an unknown name gets the first certificate`(name: String) throws {
        let proxy = try Self.start()
        #expect(try subject(proxy, ["-servername", name]) == "local")
    }

    @Test func `no name gets the first certificate`() throws {
        #expect(try subject(try Self.start(), ["-noservername"]) == "local")
    }

    @Test func `a client that can only RSA gets the RSA certificate`() throws {
        let proxy = try Self.start()
        let onlyRSA = ["-servername", "localhost", "-sigalgs", "rsa_pss_rsae_sha256"]
        #expect(try subject(proxy, onlyRSA) == "local-rsa")
        let oldRSA = [
            "-servername", "localhost", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256",
        ]
        #expect(try subject(proxy, oldRSA) == "local-rsa")
    }

    @Test func `our client verifies each name`() throws {
        let proxy = try Self.start()
        for name in ["localhost", "127.0.0.1", "chat.example", "x.wild.example"] {
            let client = try proxy.connect(security: .tls(name: name))
            #expect(client.facts?.applicationProtocol == "http/1.1")
        }
        #expect(throws: PeerError.self) {
            try proxy.connect(security: .tls(name: "unknown.example"))
        }
    }
}

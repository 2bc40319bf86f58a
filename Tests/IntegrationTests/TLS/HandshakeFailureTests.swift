// SPDX-License-Identifier: Apache-2.0
//
// Goal: the log of a handshake that has failed says why, what to do, and what the client had offered.
// Method: `openssl s_client`, curl, Python and GnuTLS as clients with nothing in common, or without trust.

import Foundation
import TestKit
import Testing

@Suite struct HandshakeFailureTests {
    struct Client: Sendable, CustomStringConvertible {
        let description: String
        let command: [String]
        let words: [String]
    }

    private static func openssl(_ options: [String], _ words: String...) -> Client {
        Client(
            description: options.joined(separator: " "),
            command: ["openssl", "s_client", "-connect", "127.0.0.1:PORT"] + options, words: words)
    }

    private static let distrust = "the client does not trust this certificate (alert "

    private static let clients = [
        // RFC 8446 §6.2: unknown_ca, bad_certificate, certificate_unknown.
        openssl(
            ["-verify_return_error", "-tls1_3"], distrust + "unknown CA): ",
            "trust the authority that has signed it",
            "versions TLSv1.3", "groups X25519 "),
        openssl(["-verify_return_error", "-tls1_2"], distrust, "versions TLSv1.2,"),
        Client(
            description: "curl", command: ["curl", "-sS", "https://localhost:PORT/"],
            words: [distrust, "name localhost", "ALPN "]),
        Client(
            description: "Python",
            command: [
                "python3", "-c", "import urllib.request as r; r.urlopen('https://localhost:PORT/')",
            ], words: [distrust, "name localhost"]),
        openssl(
            ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "the client speaks no version of TLS that this listener does", "versions TLSv1.1,"),
        openssl(
            ["-tls1_3", "-groups", "secp521r1"],
            "the client has no key exchange group that this listener has (listen[].tls.groups)",
            "groups P-521,"),
        openssl(
            ["-tls1_2", "-groups", "secp521r1"],
            "the client has no key exchange group that this listener has (listen[].tls.groups)",
            "groups P-521,"),
        // RFC 8422 §5.1: in TLS 1.2 the curve of a certificate's key has to be among the groups, and
        // RFC 5246 §7.4.1.4.1: its signature among the algorithms. OpenSSL says "no shared cipher" of both.
        openssl(
            ["-tls1_2", "-groups", "X25519"],
            "the client can't use a certificate with a key on P-256, which in TLS 1.2 its groups",
            "a second certificate with an RSA key helps", "groups X25519,"),
        openssl(
            ["-tls1_2", "-groups", "X25519:P-384"], "a key on P-256", "groups X25519 P-384,"),
        openssl(
            ["-tls1_2", "-sigalgs", "ECDSA+SHA1:RSA+SHA256", "-cipher", "DEFAULT:@SECLEVEL=0"],
            "the client takes no signature by the key of a certificate"),
        openssl(
            ["-tls1_2", "-groups", "X25519", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            "the client has no cipher suite"),
        openssl(
            ["-tls1_2", "-cipher", "AES128-SHA"], "the client has no cipher suite",
            "suites AES128-SHA "),
        openssl(
            ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "the client has no cipher suite",
            "suites ECDHE-RSA-AES128-GCM-SHA256 "),
        openssl(
            ["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"],
            "the client takes no signature by the key of a certificate"),
        openssl(
            ["-alpn", "h3,\u{1B}[31mx"],
            "the client wants another protocol (ALPN) than those that this listener serves",
            "ALPN h3 %1B[31mx"),
    ]

    @Test(arguments: clients)
    func `the log says why, what to do, and what was offered`(client: Client) throws {
        let proxy = try ProxyFixture(to: try .refusing())
        let command = client.command.map {
            $0.replacingOccurrences(of: "PORT", with: "\(proxy.port())")
        }
        let child = try ChildProcess(command)
        try child.waitForExit()
        let line = try proxy.process.waitForLine(containing: "TLS handshake failed: ")[0]
        for words in client.words {
            #expect(line.contains(words), "\(words): \(line)")
        }
        #expect(!line.contains("\u{1B}"))
    }

    /// With two certificates it is the one whose suite the client has that it can't use.
    @Test func `beside an RSA certificate only what is really in the way is named`() throws {
        let made = try TestCertificates.shared()
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", respond: { status: 200, body: hello } }"],
            listeners: [.tls([made.local, made.localRSA])])
        let served = try clientSays(proxy, ["-tls1_2", "-groups", "X25519"])
        #expect(served.contains { $0.contains("Cipher is ECDHE-RSA-") }, "\(served)")
        for (options, words) in [
            (
                ["-groups", "X25519", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
                "a key on P-256"
            ),
            (
                [
                    "-sigalgs", "RSA+SHA1:ECDSA+SHA256", "-cipher",
                    "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0",
                ],
                "takes no signature by the key"
            ),
        ] {
            let said = try clientSays(proxy, ["-tls1_2"] + options)
            #expect(said.contains { $0.contains("Cipher is (NONE)") }, "\(said)")
            try proxy.process.waitForLine(containing: words)
        }
    }

    @Test func `a client that tries again and again has one line`() throws {
        let proxy = try ProxyFixture(to: try .refusing())
        func fail(_ options: String...) throws {
            let command =
                ["openssl", "s_client", "-connect", "127.0.0.1:\(proxy.port())"] + options
            try ChildProcess(command).waitForExit()
        }
        for _ in 0..<5 { try fail("-verify_return_error") }
        // Another cause has a line of its own, and it comes behind them.
        try fail("-alpn", "h3")
        try proxy.process.waitForLine(containing: "another protocol (ALPN) than those")
        let lines = proxy.process.output.filter { $0.contains("does not trust this certificate") }
        #expect(lines.count == 1, "\(lines)")
    }

    /// A hello in pieces of a byte is read as one; a client that is served leaves no line.
    @Test func `a hello in small pieces is told as well`() throws {
        let proxy = try ProxyFixture(to: try .refusing())
        // A TLS 1.2 hello that offers nothing but TLS_RSA_WITH_AES_128_CBC_SHA (RFC 5246 §7.4.1.2).
        let body: [UInt8] = [3, 3] + [UInt8](repeating: 9, count: 32) + [0, 0, 2, 0, 0x2F, 1, 0]
        let hello: [UInt8] =
            [0x16, 3, 1, 0, UInt8(body.count + 4), 1, 0, 0, UInt8(body.count)] + body
        let peer = try proxy.connect(security: .plain)
        for byte in hello { try peer.send([byte]) }
        let line = try proxy.process.waitForLine(containing: "TLS handshake failed: ")[0]
        #expect(line.contains("no name, versions TLSv1.2, suites AES128-SHA"), "\(line)")
    }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit
import Testing

@testable import Doctor

/// Goal: what is wrong before any WebSocket is spoken is told apart, against real servers in that state.
///
/// Method: the program itself; `openssl s_server` with certificates of every kind.
struct NetworkVerdictTests {
    @Test func `a healthy server is healthy, by TLS and without`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        let secure = try diagnose(proxy.url(), ["--ca", authority])
        expect(secure, .healthy, at: "ping")
        #expect(
            secure.steps.map(\.name) == ["name", "TCP", "TLS", "certificate", "upgrade", "ping"])
        let plain = try diagnose("ws://127.0.0.1:\(backend.address.port)/")
        expect(plain, .healthy, at: "ping")
        #expect(plain.steps.map(\.name) == ["name", "TCP", "upgrade", "ping"])
    }

    @Test func `plain HTTP on the port is the browser's protocol error`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose("wss://127.0.0.1:\(backend.address.port)/Esv/ocp")
        expect(
            finding, .plainHTTP, at: "TLS", "ERR_SSL_PROTOCOL_ERROR",
            "ws://127.0.0.1:\(backend.address.port)/Esv/ocp works", "sluice ")
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        expect(try diagnose("wss://127.0.0.1:\(app.port())/"), .plainHTTP, at: "TLS", "HTTP")
    }

    @Test func `nobody, nothing, no name`() throws {
        let refusing = try PeerAddress.refusing()
        expect(try diagnose("wss://127.0.0.1:\(refusing.port)/"), .refused, at: "TCP", "listens")
        let unreachable = try UnreachableBackend()
        expect(
            try diagnose("wss://127.0.0.1:\(unreachable.address.port)/", ["--timeout", "1"]),
            .unreachable, at: "TCP", "packet filter")
        // A label of 64 characters can't exist, so no name server is asked.
        let label = String(repeating: "x", count: 64)
        expect(
            try diagnose("wss://\(label).invalid/"), .nameNotFound, at: "name", "no address")
    }

    @Test func `a name may be given an address`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose(
            "ws://app.invalid:\(backend.address.port)/", ["--resolve", "app.invalid:127.0.0.1"])
        expect(finding, .healthy, at: "ping")
    }

    @Test func `another protocol is quoted`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.send("SSH-2.0-Example\r\n")
            _ = try peer.readUntilEnd()
        }
        for scheme in ["wss", "ws"] {
            let finding = try diagnose("\(scheme)://127.0.0.1:\(backend.address.port)/")
            expect(
                finding, .otherProtocol, at: scheme == "ws" ? "upgrade" : "TLS", "SSH-2.0-Example")
        }
    }

    @Test func `a port that closes in the handshake, or swallows it`() throws {
        let closing = try ScriptedBackend { peer in _ = try peer.read(1) }
        expect(
            try diagnose("wss://127.0.0.1:\(closing.address.port)/"), .handshakeCut, at: "TLS")
        let silent = try ScriptedBackend.silent()
        expect(
            try diagnose("wss://127.0.0.1:\(silent.address.port)/", ["--timeout", "1"]),
            .handshakeCut, at: "TLS", "does not answer")
    }

    @Test func `mixed content is told without asking the server`() throws {
        let finding = try diagnose("ws://app.invalid/", ["--page", "https://app.invalid/"])
        expect(finding, .mixedContent, at: "page", "mixed content", "wss://app.invalid")
    }

    @Test func `certificates: each fault by its name`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let ca = ["--ca", papers.authority]
        let good = try SecureServer(try papers.issue("good"))
        expect(try diagnose(good.url()), .untrustedAuthority, at: "certificate", "Root")
        expect(
            try diagnose("wss://127.0.0.1:\(good.port)/", ca), .wrongName, at: "certificate",
            "for localhost, not for 127.0.0.1")
        let own = try SecureServer(try papers.selfSigned())
        expect(try diagnose(own.url()), .selfSigned, at: "certificate", "sluice cert trust")
        let old = try SecureServer(try papers.issue("old", to: "20240601000000Z"))
        expect(try diagnose(old.url(), ca), .expired, at: "certificate", "time is over")
        let young = try SecureServer(try papers.issue("young", from: "20480101000000Z"))
        expect(try diagnose(young.url(), ca), .notYetValid, at: "certificate", "clock")
        let weak = try SecureServer(
            try papers.issue("weak", rsaBits: 1_024) + ["-cipher", "ALL:@SECLEVEL=0"])
        expect(try diagnose(weak.url(), ca), .weakKey, at: "certificate", "1024 bits")
        _ = try papers.issue("between", extensions: "signer")
        let leaf = try papers.issue("leaf", by: "between", extensions: "public")
        let alone = try SecureServer(leaf)
        expect(
            try diagnose(alone.url(), ca), .missingIntermediate, at: "certificate", "full chain")
        let whole = try SecureServer(leaf + ["-cert_chain", "\(papers.folder)/between.pem"])
        let trusted = try diagnose(whole.url(), ca + ["--timeout", "1"])
        #expect(trusted.steps.contains { $0.name == "certificate" && $0.isGood }, "\(trusted)")
    }

    @Test func `handshakes that the server refuses`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let good = try papers.issue("good")
        let ca = ["--ca", papers.authority]
        let old = try SecureServer(good + ["-tls1", "-cipher", "ALL:@SECLEVEL=0"])
        expect(try diagnose(old.url(), ca), .tlsVersion, at: "TLS", "TLSv1")
        let none = try SecureServer(["-nocert", "-tls1_2"])
        expect(try diagnose(none.url(), ca), .tlsCipher, at: "TLS", "in common")
        let client = try SecureServer(good + ["-Verify", "1"])
        expect(try diagnose(client.url(), ca), .clientCertificate, at: "upgrade", "certificate")
        let named = try SecureServer(
            good + ["-servername", "other.test", "-servername_fatal", "-cert2"]
                + [good[1], "-key2", good[3]])
        expect(try diagnose(named.url(), ca), .tlsAlert, at: "TLS", "SNI")
    }

    @Test func `ws on a TLS port`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let server = try SecureServer(try papers.issue("good"))
        let finding = try diagnose("ws://localhost:\(server.port)/")
        expect(finding, .speaksTLS, at: "upgrade", "wss://localhost:\(server.port)/")
        // Sluice answers plain HTTP there in plain HTTP, with 400.
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let other = try diagnose("ws://localhost:\(proxy.port())/Esv/ocp")
        expect(other, .speaksTLS, at: "upgrade", "wss://localhost:\(proxy.port())/Esv/ocp")
    }
}

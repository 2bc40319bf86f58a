// SPDX-License-Identifier: Apache-2.0
//
// Goal: no session lets in whom a handshake would not: not after a reload with other authorities, not for another host, and
// not when the certificate was revoked since.
// Method: `openssl s_client` writes its sessions down and takes them up; raw requests on connections that a reload finds open.

import Foundation
import TestKit
import Testing

@Suite struct ResumedCertificateTests {
    private func has(_ lines: [String], _ words: String) -> Bool {
        lines.contains { $0.contains(words) }
    }

    @Test(arguments: ["-tls1_3", "-tls1_2"])
    func `a session is taken up with its certificate, and not under other authorities`(
        version: String
    ) throws {
        let served = try Certified(
            "{ subjects: [CN=alice], tell: chain }", ", revoked: FOLDER/crl.pem", crl: [])
        defer { served.remove() }
        let middle = try ClientAuthority("middle", signedBy: served.clients)
        try middle.revoke([], in: "\(served.folder)/middle.crl")
        let list = "\(served.folder)/crl.pem"
        try Scratch.write(
            Scratch.read(list) + Scratch.read("\(served.folder)/middle.crl"), to: list)
        #expect(try served.sluice.command(["reload"]).status == 0)
        let alice = try middle.issue("/CN=alice")
        try Scratch.write(
            Scratch.read(alice.chain) + Scratch.read(middle.certificate), to: alice.chain)
        let full = try served.session(
            as: alice, version, "-cert_chain", middle.certificate, out: "0")
        let told = try #require(
            full.joined().firstMatch(of: /CN=alice\|\d+\|1\|-/).map { String($0.output) },
            "\(full)")
        #expect(has(full, "New, TLSv1"), "\(full)")
        // What stands between it and the authority is known again, though the client does not send it.
        let resumed = try served.session(as: nil, version, out: "1", take: "0")
        #expect(has(resumed, "Reused, TLSv1") && has(resumed, told), "\(resumed)")
        // In TLS 1.2 the ticket is used again, and no other is given.
        let last = version == "-tls1_3" ? "1" : "0"
        let once = try served.session(as: nil, version, out: "2", take: last)
        #expect(has(once, "Reused, TLSv1") && has(once, told), "\(once)")
        // Another list: the certificate is still good, but the session has to begin anew.
        let lists = try Scratch.read(list)
        try middle.revoke([alice], in: "\(served.folder)/middle.crl")
        try served.clients.revoke([], in: list)
        try Scratch.write(
            Scratch.read(list) + Scratch.read("\(served.folder)/middle.crl"), to: list)
        #expect(try served.sluice.command(["reload"]).status == 0)
        let revoked = try served.session(as: nil, version, out: "3", take: last)
        #expect(has(revoked, "New, TLSv1") && has(revoked, "HTTP/1.1 403"), "\(revoked)")
        try Scratch.write(lists, to: list)
        #expect(try served.sluice.command(["reload"]).status == 0)
        let again = try served.session(as: nil, version, out: "3", take: last)
        #expect(has(again, "Reused, TLSv1") && has(again, told), "\(again)")
        // Another authority.
        let others = try ClientAuthority("others")
        try others.revoke([], in: list)
        try Scratch.write(Scratch.read(others.certificate), to: "\(served.folder)/ca.pem")
        #expect(try served.sluice.command(["reload"]).status == 0)
        let other = try served.session(as: nil, version, out: "3", take: last)
        #expect(has(other, "New, TLSv1") && has(other, "HTTP/1.1 403"), "\(other)")
        // A certificate may be required from now on, and the session was made without one.
        try served.sluice.rewrite("revoked: ", "mode: required, revoked: ")
        #expect(try served.sluice.command(["reload"]).status == 0)
        let required = try served.session(as: nil, version, out: "4", take: "3")
        #expect(!has(required, "HTTP/1.1"), "\(required)")
    }

    @Test(arguments: ["-tls1_3", "-tls1_2"])
    func `a certificate that is too large for a ticket is let in, in a new session each time`(
        version: String
    ) throws {
        let served = try Certified()
        defer { served.remove() }
        let large = try served.clients.issue("/CN=large", kind: "large")
        for number in 0..<2 {
            let take = number == 0 ? nil : "0"
            if let take, !FileManager.default.fileExists(atPath: "\(served.folder)/\(take)") {
                continue
            }
            let said = try served.session(as: large, version, out: "\(number)", take: take)
            #expect(has(said, "New, TLSv1") && has(said, "CN=large|"), "\(number): \(said)")
        }
    }

    @Test func `a request for another host than the handshake's is sent away`() throws {
        let served = try Certified()
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice")
        for version in ["--http1.1", "--http2"] {
            let other = try served.curl("/who", as: alice, version, "-H", "Host: other.example")
            #expect(other.last == "421" && other[0].contains("made for localhost"), "\(other)")
            #expect(
                try served.curl("/who", as: alice, version, "-H", "Host: LOCALHOST.:1").last
                    == "200")
            #expect(
                try served.curl("/", as: alice, version, "-H", "Host: other.example").last == "200")
        }
        let port = served.sluice.proxy.port()
        let authority = try TestCertificates.shared().authority
        let shown = ["--cert", alice.chain, "--key", alice.key, "--cacert", authority]
        let address = "https://127.0.0.1:\(port)/who"
        let byAddress = try run(["curl", "-sS"] + shown + [address])
        #expect(byAddress[0].hasPrefix("CN=alice|"), "\(byAddress)")
        let named = try run(
            ["curl", "-sS", "-w", "\n%{http_code}", "-H", "Host: localhost"] + shown + [address])
        #expect(named.last == "421" && named[0].contains("made for none"), "\(named)")
        #expect(served.app.connectionCount == 3)
    }

    @Test
    func `a connection that stands since before a reload with other authorities is sent away`()
        throws
    {
        let served = try Certified(protocols: "http/1.1")
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice")
        let child = try PythonPeer.start(
            "certified_keepalive.py",
            ["\(served.sluice.proxy.port())", try TestCertificates.shared().authority]
                + ["\(alice.chain):\(alice.key)", "\(served.folder)/go"])
        try child.waitForLine(containing: "200")
        let others = try ClientAuthority("others")
        try Scratch.write(Scratch.read(others.certificate), to: "\(served.folder)/ca.pem")
        let reload = try served.sluice.command(["reload"])
        #expect(reload.output.contains("Certificates: changed \(served.folder)/ca.pem"))
        try Scratch.write("", to: "\(served.folder)/go")
        #expect(try child.waitForExit() == 0, "\(child.errors)")
        #expect(child.output == ["200 None", "421 close"])
    }

    @Test
    func `a connection of HTTP 2 that stands since before such a reload is told to end`() throws {
        let served = try Certified()
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice")
        let child = try ChildProcess(
            try PythonPeer.command("h2_client.py")
                + ["\(served.sluice.proxy.port())", try TestCertificates.shared().authority]
                + ["certified", "\(served.folder)/go"],
            environment: ["CLIENT_CERTIFICATE": "\(alice.chain):\(alice.key)"])
        try child.waitForLine(containing: "200")
        let others = try ClientAuthority("others")
        try Scratch.write(Scratch.read(others.certificate), to: "\(served.folder)/ca.pem")
        #expect(try served.sluice.command(["reload"]).status == 0)
        try Scratch.write("", to: "\(served.folder)/go")
        #expect(try child.waitForExit() == 0, "\(child.errors)")
        // What asks for no certificate goes on until then.
        #expect(child.output == ["200 open 200", "421", "goaway 0"])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route that asks for a client certificate lets in those who have one of its own, by HTTP/1.1 and HTTP/2, sockets and
// requests; the app learns whose it is from Sluice alone; a session that is taken up again is held to the rules of now.
// Method: curl, `openssl s_client`, Python, Node and Chromium, with an authority that `openssl ca` keeps.

import Foundation
import Glibc
import TestKit
import Testing

/// An app that echoes sockets, and says to requests which fields of certificates it was sent.
func certificateApp() throws -> ScriptedBackend {
    try ScriptedBackend { peer in
        let head = try peer.readHead()
        if let key = head["Sec-WebSocket-Key"] {
            try peer.send(WebSocketPeer.switching(key: key))
            while true {
                let frame = try peer.readFrame()
                if frame.closeCode != nil {
                    try peer.send(Frame.close(1000).bytes)
                    return
                }
                try peer.send(Frame.text(frame.text).bytes)
            }
        }
        let said = [
            head["X-Subject"] ?? "-", head["Client-Cert"].map { "\($0.count)" } ?? "-",
            head["Client-Cert-Chain"].map { "\($0.count { $0 == "," } + 1)" } ?? "-",
            head["client_cert"] ?? "-",
        ].joined(separator: "|")
        try peer.send(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(said.utf8.count)\r\n\r\n\(said)"
        )
        try peer.stream.halfClose()
        _ = try peer.readUntilEnd()
    }
}

/// A Sluice that asks clients for certificates, and its authority.
struct Certified {
    let sluice: Operated
    let app: ScriptedBackend
    let clients: ClientAuthority
    let folder: String

    /// - Parameters:
    ///   - rule: of the routes `/Esv/ocp` and `/who`, which lead to the app.
    ///   - more: further keys of `clientCertificates`, as `, mode: required`.
    ///   - protocols: those of ALPN.
    ///   - crl: what `FOLDER/crl.pem` has as revoked; nil where there is no such file.
    ///   - dates: when that was made, and when the next one comes.
    /// - Throws: `PeerError` where something does not start.
    init(
        _ rule: String = "{}", _ more: String = "", protocols: String = "h2, http/1.1",
        crl: [TestIdentity]? = nil, dates: (String, String)? = nil
    ) throws {
        folder = try Scratch.makeFolder()
        clients = try ClientAuthority()
        app = try certificateApp()
        if let crl { try clients.revoke(crl, in: "\(folder)/crl.pem", dates: dates) }
        try FileManager.default.copyItem(atPath: clients.certificate, toPath: "\(folder)/ca.pem")
        let access = "access: { clientCertificate: \(rule) }"
        let subject = "request: { set: { X-Subject: \"{subject}\" } }"
        let keys =
            "protocols: [\(protocols)], clientCertificates: { ca: \(folder)/ca.pem"
            + more.replacing("FOLDER", with: folder) + " }"
        sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(app.address)\", \(access) }",
                "{ path: /who, to: \"\(app.address)\", \(access), \(subject) }",
                "{ path: /, respond: { body: open } }",
            ], listeners: [.extended(keys)])
    }

    /// Status and body of curl's answer; curl's own words where there is none.
    func curl(_ path: String, as client: TestIdentity?, _ options: String...) throws -> [String] {
        let authority = try TestCertificates.shared().authority
        let shown = client.map { ["--cert", $0.chain, "--key", $0.key] } ?? []
        let child = try ChildProcess(
            ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", authority] + shown + options
                + ["https://localhost:\(sluice.proxy.port())\(path)"])
        return try child.waitForExit() == 0 ? child.output : child.errors
    }

    /// What `openssl s_client` prints, of which the session is written to a file and taken from another.
    func session(
        as client: TestIdentity?, _ options: String..., out: String, take: String? = nil
    ) throws -> [String] {
        let shown = client.map { "-cert \($0.chain) -key \($0.key)" } ?? ""
        let taken = take.map { "-sess_in \(folder)/\($0)" } ?? ""
        let script = """
            printf 'GET /who HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' |
            openssl s_client -connect 127.0.0.1:\(sluice.proxy.port()) -servername localhost -ign_eof \
            -CAfile \(try TestCertificates.shared().authority) \(shown) \(options.joined(separator: " ")) \
            -sess_out \(folder)/\(out) \(taken) 2>&1
            """
        let child = try ChildProcess(["sh", "-c", script])
        try child.waitForExit()
        return child.output
    }

    func remove() {
        Scratch.remove(folder)
        Scratch.remove(sluice.folder)
    }
}

@Suite struct ClientCertificateTests {
    @Test func `requests of curl are let in with a certificate, and the app is told of it`() throws
    {
        let served = try Certified("{ subjects: [\"CN=alice,O=Example\", \"CN=Zoë,O=Example\"] }")
        defer { served.remove() }
        let alice = try served.clients.issue("/O=Example/CN=alice")
        let zoe = try served.clients.issue("/O=Example/CN=Zoë")
        let bob = try served.clients.issue("/O=Example/CN=bob")
        let length =
            try run([
                "sh", "-c", "openssl x509 -in \(alice.chain) -outform DER | base64 -w0 | wc -c",
            ])
        let field = Int(length[0]).map { $0 + 2 } ?? 0
        for version in ["--http1.1", "--http2"] {
            for forged in [
                ["Client-Cert: :Zm9yZ2Vk:", "Client-Cert-Chain: :eA==:"],
                ["client_cert: x", "CLIENT.CERT-CHAIN: x"],
            ] {
                #expect(
                    try served.curl(
                        "/who", as: alice, version, "-H", forged[0], "-H", forged[1])
                        == ["CN=alice,O=Example|\(field)|-|-", "200"])
            }
            #expect(try served.curl("/who", as: zoe, version)[0].hasPrefix("CN=Zoë,O=Example|"))
            let other = try served.curl("/who", as: bob, version, "-D", "-")
            #expect(other.last == "403" && other.contains { $0.contains("CN=bob,O=Example") })
            #expect(
                other.contains { $0.lowercased().hasPrefix("proxy-status: sluice; error=") },
                "\(other)")
            let none = try served.curl("/who", as: nil, version)
            #expect(none.last == "403" && none[0].contains("wants a client certificate"), "\(none)")
            #expect(try served.curl("/", as: nil, version) == ["open", "200"])
            #expect(try served.curl("/", as: bob, version) == ["open", "200"])
        }
        #expect(served.app.connectionCount == 6)
        let line = try served.sluice.proxy.process.waitForLine(containing: "200 GET localhost/who")
        #expect(
            line[0].contains(" user=\"CN=alice,O=Example\" ")
                || line[0].contains(" user=CN=alice,O=Example "), "\(line)")
        let refused = try served.sluice.proxy.process.waitForLine(
            containing: " 403 GET localhost/who")
        #expect(refused[0].contains(" access=clientCertificate "), "\(refused)")
        let counted = "sluice_access_refused_total{route=\"/who\",rule=\"clientCertificate\"}"
        #expect(try served.sluice.scrape()[counted] == 4)
    }

    @Test func `a name, a subject or a fingerprint is asked for, and each key that is there`()
        throws
    {
        let names = "DNS:Box.Example.com,email:Ops@Example.com,URI:spiffe://lab/1,IP:192.0.2.1"
        let served = try Certified()
        defer { served.remove() }
        let box = try served.clients.issue("/CN=box", names: names)
        let text = try run([
            "openssl", "x509", "-in", box.chain, "-noout", "-fingerprint", "-sha256",
        ])
        let print = text[0].split(separator: "=").last.map(String.init) ?? ""
        var rule = "{}"
        for (next, status) in [
            ("{ names: [box.example.com] }", "200"), ("{ names: [\"*.example.com\"] }", "200"),
            ("{ names: [\"*.com\"] }", "403"), ("{ names: [other.example.com] }", "403"),
            ("{ names: [other, \"Ops@example.com\"] }", "200"),
            ("{ names: [\"ops@example.com\"] }", "403"),
            ("{ names: [\"spiffe://lab/1\"] }", "200"), ("{ names: [\"spiffe://lab/*\"] }", "403"),
            ("{ names: [192.0.2.1] }", "200"), ("{ names: [192.0.2.2] }", "403"),
            ("{ subjects: [CN=box] }", "200"), ("{ subjects: [CN=bo] }", "403"),
            ("{ fingerprints: [\"\(print)\"] }", "200"),
            ("{ fingerprints: [\"\(print.lowercased().replacing(":", with: ""))\"] }", "200"),
            ("{ fingerprints: [\"\(String(repeating: "0", count: 64))\"] }", "403"),
            ("{ names: [box.example.com], subjects: [CN=other] }", "403"),
            ("{ names: [box.example.com], subjects: [CN=box], tell: nothing }", "200"),
        ] {
            try served.sluice.rewrite("clientCertificate: \(rule)", "clientCertificate: \(next)")
            let reload = try served.sluice.command(["reload"])
            #expect(reload.status == 0, "\(reload.output)")
            rule = next
            #expect(try served.curl("/who", as: box).last == status, "\(rule)")
        }
        #expect(try served.curl("/who", as: box)[0] == "CN=box|-|-|-")
    }

    @Test func `sockets and sessions of Python and Node are let in, by either version`() throws {
        let served = try Certified("{ names: [alice.example] }")
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice", names: "DNS:alice.example")
        let bob = try served.clients.issue("/CN=bob", names: "DNS:bob.example")
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run(
            "certified.py",
            ["\(served.sluice.proxy.port())", authority, "\(alice.chain):\(alice.key)"]
                + ["\(bob.chain):\(bob.key)", "-"])
        let told = try served.curl("/who", as: alice)[0]
        #expect(told.hasPrefix("CN=alice|"))
        #expect(
            said == [
                "socket hello", "request 200 \(told) full", "request 200 \(told) resumed",
                "socket 403", "request 403 - full", "request 403 - resumed",
                "socket 403", "request 403 - full", "request 403 - resumed",
            ])
        let node = try run(
            ["node", "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/certified.js"]
                + ["\(served.sluice.proxy.port())", authority, alice.chain, alice.key])
        #expect(
            node == [
                "200 \(told) full", "200 \(told) resumed", "200 \(told) h2",
                "403 - full", "403 - resumed", "403 - h2",
            ])
        let child = try ChildProcess(
            try PythonPeer.command("h2_client.py")
                + ["\(served.sluice.proxy.port())", authority, "gate", "/Esv/ocp"],
            environment: ["CLIENT_CERTIFICATE": "\(alice.chain):\(alice.key)"])
        try child.waitForExit()
        #expect(child.output.first == "socket 200 -", "\(child.output) \(child.errors)")
        let line = try served.sluice.proxy.process.waitForLine(containing: "reason=close")
        #expect(line[0].contains("CN=alice"), "\(line)")
    }

    @Test func `a certificate that can't be believed fails the handshake with a sentence`() throws {
        let served = try Certified("{}", ", mode: required, revoked: FOLDER/crl.pem", crl: [])
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice")
        #expect(try served.curl("/who", as: alice).last == "200")
        let stolen = try served.clients.issue("/CN=stolen")
        #expect(try served.curl("/who", as: stolen).last == "200")
        try served.clients.revoke([stolen], in: "\(served.folder)/crl.pem")
        #expect(try served.sluice.command(["reload"]).status == 0)
        var deep = served.clients
        var chain: [ClientAuthority] = []
        var lists = try Scratch.read("\(served.folder)/crl.pem")
        for number in 0..<6 {
            deep = try ClientAuthority("step-\(number)", signedBy: deep)
            chain.append(deep)
            try deep.revoke([], in: "\(served.folder)/step")
            lists += try Scratch.read("\(served.folder)/step")
        }
        try Scratch.write(lists, to: "\(served.folder)/crl.pem")
        #expect(try served.sluice.command(["reload"]).status == 0)
        let far = try deep.issue("/CN=far")
        let others = try ClientAuthority("others")
        for authority in chain.reversed() {
            let text = try Scratch.read(far.chain) + Scratch.read(authority.certificate)
            try Scratch.write(text, to: far.chain)
        }
        let past = ("20200101000000Z", "20200201000000Z")
        let future = ("20990101000000Z", "20990201000000Z")
        let process = served.sluice.proxy.process
        for (client, words) in [
            (try served.clients.issue("/CN=old", dates: past), "CN=old has expired"),
            (try served.clients.issue("/CN=early", dates: future), "CN=early is not valid yet"),
            (
                try served.clients.issue("/CN=server", kind: "server"),
                "CN=server is not for clients"
            ),
            (try others.issue("/CN=other"), "CN=other leads to no authority"),
            (stolen, "CN=stolen was revoked"),
            (far, "has more than 4 certificates between"),
        ] {
            let said = try served.curl("/who", as: client)
            #expect(said.last?.contains("curl: ") == true, "\(words): \(said)")
            try process.waitForLine(containing: words)
        }
        let none = try served.curl("/", as: nil)
        #expect(none.last?.contains("curl: ") == true, "\(none)")
        try process.waitForLine(
            containing: "has shown no certificate, which this listener requires")
        #expect(try served.curl("/who", as: alice).last == "200")
        let scrape = try served.sluice.scrape()
        #expect(scrape["sluice_tls_handshake_failures_total{cause=\"client_certificate\"}"] == 6)
        #expect(scrape["sluice_tls_handshake_failures_total{cause=\"no_client_certificate\"}"] == 1)
    }

    @Test func `a list of revoked certificates that is over lets nobody in, and is warned of`()
        throws
    {
        let past = ("20200101000000Z", "20200201000000Z")
        let served = try Certified("{}", ", revoked: FOLDER/crl.pem", crl: [], dates: past)
        defer { served.remove() }
        let process = served.sluice.proxy.process
        try process.waitForLine(
            containing: "the list of revoked certificates of CN=clients expired on 2020-02-01")
        let alice = try served.clients.issue("/CN=alice")
        #expect(try served.curl("/who", as: alice).last?.contains("curl: ") == true)
        try process.waitForLine(containing: "since the list of revoked certificates is over")
        #expect(try served.curl("/", as: nil) == ["open", "200"])
        // One of another authority is of no use.
        try ClientAuthority("others").revoke([], in: "\(served.folder)/crl.pem")
        let reload = try served.sluice.command(["reload"])
        #expect(reload.status == 0, "\(reload.output)")
        try process.waitForLine(containing: "no list of revoked certificates of CN=clients")
        #expect(try served.curl("/who", as: alice).last?.contains("curl: ") == true)
        try process.waitForLine(containing: "has no list of who signed it")
        try served.clients.revoke([], in: "\(served.folder)/crl.pem")
        #expect(try served.sluice.command(["reload"]).status == 0)
        #expect(try served.curl("/who", as: alice).last == "200")
    }

    @Test func `files that can't be used are told, and a reload with them changes nothing`() throws
    {
        let served = try Certified("{}", ", revoked: FOLDER/crl.pem", crl: [])
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice")
        for (file, content, words) in [
            ("ca.pem", "", "clientCertificates.ca: \(served.folder)/ca.pem: it is empty"),
            ("ca.pem", "none", "clientCertificates.ca: "),
            ("ca.pem", try Scratch.read(alice.key), "there is a private key in it"),
            ("crl.pem", "", "clientCertificates.revoked: \(served.folder)/crl.pem: it is empty"),
            ("crl.pem", try Scratch.read(alice.chain), "there is no list of revoked certificates"),
            ("crl.pem", "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", "damaged"),
        ] {
            let path = "\(served.folder)/\(file)"
            let before = try Scratch.read(path)
            try Scratch.write(content, to: path)
            let reload = try served.sluice.command(["reload"])
            #expect(reload.status == 1 && reload.output.contains(words), "\(reload.output)")
            #expect(try served.curl("/who", as: alice).last == "200")
            #expect(try served.curl("/who", as: nil).last == "403")
            try Scratch.write(before, to: path)
        }
        try served.sluice.rewrite("ca: \(served.folder)/ca.pem", "ca: \(served.folder)/nowhere.pem")
        let reload = try served.sluice.command(["reload"])
        #expect(
            reload.status == 1 && reload.output.contains("correct the path"), "\(reload.output)")
    }

    @Test func `a route that is reached without a listener's certificates is refused`() throws {
        let clients = try ClientAuthority()
        let local = try TestCertificates.shared().local.setting
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        func check(_ more: String) throws -> (status: Int32, output: String) {
            try Scratch.write(
                """
                listen:
                  - { address: "127.0.0.1:0", name: inner }
                  - { address: ":8080", redirect: https }
                  - address: "127.0.0.1:0"
                    name: outer
                    tls: { certificates: [\(local)], clientCertificates: { ca: \(clients.certificate) } }
                routes:
                  - { path: /a, respond: {}, \(more)access: { clientCertificate: {} } }

                """, to: "\(folder)/s.yaml")
            return try ended([try ProxyFixture.program(), "check", "-c", "\(folder)/s.yaml"])
        }
        let refused = try check("")
        #expect(refused.status == 1)
        #expect(
            refused.output.contains(
                "s.yaml:8:59: access.clientCertificate: the route /a is reached through the listener"
                    + " '127.0.0.1:0' at \(folder)/s.yaml:2:5, which asks for no certificates"),
            "\(refused.output)")
        #expect(try check("listen: [inner], ").status == 1)
        let allowed = try check("listen: [outer], ")
        #expect(allowed.status == 0, "\(allowed.output)")
    }

    @Test func `a subject's sockets are found and ended, also behind an upgrade`() throws {
        let served = try Certified(protocols: "http/1.1")
        defer { served.remove() }
        let alice = try served.clients.issue("/O=Example/CN=alice")
        let bob = try served.clients.issue("/O=Example/CN=bob")
        let authority = try TestCertificates.shared().authority
        func hold(_ client: TestIdentity) throws -> ChildProcess {
            let child = try PythonPeer.start(
                "certified_socket.py",
                ["\(served.sluice.proxy.port())", authority, "\(client.chain):\(client.key)"])
            try child.waitForLine(containing: "open")
            return child
        }
        let held = [try hold(alice), try hold(bob), try hold(alice)]
        let report = try MovedSocketsTests.upgrade(served.sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 3 && report.lost == 0)
        let body = "{\"subject\": \"CN=alice,O=Example\", \"code\": 4401}"
        let closed = try served.sluice.ask("/relays/close", ["-X", "POST", "-d", body]).output
        #expect(closed.filter { !$0.isWhitespace } == "{\"closed\":2}")
        for child in [held[0], held[2]] {
            #expect(try child.waitForExit() == 0)
            #expect(child.output.last == "closed 4401")
        }
        #expect(!held[1].hasEnded)
        held[1].signal(SIGTERM)
    }

    @Test func `Chromium opens a page, its requests and its socket with a certificate`() throws {
        let served = try Certified()
        defer { served.remove() }
        let alice = try served.clients.issue("/CN=alice")
        let identity = "\(served.folder)/alice.p12"
        try run(
            ["openssl", "pkcs12", "-export", "-in", alice.chain, "-inkey", alice.key]
                + ["-out", identity, "-passout", "pass:secret", "-name", "alice"])
        let authority = try TestCertificates.shared().authority
        func said(_ subject: String) throws -> String? {
            try PythonPeer.run(
                "certified_browser.py",
                ["\(served.sluice.proxy.port())", authority, identity, subject]
            ).last
        }
        let told = try served.curl("/who", as: alice)[0]
        #expect(try said("alice") == "200 \(told) hello h2")
        #expect(try said("-") == "403 - refused h2")
    }
}

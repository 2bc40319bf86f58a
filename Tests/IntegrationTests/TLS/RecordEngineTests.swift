// SPDX-License-Identifier: Apache-2.0
//
// Goal: foreign clients exchange much with sessions that have left OpenSSL's object, whoever seals and
// opens their records, and operators can see who does.
// Method: OpenSSL's, GnuTLS's and Node's clients, Chromium and Firefox send random bytes and get the same back.

import Foundation
import Glibc
import TestKit
import Testing

// One after the other: each of them has two files of 100 MiB, and a core's work for seconds.
@Suite(.serialized) struct RecordEngineTests {
    static let engines = ["auto", "openssl"]
    private static let bodyBytes = 100 << 20

    /// Who is to do it with `records: auto` here, by what the system says and not by what Sluice finds.
    private static let fastest: String = {
        let processor = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let flags = Set(
            processor.split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ")
                ?? [])
        let canDoIt = flags.isSuperset(of: ["aes", "pclmulqdq", "avx", "avx2", "bmi2", "cmov"])
        let isInstalled = dlopen("libIPSec_MB.so.1", RTLD_NOW) != nil
        return canDoIt && isInstalled ? "intel-ipsec-mb 1.3." : "OpenSSL ("
    }()

    /// Looks who is said to do it with that setting, and that sessions have left OpenSSL's object.
    private func expectLeft(_ sluice: Operated, _ engine: String, count: Int? = 1) throws {
        let status = try status(sluice)
        let name = engine == "auto" ? Self.fastest : "OpenSSL (tls.records says so)"
        #expect(status.hasPrefix("TLS records by \(name)"), "\(status)")
        #expect(status.hasSuffix(" left OpenSSL's object since the start"), "\(status)")
        #expect(!status.contains("; 0 TLS sessions"), "\(status)")
        if let count { #expect(status.contains("; \(count) TLS session"), "\(status)") }
    }

    /// What `sluice status` says of records.
    private func status(_ sluice: Operated) throws -> String {
        let output = try sluice.command(["status"]).output
        let lines = output.split(separator: "\n").map(String.init)
        return try #require(lines.first { $0.hasPrefix("TLS records by ") }, "\(output)")
    }

    @Test(arguments: engines)
    func `Node's ws gets 100 MiB back as it has sent them`(engine: String) throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["tls: { records: \(engine) }"])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/bulk_client.js"
        let child = try ChildProcess(
            ["node", script, sluice.proxy.url(), authority, "100", "\(1 << 20)"],
            environment: ["NODE_PATH": "/usr/share/nodejs"])
        try child.waitForExit(by: .after(.seconds(300)))
        #expect(child.output == ["closed with 1000"], "\(child.errors)")
        try expectLeft(sluice, engine)
    }

    @Test(arguments: ["chromium", "firefox"], engines)
    func `a page gets 100 MiB back as it has sent them`(browser: String, engine: String) throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: [
                "{ path: /, respond: { body: \"<title>page</title>\", type: text/html } }",
                "{ path: /socket, to: \"\(backend.address)\" }",
            ], listeners: [.http1()], settings: ["tls: { records: \(engine) }"])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run(
            "bulk_page.py",
            [browser, "\(sluice.proxy.port())", authority, "100", "\(1 << 20)"],
            by: .after(.seconds(300)))
        #expect(said.last == "100 messages of 1048576 bytes came back")
        // The browser's other connections may have lived for a second too.
        try expectLeft(sluice, engine, count: nil)
    }

    /// An app that sends bodies back, and a Sluice in front of it with that engine.
    private func bodyEcho(_ engine: String) throws -> (app: ChildProcess, sluice: Operated) {
        let app = try PythonPeer.start("web_app.py")
        let port = try app.waitForLine(containing: "port ")[0].dropFirst(5)
        return (
            app,
            try Operated(
                routes: ["{ path: \"/*\", to: \"http://127.0.0.1:\(port)\" }"],
                settings: ["tls: { records: \(engine) }"])
        )
    }

    @Test(
        arguments: [
            "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        ], engines)
    func `openssl gets a body of 100 MiB back`(suite: String, engine: String) throws {
        let (app, sluice) = try bodyEcho(engine)
        defer { Scratch.remove(sluice.folder) }
        let client =
            "openssl s_client -quiet -tls1_3 -ciphersuites \(suite) -connect 127.0.0.1:\(sluice.proxy.port())"
        let script = """
            cd \(sluice.folder); mkfifo in; head -c \(Self.bodyBytes) /dev/urandom > body
            \(client) <in >out 2>>errors &
            exec 3>in
            printf 'POST /echo HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: \(Self.bodyBytes)\\r\\n' >&3
            printf 'Connection: close\\r\\n\\r\\n' >&3
            cat body >&3
            until [ $(stat -c %s out) -gt \(Self.bodyBytes) ] || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
            exec 3>&-; wait $!
            python3 -c 'import sys
            head, _, rest = open("out", "rb").read().partition(b"\\r\\n\\r\\n")
            body = open("body", "rb").read()
            print("the same" if b"HTTP/1.1 200" in head and rest[:len(body)] == body else "another body")'
            cat errors >&2
            """
        let child = try ChildProcess(["bash", "-c", script])
        try child.waitForExit(by: .after(.seconds(300)))
        #expect(child.output == ["the same"], "\(child.errors)")
        try expectLeft(sluice, engine)
        withExtendedLifetime(app) {}
    }

    /// Debian's wget does its TLS by GnuTLS.
    ///
    /// GnuTLS's own gnutls-cli takes ten milliseconds for each record that it shows.
    @Test(arguments: ["AES-128-GCM", "AES-256-GCM"], engines)
    func `GnuTLS gets a body of 100 MiB back`(cipher: String, engine: String) throws {
        let (app, sluice) = try bodyEcho(engine)
        defer { Scratch.remove(sluice.folder) }
        let priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+\(cipher)"
        let script = """
            wget --version | grep -q ssl/gnutls || { echo "this wget is none of GnuTLS"; exit; }
            cd \(sluice.folder); head -c \(Self.bodyBytes) /dev/urandom > body
            wget -nv --tries=1 --no-check-certificate --ciphers=\(priority) --post-file=body -O out \
              https://127.0.0.1:\(sluice.proxy.port())/echo && cmp body out && echo 'the same'
            """
        let child = try ChildProcess(["bash", "-c", script])
        try child.waitForExit(by: .after(.seconds(300)))
        #expect(child.output == ["the same"], "\(child.errors)")
        try expectLeft(sluice, engine)
        withExtendedLifetime(app) {}
    }

    @Test func `check, log and status say who does it, and what the operator has set`() throws {
        let backend = try ScriptedBackend.echo()
        for (settings, status, sentence) in [
            (
                "records: openssl",
                "TLS records by OpenSSL (tls.records says so); 0 TLS sessions have left OpenSSL's object since the start",
                "TLS: OpenSSL does the handshakes, and the arithmetic of the records behind them: tls.records says so."
            ),
            (
                "release: false", "TLS records by OpenSSL: tls.release says so",
                "TLS: OpenSSL does the handshakes and all records: tls.release says so."
            ),
        ] {
            let sluice = try Operated(
                routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
                settings: ["tls: { \(settings) }"])
            defer { Scratch.remove(sluice.folder) }
            try sluice.proxy.process.waitForLine(containing: sentence)
            #expect(try self.status(sluice) == status)
            let check = try ended([
                try ProxyFixture.program(), "check", "-c", sluice.proxy.configurationPath,
            ])
            #expect(check.output.contains(sentence), "\(check.output)")
        }
    }

    /// A provider of ours derives them, unless the operator says otherwise here or in OpenSSL's own file.
    @Test func `check and log say who derives keys, and a reload changes it`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["tls: { keySchedule: auto }"])
        defer { Scratch.remove(sluice.folder) }
        try sluice.proxy.process.waitForLine(containing: "TLS: OpenSSL does the handshakes")
        let check = [try ProxyFixture.program(), "check", "-c", sluice.proxy.configurationPath]
        #expect(!(try ended(check).output.contains("also derives all keys")))
        let authority = try TestCertificates.shared().authority
        func greet() throws {
            for version in ["1.2", "1.3"] {
                let client = try ended([
                    "curl", "-sS", "--http1.1", "--tlsv\(version)", "--tls-max", version,
                    "--cacert",
                    authority, "-o", "/dev/null", "-w", "%{http_code}",
                    "https://localhost:\(sluice.proxy.port())/none",
                ])
                #expect(client.output == "404\n", "\(client)")
            }
        }
        try greet()
        let sentence = "OpenSSL also derives all keys: tls.keySchedule says so."
        try sluice.rewrite("keySchedule: auto", "keySchedule: openssl")
        #expect(try sluice.command(["reload"]).output.contains("Settings: changed tls."))
        try sluice.proxy.process.waitForLine(containing: sentence)
        #expect(try ended(check).output.contains(sentence))
        try greet()
        try sluice.rewrite("keySchedule: openssl", "keySchedule: auto")
        #expect(try sluice.command(["reload"]).output.contains("Settings: changed tls."))
        try greet()
        let file = sluice.folder + "/openssl.cnf"
        for (section, isRefused) in [
            ("providers = b\n[b]\ndefault = c\nlegacy = c\n[c]\nactivate = 1", false),
            ("alg_section = b\n[b]\ndefault_properties = provider=default", true),
        ] {
            try Data("openssl_conf = a\n[a]\n\(section)\n".utf8).write(
                to: URL(fileURLWithPath: file))
            let said = try ended(["env", "OPENSSL_CONF=" + file] + check).output
            #expect(
                said.contains(
                    "OpenSSL also derives all keys: OpenSSL's configuration wants other providers.")
                    == isRefused, "\(said)")
        }
    }

    /// The record layer pads nothing, so sessions stay where the operator's padding is done.
    ///
    /// What is sent at the start in 16 bytes fills a block by itself.
    @Test(arguments: [2, 16, 17, 512, 0])
    func `sessions keep OpenSSL's object where its configuration pads records`(block: Int) throws {
        let backend = try ScriptedBackend.echo()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let lines =
            "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nRecordPadding = \(block)"
        try Scratch.write(lines, to: "\(folder)/openssl.cnf")
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            wrapper: ["env", "OPENSSL_CONF=\(folder)/openssl.cnf"])
        defer { Scratch.remove(sluice.folder) }
        let peer = try sluice.proxy.open()
        try peer.send(Frame.text("padded").masked())
        #expect(try peer.readFrame().text == "padded")
        let said = try status(sluice)
        let isKept = said == "TLS records by OpenSSL: OpenSSL's configuration pads records"
        #expect(isKept == (block > 0), "\(said)")
    }

    @Test func `a reload changes who does it, also for a session that is there`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["tls: { records: auto }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let message = String(repeating: "0123456789", count: 5_000)
        for _ in 0..<3 { try ends.exchange(message) }
        var before = "records: auto"
        for (setting, word) in [
            ("records: openssl", "the arithmetic of the records behind them: tls.records"),
            ("release: false", "OpenSSL does the handshakes and all records: tls.release"),
            ("release: true", " the records behind them"),
        ] {
            try sluice.rewrite(before, setting)
            before = setting
            let said = try sluice.command(["reload"]).output
            #expect(said.contains("Settings: changed tls."), "\(said)")
            // The sentence of the start has the last word too.
            let count = setting == "release: true" ? 3 : 1
            try sluice.proxy.process.waitForLine(containing: word, count: count)
            for _ in 0..<3 { try ends.exchange(message) }
            if setting == "records: openssl" { try expectLeft(sluice, "openssl") }
        }
        try expectLeft(sluice, "auto")
    }
}

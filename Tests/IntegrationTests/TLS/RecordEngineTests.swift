// SPDX-License-Identifier: Apache-2.0
//
// Goal: foreign clients exchange much with sessions that have left OpenSSL's object, whoever seals and
// opens their records, and operators can see who does.
// Method: OpenSSL's, GnuTLS's and Node's clients send random bytes and get the same back.

import Foundation
import TestKit
import Testing

@Suite struct RecordEngineTests {
    static let engines = ["auto", "openssl"]
    private static let bodyBytes = 24 << 20

    /// What `sluice status` says of records.
    private func status(_ sluice: Operated) throws -> String {
        let output = try sluice.command(["status"]).output
        let lines = output.split(separator: "\n").map(String.init)
        return try #require(lines.first { $0.hasPrefix("TLS records by ") }, "\(output)")
    }

    @Test(arguments: engines)
    func `Node's ws gets tens of MiB back as it has sent them`(engine: String) throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["tls: { records: \(engine) }"])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/bulk_client.js"
        let child = try ChildProcess(
            ["node", script, sluice.proxy.url(), authority, "24", "\(1 << 20)"],
            environment: ["NODE_PATH": "/usr/share/nodejs"])
        try child.waitForExit(by: .after(.seconds(120)))
        #expect(child.output == ["closed with 1000"], "\(child.errors)")
        #expect(try status(sluice).contains("; 1 TLS session has left OpenSSL's object"))
    }

    @Test(
        arguments: [
            "openssl s_client -quiet -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -connect 127.0.0.1:PORT",
            "openssl s_client -quiet -tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384 -connect 127.0.0.1:PORT",
            "openssl s_client -quiet -tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256 -connect 127.0.0.1:PORT",
            "gnutls-cli --insecure --logfile=errors -p PORT 127.0.0.1 "
                + "--priority NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM",
            "gnutls-cli --insecure --logfile=errors -p PORT 127.0.0.1 "
                + "--priority NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM",
        ], engines)
    func `a foreign client gets its long body back`(command: String, engine: String) throws {
        let app = try PythonPeer.start("web_app.py")
        let port = try app.waitForLine(containing: "port ")[0].dropFirst(5)
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: \"http://127.0.0.1:\(port)\" }"],
            settings: ["tls: { records: \(engine) }"])
        let folder = sluice.folder
        defer { Scratch.remove(folder) }
        let client = command.replacingOccurrences(of: "PORT", with: "\(sluice.proxy.port())")
        let script = """
            cd \(folder); mkfifo in; head -c \(Self.bodyBytes) /dev/urandom > body
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
        try child.waitForExit(by: .after(.seconds(120)))
        #expect(child.output == ["the same"], "\(child.errors)")
        #expect(try status(sluice).contains("; 1 TLS session has left OpenSSL's object"))
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
            ("release: true", " the records behind them."),
        ] {
            try sluice.rewrite(before, setting)
            before = setting
            let said = try sluice.command(["reload"]).output
            #expect(said.contains("Settings: changed tls."), "\(said)")
            try sluice.proxy.process.waitForLine(containing: word)
            for _ in 0..<3 { try ends.exchange(message) }
        }
        #expect(try status(sluice).contains("; 1 TLS session has left"))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: the schema that `sluice schema` prints takes what Sluice takes, and shows an editor the mistakes.
// Method: a foreign validator (Python's jsonschema on what PyYAML reads), the examples of all documents,
// and the program's own `check` beside it.

import Foundation
import TestKit
import Testing

@Suite struct SchemaTests {
    /// A folder with the schema, which judges files.
    private final class Editor {
        let folder: String

        init() throws {
            folder = try Scratch.makeFolder()
            let lines = try run([try ProxyFixture.program(), "schema"])
            try Scratch.write(lines.joined(separator: "\n"), to: "\(folder)/schema.json")
        }

        deinit { Scratch.remove(folder) }

        /// What the validator says of each text: `ok`, or its problems.
        func judge(_ texts: [String]) throws -> [String] {
            let paths = try texts.enumerated().map { index, text in
                try Scratch.write(text, to: "\(folder)/\(index).yaml")
            }
            return try PythonPeer.run("schema.py", ["\(folder)/schema.json"] + paths)
        }
    }

    /// The configurations in a page of documentation.
    private func examples(in page: String) -> [String] {
        page.components(separatedBy: "```yaml\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
    }

    @Test func `every example of the documents is valid`() throws {
        let root = Scratch.packageFolder
        var texts: [String] = []
        for folder in ["", "docs", "docs/guides"] {
            let names = try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")
            for name in names.sorted() where name.hasSuffix(".md") {
                texts += examples(in: try Scratch.read("\(root)/\(folder)/\(name)"))
            }
        }
        #expect(texts.count >= 2)
        texts.append(try Scratch.read("\(root)/docs/packaging/sluice.yaml"))
        let said = try Editor().judge(texts)
        #expect(said.count == texts.count)
        for (text, words) in zip(texts, said) { #expect(words == "ok", "\(text)") }
    }

    /// Something of every type that a key can have.
    private static let whole = """
        listen:
          - address: "[::]:8443"
            tls:
              certificates: [{ chain: a.pem, key: b.pem }]
              minimumVersion: 1.2
              hsts: { maxAge: 180d, preload: true }
              groups: [X25519]
            trustedProxies: [10.0.0.0/8]
            proxyProtocol: none
          - { address: ":80", redirect: https }
          - address: "127.0.0.1:8444"
            tls: { certificates: [{ chain: a.pem, key: b.pem }], hsts: 1h, minimumVersion: "1.3" }
        routes:
          - { path: /a, to: "ws://127.0.0.1:9000", origins: any, idle: 10m, onRemove: drain }
          - path: /b/*
            to: chat
            origins: [same, "https://example.com"]
            limits: { messageBytes: 1MiB, messagesPerSecond: 200 }
            request: { set: { X-Number: 1, X-Word: a }, remove: [Cookie], host: upstream }
            ping: { every: 30s, timeout: 10s }
          - { path: /c, respond: { status: 404, body: "no" } }
          - { path: /d, redirect: { to: /e, status: 302 } }
        upstreams:
          chat:
            endpoints: ["ws://10.0.0.1:9000"]
            balance: hash(path)
            health: { kind: http, status: [200, 204] }
            maxConnections: 7
            queue: { wait: 1s }
        drain: { timeout: 30s, code: 1012, delay: 0 }
        admin: { socket: off }
        log: { format: json, access: off }
        limits: { headBytes: 16KiB }
        watch: true
        workers: 2
        """

    @Test func `what Sluice takes is valid, and a mistake is found by both`() throws {
        let mistakes = [
            ("watch: true", "wach: true", "wach"), ("1MiB", "1Megabyte", "1Megabyte"),
            ("every: 30s", "every: 30", "30 is not of type"),
            ("workers: 2", "workers: 0", "workers"),
            ("workers: 2", "workers: two", "two"), ("format: json", "format: xml", "xml"),
            ("minimumVersion: 1.2", "minimumVersion: 1.1", "1.1"),
            ("{ chain: a.pem, key: b.pem }]", "{ chain: a.pem }]", "key"),
            ("code: 1012", "code: 99", "99"), ("[200, 204]", "[200, 999]", "999"),
            ("preload: true", "preload: ja", "ja"), ("idle: 10m", "idle: 0", "0 is not"),
            ("status: 404", "status: [404]", "404"),
        ]
        let texts =
            [Self.whole]
            + mistakes.map { Self.whole.replacing($0.0, with: $0.1, maxReplacements: 1) }
        let editor = try Editor()
        let said = try editor.judge(texts)
        #expect(said[0] == "ok")
        for ((_, wrong, word), words) in zip(mistakes, said.dropFirst()) {
            #expect(words != "ok" && words.contains(word), "\(wrong): \(words)")
        }
        for (index, text) in texts.enumerated() {
            let checked = try ChildProcess([
                try ProxyFixture.program(), "check", "-c", "\(editor.folder)/\(index).yaml",
            ])
            #expect(try checked.waitForExit() == 1)
            // Of the whole one, only the certificates are missing.
            let problems = checked.errors.filter { !$0.contains("a.pem") && !$0.contains("b.pem") }
            #expect(problems.isEmpty == (index == 0), "\(text) \(checked.errors)")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: nothing is left in memory of a secret that is done with: traffic secrets and keys of every
// generation, what a ticket stands for, private keys that a reload has replaced (RFC 8446 §C.1, §4.6.3).
// Method: `openssl s_client` writes down its sessions' secrets, and all memory of the program that can
// be written to is searched for them. That the search finds something is shown on open sessions.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct SecretsTests {
    /// Lines of names and hexadecimal digits; what stands in front of both is `kind`.
    private func secrets(_ text: String, kinds: [Substring] = []) throws -> [(String, [UInt8])] {
        try text.split(separator: "\n").compactMap { line in
            var words = line.split(separator: " ")
            if !kinds.isEmpty {
                let kind = words.removeFirst()
                if !kinds.contains(kind) { return nil }
            }
            try #require(words.count == 2, "\(line)")
            var digits = words[1]
            var bytes: [UInt8] = []
            while !digits.isEmpty {
                bytes.append(try #require(UInt8(digits.prefix(2), radix: 16)))
                digits = digits.dropFirst(2)
            }
            return (String(words[0]), bytes)
        }
    }

    private func search(_ process: ChildProcess, _ secrets: [(String, [UInt8])]) -> MemorySearch {
        let search = MemorySearch(process.identifier)
        for (name, bytes) in secrets { search.want(name, bytes) }
        return search
    }

    /// Searches until nothing is found, since sessions end a moment after their peers think so.
    private func leftovers(_ search: MemorySearch) throws -> Set<String> {
        let deadline = Deadline.after(.seconds(20))
        while true {
            let found = try search.found()
            if found.isEmpty || deadline.hasPassed { return found }
            usleep(50_000)
        }
    }

    @Test func `secrets of sessions are gone when their keys have changed, and when they end`()
        throws
    {
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", respond: { status: 200, body: hello } }"], workers: 1)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let clients = try PythonPeer.start("secret_sessions.py", ["\(proxy.port())", folder])
        try clients.waitForLine(containing: "open", by: .after(.seconds(90)))
        let text = try Scratch.read("\(folder)/secrets")
        let live = try secrets(text, kinds: ["live"])
        let old = try secrets(text, kinds: ["old"])
        #expect(live.count > 30 && old.count > 40, "\(live.count), \(old.count)")
        #expect(try search(proxy.process, live).found() == Set(live.map(\.0)))
        #expect(try search(proxy.process, old).found() == [], "of open sessions")
        try Scratch.write("", to: "\(folder)/go")
        try clients.waitForLine(containing: "ended", by: .after(.seconds(60)))
        let all = try secrets(text, kinds: ["live", "old", "any"])
        #expect(try leftovers(search(proxy.process, all)) == [])
    }

    @Test(arguments: ["TLSv1_2", "TLSv1_3"])
    func `secrets of a client that was killed are gone, though its upstream never answers`(
        version: String
    ) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"\(backend.address)\" }"],
            settings: ["timeouts: { closing: 10m }"], workers: 1)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let client = try PythonPeer.start(
            "killed_client.py",
            ["\(proxy.port())", try TestCertificates.shared().authority, version, "\(folder)/keys"])
        let upstream = try backend.next()
        _ = try upstream.accept()
        try client.waitForLine(containing: "open")
        let kept = ["CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]
        let lines = try Scratch.read("\(folder)/keys").split(separator: "\n").compactMap { line in
            // A name, the client's random, the secret.
            let words = line.split(separator: " ")
            return words.count == 3 && kept.contains(String(words[0])) ? words : nil
        }
        let all = try secrets(lines.map { "\($0[0]) \($0[2])" }.joined(separator: "\n"))
        #expect(all.count == (version == "TLSv1_2" ? 1 : 2))
        let search = search(proxy.process, all)
        #expect(try search.found(expecting: Set(all.map(\.0))) == Set(all.map(\.0)))
        client.signal(SIGKILL)
        #expect(try upstream.readFrame().closeCode == 1001)
        #expect(try leftovers(search) == [])
        // The relay is still there: its upstream has ten minutes.
        #expect(try !upstream.stream.hasInput(by: .after(.zero)))
    }

    @Test(arguments: ["ec", "rsa"])
    func `private keys are gone when a reload has replaced them`(kind: String) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let algorithm =
            kind == "ec" ? ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] : ["rsa:2048"]
        for name in ["one", "two"] {
            try TestKit.run(
                ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey"] + algorithm
                    + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
                    + ["-keyout", "\(folder)/\(name)-key.pem", "-out", "\(folder)/\(name).pem"])
        }
        let identity = TestIdentity(
            chain: "\(folder)/one.pem", key: "\(folder)/one-key.pem")
        let operated = try Operated(
            routes: ["{ path: \"/*\", respond: { status: 200, body: hello } }"],
            listeners: [.tls([identity])])
        func numbers(_ name: String) throws -> [(String, [UInt8])] {
            try secrets(
                PythonPeer.run("key_numbers.py", ["\(folder)/\(name)-key.pem"])
                    .joined(separator: "\n"))
        }
        let first = search(operated.proxy.process, try numbers("one"))
        let second = search(operated.proxy.process, try numbers("two"))
        func visit() throws {
            let said = try clientSays(operated.proxy, ["-tls1_3"])
            #expect(said.contains { $0.contains("New, TLSv1.3") }, "\(said)")
        }
        try visit()
        let inWords: Set<String> =
            kind == "ec"
            ? ["priv-in-words"]
            : ["privateExponent-in-words", "prime1-in-words", "prime2-in-words"]
        // Numbers that are in use, and nothing of the file or of what lay between.
        #expect(try first.found() == inWords)
        try operated.rewrite("\(folder)/one", "\(folder)/two")
        #expect(try operated.command(["reload"]).status == 0)
        try visit()
        #expect(try leftovers(first) == [])
        #expect(try second.found() == inWords)
    }
}

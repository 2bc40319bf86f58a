// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route that asks for a password lets those in who have one, by HTTP/1.1 and HTTP/2, sockets and requests;
// hashing keeps nobody else waiting; a file that can't be used is told and changes nothing.
// Method: curl, Python's websockets and the library h2 with hashes that openssl, perl and htpasswd have made.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct PasswordAccessTests {
    private static let challenge = "Basic realm=\"the \\\"lab\\\"\", charset=\"UTF-8\""

    /// A Sluice whose route asks for the users of a file: `ann` by SHA-crypt, `bob` by bcrypt.
    private struct Guarded {
        let sluice: Operated
        let folder: String
        var passwords: String { "\(folder)/passwords" }

        init(_ backend: PeerAddress, listeners: [ProxyListener] = [.http2()]) throws {
            folder = try Scratch.makeFolder()
            try Self.write(["ann": "one", "bob": "two: three"], to: "\(folder)/passwords")
            let access =
                "access: { basic: { file: \(folder)/passwords, realm: 'the \"lab\"' } }"
            sluice = try Operated(
                routes: [
                    "{ path: /Esv/ocp, to: \"\(backend)\", \(access) }",
                    "{ path: /page, respond: { body: page }, \(access) }",
                    "{ path: /open, respond: { body: open } }",
                ], listeners: listeners)
        }

        static func write(_ users: [String: String], to path: String) throws {
            let lines = try users.sorted { $0.key < $1.key }.enumerated().map { index, entry in
                let setting =
                    index % 2 == 0 ? "$6$rounds=1000$salt" : "$2y$04$abcdefghijklmnopqrstuu"
                let words = "print crypt($ARGV[0], q(\(setting)))"
                let hash = try run(["perl", "-e", words, entry.value]).first ?? ""
                return "\(entry.key):\(hash)\n"
            }
            try Scratch.write(lines.joined(), to: path)
        }

        /// Status and body of curl's answer.
        func curl(_ path: String, _ options: String...) throws -> [String] {
            let authority = try TestCertificates.shared().authority
            return try run(
                ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", authority] + options
                    + ["https://localhost:\(sluice.proxy.port())\(path)"])
        }

        func remove() {
            Scratch.remove(folder)
            Scratch.remove(sluice.folder)
        }
    }

    @Test func `requests of curl are let in with a password, by either version`() throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\napp")
        let guarded = try Guarded(backend.address)
        defer { guarded.remove() }
        for version in ["--http1.1", "--http2"] {
            #expect(try guarded.curl("/page", version, "-u", "ann:one") == ["page", "200"])
            #expect(try guarded.curl("/Esv/ocp", version, "-u", "ann:one") == ["app", "200"])
            #expect(
                try guarded.curl("/Esv/ocp", version, "-u", "bob:two: three", "-d", "body")
                    == ["app", "200"])
            for login in ["ann:two: three", "bob:one", "carl:one", "ann:"] {
                #expect(try guarded.curl("/page", version, "-u", login).last == "401", "\(login)")
            }
            let asked = try guarded.curl("/page", version, "-D", "-")
            #expect(asked.last == "401")
            #expect(
                asked.contains {
                    $0.lowercased()
                        == "www-authenticate: \(Self.challenge)\r".lowercased()
                },
                "\(asked)")
            #expect(asked.contains { $0.contains("routes[].access.basic") }, "\(asked)")
            #expect(try guarded.curl("/open", version) == ["open", "200"])
        }
        #expect(backend.connectionCount == 4)
        // The app gets the field as it came, as it would from nginx.
        let request = String(decoding: backend.received(0), as: UTF8.self)
        #expect(request.contains("Authorization: Basic YW5uOm9uZQ=="), "\(request)")
        let line = try guarded.sluice.proxy.process.waitForLine(
            containing: "200 GET localhost/page")
        #expect(line[0].contains(" user=ann "), "\(line)")
        let refused = try guarded.sluice.proxy.process.waitForLine(
            containing: " 401 GET localhost/page")
        #expect(
            refused[0].contains(" access=basic ") && !refused[0].contains("user="), "\(refused)")
        let counted = "sluice_access_refused_total{route=\"/page\",rule=\"basic\"}"
        #expect(try guarded.sluice.scrape()[counted] == 10)
    }

    @Test func `sockets are let in with a password in the URL or in a field`() throws {
        let backend = try ScriptedBackend.echo()
        let guarded = try Guarded(backend.address)
        defer { guarded.remove() }
        let proxy = guarded.sluice.proxy
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run(
            "login.py", [proxy.url(), authority, "ann:one", "ann:two", "", "bob:two: three"])
        #expect(
            said == [
                "let in hello", "401 \(Self.challenge)", "401 \(Self.challenge)", "let in hello",
            ])
        func gate(_ field: String) throws -> [String] {
            try PythonPeer.run(
                "h2_client.py", ["\(proxy.port())", authority, "gate", "/Esv/ocp", field])
        }
        #expect(
            try gate("authorization:Basic YW5uOm9uZQ==").first == "socket 200 -")
        #expect(
            try gate("authorization:Basic YW5uOnR3bw==")
                == ["socket 401 \(Self.challenge)", "request 401 \(Self.challenge)"])
        let line = try proxy.process.waitForLine(containing: "reason=close")
        #expect(line[0].contains(" user=ann "), "\(line)")
        #expect(backend.failures.isEmpty)
    }

    @Test func `the user of a socket goes along in an upgrade`() throws {
        let backend = try ScriptedBackend.echo()
        let guarded = try Guarded(backend.address, listeners: [.tls()])
        defer { guarded.remove() }
        let client = try guarded.sluice.proxy.open(
            Opening(extra: [("Authorization", "Basic YW5uOm9uZQ==")]))
        let report = try MovedSocketsTests.upgrade(guarded.sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1 && report.lost == 0)
        try client.send(Frame.close(1000).masked())
        #expect(try client.readFrame().closeCode == 1000)
        let line = try guarded.sluice.proxy.process.waitForLine(containing: "reason=close")
        #expect(line[0].contains(" user=ann "), "\(line)")
    }

    @Test func `many who come at once are all let in, and those who leave meanwhile harm nobody`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let guarded = try Guarded(backend.address)
        defer { guarded.remove() }
        // Hashing takes some tenths of a second.
        let hash = try run(["perl", "-e", "print crypt(q(one), q($2y$11$abcdefghijklmnopqrstuu))"])
        try Scratch.write("ann:\(hash[0])\n", to: guarded.passwords)
        #expect(try guarded.sluice.command(["reload"]).status == 0)
        let opening = Opening(extra: [("Authorization", "Basic YW5uOm9uZQ==")])
        let clients = try (0..<40).map { _ in try guarded.sluice.proxy.connect() }
        for client in clients { try client.send(opening.bytes) }
        for client in clients.prefix(10) { client.stream.close() }
        // Nobody who needs no password waits for one.
        #expect(try guarded.curl("/open") == ["open", "200"])
        for client in clients.dropFirst(10) { #expect(try client.readHead().status == 101) }
        for client in clients.dropFirst(10) {
            try client.send(Frame.text("hello").masked())
            #expect(try client.readFrame().text == "hello")
        }
    }

    @Test func `who waits for a password while a reload comes is not let in by the rules before`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let guarded = try Guarded(backend.address)
        defer { guarded.remove() }
        let hash = try run(["perl", "-e", "print crypt(q(one), q($2y$12$abcdefghijklmnopqrstuu))"])
        try Scratch.write("ann:\(hash[0])\n", to: guarded.passwords)
        #expect(try guarded.sluice.command(["reload"]).status == 0)
        // Hashing these takes seconds, and the last is the right one.
        let clients = try ["YW5uOjE=", "YW5uOjI=", "YW5uOjM=", "YW5uOjQ=", "YW5uOm9uZQ=="].map {
            let client = try guarded.sluice.proxy.connect()
            try client.send(Opening(extra: [("Authorization", "Basic \($0)")]).bytes)
            return client
        }
        #expect(try guarded.curl("/open") == ["open", "200"])
        try Guarded.write(["bob": "new"], to: guarded.passwords)
        #expect(try guarded.sluice.command(["reload"]).status == 0)
        let head = try #require(clients.last).readHead()
        #expect(head.status == 503 && head["retry-after"] == "1", "\(head)")
        #expect(backend.connectionCount == 0)
    }

    @Test func `files that htpasswd writes are read, but for its default`() throws {
        let backend = try ScriptedBackend.echo()
        let guarded = try Guarded(backend.address)
        defer { guarded.remove() }
        // The first makes the file anew.
        for (options, login) in [("-cbB", "CP-1:one"), ("-b5", "CP-2:two"), ("-b2", "CP-3:three")] {
            let parts = login.split(separator: ":").map(String.init)
            try run(["htpasswd", options, guarded.passwords] + parts)
            let reload = try guarded.sluice.command(["reload"])
            #expect(reload.status == 0, "\(options): \(reload.output)")
            #expect(try guarded.curl("/page", "-u", login) == ["page", "200"], "\(options)")
            #expect(try guarded.curl("/page", "-u", login + "x").last == "401")
        }
        try run(["htpasswd", "-b", guarded.passwords, "CP-4", "four"])
        let refused = try guarded.sluice.command(["reload"])
        #expect(refused.status == 1)
        #expect(refused.output.contains("line 4 has a hash by MD5"), "\(refused.output)")
        #expect(try guarded.curl("/page", "-u", "CP-1:one").last == "200")
    }

    @Test func `a reload reads the file again, and one that can't be used is told`() throws {
        let backend = try ScriptedBackend.echo()
        let guarded = try Guarded(backend.address)
        defer { guarded.remove() }
        #expect(try guarded.curl("/page", "-u", "ann:one").last == "200")
        try Guarded.write(["ann": "new"], to: guarded.passwords)
        #expect(try guarded.curl("/page", "-u", "ann:one").last == "200")
        #expect(try guarded.sluice.command(["reload"]).status == 0)
        #expect(try guarded.curl("/page", "-u", "ann:one").last == "401")
        #expect(try guarded.curl("/page", "-u", "ann:new").last == "200")
        for (text, words) in [
            (
                "ann:new\n",
                "line 1 has a password that is plain, or hashed by DES, allowed: a hash by bcrypt"
            ),
            ("ann:$apr1$x$y\n", "line 1 has a hash by MD5"), ("", "it holds no user"),
        ] {
            try Scratch.write(text, to: guarded.passwords)
            let refused = try guarded.sluice.command(["reload"])
            #expect(refused.status != 0)
            #expect(
                refused.output.contains("access.basic.file: '\(guarded.passwords)': \(words)"),
                "\(refused)")
            #expect(try guarded.curl("/page", "-u", "ann:new").last == "200")
        }
        Scratch.remove(guarded.passwords)
        let missing = try guarded.sluice.command(["reload"])
        #expect(missing.output.contains("there is no such file; correct the path"), "\(missing)")
        #expect(try guarded.curl("/page", "-u", "ann:new").last == "200")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: the keys of HTTP/2 do what the reference says, and whoever is gone is noticed.
// Method: the library h2 as a client, which reads, reads slowly or does not read at all.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2KeyTests {
    private let backend: ScriptedBackend
    private let authority: String

    init() throws {
        backend = try .echo()
        authority = try TestCertificates.shared().authority
    }

    private func proxy(
        _ keys: String, settings: [String] = [], more: [String] = []
    ) throws -> ProxyFixture {
        try ProxyFixture(
            routes: more + [
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
                "{ path: /, to: \"\(backend.address)\" }",
            ], listeners: [keys.isEmpty ? .tls() : .multiplexed(keys)], settings: settings)
    }

    private func run(_ proxy: ProxyFixture, _ task: String, _ arguments: String...) throws
        -> [String]
    {
        try PythonPeer.run("h2_keys.py", ["\(proxy.port())", authority, task] + arguments)
    }

    private func start(
        _ proxy: ProxyFixture, _ task: String, _ arguments: String...
    ) throws -> ChildProcess {
        try PythonPeer.start("h2_keys.py", ["\(proxy.port())", authority, task] + arguments)
    }

    @Test(arguments: [
        ("", "streams 128 window 131072 websockets 1"),
        ("websockets: false", "streams 128 window 131072 websockets 0"),
        ("maxStreams: 7, windowBytes: 1MiB", "streams 7 window 1048576 websockets 1"),
    ])
    func `SETTINGS say what the keys say`(keys: String, said: String) throws {
        #expect(try run(proxy(keys), "settings") == [said])
    }

    /// RFC 8441 §4: a `:protocol` that was not offered makes the request malformed (RFC 9113 §8.1.1).
    @Test func `a socket that was not offered ends its own stream`() throws {
        let proxy = try proxy("websockets: false")
        #expect(try run(proxy, "refused") == ["reset 1", "page 200"])
        #expect(backend.connectionCount == 0)
    }

    @Test func `a client may cancel as many streams as the key says`() throws {
        let proxy = try proxy("resetsPerSecond: 1")
        #expect(try run(proxy, "cancelled", "8") == ["page 200"])
        let said = try run(proxy, "cancelled", "40")
        #expect(said.last == "goaway 11", "\(said)")
        try proxy.process.waitForLine(containing: "cancelled too many streams")
    }

    @Test func `a client that answers PINGs keeps its connection`() throws {
        let proxy = try proxy("pingAfter: 100ms, pingTimeout: 10m")
        #expect(try run(proxy, "answering") == ["pinged and echoed"])
        #expect(!proxy.process.output.contains { $0.contains("PING") })
    }

    @Test func `a client that answers none is given up, and its upstreams are told`() throws {
        let hanging = try ManualBackend()
        let proxy = try proxy(
            "pingAfter: 100ms, pingTimeout: 200ms",
            more: ["{ path: /hanging, to: \"\(hanging.address)\" }"])
        let client = try start(proxy, "deaf")
        try client.waitForLine(containing: "deaf")
        let upstream = try hanging.next()
        let words = "the client does not answer a PING of HTTP/2 (listen[].http2.pingTimeout)"
        // The connection's own line, and the request's.
        try proxy.process.waitForLine(containing: words, count: 2)
        let line = try proxy.process.waitForLine(containing: "reason=unresponsive")[0]
        #expect(line.contains(" protocol=h2 ") && line.contains(" by=client"), "\(line)")
        _ = try upstream.readHead()
        _ = try upstream.expectEnd()
        #expect(backend.failures.isEmpty)
    }

    /// Browsers say nothing before they have read half of a window of megabytes.
    ///
    /// Of the slower client what is on its way becomes less all the time. For the faster one the socket is
    /// filled again and again.
    @Test(arguments: [4_096, 65_536])
    func `a client that takes slowly what it was sent is not given up`(size: Int) throws {
        let app = try PythonPeer.start("web_app.py")
        let port = try app.waitForLine(containing: "port ")[0].dropFirst(5)
        let proxy = try proxy(
            "pingAfter: 200ms, pingTimeout: 1s",
            more: ["{ path: /download, to: \"http://127.0.0.1:\(port)\" }"])
        let client = try start(proxy, "slow", "\(size)")
        try client.waitForLine(containing: "taken")
        // From now on it takes nothing.
        try proxy.process.waitForLine(containing: "does not answer a PING", count: 2)
    }

    @Test func `a connection that has carried its requests ends when its sockets have`() throws {
        let proxy = try proxy("", settings: ["limits: { requestsPerConnection: 6 }"])
        #expect(try run(proxy, "spent", "6") == ["ended behind the socket"])
    }

    @Test func `trailers of a request reach the app, where there is a place for them`() throws {
        let app = try ManualBackend()
        let proxy = try proxy("", more: ["{ path: /upload, to: \"\(app.address)\" }"])
        let client = try start(proxy, "trailers")
        let passed = "0\r\nx-sum: 1\r\nserver-timing: a\r\n\r\n"
        let upstream = try app.next()
        for body in ["5\r\nhello\r\n" + passed, passed, "hello"] {
            let head = try upstream.readHead()
            #expect((head["content-length"] == "5") == (body == "hello"), "\(head)")
            let said = try upstream.read(body.utf8.count)
            #expect(String(decoding: said, as: UTF8.self) == body)
            try upstream.send("HTTP/1.1 204 Done\r\n\r\n")
        }
        #expect(try client.waitForExit() == 0)
    }

    @Test func `status and check say what is spoken`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let proxy = try ProxyFixture(
            routes: ["{ path: /, to: \"\(backend.address)\" }"],
            listeners: [.tls(), .http1(), .plain],
            settings: ["admin: { socket: \(folder)/admin.sock }"])
        let program = try ProxyFixture.program()
        func status(_ arguments: String...) throws -> [String] {
            try TestKit.run([program, "status", "--admin", "\(folder)/admin.sock"] + arguments)
        }
        let listeners = try status().filter { $0.contains("://") && $0.contains("http/1.1") }
        #expect(listeners.map { $0.contains(" h2 http/1.1 ") } == [true, false, false])
        let checked = try TestKit.run([program, "check", "-c", proxy.configurationPath])
        let rows = checked.filter { $0.contains(" / ") }
        #expect(rows.map { $0.contains(" h2 http/1.1 ") } == [true, false, false], "\(checked)")
        let one = try proxy.connect()
        try one.open(Opening("/"))
        let many = try PythonPeer.start(
            "h2_client.py", ["\(proxy.port())", authority, "drained", "2", "ends"])
        try many.waitForLine(containing: "open")
        struct Relay: Decodable { let `protocol`: String }
        let json = try status("--relays", "--json").joined(separator: "\n")
        let relays = try JSONDecoder().decode([Relay].self, from: Data(json.utf8))
        #expect(relays.map(\.protocol).sorted() == ["h1", "h2", "h2"])
        let words = try status("--relays").flatMap { $0.split(separator: " ") }
        #expect(words.filter { $0 == "h2" }.count == 2 && words.contains("h1"), "\(words)")
    }
}

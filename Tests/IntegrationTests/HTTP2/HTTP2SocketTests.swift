// SPDX-License-Identifier: Apache-2.0
//
// Goal: WebSockets within HTTP/2 (RFC 8441) are what they are in HTTP/1.1.
// Method: the libraries h2 and wsproto as a client, browsers, and a backend that speaks HTTP/1.1 only.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2SocketTests {
    private let backend: ScriptedBackend
    private let proxy: ProxyFixture
    private let authority: String

    init() throws {
        backend = try .echo()
        proxy = try ProxyFixture(
            routes: [
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
                "{ path: /, to: \"\(backend.address)\" }",
            ], listeners: [.http2()])
        authority = try TestCertificates.shared().authority
    }

    private func run(_ task: String, _ arguments: String...) throws -> [String] {
        try PythonPeer.run("h2_client.py", ["\(proxy.port())", authority, task] + arguments)
    }

    @Test func `messages of every size and kind come back, and both ends close in order`() throws {
        #expect(try run("echo") == ["echoed"])
        let lines = try proxy.process.waitForLine(containing: "reason=close")
        #expect(lines.last?.contains(" protocol=h2 ") == true, "\(lines)")
        #expect(lines.last?.contains("close=1000 by=client") == true, "\(lines)")
        #expect(backend.failures.isEmpty)
    }

    @Test func `many are opened at once on one connection, with requests between them`() throws {
        #expect(try run("many", "90") == ["echoed 90 answered 30"])
        #expect(backend.connectionCount == 90)
        #expect(backend.failures.isEmpty)
    }

    @Test func `one is opened behind the other on one connection, and nothing is left of them`()
        throws
    {
        #expect(try run("again", "300") == ["echoed 300"])
        try proxy.process.waitForLine(containing: "reason=close", count: 300)
        #expect(backend.failures.isEmpty)
    }

    @Test func `what is refused is refused on its stream, with its status and its sentence`() throws
    {
        let said = try run("statuses")
        #expect(said.count == 5)
        #expect(said[0].hasPrefix("protocol 501 CONNECT asks for a protocol other than websocket"))
        #expect(said[1].hasPrefix("origin 403 "))
        #expect(said[2].hasPrefix("version 426 "))
        #expect(said[3].hasPrefix("path 404 "))
        #expect(said[4] == "echoed")
        #expect(backend.connectionCount == 1, "what is refused goes nowhere")
    }

    @Test func `a head that is too large is refused alone, and so is a tunnel to elsewhere`() throws
    {
        #expect(
            try run("bounds") == ["connect 405", "fields 431", "bytes 431", "page 200"])
        #expect(backend.connectionCount == 0)
    }

    /// A stream that the client leaves open is reset once its time to end it is over.
    @Test(arguments: ["ends", "stays"])
    func `a drain ends sockets with a Close, then their streams, then the connection`(
        way: String
    ) throws {
        let client = try PythonPeer.start(
            "h2_client.py", ["\(proxy.port())", authority, "drained", "5", way])
        try client.waitForLine(containing: "open")
        proxy.process.signal(SIGTERM)
        let said = try client.waitForLine(containing: "codes")
        #expect(said == ["codes 1001"])
        #expect(try client.waitForExit() == 0)
        // Well before `drain.timeout`, which would cut them.
        #expect(try proxy.process.waitForExit(by: .after(.seconds(20))) == 0)
    }

    /// The new configuration serves further streams of a connection that was there before.
    @Test func `a reload leaves sockets as they are, and holds for those that follow`() throws {
        let client = try PythonPeer.start(
            "h2_client.py", ["\(proxy.port())", authority, "reloaded"])
        try client.waitForLine(containing: "open")
        let text = try Scratch.read(proxy.configurationPath)
        try Scratch.write(
            text.replacingOccurrences(of: "a page", with: "another page"),
            to: proxy.configurationPath)
        proxy.process.signal(SIGHUP)
        #expect(try client.waitForLine(containing: "echoed") == ["echoed another page"])
        #expect(try client.waitForExit() == 0)
    }
}

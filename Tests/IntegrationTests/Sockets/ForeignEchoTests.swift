// SPDX-License-Identifier: Apache-2.0
//
// Goal: WebSocket software that is not ours gets through unharmed.
// Method: Python's `websockets`, certificate verified against the test CA, as client in front and,
// for compression, as server behind; every message's content is compared.

import TestKit
import Testing

@Suite struct ForeignEchoTests {
    @Test func `a foreign client's messages of every size and kind come back`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run("echo_client.py", [proxy.url(), authority])
        #expect(said.last == "ok")
        #expect(backend.connectionCount == 1)
    }

    @Test func `a foreign client gets through without TLS`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, listeners: [.plain])
        let said = try PythonPeer.run("echo_client.py", [proxy.url(), "none"])
        #expect(said.last == "ok")
    }

    @Test func `compression is agreed between the ends and passes through`() throws {
        let server = try PythonPeer.start("deflate_server.py")
        let line = try server.waitForLine(containing: "port ", by: .after(.seconds(60)))
        let port = try #require(UInt16(line[0].dropFirst(5)))
        let proxy = try ProxyFixture(to: .tcp(port))
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run("deflate_client.py", [proxy.url(), authority])
        #expect(said.last == "ok")
    }

    @Test func `two hundred connections at once keep their contents apart`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run("swarm.py", [proxy.url(), authority, "200"])
        #expect(said.last == "ok")
        #expect(backend.connectionCount == 200)
        #expect(backend.failures.isEmpty)
    }
}

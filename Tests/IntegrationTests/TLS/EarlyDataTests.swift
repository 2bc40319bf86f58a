// SPDX-License-Identifier: Apache-2.0
//
// Goal: nothing that a client sends before its handshake is done is taken for a request, since anybody
// could send it again (0-RTT, RFC 8446 §8).
// Method: `openssl s_client` with early data, whose note of the session was changed so that it sends some.

import TestKit
import Testing

@Suite struct EarlyDataTests {
    @Test func `early data is rejected, and nothing of it reaches the upstream`() throws {
        let heard = Monitor<[String]>([])
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            heard.update { $0.append(head.startLine) }
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell")
        }
        defer { backend.stop() }
        let proxy = try ProxyFixture(routes: ["{ path: /*, to: \"\(backend.address)\" }"])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let said = try PythonPeer.run("early_data.py", ["\(proxy.port())", folder])
        // The client did send it, and the session was taken up all the same.
        #expect(said.contains { $0.contains("Early data was rejected") }, "\(said)")
        #expect(said.contains { $0.contains("Reused, TLSv1.3") }, "\(said)")
        #expect(said.contains { $0.contains("well") })
        try proxy.process.waitForLine(containing: "/late")
        #expect(heard.value == ["GET /first HTTP/1.1", "GET /late HTTP/1.1"])
        #expect(proxy.count(of: "/early") == 0)
    }

    /// The tickets themselves allow none: a client that is not made to send any does not.
    @Test func `tickets do not offer early data`() throws {
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", respond: { status: 200, body: hello } }"])
        let script = """
            printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' |
            openssl s_client -connect 127.0.0.1:\(proxy.port()) -tls1_3 -ign_eof
            """
        let child = try ChildProcess(["sh", "-c", script])
        try child.waitForExit()
        #expect(child.output.contains { $0.contains("Max Early Data: 0") }, "\(child.output)")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route's own times take the place of everybody's, for it alone, and the refusal names its key.
// Method: apps that are silent; the other times are so long that only the route's can be what ends the wait.

import TestKit
import Testing

@Suite struct RouteTimeTests {
    private static let long =
        "timeouts: { connect: 10m, upgrade: 10m, answer: 10m, body: 10m, answerBody: 10m }"

    private func started(_ backend: PeerAddress, _ times: String) throws -> ProxyFixture {
        try ProxyFixture(
            routes: [
                "{ path: /short, to: \"\(backend)\", timeouts: { \(times) } }",
                "{ path: /long, to: \"\(backend)\" }",
            ], listeners: [.http2()], settings: [Self.long])
    }

    private func curl(_ proxy: ProxyFixture, _ options: String...) throws -> [String] {
        let authority = try TestCertificates.shared().authority
        return try ended(
            ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", authority] + options
                + ["https://localhost:\(proxy.port())/short"]
        ).output.split(separator: "\n").map(String.init)
    }

    @Test func `an upgrade and a request that get no answer are refused by the route's times`()
        throws
    {
        let backend = try ScriptedBackend.silent()
        let proxy = try started(backend.address, "upgrade: 300ms, answer: 300ms")
        let socket = try proxy.connect()
        let refusal = try socket.refusal(of: Opening("/short"))
        try expectRefusal(refusal, 504, on: socket)
        #expect(refusal.text.contains("(routes[].timeouts.upgrade)"), "\(refusal.text)")
        for version in ["--http1.1", "--http2"] {
            let said = try curl(proxy, version)
            #expect(said.last == "504")
            #expect(said.contains { $0.contains("(routes[].timeouts.answer)") }, "\(said)")
        }
        // The other route still waits, since its request came first and has no answer.
        let other = try proxy.connect()
        try other.send(Opening("/long").bytes)
        try backend.waitForConnections(4)
        #expect(try curl(proxy, "--http1.1").last == "504")
        #expect(try !other.stream.hasInput(by: .after(.milliseconds(1))))
    }

    @Test func `a body and an answer that stand still end by the route's times`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            _ = try peer.readUntilEnd(by: .after(.seconds(600)))
        }
        let proxy = try started(backend.address, "body: 300ms, answerBody: 300ms")
        // The app has said nothing yet, and the client stands still.
        let silent = try ScriptedBackend.silent()
        let waiting = try started(silent.address, "body: 300ms")
        let client = try waiting.connect()
        try client.send("POST /short HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
        let refusal = try client.readResponse()
        #expect(refusal.status == 408)
        #expect(refusal.text.contains("(routes[].timeouts.body)"), "\(refusal.text)")
        for version in ["--http1.1", "--http2"] {
            let said = try curl(proxy, version)
            // Behind it curl complains of the end.
            #expect(said.contains("half") && said.contains("200"), "\(said)")
        }
        let line = try proxy.process.waitForLine(containing: "http_response_timeout")
        #expect(line[0].contains("(routes[].timeouts.answerBody)"), "\(line)")
    }

    @Test func `an endpoint whose TLS handshake never ends is given up by the route's time`() throws
    {
        // It takes connections, and answers nothing to the first bytes of a handshake.
        let backend = try ScriptedBackend.silent()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /short, to: \"wss://127.0.0.1:\(backend.address.port)\", timeouts: { connect: 300ms } }"
            ], listeners: [.http2()], settings: [Self.long])
        let socket = try proxy.connect()
        let refusal = try socket.refusal(of: Opening("/short"))
        try expectRefusal(refusal, 504, on: socket)
        #expect(refusal.text.contains("(routes[].timeouts.connect)"), "\(refusal.text)")
        #expect(refusal.text.contains("its TLS handshake was not done"), "\(refusal.text)")
        for version in ["--http1.1", "--http2"] {
            let said = try curl(proxy, version)
            #expect(said.last == "504")
            #expect(said.contains { $0.contains("(routes[].timeouts.connect)") }, "\(said)")
        }
    }
}

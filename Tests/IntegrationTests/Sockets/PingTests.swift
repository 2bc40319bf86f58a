// SPDX-License-Identifier: Apache-2.0
//
// Goal: routes with `ping`, `idle` and `lifetime` find peers that are gone and end what is over,
// and foreign peers that answer notice nothing.
// Method: the program with short times; Python's websockets answers pings, TestKit's peers do not.

import Foundation
import TestKit
import Testing

@Suite struct PingTests {
    @Test func `a client that does not answer is given up and the upstream told`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, options: "ping: { every: 200ms, timeout: 200ms }")
        let ends = try proxy.relay(to: backend)
        let upstream = ends.upstream
        let ping = try ends.client.readFrame()
        #expect(ping.opcode == 9)
        #expect(try upstream.readFrame().closeCode == 1001)
        try upstream.send(Frame.close(1001))
        let line = try proxy.process.waitForLine(containing: "reason=unresponsive")
        #expect(line.contains { $0.contains("by=client") })
    }

    @Test func `an upstream that does not answer is given up and the client told 1014`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, options: "ping: { every: 200ms, timeout: 200ms, to: upstream }")
        let ends = try proxy.relay(to: backend)
        #expect(try ends.upstream.readFrame().opcode == 9)
        #expect(try ends.client.readFrame().closeCode == 1014)
    }

    /// Where nobody says anything, the answers to Pings are all that keeps a socket.
    @Test(arguments: [("upstream", "100ms", "400ms"), ("both", "300ms", "150ms")])
    func `a foreign app that is silent answers many pings, and its client never hears of them`(
        to: String, every: String, timeout: String
    ) throws {
        let app = try PythonPeer.start("quiet_app.py")
        defer { app.signal(SIGKILL) }
        let said = try app.waitForLine(containing: "port")
        let port = try #require(
            said.last.flatMap { $0.split(separator: " ").last }.flatMap { UInt16($0) })
        let ping = "ping: { every: \(every), timeout: \(timeout), to: \(to) }, lifetime: 3s"
        let proxy = try ProxyFixture(
            routes: ["{ path: /, to: \"ws://127.0.0.1:\(port)\", \(ping) }"],
            listeners: [.tls(), .plain])
        let authority = try TestCertificates.shared().authority
        let clients = try [
            PythonPeer.start("until_closed.py", [proxy.url("/"), authority]),
            PythonPeer.start("until_closed.py", [proxy.url("/", listener: 1), authority]),
            PythonPeer.start("h2_client.py", ["\(proxy.port())", authority, "silent"]),
        ]
        for (client, end) in zip(clients, ["1001 ", "1001 ", "closed 1001"]) {
            #expect(try client.waitForExit(by: .after(.seconds(60))) == 0, "\(client.errors)")
            #expect(client.output.last?.hasPrefix(end) == true, "\(client.output)")
        }
        let lines = try proxy.process.waitForLine(containing: "reason=lifetime", count: 3)
        #expect(lines.allSatisfy { $0.contains(" upstream-rtt=") }, "\(lines)")
        #expect(lines.allSatisfy { $0.contains("down=1msg/") }, "\(lines)")
    }

    @Test func `idle and lifetime end relays with 1001`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /idle, to: \"\(backend.address)\", idle: 300ms }",
                "{ path: /old, to: \"\(backend.address)\", lifetime: 300ms }",
            ])
        for path in ["/idle", "/old"] {
            let client = try proxy.open(Opening(path))
            try client.send(Frame.text("a").masked())
            #expect(try client.readFrame() == Frame.text("a"))
            #expect(try client.readFrame().closeCode == 1001)
            try client.send(Frame.close(1001).masked())
            #expect(try client.expectEnd() == .orderly)
        }
        _ = try proxy.process.waitForLine(containing: "reason=idle")
        _ = try proxy.process.waitForLine(containing: "reason=lifetime")
    }

    @Test func `a foreign client answers as long as it lives and notices nothing`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, options: "ping: { every: 100ms, timeout: 5s }, lifetime: 1500ms")
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run("until_closed.py", [proxy.url(), authority])
        #expect(said.last == "1001 the connection has reached its lifetime")
        let line = try proxy.process.waitForLine(containing: "reason=lifetime")
        #expect(line.contains { $0.contains("rtt=") })
        #expect(backend.failures.isEmpty)
    }
}

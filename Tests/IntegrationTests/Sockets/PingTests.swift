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

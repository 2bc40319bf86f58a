// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route and a client have as many relays as they may have, and who is refused is told when to
// come again, before the upstream hears of it.
// Method: real relays up to the limit and one more; places come back when relays end.

import TestKit
import Testing

@Suite struct AdmissionTests {
    private func refusal(_ proxy: ProxyFixture) throws -> HTTPResponse {
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        return try client.readResponse()
    }

    @Test(arguments: [("relays: 2", 503), ("relaysPerClient: 2", 429)])
    func `a place is refused, and free again when its relay has ended`(
        limit: String, status: Int
    ) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address, options: "limits: { \(limit) }")
        let first = try proxy.relay(to: backend)
        let second = try proxy.relay(to: backend)
        let refused = try refusal(proxy)
        #expect(refused.status == status)
        #expect(refused.head["Retry-After"] == "5")
        #expect(refused.head["Proxy-Status"]?.contains("connection_limit_reached") == true)
        #expect(try backend.hasPendingConnection(by: .after(.milliseconds(50))) == false)
        try first.client.send(Frame.close(1000).masked())
        #expect(try first.upstream.readFrame().closeCode == 1000)
        try first.upstream.send(Frame.close(1000))
        #expect(try first.client.readFrame().closeCode == 1000)
        first.client.stream.close()
        first.upstream.stream.close()
        // Its place comes back as the sockets close.
        try eventually("a place is free") {
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            guard try backend.hasPendingConnection(by: .after(.milliseconds(200))) else {
                return false
            }
            _ = try backend.next().accept()
            return try client.readHead().status == 101
        }
        try second.client.send(Frame.text("undisturbed").masked())
        #expect(try second.upstream.readFrame().text == "undisturbed")
    }

    @Test func `who comes too often is told when to come again`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, options: "limits: { newRelaysPerSecond: 1 }")
        let client = try proxy.open()
        var refused: HTTPResponse?
        // On a slow machine a second may pass between two attempts.
        for _ in 0..<50 where refused == nil {
            let next = try proxy.connect()
            try next.send(Opening().bytes)
            let head = try next.readHead()
            if head.status != 101 { refused = HTTPResponse(head: head, body: []) }
        }
        #expect(refused?.status == 429)
        #expect(refused?.head["Retry-After"] == "1")
        try client.send(Frame.text("undisturbed").masked())
        #expect(try client.readFrame().text == "undisturbed")
    }

    @Test func `an endpoint has as many as it may have, and the others take over`() throws {
        let first = try ManualBackend()
        let second = try ManualBackend()
        let proxy = try ProxyFixture(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\", \"\(second.address)\"], "
                    + "balance: roundRobin, maxConnections: 1 } }"
            ])
        let one = try proxy.relay(to: first)
        let other = try proxy.relay(to: second)
        let refused = try refusal(proxy)
        #expect(refused.status == 503)
        #expect(refused.head["Retry-After"] == "1")
        for ends in [one, other] {
            try ends.client.send(Frame.text("undisturbed").masked())
            #expect(try ends.upstream.readFrame().text == "undisturbed")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: one address has so many connections and no more, counted before TLS and any request; the
// others are let in, and the operator is told once, not once for each connection.
// Method: connections of the test's own, by the PROXY protocol under addresses of its choice.

import TestKit
import Testing

@Suite struct ClientConnectionsTests {
    private func started(
        _ limits: String, more settings: String = "", proxyProtocol: Bool = false,
        to backend: PeerAddress = .tcp(9)
    ) throws -> ProxyFixture {
        let more = proxyProtocol ? ", proxyProtocol: required" : ""
        return try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0"\(more) }]
                routes:
                  - { path: /Esv/ocp, to: "\(backend)" }
                  - { path: /here, respond: { body: here } }
                limits: { \(limits) }
                # On a busy machine those that are held must not end by themselves meanwhile.
                timeouts: { head: 10m, keepAlive: 10m }
                \(settings)

                """)
    }

    /// Whether the connection is served.
    private func isServed(_ peer: WebSocketPeer, as client: String? = nil) throws -> Bool {
        let header = client.map { "PROXY TCP6 \($0) ::1 1000 443\r\n" } ?? ""
        // A reset in the midst of that says the same.
        guard (try? peer.send(header + "GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n")) != nil,
            let response = try? peer.readResponse()
        else {
            #expect(peer.stream.ending != nil, "closed, and not left alone")
            return false
        }
        return response.status == 200
    }

    @Test func `a place is refused, and free again when a connection has ended`() throws {
        let backend = try ManualBackend()
        // One reactor takes connections up in their order. With several, the silent one could be
        // taken up behind all others, and be the one that is refused.
        let proxy = try started("connectionsPerClient: 3", more: "workers: 1", to: backend.address)
        // A tunnel counts as one, and so does a connection that has not said anything yet.
        let ends = try proxy.relay(to: backend)
        let silent = try proxy.connect()
        let last = try proxy.connect()
        #expect(try isServed(last))
        for _ in 0..<5 { #expect(try isServed(proxy.connect()) == false) }
        let lines = try proxy.process.waitForLine(containing: "limits.connectionsPerClient")
        #expect(lines.count == 1, "\(lines)")
        #expect(lines[0].contains("127.0.0.1"))
        silent.stream.close()
        try eventually("the place is free") { try isServed(proxy.connect()) }
        try ends.client.send(Frame.text("undisturbed").masked())
        #expect(try ends.upstream.readFrame().text == "undisturbed")
        #expect(
            (proxy.process.output + proxy.process.errors)
                .filter { $0.contains("limits.connectionsPerClient") }.count == 1)
        withExtendedLifetime(last) {}
    }

    @Test func `an IPv6 network of 64 bits counts as one client, behind a balancer too`() throws {
        let proxy = try started("connectionsPerClient: 2", proxyProtocol: true)
        var held: [WebSocketPeer] = []
        for address in ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"] {
            held.append(try proxy.connect())
            #expect(try isServed(held[held.count - 1], as: address))
        }
        #expect(try isServed(proxy.connect(), as: "2001:db8:0:1:8000::3") == false)
        held.append(try proxy.connect())
        #expect(try isServed(held[2], as: "2001:db8:0:2::1"))
        withExtendedLifetime(held) {}
    }

    @Test func `who connects too often is turned away for a while`() throws {
        let proxy = try started("newConnectionsPerSecond: 2")
        var refused = 0
        // On a slow machine a second may pass between some of them.
        for _ in 0..<60 where refused == 0 {
            if try !isServed(proxy.connect()) { refused += 1 }
        }
        #expect(refused == 1)
        try proxy.process.waitForLine(containing: "limits.newConnectionsPerSecond")
        try eventually("it may come again") { try isServed(proxy.connect()) }
    }
}

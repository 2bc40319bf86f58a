// SPDX-License-Identifier: Apache-2.0
//
// Goal: behind a proxy that is trusted, who asks is whom it names: for the app, the log, limits and
// balancing by client; from anybody else the same words count for nothing.
// Method: the test plays the proxy, once from an address that is trusted and once from one that is
// not; HAProxy plays it too.

import TestKit
import Testing

@Suite struct TrustedProxyTests {
    private func started(
        _ backend: PeerAddress, trusting list: String, limits: String = "", global: String = "{}",
        proxyProtocol: Bool = false, plain: Bool = true
    ) throws -> ProxyFixture {
        let files = try TestCertificates.shared().local
        let more =
            (plain ? "" : ", tls: { certificates: [\(files.setting)] }")
            + (proxyProtocol ? ", proxyProtocol: required" : "")
        return try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", trustedProxies: [\(list)]\(more) }]
                routes: [{ path: /*, to: "\(backend)"\(limits) }]
                limits: \(global)
                log: { access: stdout }

                """)
    }

    private static let said = [
        (name: "X-Forwarded-For", value: "6.6.6.6, 2001:db8::7"),
        (name: "X-Forwarded-Proto", value: "https"),
        (name: "X-Forwarded-Host", value: "shop.example"),
        (name: "Forwarded", value: "for=\"[2001:db8::7]\";proto=https"),
    ]

    @Test func `a trusted proxy's word goes on, to the app and into the log`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, trusting: "10.0.0.0/8, 127.0.0.0/8, \"::1\"")
        let ends = try proxy.relay(to: backend, Opening(extra: Self.said))
        #expect(ends.request.all("X-Forwarded-For") == ["6.6.6.6, 2001:db8::7, 127.0.0.1"])
        #expect(ends.request.all("X-Forwarded-Proto") == ["https"])
        #expect(ends.request.all("X-Forwarded-Host") == ["shop.example"])
        #expect(ends.request.all("X-Forwarded-Port") == ["443"])
        #expect(
            ends.request.all("Forwarded") == [
                "for=\"[2001:db8::7]\";proto=https, for=127.0.0.1"
            ])
        try ends.client.send(Frame.close(1000).masked())
        _ = try ends.upstream.readFrame()
        try ends.upstream.send(Frame.close(1000))
        ends.upstream.stream.close()
        try proxy.process.waitForLine(containing: "2001:db8::7")
    }

    @Test(arguments: ["", "10.0.0.0/8, \"::1\", unix"])
    func `forged fields of somebody else count for nothing`(trusted: String) throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, trusting: trusted)
        let request = try proxy.relay(to: backend, Opening(extra: Self.said)).request
        #expect(request.all("X-Forwarded-For") == ["127.0.0.1"])
        #expect(request.all("X-Forwarded-Proto") == ["http"])
        #expect(request.all("X-Forwarded-Host") == ["localhost"])
        #expect(request.all("Forwarded") == ["for=127.0.0.1;host=\"localhost\";proto=http"])
    }

    @Test func `HAProxy in front names the client`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, trusting: "127.0.0.1")
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let socket = "\(folder)/front.sock"
        try Scratch.write(
            """
            defaults
              mode http
              timeout client 60s
              timeout server 60s
              timeout connect 60s
            frontend front
              bind unix@\(socket) accept-proxy
              option forwardfor
              http-request set-header X-Forwarded-Proto https
              default_backend sluice
            backend sluice
              server one 127.0.0.1:\(proxy.port())

            """, to: "\(folder)/haproxy.cfg")
        let front = try ChildProcess(["haproxy", "-db", "-f", "\(folder)/haproxy.cfg"])
        defer { front.signal(9) }
        var peer: WebSocketPeer?
        try eventually("HAProxy listens") {
            peer = try? WebSocketPeer.connect(to: .unix(socket))
            return peer != nil
        }
        let client = try #require(peer)
        // What the client itself claims stands in front, where it counts for nothing.
        let claimed = Opening(extra: [(name: "X-Forwarded-For", value: "6.6.6.6")])
        try client.send(Array("PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n".utf8) + claimed.bytes)
        let upstream = try backend.next()
        let request = try upstream.accept()
        #expect(request.all("X-Forwarded-For") == ["6.6.6.6, 192.0.2.7, 127.0.0.1"])
        #expect(request.all("X-Forwarded-Proto") == ["https"])
        #expect(request["Forwarded"]?.hasPrefix("for=192.0.2.7;") == true, "\(request)")
        #expect(try client.readHead().status == 101)
        try client.send(Frame.close(1000).masked())
        _ = try upstream.readFrame()
        try upstream.send(Frame.close(1000))
        upstream.stream.close()
        let line = try proxy.process.waitForLine(containing: "192.0.2.7")
        #expect(line[0].contains(" 192.0.2.7 ") && !line[0].contains("6.6.6.6"), "\(line)")
    }

    @Test func `each request of a connection is somebody else's`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, trusting: "127.0.0.1")
        let client = try proxy.connect()
        var upstream: WebSocketPeer?
        for name in ["192.0.2.1", "192.0.2.2", ""] {
            let line = name.isEmpty ? "" : "X-Forwarded-For: \(name)\r\n"
            try client.send("GET /\(name) HTTP/1.1\r\nHost: localhost\r\n\(line)\r\n")
            let used = try upstream ?? backend.next()
            upstream = used
            let expected = name.isEmpty ? "127.0.0.1" : "\(name), 127.0.0.1"
            #expect(try used.readHead().all("X-Forwarded-For") == [expected])
            try used.send("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try client.readHead().status == 204)
            let logged = name.isEmpty ? "127.0.0.1" : name
            try proxy.process.waitForLines("the line of \(logged)") {
                $0.contains(logged) && $0.contains("204")
            }
        }
    }

    @Test func `limits for one client hold for whom the proxy names`() throws {
        let backend = try ManualBackend()
        let proxy = try started(
            backend.address, trusting: "127.0.0.1", limits: ", limits: { relaysPerClient: 1 }",
            global: "{ connectionsPerClient: 2 }")
        func opening(_ client: String) -> Opening {
            Opening(extra: [(name: "X-Forwarded-For", value: "9.9.9.9, \(client)")])
        }
        // Four connections of the proxy's: it is not counted as one client.
        var held = [try proxy.relay(to: backend, opening("192.0.2.1"))]
        held.append(try proxy.relay(to: backend, opening("192.0.2.2")))
        let refused = try proxy.connect()
        #expect(try refused.refusal(of: opening("192.0.2.1")).status == 429)
        held.append(try proxy.relay(to: backend, opening("192.0.2.3")))
        // The place is given back to the one who had it.
        try held[0].client.send(Frame.close(1000).masked())
        _ = try held[0].upstream.readFrame()
        try held[0].upstream.send(Frame.close(1000))
        held[0].upstream.stream.close()
        held[0].client.stream.close()
        try eventually("the place is free") {
            let client = try proxy.connect()
            try client.send(opening("192.0.2.1").bytes)
            guard try backend.hasPendingConnection(by: .after(.milliseconds(200))) else {
                return false
            }
            _ = try backend.next().accept()
            return try client.readHead().status == 101
        }
    }

    @Test func `a request that became an ordinary one gives its place back`() throws {
        let backend = try ManualBackend()
        let proxy = try started(
            backend.address, trusting: "127.0.0.1", limits: ", limits: { relaysPerClient: 1 }")
        let opening = Opening(extra: [(name: "X-Forwarded-For", value: "192.0.2.1")])
        for _ in 0..<3 {
            try eventually("the place is free") {
                let client = try proxy.connect()
                try client.send(opening.bytes)
                guard try backend.hasPendingConnection(by: .after(.milliseconds(200))) else {
                    return false
                }
                let upstream = try backend.next()
                _ = try upstream.readHead()
                try upstream.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return try client.readHead().status == 404
            }
        }
    }

    @Test func `a balancer's header says whether who it names is trusted`() throws {
        let backend = try ManualBackend()
        let proxy = try started(
            backend.address, trusting: "192.0.2.0/24", proxyProtocol: true)
        for (peer, expected) in [
            ("192.0.2.9", "6.6.6.6, 2001:db8::7, 192.0.2.9"), ("198.51.100.1", "198.51.100.1"),
        ] {
            let client = try proxy.connect()
            try client.send(
                Array("PROXY TCP4 \(peer) 10.0.0.1 4711 443\r\n".utf8)
                    + Opening(extra: Self.said).bytes)
            let request = try backend.next().accept()
            #expect(request.all("X-Forwarded-For") == [expected])
        }
    }

    @Test func `a block with surplus bits is refused with its place`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0", trustedProxies: [10.1.0.0/8] }]
            routes: [{ path: /a, to: "ws://127.0.0.1:9" }]

            """, to: "\(folder)/sluice.yaml")
        let check = try ChildProcess([
            try ProxyFixture.program(), "check", "-c", "\(folder)/sluice.yaml",
        ])
        #expect(try check.waitForExit() == 1)
        let said = (check.output + check.errors).joined(separator: "\n")
        #expect(said.contains("sluice.yaml:1:53: ") && said.contains("10.0.0.0/8"), "\(said)")
    }
}

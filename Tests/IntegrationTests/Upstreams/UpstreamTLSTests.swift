// SPDX-License-Identifier: Apache-2.0
//
// Goal: an app that speaks TLS is served like any other: requests kept alive, WebSockets held and moved, large
// streams, health checks; it is verified, and sessions are taken up again.
// Method: Python's ssl and nginx as apps, foreign clients.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct UpstreamTLSTests {
    @Test func `requests go over one kept connection, which names the host and speaks HTTP 1_1`()
        throws
    {
        let app = try TLSApp()
        // One reactor, which has one pool.
        let sluice = try app.proxied(settings: ["workers: 1"])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        var last: TLSConnectionTold?
        for _ in 0..<5 { last = try client.told() }
        let told = try #require(last)
        #expect(told.version == "TLSv1.3" && told.names == ["localhost"])
        #expect(told.alpn == "http/1.1" && told.connections == 1 && told.requests == 5)
        // Another client's request goes over the same one, also behind the tickets that have come since.
        #expect(try sluice.proxy.connect().told().connections == 1)
        #expect(app.url == "wss://localhost:\(app.port)")
        #expect(try sluice.command(["status"]).output.contains(app.url))
    }

    @Test(arguments: [[], ["--tls12"]])
    func `a WebSocket echoes small and large messages`(version: [String]) throws {
        let app = try TLSApp("good", version)
        let sluice = try app.proxied()
        defer { Scratch.remove(sluice.folder) }
        try PythonPeer.run(
            "echo_client.py", [sluice.proxy.url("/any"), try TestCertificates.shared().authority])
        let peer = try sluice.proxy.open(Opening("/any"))
        for count in [0, 1, 125, 65_536, 3_000_000] {
            let payload = [UInt8]((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
            try peer.send(Frame.binary(payload).masked())
            #expect(try peer.readFrame(by: .after(.seconds(60))).payload == payload)
        }
    }

    @Test(arguments: [[], ["--tls12"]])
    func `sessions are taken up again, each once`(version: [String]) throws {
        let app = try TLSApp("good", version)
        let sluice = try app.proxied(tls: ", minimumVersion: \"1.2\"", ", pool: { max: 0 }")
        defer { Scratch.remove(sluice.folder) }
        var last: TLSConnectionTold?
        for _ in 0..<6 {
            let client = try sluice.proxy.connect()
            last = try client.told()
        }
        let told = try #require(last)
        #expect(told.connections == 6 && told.resumed == 5, "\(told)")
    }

    @Test func `a certificate is shown to an app that asks for one`() throws {
        let folder = try TLSApp.certificates()
        let app = try TLSApp("good", ["--client-ca", "\(folder)/ca.pem"])
        let pair = ", certificate: { chain: \(folder)/client.pem, key: \(folder)/client.key }"
        let sluice = try app.proxied(tls: pair)
        defer { Scratch.remove(sluice.folder) }
        #expect(try sluice.proxy.connect().told().subject == ["client"])
    }

    /// In TLS 1.3 it says so behind the handshake, where the request is already on its way.
    @Test func `an app that misses a certificate of Sluice's says so`() throws {
        let folder = try TLSApp.certificates()
        let server = try ChildProcess([
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", "\(folder)/good.pem",
            "-key", "\(folder)/good.key", "-CAfile", "\(folder)/ca.pem", "-Verify", "1",
            "-verify_return_error",
        ])
        let line = try server.waitForLine(containing: "ACCEPT ")[0]
        let port = try #require(line.split(separator: ":").last)
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [try TLSApp.upstream(["wss://127.0.0.1:\(port)"])])
        defer { Scratch.remove(sluice.folder) }
        let refused = try sluice.proxy.connect().get()
        #expect(refused.status == 502)
        let status = try #require(refused.head["Proxy-Status"])
        #expect(status.contains("error=tls_alert_received; alert-id=116"), "\(status)")
        #expect(refused.text.contains("tls.certificate"), "\(refused.text)")
        let upgrade = try sluice.proxy.connect().refusal(of: Opening("/any"))
        #expect(upgrade.status == 502 && upgrade.text.contains("certificate required"))
        // The same of a server that says who may use a route.
        let guarded = try Operated(
            routes: [
                "{ path: \"/*\", respond: { body: page }, access: { forward: { to: app, path: / } } }"
            ],
            settings: [try TLSApp.upstream(["wss://127.0.0.1:\(port)"])])
        defer { Scratch.remove(guarded.folder) }
        let unasked = try guarded.proxy.connect().get()
        #expect(
            unasked.status == 503 && unasked.text.contains("tls.certificate"), "\(unasked.text)")
    }

    @Test func `a head that is longer than what is sealed at once goes through whole`() throws {
        let app = try TLSApp()
        let sluice = try app.proxied(settings: ["limits: { headBytes: 1MiB }"])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        let long = String(repeating: "a", count: 600_000)
        for _ in 0..<2 {
            try client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: \(long)\r\n\r\n")
            #expect(try client.readResponse(by: .after(.seconds(60))).status == 200)
        }
    }

    @Test func `large bodies go both ways whole, and a body that is cut is told`() throws {
        let app = try TLSApp()
        let sluice = try app.proxied()
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        let body = [UInt8]((0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 11) })
        try client.send(
            Array(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.count)\r\n\r\n".utf8)
                + body)
        let response = try client.readResponse(by: .after(.seconds(60)))
        #expect(response.status == 200 && response.body == body)
        let big = try client.get("/big?5000000", by: .after(.seconds(60)))
        #expect(big.body.count == 5_000_000)
        #expect(try client.get("/open").text == "as far as it goes")
        // Without close_notify nobody knows whether that was all.
        let cut = try sluice.proxy.connect()
        try cut.send("GET /cut HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(throws: PeerError.self) { try cut.readResponse() }
    }

    @Test func `checks of health speak TLS too`() throws {
        let app = try TLSApp()
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [
                try TLSApp.upstream(
                    [app.url, "wss://127.0.0.1:\(app.port)"],
                    ", health: { path: /, every: 100ms, fall: 1 }"
                )
            ])
        defer { Scratch.remove(sluice.folder) }
        try eventually("both are healthy", by: .after(.seconds(60))) {
            let output = try sluice.command(["status"]).output
            return output.split(separator: "\n").filter {
                $0.contains(" ok ") && $0.hasPrefix("wss:")
            }
            .count == 2
        }
        try app.end()
        try sluice.proxy.process.waitForLine(
            containing: "The endpoint \(app.url) of app is unhealthy", by: .after(.seconds(60)))
    }

    @Test func `sockets move to the next process, with both sessions`() throws {
        let app = try TLSApp()
        let sluice = try app.proxied()
        defer { Scratch.remove(sluice.folder) }
        var peers = try (0..<6).map { _ in try sluice.proxy.open(Opening("/any")) }
        func exchange() throws {
            for (index, peer) in peers.enumerated() {
                let payload = [UInt8]((0..<(index * 40_000)).map { UInt8(truncatingIfNeeded: $0) })
                try peer.send(Frame.binary(payload).masked())
                #expect(try peer.readFrame(by: .after(.seconds(60))).payload == payload)
            }
        }
        try exchange()
        var successors: [Int32] = []
        defer { for successor in successors { kill(successor, SIGKILL) } }
        for _ in 0..<3 {
            let report = try MovedSocketsTests.upgrade(sluice)
            successors.append(report.newProcess)
            #expect(report.moved == 6 && report.lost == 0 && report.stayed == 0, "\(report)")
            try exchange()
        }
        let last = peers.removeLast()
        try last.send(Frame.close(1000).masked())
        #expect(try last.readFrame().closeCode == 1000)
    }

    @Test func `sessions leave OpenSSL, and messages pass afterwards`() throws {
        let app = try TLSApp()
        let sluice = try app.proxied()
        defer { Scratch.remove(sluice.folder) }
        let peer = try sluice.proxy.open(Opening("/any"))
        // The client's, and that of the app.
        try eventually("both sessions have left OpenSSL", by: .after(.seconds(30))) {
            let state = try sluice.ask("/state").output
            return state.contains("\"releasedSessions\":2")
                || state.contains("\"releasedSessions\" : 2")
        }
        for count in [1, 200_000] {
            try peer.send(Frame.binary([UInt8](repeating: 7, count: count)).masked())
            #expect(try peer.readFrame().payload.count == count)
        }
    }

    /// Clients without TLS: what the process does by TLS is said and done for the app's sessions as well.
    @Test func `a session with the app leaves OpenSSL and moves where clients speak none`() throws {
        let app = try TLSApp()
        let sluice = try app.proxied(listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let sentence = "TLS: OpenSSL does the handshakes, and "
        try sluice.proxy.process.waitForLine(containing: sentence)
        let check = try ended([
            try ProxyFixture.program(), "check", "-c", sluice.proxy.configurationPath,
        ])
        #expect(check.output.contains("\n" + sentence), "\(check.output)")
        let peer = try sluice.proxy.open(Opening("/any"))
        func exchange() throws {
            for count in [1, 200_000] {
                try peer.send(Frame.binary([UInt8](repeating: 7, count: count)).masked())
                #expect(try peer.readFrame(by: .after(.seconds(60))).payload.count == count)
            }
        }
        try eventually("the session with the app has left OpenSSL", by: .after(.seconds(30))) {
            try sluice.command(["status"]).output.contains("; 1 TLS session has left")
        }
        try exchange()
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1 && report.lost == 0 && report.stayed == 0, "\(report)")
        try exchange()
    }

    @Test func `nginx as an app that speaks TLS`() throws {
        let folder = try TLSApp.certificates()
        let work = try Scratch.makeFolder()
        defer { Scratch.remove(work) }
        let port = try PeerAddress.refusing().port
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "\($0)_temp_path \(work)/\($0);" }.joined(separator: " ")
        let echo = try ScriptedBackend.echo()
        guard case .tcp(let echoPort) = echo.address else { throw PeerError("no port") }
        try Scratch.write(
            """
            daemon off; master_process off; pid \(work)/pid; error_log stderr notice;
            events {}
            http {
                access_log off; \(temporary)
                server {
                    listen 127.0.0.1:\(port) ssl;
                    ssl_certificate \(folder)/good.pem; ssl_certificate_key \(folder)/good.key;
                    ssl_protocols TLSv1.2 TLSv1.3;
                    location /file { return 200 "$ssl_session_reused $ssl_server_name $ssl_protocol"; }
                    location / {
                        proxy_pass http://127.0.0.1:\(echoPort); proxy_http_version 1.1;
                        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                    }
                }
            }
            """, to: "\(work)/nginx.conf")
        let nginx = try ChildProcess(
            ["nginx", "-e", "stderr", "-p", work, "-c", "\(work)/nginx.conf"])
        defer { nginx.signal(SIGKILL) }
        try eventually("nginx listens") {
            (try? WebSocketPeer.connect(to: .tcp(port), security: .plain)) != nil
        }
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [try TLSApp.upstream(["https://localhost:\(port)"], ", pool: { max: 0 }")])
        defer { Scratch.remove(sluice.folder) }
        let texts = try (0..<3).map { _ in try sluice.proxy.connect().get("/file").text }
        #expect(texts == [". localhost TLSv1.3", "r localhost TLSv1.3", "r localhost TLSv1.3"])
        let peer = try sluice.proxy.open(Opening("/Esv/ocp"))
        try peer.send(Frame.text("through nginx").masked())
        #expect(try peer.readFrame().text == "through nginx")
    }

    @Test func `a reload that changes the authority changes whom new connections trust`() throws {
        let folder = try TLSApp.certificates()
        let app = try TLSApp("moved")
        let sluice = try app.proxied()
        defer { Scratch.remove(sluice.folder) }
        #expect(try sluice.proxy.connect().get().status == 502)
        try sluice.rewrite("\(folder)/ca.pem", "\(folder)/next.pem")
        #expect(try sluice.command(["reload"]).status == 0)
        let client = try sluice.proxy.connect()
        #expect(try client.get().status == 200)
        let peer = try sluice.proxy.open(Opening("/any"))
        // Back again: kept connections and sessions are of those who were trusted before.
        try sluice.rewrite("\(folder)/next.pem", "\(folder)/ca.pem")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try client.get().status == 502)
        #expect(try sluice.proxy.connect().get().status == 502)
        // Open sockets stay what they are.
        try peer.send(Frame.text("still here").masked())
        #expect(try peer.readFrame().text == "still here")
        // A file that is none leaves all as it was.
        try sluice.rewrite("\(folder)/ca.pem", "\(folder)/ca.key")
        #expect(try sluice.command(["reload"]).status != 0)
        #expect(try sluice.proxy.connect().get().status == 502)
    }

    @Test func `names, addresses and both schemes beside each other`() throws {
        let app = try TLSApp()
        let other = try TLSApp("other")
        let plain = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain")
        let folder = try TLSApp.certificates()
        let sluice = try Operated(
            routes: [
                "{ path: /address, to: address }", "{ path: /named, to: named }",
                "{ path: /mixed, to: mixed }", "{ path: /unverified, to: unverified }",
            ],
            settings: [
                """
                upstreams:
                  address: { endpoints: ["https://127.0.0.1:\(app.port)"], tls: { ca: \(folder)/ca.pem } }
                  named: { endpoints: ["https://localhost:\(other.port)"], tls: { ca: \(folder)/ca.pem, serverName: app.internal } }
                  mixed: { endpoints: ["\(plain.address)", "\(app.url)"], balance: roundRobin, tls: { ca: \(folder)/ca.pem } }
                  unverified: { endpoints: ["https://localhost:\(other.port)"], tls: { verify: false } }
                """
            ])
        defer { Scratch.remove(sluice.folder) }
        func told(_ path: String) throws -> String {
            let client = try sluice.proxy.connect()
            return try client.get(path).text
        }
        // An address is verified and not asked for (RFC 6066 §3).
        #expect(try told("/address").contains("\"names\": [null]"))
        #expect(try told("/named").contains("\"names\": [\"app.internal\"]"))
        let mixed = try [told("/mixed"), told("/mixed")]
        #expect(mixed.contains("plain") && mixed.contains { $0.contains("TLSv1.3") }, "\(mixed)")
        #expect(try told("/unverified").contains("TLSv1.3"))
        // That nobody looks at certificates is said at the start, and in the status.
        #expect(
            sluice.proxy.process.errors.contains { $0.contains("upstreams.unverified.tls.verify") })
        #expect(try sluice.command(["status"]).output.contains("upstreams.unverified.tls.verify"))
    }
}

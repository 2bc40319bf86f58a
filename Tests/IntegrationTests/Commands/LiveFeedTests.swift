// SPDX-License-Identifier: Apache-2.0
//
// Goal: `/live` says what a running Sluice does, once and each second, to programs and to its own page; nobody else gets
// in, and without the token nothing is changed.
// Method: relays whose messages are known; the admin socket and a loopback address, asked by curl, by commands and by
// WebSocket clients of ours.

import Foundation
import TestKit
import Testing

@Suite struct LiveFeedTests {
    /// A Sluice with a unix socket and a loopback address, and a token.
    private struct Rig {
        let folder: String
        let port: HeldPort
        let proxy: ProxyFixture
        let token = "the-token-of-this-very-test"
        var socket: PeerAddress { .unix("\(folder)/admin.sock") }
        var address: PeerAddress { .tcp(port.number) }

        init(
            _ routes: [String], hasToken: Bool = true, settings: [String] = [], workers: Int? = nil
        ) throws {
            folder = try Scratch.makeFolder()
            port = try HeldPort()
            try Scratch.write(token + "\n", to: "\(folder)/token")
            chmod("\(folder)/token", 0o600)
            let file = hasToken ? ", token: \"\(folder)/token\"" : ""
            proxy = try ProxyFixture(
                routes: routes, listeners: [.plain],
                settings: [
                    "admin: { socket: \(folder)/admin.sock, address: \"127.0.0.1:\(port.number)\"\(file) }"
                ] + settings, workers: workers)
        }

        /// An answer at an address, whose Host is `localhost` with the port.
        func ask(
            _ method: String, _ target: String, at place: PeerAddress? = nil,
            _ fields: [String] = [], body: String = ""
        ) throws -> HTTPResponse {
            let client = try WebSocketPeer.connect(to: place ?? address)
            let lines =
                [
                    "\(method) \(target) HTTP/1.1", "Host: localhost:\(port.number)",
                    "Content-Length: \(body.utf8.count)",
                ] + fields + ["", body]
            try client.send(lines.joined(separator: "\r\n"))
            return try client.readResponse()
        }

        /// A snapshot.
        func live(_ query: String = "") throws -> [String: Any] {
            let answer = try ask("GET", "/live\(query)")
            #expect(answer.status == 200, "\(answer.text)")
            return try LiveFeedTests.object(answer.text)
        }

        /// A dashboard whose opening handshake is done.
        func dashboard(at place: PeerAddress? = nil, _ fields: [(String, String)] = []) throws
            -> WebSocketPeer
        {
            let client = try WebSocketPeer.connect(to: place ?? address)
            let extra = fields.map { (name: $0.0, value: $0.1) }
            try client.open(Opening("/live", host: "localhost:\(port.number)", extra: extra))
            return client
        }

        func command(_ arguments: [String]) throws -> (status: Int32, output: String) {
            try ended([try ProxyFixture.program()] + arguments)
        }
    }

    fileprivate static func object(_ text: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    private func snapshot(_ dashboard: WebSocketPeer) throws -> [String: Any] {
        let frame = try dashboard.readFrame()
        #expect(frame.opcode == 1 && frame.maskKey == nil)
        return try Self.object(frame.text)
    }

    private func list(_ value: Any?) throws -> [[String: Any]] {
        try #require(value as? [[String: Any]])
    }

    private func number(_ value: Any?) throws -> Int { try #require(value as? Int) }

    @Test func `a snapshot says what relays have carried, by route, endpoint and client`() throws {
        let backend = try ManualBackend()
        // One reactor: of two relays of the same millisecond the first comes first.
        let rig = try Rig(
            [
                "{ path: /chat, to: \"\(backend.address)\" }",
                "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
            ], workers: 1)
        defer { Scratch.remove(rig.folder) }
        let first = try rig.live()
        #expect(try number(first["form"]) == 1)
        #expect(first["hasToken"] as? Bool == true && first["isReady"] as? Bool == true)
        #expect(try list(first["relays"]).isEmpty && first["rateSeconds"] == nil)
        let ends = try rig.proxy.relay(to: backend)
        let other = try rig.proxy.relay(to: backend, Opening("/chat"))
        for text in ["one", "two", "three"] { try ends.exchange(text) }
        let now = try rig.live()
        let totals = try #require(now["totals"] as? [String: Any])
        let traffic = try #require(totals["traffic"] as? [String: Any])
        #expect(try number(totals["relays"]) == 2 && number(traffic["relaysOpened"]) == 2)
        for direction in ["up", "down"] {
            #expect(try number(traffic["\(direction)Messages"]) == 3)
            #expect(try number(traffic["\(direction)Bytes"]) == 11)
        }
        let route = try #require(
            try list(now["routes"]).first { $0["name"] as? String == "/Esv/ocp" })
        #expect(try number(route["relays"]) == 1)
        #expect(try number((route["traffic"] as? [String: Any])?["upMessages"]) == 3)
        let endpoint = try #require(
            try list(list(now["upstreams"]).first?["endpoints"]).first)
        #expect(endpoint["label"] as? String == "\(backend.address)")
        #expect(endpoint["state"] as? String == "ok")
        let histograms = try #require(now["histograms"] as? [String: Any])
        let sizes = try #require(histograms["upMessage"] as? [String: Any])
        let (bounds, counts) = (sizes["bounds"] as? [Double], sizes["counts"] as? [Int])
        #expect(counts?.reduce(0, +) == 3 && counts?.count == (bounds?.count ?? 0) + 1)
        let client = try #require(try list(now["clients"]).first)
        #expect(client["client"] as? String == "127.0.0.1")
        #expect(try number(client["relays"]) == 2 && number(client["bytes"]) == 22)
        let listener = try #require(try list(now["listeners"]).first)
        #expect(listener["url"] as? String == "ws://127.0.0.1:\(rig.proxy.port())")
        #expect(try number(listener["connections"]) == 2)

        // Filters, orders and limits are the server's, and find what there is.
        func ids(_ query: String) throws -> (ids: [String], matching: Int) {
            let live = try rig.live(query)
            return (
                try list(live["relays"]).compactMap { $0["route"] as? String },
                try number(live["relaysMatching"])
            )
        }
        #expect(try ids("?filter=/CHAT") == (["/chat"], 1))
        #expect(try ids("?filter=127.0.0.1%20ocp") == (["/Esv/ocp"], 1))
        #expect(try ids("?filter=nowhere") == ([], 0))
        #expect(try ids("?sort=bytes") == (["/Esv/ocp", "/chat"], 2))
        #expect(try ids("?sort=oldest&limit=1") == (["/Esv/ocp"], 2))
        #expect(try ids("?limit=0") == ([], 2))
        #expect(try ids("?filter=h1").matching == 2)
        withExtendedLifetime(other) {}
    }

    @Test(arguments: [
        "?sort=prettiest", "?sort=", "?limit=1001", "?limit=-1", "?limit=many", "?filter=",
        "?filter=\(String(repeating: "f", count: 257))", "?limit=1&limit=2", "?route=/chat",
    ])
    func `a query that is not understood is refused`(query: String) throws {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"])
        defer { Scratch.remove(rig.folder) }
        #expect(try rig.ask("GET", "/live\(query)").status == 400)
        #expect(try rig.ask("POST", "/live", at: rig.socket).status == 405)
    }

    @Test func `a dashboard has a snapshot each second, of what it asks for`() throws {
        let backend = try ManualBackend()
        let rig = try Rig([
            "{ path: /chat, to: \"\(backend.address)\" }",
            "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
        ])
        defer { Scratch.remove(rig.folder) }
        let ends = try rig.proxy.relay(to: backend)
        let chat = try rig.proxy.relay(to: backend, Opening("/chat"))
        let page = [("Origin", "http://localhost:\(rig.port.number)")]
        for dashboard in [try rig.dashboard(page), try rig.dashboard(at: rig.socket)] {
            #expect(try number(snapshot(dashboard)["relaysMatching"]) == 2)
            try dashboard.send(Frame.text("{\"filter\":\"chat\",\"limit\":5}").masked())
            try eventually("the filter holds") {
                try number(snapshot(dashboard)["relaysMatching"]) == 1
            }
            // Rates are over what was between two looks.
            try eventually("there are rates") { try snapshot(dashboard)["rateSeconds"] != nil }
            try ends.exchange("hello")
            try dashboard.send(Frame.close(1000).masked())
            var last: Frame?
            while let frame = try dashboard.readFrameOrEnd() { last = frame }
            #expect(last?.closeCode == 1000)
        }
        try eventually("the thread has gone with the last dashboard") {
            try !threadNames(of: rig.proxy).contains("sluice-live")
        }
        withExtendedLifetime(chat) {}
    }

    @Test func `another page and a rebound name get no feed, and a wrong handshake none either`()
        throws
    {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"])
        defer { Scratch.remove(rig.folder) }
        let own = Opening("/live", host: "localhost:\(rig.port.number)")
        func status(_ opening: Opening, early: [UInt8] = []) throws -> Int {
            let client = try WebSocketPeer.connect(to: rig.address)
            try client.send(opening.bytes + early)
            return try client.readResponse().status
        }
        #expect(try status(own.with("Origin", "http://localhost:3000")) == 403)
        #expect(try status(own.with("Origin", "http://evil.example")) == 403)
        #expect(try status(own.with("Host", "evil.example:\(rig.port.number)")) == 403)
        #expect(
            try status(
                own.with("Host", "evil.example").with("Origin", "http://evil.example")) == 403)
        #expect(try status(own.with("Sec-Fetch-Site", "cross-site")) == 403)
        #expect(try status(own.with("Sec-WebSocket-Version", "8")) == 426)
        #expect(try status(own.with("Sec-WebSocket-Key", "short")) == 400)
        #expect(try status(own.with(target: "/live?filter=x")) == 400)
        #expect(try status(own, early: Frame.text("{}").masked().bytes) == 400)
        // Elsewhere there is no WebSocket: the question is answered as any other.
        #expect(try status(own.with(target: "/state")) == 200)
    }

    @Test func `there are so many dashboards at most, and one that goes makes room`() throws {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"])
        defer { Scratch.remove(rig.folder) }
        var dashboards = try (0..<16).map { _ in try rig.dashboard() }
        let opening = Opening("/live", host: "localhost:\(rig.port.number)")
        let refused = try WebSocketPeer.connect(to: rig.address).refusal(of: opening)
        #expect(refused.status == 503 && refused.text.contains("16 dashboards"))
        // The others are answered as ever.
        #expect(try rig.ask("GET", "/healthz").text == "ok\n")
        for dashboard in dashboards { #expect(try number(snapshot(dashboard)["form"]) == 1) }
        dashboards.removeLast().stream.close()
        try eventually("there is a place") {
            let client = try WebSocketPeer.connect(to: rig.address)
            try client.send(opening.bytes)
            return try client.readHead().status == 101
        }
    }

    @Test func `with a token nobody changes anything at the address without it`() throws {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"])
        defer { Scratch.remove(rig.folder) }
        let right = "Authorization: Bearer \(rig.token)"
        for target in ["/reload", "/token", "/relays/0-0-0/close", "/drain", "/upgrade"] {
            let refused = try rig.ask("POST", target)
            #expect(
                refused.status == 401
                    && refused.head["WWW-Authenticate"] == "Bearer realm=\"sluice\"")
            #expect(
                try rig.ask("POST", target, ["Authorization: Bearer \(rig.token)x"]).status == 401)
            // Nor by its name in a URL, where it would stand in logs.
            #expect(try rig.ask("POST", "\(target)?token=\(rig.token)").status == 401)
        }
        let page = "Origin: http://localhost:\(rig.port.number)"
        #expect(try rig.ask("POST", "/token", [right, page]).status == 200)
        #expect(try rig.ask("POST", "/reload", [right, page]).status == 200)
        #expect(
            try rig.ask("POST", "/reload", [right, "Origin: http://localhost:3000"]).status == 403)
        #expect(try rig.ask("POST", "/reload", [right, "Sec-Fetch-Site: same-site"]).status == 403)
        // Whoever may open the unix socket may stop the process anyway.
        #expect(try rig.ask("POST", "/reload", at: rig.socket).status == 200)
        // Commands bring it along.
        let place = ["--admin", "\(rig.port.number)"]
        #expect(try rig.command(["status"] + place).status == 0)
        let refused = try rig.command(["reload"] + place)
        #expect(
            refused.status == 1 && refused.output.contains("--admin-token"), "\(refused.output)")
        let file = ["--admin-token", "\(rig.folder)/token"]
        let done = try rig.command(["reload"] + place + file)
        #expect(done.status == 0 && done.output.contains("generation 4"), "\(done.output)")
        let missing = try rig.command(["reload"] + place + ["--admin-token", "\(rig.folder)/none"])
        #expect(missing.status == 1 && missing.output.contains("no such file"), "\(missing.output)")
        #expect(try rig.proxy.terminate() == 0)
        let said = rig.proxy.process.output + rig.proxy.process.errors
        #expect(!said.contains { $0.contains(rig.token) })
    }

    @Test func `without a token programs change things as before, and the page does not`() throws {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"], hasToken: false)
        defer { Scratch.remove(rig.folder) }
        #expect(try rig.ask("POST", "/reload").status == 200)
        #expect(try rig.live()["hasToken"] as? Bool == false)
        let refused = try rig.ask(
            "POST", "/reload", ["Origin: http://localhost:\(rig.port.number)"])
        #expect(refused.status == 403 && refused.text.contains("admin.token"))
    }

    @Test(arguments: [
        ("", "it is empty"), ("short", "it has 5 bytes"),
        ("two words that are long", "it is more than one word"),
        (nil, "there is no such file"),
    ])
    func `a token that can't be used is found at the start`(text: String?, words: String) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        if let text { try Scratch.write(text, to: "\(folder)/token") }
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /*, respond: { body: hello } }]
            admin: { address: "127.0.0.1:0", token: ./token }

            """, to: "\(folder)/sluice.yaml")
        let checked = try ended([
            try ProxyFixture.program(), "check", "-c", "\(folder)/sluice.yaml",
        ])
        #expect(checked.status == 1, "\(checked.output)")
        #expect(checked.output.contains("sluice.yaml:3:"), "\(checked.output)")
        #expect(
            checked.output.contains("admin.token: '\(folder)/token': \(words)"), "\(checked.output)"
        )
    }

    @Test func `a token that others can read, or that is asked for nowhere, is warned of`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("a-token-that-all-can-read", to: "\(folder)/token")
        chmod("\(folder)/token", 0o644)
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /*, respond: { body: hello } }]
            admin: { token: ./token }

            """, to: "\(folder)/sluice.yaml")
        let checked = try ended([
            try ProxyFixture.program(), "check", "-c", "\(folder)/sluice.yaml",
        ])
        #expect(checked.status == 0, "\(checked.output)")
        #expect(checked.output.contains("others can read '\(folder)/token'"), "\(checked.output)")
        #expect(checked.output.contains("admin.token is asked for at admin.address alone"))
        #expect(!checked.output.contains("a-token-that-all-can-read"))
    }

    @Test func `the page is whole, and may do nothing but what it needs`() throws {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"])
        defer { Scratch.remove(rig.folder) }
        let pages = try (0..<2).map { _ in try rig.ask("GET", "/") }
        for page in pages {
            #expect(page.status == 200 && page.head["Content-Type"] == "text/html; charset=utf-8")
            let policy = try #require(page.head["Content-Security-Policy"])
            #expect(policy.hasPrefix("default-src 'none'; script-src 'nonce-"))
            #expect(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"))
            #expect(page.head["X-Frame-Options"] == "DENY")
            #expect(page.head["X-Content-Type-Options"] == "nosniff")
            #expect(page.head["Cache-Control"] == "no-store")
            let nonce = try #require(policy.firstMatch(of: #/nonce-([^']+)/#)).1
            #expect(page.text.contains("<script nonce=\"\(nonce)\">"))
            #expect(!page.text.contains("@NONCE@") && !page.text.contains(rig.token))
            // Nothing is fetched from elsewhere, nor from here.
            #expect(page.text.firstMatch(of: #/https?://|src=|url\(|@import/#) == nil)
            #expect(page.text.hasSuffix("</html>\n"))
        }
        #expect(
            pages[0].head["Content-Security-Policy"] != pages[1].head["Content-Security-Policy"])
        let asking = try WebSocketPeer.connect(to: rig.address)
        try asking.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try asking.readHead().status == 200)
        #expect(try asking.expectEnd() == .orderly)
        #expect(try rig.ask("POST", "/", at: rig.socket).status == 405)
    }

    @Test func `a dashboard is told to come again when Sluice stops`() throws {
        let rig = try Rig(["{ path: /*, respond: { body: hello } }"])
        defer { Scratch.remove(rig.folder) }
        let dashboard = try rig.dashboard()
        #expect(try number(snapshot(dashboard)["form"]) == 1)
        rig.proxy.process.signal(SIGTERM)
        var last: Frame?
        while let frame = try dashboard.readFrameOrEnd() { last = frame }
        #expect(last?.closeCode == 1012)
        #expect(try rig.proxy.process.waitForExit() == 0)
    }
}

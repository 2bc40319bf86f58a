// SPDX-License-Identifier: Apache-2.0
//
// Goal: a request reaches an endpoint that lives, by TCP or unix socket, and routes are told apart
// by host and path.
// Method: several backends that know their own name; dead endpoints among them.

import TestKit
import Testing

@Suite struct UpstreamChoiceTests {
    /// A backend that greets with its name and then echoes.
    private func backend(_ name: String, at address: PeerAddress = .tcp(0)) throws
        -> ScriptedBackend
    {
        try ScriptedBackend(at: address) { peer in
            try peer.accept(early: Frame.text(name).bytes)
            try peer.echo()
        }
    }

    private func start(_ endpoints: [PeerAddress], _ more: String = "") throws -> ProxyFixture {
        let list = endpoints.map { "\"\($0)\"" }.joined(separator: ", ")
        return try ProxyFixture(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: ["upstreams:", "  app: { endpoints: [\(list)]\(more) }"], workers: 1)
    }

    private func greeting(_ proxy: ProxyFixture, _ opening: Opening = Opening()) throws -> String {
        try proxy.open(opening).readFrame().text
    }

    @Test func `a dead endpoint is passed over`() throws {
        let alive = try backend("alive")
        let proxy = try start([.refusing(), alive.address, .refusing()])
        for _ in 0..<6 { #expect(try greeting(proxy) == "alive") }
    }

    @Test func `an endpoint that can't be reached leaves time for the next`() throws {
        let (alive, unreachable) = (try backend("alive"), try UnreachableBackend())
        let list = "\"\(unreachable.address)\", \"\(alive.address)\""
        let proxy = try ProxyFixture(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams:", "  app: { endpoints: [\(list)] }", "timeouts: { connect: 2s }",
            ])
        for _ in 0..<3 { #expect(try greeting(proxy) == "alive") }
        withExtendedLifetime(unreachable) {}
    }

    @Test func `with all endpoints dead the client gets 502`() throws {
        let proxy = try start([.refusing(), .refusing()])
        let client = try proxy.connect()
        try expectRefusal(try client.refusal(of: Opening()), 502, on: client)
    }

    @Test func `an endpoint that is down is failing until it is reached, and status says of what`()
        throws
    {
        let dead = try PeerAddress.refusing()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams:",
                "  app: { endpoints: [\"\(dead)\"], cooldown: 1ms, cooldownMax: 1ms }",
            ])
        defer { Scratch.remove(sluice.folder) }
        let before = try sluice.command(["status"]).output
        #expect(!before.contains("failing") && !before.contains("LAST ERROR"), "\(before)")
        let client = try sluice.proxy.connect()
        try expectRefusal(try client.refusal(of: Opening()), 502, on: client)
        // The cool-down is over long before another program has asked.
        let status = try sluice.command(["status"]).output
        #expect(status.contains("LAST ERROR"), "\(status)")
        let line = try #require(status.split(separator: "\n").first { $0.contains("\(dead)  app") })
        #expect(line.contains(" failing ") && line.contains("Connection refused"), "\(line)")
        let json = try sluice.command(["status", "--json"]).output
        #expect(json.contains("\"state\" : \"failing\""), "\(json)")
        #expect(json.contains("\"lastErrorTime\" : \"2"), "\(json)")
    }

    /// A backend that reads the request, says `words` of an answer and ends, orderly or by a reset.
    private func hangingUp(_ words: String = "", byReset: Bool = false) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(words)
            if byReset { peer.stream.reset() }
        }
    }

    @Test(arguments: [true, false])
    func `an upgrade that an endpoint hangs up on unanswered is asked of another`(
        byReset: Bool
    ) throws {
        let (dying, alive) = (try hangingUp(byReset: byReset), try backend("alive"))
        let proxy = try start([dying.address, alive.address], ", balance: roundRobin")
        for _ in 0..<6 {
            // What the client sends before it is answered goes to the one that serves.
            let client = try proxy.connect()
            try client.send(Opening().bytes + Frame.text("early").masked().bytes)
            #expect(try client.readHead().status == 101)
            #expect(try client.readFrame().text == "alive")
            #expect(try client.readFrame().text == "early")
        }
        #expect(dying.connectionCount > 0)
        let request = String(decoding: dying.received(), as: UTF8.self)
        #expect(request.hasPrefix("GET /Esv/ocp HTTP/1.1\r\n") && request.hasSuffix("\r\n\r\n"))
    }

    @Test func `where all hang up, each is asked once and the client gets 502`() throws {
        let endpoints = try (0..<3).map { _ in try hangingUp() }
        let proxy = try start(endpoints.map(\.address), ", balance: roundRobin")
        let client = try proxy.connect()
        try expectRefusal(try client.refusal(of: Opening()), 502, on: client)
        #expect(endpoints.map(\.connectionCount) == [1, 1, 1])
    }

    @Test(arguments: ["HTTP/1.1 1", "HTTP/1.1 103 Early Hints\r\n\r\n"])
    func `an upgrade whose answer has begun is asked of nobody else`(words: String) throws {
        let (dying, other) = (try hangingUp(words), try hangingUp(words))
        let proxy = try start([dying.address, other.address], ", balance: roundRobin")
        let client = try proxy.connect()
        try expectRefusal(try client.refusal(of: Opening()), 502, on: client)
        #expect(dying.connectionCount + other.connectionCount == 1)
    }

    @Test func `connections go round`() throws {
        let (first, second) = (try backend("first"), try backend("second"))
        let proxy = try start([first.address, second.address], ", balance: roundRobin")
        let greetings = try (0..<4).map { _ in try greeting(proxy) }
        #expect(greetings.filter { $0 == "first" }.count == 2, "\(greetings)")
    }

    @Test func `the endpoint with the fewest relays is chosen`() throws {
        let (first, second) = (try backend("first"), try backend("second"))
        let proxy = try start([first.address, second.address], ", balance: leastConnections")
        let clients = try (0..<4).map { _ in try proxy.open() }
        let names = try clients.map { try $0.readFrame().text }
        #expect(names.filter { $0 == "first" }.count == 2, "\(names)")
    }

    @Test func `a unix socket serves as upstream`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let app = try backend("unix", at: .unix("\(folder)/app.sock"))
        let proxy = try ProxyFixture(to: app.address)
        let client = try proxy.open()
        #expect(try client.readFrame().text == "unix")
        try client.send(Frame.text("over a file").masked())
        #expect(try client.readFrame().text == "over a file")
    }

    @Test func `a name is resolved`() throws {
        let app = try backend("named")
        let proxy = try ProxyFixture(
            routes: ["{ path: /Esv/ocp, to: \"ws://localhost:\(app.address.port)\" }"])
        #expect(try greeting(proxy) == "named")
    }

    @Test func `host and path choose the route`() throws {
        let names = ["exact", "prefix", "longer", "host", "wildcard"]
        let backends = try names.map { try backend($0) }
        func to(_ index: Int) -> String { "to: \"\(backends[index].address)\"" }
        let proxy = try ProxyFixture(routes: [
            "{ path: /chat, \(to(0)) }",
            "{ path: /chat/*, \(to(1)) }",
            "{ path: /chat/rooms/*, \(to(2)) }",
            "{ path: /chat, host: api.example, \(to(3)) }",
            "{ path: /chat, host: \"*.example\", \(to(4)) }",
        ])
        #expect(try greeting(proxy, Opening("/chat")) == "exact")
        #expect(try greeting(proxy, Opening("/chat/a")) == "prefix")
        #expect(try greeting(proxy, Opening("/chat/rooms/a")) == "longer")
        #expect(try greeting(proxy, Opening("/chat/roomsa")) == "prefix")
        #expect(try greeting(proxy, Opening("/chat", host: "API.example:8443")) == "host")
        #expect(try greeting(proxy, Opening("/chat", host: "b.example")) == "wildcard")
        #expect(try greeting(proxy, Opening("/chat/a", host: "b.example")) == "prefix")
    }
}

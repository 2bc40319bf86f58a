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

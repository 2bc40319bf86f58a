// SPDX-License-Identifier: Apache-2.0
//
// Goal: names are followed as DNS changes: addresses, services whose endpoints come and go, an outage
// that takes nothing away; and nothing that stays is touched by it.
// Method: a real DNS server with short times to live, changed, ended and started again; the program's
// own status says what names stand for.

import Glibc
import TestKit
import Testing

@Suite struct NamesTests {
    private static func started(
        _ server: NameServer, routes: [String], _ upstreams: [String] = [], more: [String] = []
    ) throws -> Operated {
        try Operated(
            routes: routes,
            settings: ["resolver: { servers: [\"\(server.address)\"] }"]
                + (upstreams.isEmpty ? [] : ["upstreams:"] + upstreams.map { "  \($0)" }) + more)
    }

    private static func port(_ backend: ManualBackend) throws -> UInt16 {
        guard case .tcp(let port) = backend.address else { throw PeerError("no port") }
        return port
    }

    /// The words that a line of `sluice status` which begins with `start` holds; empty without one.
    private static func line(_ start: String, _ sluice: Operated) throws -> [String] {
        let status = try sluice.command(["status"])
        #expect(status.status == 0, "\(status.output)")
        let line = status.output.split(separator: "\n").first { $0.hasPrefix(start) }
        return line?.split(separator: " ").map(String.init) ?? []
    }

    private func exchange(_ text: String, over ends: RelayEnds) throws {
        try ends.client.send(Frame.text(text).masked())
        #expect(try ends.upstream.readFrame().text == text)
        try ends.upstream.send(Frame.text(text))
        #expect(try ends.client.readFrame().text == text)
    }

    @Test func `a name moves with its record, and an outage of DNS takes nothing away`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let port = try Self.port(backend)
        try server.start(hosts: ["app.test": ["127.0.0.1"]])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: \"ws://app.test:\(port)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.relay(to: backend)
        let label = "ws://app.test:\(port)"
        #expect(try Self.line(label, sluice).last == "127.0.0.1:\(port)")

        try server.start(hosts: ["app.test": ["127.0.0.9"]])
        try eventually("the name has moved") {
            try Self.line(label, sluice).last == "127.0.0.9:\(port)"
        }
        try exchange("still here", over: live)

        try server.stop()
        try sluice.proxy.process.waitForLine(
            containing: "The upstream \(label): app.test cannot be resolved:")
        #expect(try Self.line(label, sluice).last == "127.0.0.9:\(port)")
        // As long as nobody answers it is said once.
        #expect(
            (sluice.proxy.process.errors).count { $0.contains("cannot be resolved") } == 1)

        try server.start(hosts: ["app.test": ["127.0.0.1"]])
        try sluice.proxy.process.waitForLine(containing: "\(label): app.test resolves again.")
        try eventually("the name is back") {
            try Self.line(label, sluice).last == "127.0.0.1:\(port)"
        }
        try exchange("back", over: try sluice.proxy.relay(to: backend))
        try exchange("still here", over: live)
    }

    @Test func `endpoints of a service join and leave, and those that stay are not touched`() throws
    {
        let server = try NameServer()
        let (first, second) = (try ManualBackend(), try ManualBackend())
        let (one, two) = (try Self.port(first), try Self.port(second))
        let service = "_ws._tcp.app.test"
        let hosts = ["a.test": ["127.0.0.1"]]
        try server.start(hosts: hosts, services: ["\(service),a.test,\(one),1,1"])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"srv:\(service)\"] }"])
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.relay(to: first)
        #expect(try Self.line("ws://a.test:\(one)", sluice).dropFirst().first == "app")
        #expect(try Self.line("srv:", sluice).isEmpty)

        try server.start(
            hosts: hosts,
            services: ["\(service),a.test,\(one),1,1", "\(service),a.test,\(two),1,1"])
        try eventually("the second has joined") {
            try !Self.line("ws://a.test:\(two)", sluice).isEmpty
        }
        #expect(try Self.line("ws://a.test:\(one)", sluice)[2] == "1", "its relay is counted")
        // The one with fewer relays is next.
        try exchange("second", over: try sluice.proxy.relay(to: second))

        try server.start(hosts: hosts, services: ["\(service),a.test,\(two),1,1"])
        try eventually("the first has left") {
            try Self.line("ws://a.test:\(one)", sluice).isEmpty
        }
        try exchange("still here", over: live)
        let others = try (0..<3).map { _ in try sluice.proxy.relay(to: second) }
        for ends in others { try exchange("second", over: ends) }
        try eventually("three are counted") {
            try Self.line("ws://a.test:\(two)", sluice)[2] == "3"
        }

        try server.stop()
        try sluice.proxy.process.waitForLine(containing: "srv:\(service) cannot be resolved:")
        try exchange("second", over: try sluice.proxy.relay(to: second))
        // A reload in an outage keeps them too, and so does one that changes something else.
        try sluice.rewrite("/Esv/ocp", "/Esv/*")
        #expect(try sluice.command(["reload"]).status == 0)
        try exchange("reloaded", over: try sluice.proxy.relay(to: second))
        try exchange("still here", over: live)
    }

    @Test func `a service unknown at the start is served once it is known`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let sluice = try Self.started(
            server,
            routes: ["{ path: /Esv/ocp, to: \"srv:_ws._tcp.app.test\" }"])
        defer { Scratch.remove(sluice.folder) }
        let refused = try sluice.proxy.connect()
        try refused.send(Opening().bytes)
        let answer = try refused.readResponse()
        #expect(answer.status == 502)
        #expect(answer.head["Proxy-Status"]?.contains("dns_error") == true)
        #expect(try Self.line("srv:_ws._tcp.app.test", sluice).contains("unresolved"))
        try server.start(
            hosts: ["a.test": ["127.0.0.1"]],
            services: ["_ws._tcp.app.test,a.test,\(try Self.port(backend)),1,1"])
        try eventually("the endpoint is there", by: .after(.seconds(60))) {
            try Self.line("srv:", sluice).isEmpty
        }
        try exchange("served", over: try sluice.proxy.relay(to: backend))
    }

    @Test func `later priorities serve while no earlier one does, and not when it is back`() throws
    {
        let server = try NameServer()
        let (first, second) = (try ManualBackend(), try ManualBackend())
        let service = "_ws._tcp.app.test"
        try server.start(
            hosts: ["a.test": ["127.0.0.1"]],
            services: [
                "\(service),a.test,\(try Self.port(first)),20,1",
                "\(service),a.test,\(try Self.port(second)),10,1",
            ])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"srv:\(service)\"], balance: roundRobin }"])
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<3 { try exchange("second", over: try sluice.proxy.relay(to: second)) }
        let live = try sluice.proxy.relay(to: second)
        let endpoint = "ws://a.test:\(try Self.port(second))"
        #expect(
            try sluice.command(["drain", "--endpoint", endpoint, "--background", "--spread", "0s"])
                .status == 0)
        for _ in 0..<3 { try exchange("first", over: try sluice.proxy.relay(to: first)) }
        #expect(try live.client.readFrame().closeCode == 1001)
        #expect(try sluice.command(["drain", "--endpoint", endpoint, "--resume"]).status == 0)
        for _ in 0..<3 { try exchange("second", over: try sluice.proxy.relay(to: second)) }
        #expect(try !first.hasPendingConnection(by: .after(.milliseconds(50))))
    }

    @Test func `a reload that fails while the server is gone forgets no name`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        try server.start(
            hosts: ["a.test": ["127.0.0.1"]],
            services: ["_ws._tcp.app.test,a.test,\(try Self.port(backend)),1,1"])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: \"srv:_ws._tcp.app.test\" }"])
        defer { Scratch.remove(sluice.folder) }
        try server.stop()
        // Other names, and an address that is taken: it fails when all names have been asked for.
        let taken = try ManualBackend()
        let text = try Scratch.read(sluice.proxy.configurationPath)
        try sluice.rewrite("srv:_ws._tcp.app.test", "ws://other.test:1")
        try sluice.rewrite(
            "listen:", "listen:\n  - { address: \"127.0.0.1:\(try Self.port(taken))\" }")
        #expect(try sluice.command(["reload"]).status == 1)
        try exchange("still known", over: try sluice.proxy.relay(to: backend))
        try Scratch.write(text, to: sluice.proxy.configurationPath)
        #expect(try sluice.command(["reload"]).status == 0)
        try exchange("still known", over: try sluice.proxy.relay(to: backend))
    }

    @Test func `where the first priority refuses, the next is tried at once`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let closed = try HeldPort()
        try server.start(
            hosts: ["a.test": ["127.0.0.1"]],
            services: [
                "_ws._tcp.app.test,a.test,\(closed.number),1,1",
                "_ws._tcp.app.test,a.test,\(try Self.port(backend)),2,1",
            ])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: \"srv:_ws._tcp.app.test\" }"])
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<3 { try exchange("served", over: try sluice.proxy.relay(to: backend)) }
    }

    @Test func `weights are shares`() throws {
        let server = try NameServer()
        let (light, heavy) = (try ScriptedBackend.echo(), try ScriptedBackend.echo())
        try server.start(
            hosts: ["a.test": ["127.0.0.1"]],
            services: [
                "_ws._tcp.app.test,a.test,\(light.address.port),1,10",
                "_ws._tcp.app.test,a.test,\(heavy.address.port),1,30",
            ])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"srv:_ws._tcp.app.test\"] }"])
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<20).map { _ in try sluice.proxy.open() }
        #expect(light.connectionCount == 5)
        #expect(heavy.connectionCount == 15)
        withExtendedLifetime(clients) {}
    }

    @Test func `each address is an endpoint where that is asked for`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let port = try Self.port(backend)
        try server.start(hosts: ["app.test": ["127.0.0.1", "127.0.0.7"]])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"ws://app.test:\(port)\"], resolve: each }"])
        defer { Scratch.remove(sluice.folder) }
        #expect(try !Self.line("ws://127.0.0.1:\(port)", sluice).isEmpty)
        #expect(try !Self.line("ws://127.0.0.7:\(port)", sluice).isEmpty)
        #expect(try Self.line("ws://app.test", sluice).isEmpty)
        let live = try sluice.proxy.relay(to: backend)
        try server.start(hosts: ["app.test": ["127.0.0.1"]])
        try eventually("the other address is gone") {
            try Self.line("ws://127.0.0.7:\(port)", sluice).isEmpty
        }
        #expect(try Self.line("ws://127.0.0.1:\(port)", sluice)[2] == "1")
        try exchange("still here", over: live)

        // The one that is left goes too; its relay is ended on purpose, by the name that it had.
        try server.start(hosts: ["app.test": ["127.0.0.7"]])
        try eventually("the first address is gone") {
            try Self.line("ws://127.0.0.1:\(port)", sluice).isEmpty
        }
        try exchange("still here", over: live)
        let unknown = try sluice.command(["drain", "--endpoint", "ws://127.0.0.9:1"])
        #expect(unknown.status == 1 && unknown.output.contains("There is no endpoint"))
        let drain = try sluice.command(
            ["drain", "--endpoint", "127.0.0.1:\(port)", "--background", "--spread", "0s"])
        #expect(drain.status == 0, "\(drain.output)")
        #expect(try live.client.readFrame().closeCode == 1001)
        #expect(try live.upstream.readFrame().closeCode == 1001)
    }

    @Test func `hosts files are read where servers are told too`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let sluice = try Self.started(
            server,
            routes: ["{ path: /Esv/ocp, to: \"ws://localhost:\(try Self.port(backend))\" }"])
        defer { Scratch.remove(sluice.folder) }
        try exchange("here", over: try sluice.proxy.relay(to: backend))
    }
}

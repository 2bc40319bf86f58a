// SPDX-License-Identifier: Apache-2.0
//
// Goal: names are followed as DNS changes: addresses, services whose endpoints come and go, an outage
// that takes nothing away; and nothing that stays is touched by it.
// Method: a real DNS server with short times to live, changed, ended and started again; the program's
// own status says what names stand for.

import Foundation
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

    private static let service = "_ws._tcp.app.test"

    /// Has the server name these as the endpoints of the service, all on one host (RFC 2782).
    private static func serve(
        _ server: NameServer, _ records: [(port: UInt16, priority: Int, weight: Int)]
    ) throws {
        try server.start(
            hosts: ["a.test": ["127.0.0.1"]],
            services: records.map {
                "\(service),a.test,\($0.port),\($0.priority),\($0.weight)"
            })
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

    /// How many are active at an endpoint, and its state.
    private static func state(_ label: String, _ sluice: Operated) throws -> [String] {
        Array(try line(label, sluice).dropFirst(2).prefix(2))
    }

    private static func port(of app: ChildProcess) throws -> UInt16 {
        let line = try app.waitForLine(containing: "listening ")[0]
        return try #require(line.split(separator: ":").last.flatMap { UInt16($0) })
    }

    /// A port of 127.0.0.1 that nobody can listen at as long as this lives, and that refuses connections.
    private final class BoundSocket {
        private let descriptor: Int32

        /// Nil where somebody has the port.
        init?(port: UInt16) {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result != 0 { return nil }
        }

        deinit { close(descriptor) }
    }

    @Test
    func `an app at ::1 alone is reached by localhost where the hosts file knows 127.0.0.1 alone`()
        throws
    {
        var app = try ChildProcess([try ProxyFixture.program(), "echo", "--listen", "[::1]:0"])
        var port = try Self.port(of: app)
        // Nobody else may listen at that port of 127.0.0.1 meanwhile.
        var holder = BoundSocket(port: port)
        while holder == nil {
            app = try ChildProcess([try ProxyFixture.program(), "echo", "--listen", "[::1]:0"])
            port = try Self.port(of: app)
            holder = BoundSocket(port: port)
        }
        defer { withExtendedLifetime(holder) {} }
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("127.0.0.1 localhost\n", to: "\(folder)/hosts")
        // Only the program sees that file.
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /plain, rewrite: /, to: \"ws://localhost:\(port)\" }",
                "{ path: /below, rewrite: /, to: \"ws://app.localhost:\(port)\" }",
            ], listeners: [.plain],
            wrapper: [
                "unshare", getuid() == 0 ? "-m" : "-rm", "sh", "-c",
                "mount --bind \(folder)/hosts /etc/hosts && exec \"$@\"", "sh",
            ])
        for path in ["/plain", "/below"] {
            let client = try proxy.open(Opening(path))
            try client.send(Frame.text("hello").masked())
            #expect(try client.readFrame().text == "hello")
        }
        #expect(proxy.count(of: "fails:") == 0)
        // In quick mode too, where a port alone was given.
        let quick = try ProxyFixture(arguments: ["\(port)", "--listen", "127.0.0.1:0"])
        let files = FileManager.default.enumerator(atPath: quick.folder)?.allObjects ?? []
        let authority = try #require(
            files.compactMap { $0 as? String }.first { $0.hasSuffix("ca.pem") })
        let client = try quick.connect(security: .tls(authority: "\(quick.folder)/\(authority)"))
        try client.open(Opening("/"))
        // The check of the app and the doctor look where the relay goes.
        let wrapper = [
            "unshare", getuid() == 0 ? "-m" : "-rm", "sh", "-c",
            "mount --bind \(folder)/hosts /etc/hosts && exec \"$@\"", "sh",
            try ProxyFixture.program(),
        ]
        let checked = try ChildProcess(
            wrapper + ["\(port)", "--listen", "127.0.0.1:0"],
            environment: ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data", "TMPDIR": folder])
        try checked.waitForLine(containing: "takes a WebSocket at / and answers a ping")
        #expect(!checked.output.contains { $0.contains("nothing listens") }, "\(checked.output)")
        // 14: programs that ask the system get the address where nobody listens.
        let said = try ended(wrapper + ["doctor", "\(port)"])
        #expect(said.status == 14, "\(said.output)")
        #expect(said.output.contains("localhost is 127.0.0.1, ::1"), "\(said.output)")
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
        try live.exchange("still here")

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
        try sluice.proxy.relay(to: backend).exchange("back")
        try live.exchange("still here")
    }

    @Test func `endpoints of a service join and leave, and those that stay are not touched`() throws
    {
        let server = try NameServer()
        let (first, second) = (try ManualBackend(), try ManualBackend())
        let (one, two) = (try Self.port(first), try Self.port(second))
        try Self.serve(server, [(one, 1, 1)])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"srv:\(Self.service)\"] }"])
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.relay(to: first)
        #expect(try Self.line("ws://a.test:\(one)", sluice).dropFirst().first == "app")
        #expect(try Self.line("srv:", sluice).isEmpty)

        try Self.serve(server, [(one, 1, 1), (two, 1, 1)])
        try eventually("the second has joined") {
            try !Self.line("ws://a.test:\(two)", sluice).isEmpty
        }
        #expect(try Self.line("ws://a.test:\(one)", sluice)[2] == "1", "its relay is counted")
        // The one with fewer relays is next.
        try sluice.proxy.relay(to: second).exchange("second")

        try Self.serve(server, [(two, 1, 1)])
        try eventually("the first has left") {
            try Self.state("ws://a.test:\(one)", sluice) == ["1", "left"]
        }
        try live.exchange("still here")
        let others = try (0..<3).map { _ in try sluice.proxy.relay(to: second) }
        for ends in others { try ends.exchange("second") }
        try eventually("three are counted") {
            try Self.line("ws://a.test:\(two)", sluice)[2] == "3"
        }

        try server.stop()
        try sluice.proxy.process.waitForLine(containing: "srv:\(Self.service) cannot be resolved:")
        try sluice.proxy.relay(to: second).exchange("second")
        // A reload in an outage keeps them too, and so does one that changes something else.
        try sluice.rewrite("/Esv/ocp", "/Esv/*")
        #expect(try sluice.command(["reload"]).status == 0)
        try sluice.proxy.relay(to: second).exchange("reloaded")
        try live.exchange("still here")

        // One that comes back still has its relay, so that it is counted where relays are to be even.
        #expect(try Self.state("ws://a.test:\(one)", sluice) == ["1", "left"])
        try Self.serve(server, [(one, 1, 1), (two, 1, 1)])
        try eventually("the first is back") {
            try Self.state("ws://a.test:\(one)", sluice) == ["1", "ok"]
        }
    }

    @Test func `a service unknown at the start is served once it is known`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let sluice = try Self.started(
            server,
            routes: ["{ path: /Esv/ocp, to: \"srv:\(Self.service)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let refused = try sluice.proxy.connect()
        try refused.send(Opening().bytes)
        let answer = try refused.readResponse()
        #expect(answer.status == 502)
        #expect(answer.head["Proxy-Status"]?.contains("dns_error") == true)
        #expect(try Self.line("srv:\(Self.service)", sluice).contains("unresolved"))
        try Self.serve(server, [(try Self.port(backend), 1, 1)])
        try eventually("the endpoint is there", by: .after(.seconds(60))) {
            try Self.line("srv:", sluice).isEmpty
        }
        try sluice.proxy.relay(to: backend).exchange("served")
    }

    @Test func `later priorities serve while no earlier one does, and not when it is back`() throws
    {
        let server = try NameServer()
        let (first, second) = (try ManualBackend(), try ManualBackend())
        try Self.serve(server, [(try Self.port(first), 20, 1), (try Self.port(second), 10, 1)])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"srv:\(Self.service)\"], balance: roundRobin }"])
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<3 { try sluice.proxy.relay(to: second).exchange("second") }
        let live = try sluice.proxy.relay(to: second)
        let endpoint = "ws://a.test:\(try Self.port(second))"
        #expect(
            try sluice.command(["drain", "--endpoint", endpoint, "--background", "--spread", "0s"])
                .status == 0)
        for _ in 0..<3 { try sluice.proxy.relay(to: first).exchange("first") }
        #expect(try live.client.readFrame().closeCode == 1001)
        #expect(try sluice.command(["drain", "--endpoint", endpoint, "--resume"]).status == 0)
        for _ in 0..<3 { try sluice.proxy.relay(to: second).exchange("second") }
        #expect(try !first.hasPendingConnection(by: .after(.milliseconds(50))))
    }

    @Test func `a reload that fails while the server is gone forgets no name`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        try Self.serve(server, [(try Self.port(backend), 1, 1)])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: \"srv:\(Self.service)\" }"])
        defer { Scratch.remove(sluice.folder) }
        try server.stop()
        // Other names, and an address that is taken: it fails when all names have been asked for.
        let taken = try ManualBackend()
        let text = try Scratch.read(sluice.proxy.configurationPath)
        try sluice.rewrite("srv:\(Self.service)", "ws://other.test:1")
        try sluice.rewrite(
            "listen:", "listen:\n  - { address: \"127.0.0.1:\(try Self.port(taken))\" }")
        #expect(try sluice.command(["reload"]).status == 1)
        try sluice.proxy.relay(to: backend).exchange("still known")
        try Scratch.write(text, to: sluice.proxy.configurationPath)
        #expect(try sluice.command(["reload"]).status == 0)
        try sluice.proxy.relay(to: backend).exchange("still known")
    }

    @Test func `a reload asks other servers, and the old ones again when it fails`() throws {
        let (old, new, gone) = (try NameServer(), try NameServer(), try NameServer())
        let (first, second) = (try ManualBackend(), try ManualBackend())
        try Self.serve(old, [(try Self.port(first), 1, 1)])
        try Self.serve(new, [(try Self.port(second), 1, 1)])
        let sluice = try Self.started(
            old, routes: ["{ path: /Esv/ocp, to: \"srv:\(Self.service)\" }"])
        defer { Scratch.remove(sluice.folder) }
        try sluice.proxy.relay(to: first).exchange("first")
        let text = try Scratch.read(sluice.proxy.configurationPath)
        // One that fails for another reason goes back.
        try sluice.rewrite("\(old.address)", "\(new.address)")
        try sluice.rewrite(
            "listen:", "listen:\n  - { address: \"127.0.0.1:\(try Self.port(first))\" }")
        #expect(try sluice.command(["reload"]).status == 1)
        try Self.serve(old, [(try Self.port(first), 1, 1), (try Self.port(second), 2, 1)])
        try eventually("the old server is still asked") {
            try !Self.line("ws://a.test:\(try Self.port(second))", sluice).isEmpty
        }
        try sluice.proxy.relay(to: first).exchange("first")
        try Scratch.write(text, to: sluice.proxy.configurationPath)
        try sluice.rewrite("\(old.address)", "\(new.address)")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 0 && !reload.output.contains("restart"), "\(reload.output)")
        try sluice.proxy.relay(to: second).exchange("second")
        // What is known stays where the new ones say nothing.
        try sluice.rewrite("\(new.address)", "\(gone.address)")
        #expect(try sluice.command(["reload"]).status == 0)
        try sluice.proxy.relay(to: second).exchange("still known")
    }

    @Test func `where the first priority refuses, the next is tried at once`() throws {
        let server = try NameServer()
        let backend = try ManualBackend()
        let closed = try HeldPort()
        try Self.serve(server, [(closed.number, 1, 1), (try Self.port(backend), 2, 1)])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: \"srv:\(Self.service)\" }"])
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<3 { try sluice.proxy.relay(to: backend).exchange("served") }
    }

    @Test func `weights are shares`() throws {
        let server = try NameServer()
        let (light, heavy) = (try ScriptedBackend.echo(), try ScriptedBackend.echo())
        try Self.serve(server, [(light.address.port, 1, 10), (heavy.address.port, 1, 30)])
        let sluice = try Self.started(
            server, routes: ["{ path: /Esv/ocp, to: app }"],
            ["app: { endpoints: [\"srv:\(Self.service)\"] }"])
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
        try live.exchange("still here")

        // The one that is left goes too; its relay is ended on purpose, by the name that it had.
        try server.start(hosts: ["app.test": ["127.0.0.7"]])
        try eventually("the first address has left") {
            try Self.line("ws://127.0.0.1:\(port)", sluice).contains("left")
        }
        try live.exchange("still here")
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
        try sluice.proxy.relay(to: backend).exchange("here")
    }
}

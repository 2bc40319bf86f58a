// SPDX-License-Identifier: Apache-2.0
//
// Goal: every error of a load is counted under its cause, with the first example of it.
// Method: servers that go wrong in one way each; two connections, so that a count is more than a flag.

import LoadGenerator
import Reactor
import TestKit
import Testing

@Suite struct LoadCauseTests {
    private func summary(
        of backend: ScriptedBackend, _ change: (inout LoadPlan) throws -> Void = { _ in }
    ) throws -> LoadSummary {
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo, connections: 2)
        plan.openingSeconds = 0.3
        plan.awaitsAll = true
        plan.drainSeconds = 0.3
        try change(&plan)
        return try LoadCrew(plan, threads: 2).run().summary
    }

    /// The one cause of a run against a server, which has both of its connections.
    private func expect(
        _ cause: String, _ words: String, of backend: ScriptedBackend,
        _ sourceLocation: SourceLocation = #_sourceLocation,
        change: (inout LoadPlan) throws -> Void = { _ in }
    ) throws {
        let summary = try summary(of: backend, change)
        // What was under way on a connection is missing when that is lost.
        let errors = summary.errors.filter { $0.cause == cause || $0.cause != "missing" }
        #expect(errors.map(\.cause) == [cause], sourceLocation: sourceLocation)
        #expect(errors.first?.count == 2, sourceLocation: sourceLocation)
        let example = errors.first?.example ?? ""
        #expect(example.contains(words), "\(example)", sourceLocation: sourceLocation)
    }

    /// A server that opens and then does this on each connection.
    private func opening(
        _ script: @escaping @Sendable (WebSocketPeer) throws -> Void
    ) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            try peer.accept()
            try script(peer)
        }
    }

    @Test func `nobody listens`() throws {
        let backend = try ScriptedBackend.silent()
        let port = backend.address.port
        backend.stop()
        try backend.waitForConnections(0)
        var plan = try plan(port, .echo, connections: 2)
        plan.openingSeconds = 0.3
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors.map(\.cause) == ["refused"])
        #expect(summary.errors.map(\.count) == [2])
        #expect(summary.connections.failed == 2)
        #expect(summary.connections.opened == 0)
    }

    @Test func `an answer has its status, and what a proxy says about it`() throws {
        let answer = """
            HTTP/1.1 503 Service Unavailable\r
            Proxy-Status: gate; error=connection_refused\r
            Content-Length: 0\r
            \r

            """
        try expect(
            "status-503", "(Proxy-Status: gate; error=connection_refused)",
            of: try .answering(answer))
    }

    @Test func `an upgrade that is not answered is told by its phase`() throws {
        try expect("timeout-upgrade", "not answered in time", of: try .silent())
    }

    @Test func `a TLS handshake that is not answered is another phase`() throws {
        try expect("timeout-tls", "TLS handshake", of: try .silent()) { plan in
            plan.target = try LoadTarget(parsing: "wss://127.0.0.1:\(plan.target.port)/")
        }
    }

    @Test func `a connection that nobody takes is the first phase`() throws {
        let backend = try UnreachableBackend()
        var plan = try plan(backend.address.port, .echo, connections: 2)
        // Given beside the URL, so that nothing connects before the load does.
        try plan.target.connect(to: "127.0.0.1:\(backend.address.port)")
        plan.openingSeconds = 0.3
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors.map(\.cause) == ["timeout-connect"])
        #expect(summary.errors.map(\.count) == [2])
        #expect(summary.connections.failed == 2)
    }

    @Test func `a Close that is not answered is the last phase`() throws {
        let backend = try opening { peer in _ = try peer.readUntilEnd() }
        let summary = try summary(of: backend) { plan in
            plan.mode = .connect(resumes: false)
            plan.end = .count(2)
        }
        #expect(summary.errors.map(\.cause) == ["timeout-close"], "\(summary.errors)")
        let example = summary.errors.first?.example ?? ""
        #expect(example.contains("the Close was not answered in time"), "\(example)")
    }

    @Test func `a connection that the other system cuts is reset`() throws {
        let backend = try opening { peer in
            _ = try peer.readFrame()
            peer.stream.reset()
        }
        try expect("reset", "Connection reset by peer", of: backend)
    }

    @Test func `a Close has its code and its reason`() throws {
        let backend = try opening { peer in
            _ = try peer.readFrame()
            try peer.send(Frame.close(1011, "out of memory"))
            _ = try peer.readUntilEnd()
        }
        try expect("close-1011", "with 1011: out of memory", of: backend)
    }

    @Test func `a connection that ends without a Close has vanished`() throws {
        let backend = try opening { peer in _ = try peer.readFrame() }
        try expect("vanished", "without a Close", of: backend)
    }

    @Test func `an altered message is wrong content`() throws {
        let backend = try opening { peer in
            var frame = try peer.readFrame()
            frame.maskKey = nil
            frame.payload[100] ^= 1
            try peer.send(frame)
            _ = try peer.readUntilEnd()
        }
        try expect("content", "altered", of: backend)
    }

    @Test func `a frame against the protocol is one`() throws {
        let backend = try opening { peer in
            try peer.send(try peer.readFrame().masked())
            _ = try peer.readUntilEnd()
        }
        try expect("protocol", "masked", of: backend)
    }

    @Test func `messages that do not come back are missing, and all are told of once`() throws {
        let backend = try opening { peer in _ = try peer.readUntilEnd() }
        let summary = try summary(of: backend) { plan in
            plan.mode = .rate(messagesPerSecond: 200)
            plan.end = .seconds(0.1)
        }
        #expect(Set(summary.errors.map(\.cause)) == ["missing"])
        #expect(summary.errors.reduce(0) { $0 + $1.count } == summary.messages.sent)
        #expect(summary.messages.received == 0)
        #expect(summary.messages.sent > 0)
    }

    @Test func `a message that comes later than it may is late, and counts as received`() throws {
        let backend = try opening { peer in try peer.echo() }
        let summary = try summary(of: backend) { plan in
            plan.lateSeconds = 1e-9
            plan.end = .count(6)
        }
        #expect(summary.errors.map(\.cause) == ["late"])
        #expect(summary.messages.late == summary.messages.received)
        #expect(summary.messages.received >= 6)
    }

    @Test func `a subprotocol that the server does not take is told`() throws {
        let backend = try opening { peer in _ = try peer.readUntilEnd() }
        try expect("upgrade", "none of the subprotocols offered (chat)", of: backend) { plan in
            plan.dialing.subprotocols = ["chat"]
        }
    }

    @Test func `a certificate that is not trusted has its reason`() throws {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let proxy = try ProxyFixture(to: app.address)
        var plan = LoadPlan(target: try LoadTarget(parsing: proxy.url()), mode: .echo)
        plan.connections = 2
        plan.dialing.trust = .systemAnd([])
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors.map(\.cause) == ["certificate"])
        // Once, and not for each connection.
        let cures = summary.notes.filter { $0.contains("--ca FILE") }
        #expect(cures.count == 1, "\(summary.notes)")
        #expect(cures.allSatisfy { $0.contains("cert trust") && $0.contains("--insecure") })
        #expect(summary.errors.map(\.count) == [2])
        let example = summary.errors.first?.example ?? ""
        #expect(example.contains("not trusted"), "\(example)")
        plan.dialing.trust = .systemAnd([try TestCertificates.shared().authority])
        plan.end = .count(10)
        #expect(try LoadCrew(plan, threads: 1).run().summary.errors == [])
    }

    @Test(arguments: [LoadPlan.Mode.echo, .connect(resumes: false)])
    func `a connection behind one that has failed has its own cause`(mode: LoadPlan.Mode) throws {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let proxy = try ProxyFixture(to: app.address)
        var plan = LoadPlan(target: try LoadTarget(parsing: proxy.url()), mode: mode)
        plan.connections = 3
        // Each begins when the one before is gone, and what that has left unread is not its own.
        plan.openingsAtOnce = 1
        plan.end = .seconds(1)
        plan.dialing.trust = .systemAnd([])
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors.map(\.cause) == ["certificate"], "\(summary.errors)")
        #expect((summary.errors.first?.count ?? 0) >= 3, "\(summary.errors)")
    }

    @Test func `an alert has its name`() throws {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let listener = try ProxyListener.http2().settingText()
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - \(listener.replacing("[h2, http/1.1]", with: "[http/1.1]"))
                routes: [{ path: /Esv/ocp, to: "ws://127.0.0.1:\(app.address.port)" }]
                """)
        var plan = LoadPlan(target: try LoadTarget(parsing: proxy.url()), mode: .echo)
        plan.connections = 2
        // The listener speaks HTTP/1.1 alone.
        plan.streams = 1
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors.map(\.cause) == ["tls-alert-no-application-protocol"])
        #expect(summary.errors.map(\.count) == [2])
    }
}

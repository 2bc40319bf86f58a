// SPDX-License-Identifier: Apache-2.0
//
// Goal: WebSockets that share connections by HTTP/2 (RFC 8441) are loaded and measured like others.
// Method: runs that end by count, through the program with an app behind it that does right or wrong.

import Echo
import Foundation
import LoadGenerator
import Reactor
import TestKit
import Testing

@Suite struct LoadStreamTests {
    private let server: EchoServer
    private let app: PeerAddress

    init() throws {
        server = try EchoServer.start(listening: ["127.0.0.1:0"])
        app = .tcp(try #require(server.addresses.first).port)
    }

    private func plan(
        _ proxy: ProxyFixture, _ mode: LoadPlan.Mode, path: String = "/Esv/ocp",
        connections: Int = 2, streams: Int = 3, count: UInt64 = 60
    ) throws -> LoadPlan {
        var plan = LoadPlan(target: try LoadTarget(parsing: proxy.url(path)), mode: mode)
        plan.connections = connections
        plan.streams = streams
        plan.end = .count(count)
        plan.caFile = try TestCertificates.shared().authority
        return plan
    }

    @Test(arguments: [0, 1, 128, 70_000])
    func `messages come back on the streams of each connection`(messageBytes: Int) throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        var plan = try plan(proxy, .echo)
        plan.messageBytes = messageBytes
        var told: [Int] = []
        let report = try LoadGenerator.run(plan) { told.append($0) }
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect((60..<66).contains(report.messages), "\(report.messages)")
        #expect(report.mode == "echo")
        #expect(report.connections == 2)
        #expect(report.streams == 3)
        #expect(report.opened == 6)
        #expect(report.handshakes == 6)
        #expect(told == [6])
        #expect(report.tlsVersion == "1.3")
        #expect(report.p50Microseconds > 0)
        // Six relays on two connections, each ended by its Close.
        let lines = try proxy.process.waitForLines("six relays in HTTP/2", count: 6) {
            $0.contains("reason=close")
        }
        #expect(lines.count == 6)
        let words = [" protocol=h2 ", "close=1000 by=client"]
        #expect(lines.allSatisfy { line in words.allSatisfy { line.contains($0) } }, "\(lines)")
    }

    @Test func `a stream keeps its window under way`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        var plan = try plan(proxy, .stream(windowBytes: 262_144), count: 100)
        plan.messageBytes = 65_536
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.messages >= 100)
    }

    @Test func `the clock's messages are those of the time measured`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        var plan = try plan(proxy, .rate(messagesPerSecond: 500))
        plan.end = .seconds(0.2)
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(abs(Double(report.messages) - report.seconds * 500) <= 2, "\(report)")
    }

    @Test func `idle streams are opened and held for the time`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        var plan = try plan(proxy, .idle, connections: 3, streams: 20)
        plan.end = .seconds(0.05)
        plan.watchedProcesses = [getpid()]
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.opened == 60)
        #expect(report.messages == 0)
    }

    @Test func `a cycle is counted when its stream has ended on both sides`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        let report = try LoadGenerator.run(try plan(proxy, .cycle))
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.mode == "cycle")
        #expect((60..<66).contains(report.handshakes), "\(report.handshakes)")
        #expect(report.messages == 0)
        #expect(report.p50Microseconds > 0)
    }

    // MARK: What goes wrong

    @Test func `a server without HTTP/2 is an error that says so`() throws {
        let listener = try ProxyListener.http2().settingText()
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - \(listener.replacing("[h2, http/1.1]", with: "[http/1.1]"))
                routes: [{ path: /Esv/ocp, to: "\(app)" }]
                """)
        let report = try LoadGenerator.run(try plan(proxy, .echo, connections: 1))
        #expect(report.errors == 1)
        #expect(report.messages == 0)
        #expect(
            report.firstError?.contains("application protocol") == true,
            "\(report.firstError ?? "")")
    }

    @Test func `more streams than the server allows are an error that says how many`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        let report = try LoadGenerator.run(
            try plan(proxy, .echo, connections: 1, streams: 100_000))
        #expect(report.errors == 1)
        #expect(
            report.firstError?.contains("streams on a connection, not 100000") == true,
            "\(report.firstError ?? "")")
    }

    @Test func `a refusal is an error of each stream, with its status`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        let report = try LoadGenerator.run(
            try plan(proxy, .echo, path: "/nowhere", connections: 1))
        #expect(report.errors == 3)
        #expect(report.opened == 0)
        #expect(report.firstError?.hasPrefix("the answer was 404 (Proxy-Status: ") == true)
    }

    @Test func `an altered message is an error`() throws {
        let app = try ScriptedBackend { peer in
            try peer.accept()
            var answer = try peer.readFrame()
            answer.maskKey = nil
            answer.payload[answer.payload.count - 1] ^= 1
            try peer.send(answer.bytes)
            _ = try peer.readUntilEnd()
        }
        defer { app.stop() }
        let proxy = try ProxyFixture(to: app.address, listeners: [.http2()])
        let report = try LoadGenerator.run(try plan(proxy, .echo, connections: 1, streams: 1))
        #expect(report.errors == 1)
        #expect(report.messages == 0)
        #expect(report.firstError?.contains("altered") == true, "\(report.firstError ?? "")")
    }

    @Test func `a program that is gone is an error`() throws {
        let app = try ScriptedBackend { peer in
            try peer.accept()
            _ = try peer.readUntilEnd()
        }
        defer { app.stop() }
        let proxy = try ProxyFixture(to: app.address, listeners: [.http2()])
        let report = try LoadGenerator.run(try plan(proxy, .echo, connections: 1)) { _ in
            proxy.process.signal(SIGKILL)
        }
        #expect(report.errors >= 1)
        #expect(report.messages == 0)
    }

    @Test func `plans that make no sense are refused`() throws {
        let proxy = try ProxyFixture(to: app, listeners: [.http2()])
        #expect(throws: LoadFault.self) {
            try LoadGenerator.run(try plan(proxy, .connect(resumes: false)))
        }
        #expect(throws: LoadFault.self) {
            try LoadGenerator.run(try plan(proxy, .echo, streams: 0))
        }
        var wrong = try plan(proxy, .cycle)
        wrong.streams = nil
        #expect(throws: LoadFault.self) { try LoadGenerator.run(wrong) }
        wrong.target = try LoadTarget(parsing: "ws://localhost:\(proxy.port())/")
        wrong.streams = 1
        #expect(throws: LoadFault.self) { try LoadGenerator.run(wrong) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: each mode of a load does what it says, and counts as its server does.
// Method: servers that count, or that let the run wait in a way that bounds what it must report.

import Echo
import Foundation
import LoadGenerator
import Reactor
import TestKit
import Testing

@Suite struct LoadModeTests {
    private func summary(
        _ plan: LoadPlan, threads: Int = 2
    ) throws -> LoadSummary { try LoadCrew(plan, threads: threads).run().summary }

    /// An echo server that counts the messages of each connection.
    private func counting(_ count: Monitor<Int>) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            try peer.accept()
            while let frame = try peer.readFrameOrEnd() {
                var answer = frame
                answer.maskKey = nil
                if frame.opcode < 8 { count.update { $0 += 1 } }
                try peer.send(answer)
                if frame.opcode == 8 { return }
            }
        }
    }

    @Test(arguments: [LoadPlan.Mode.echo, .closed(inFlight: 5), .rate(messagesPerSecond: 400)])
    func `every message is accounted for on both sides`(mode: LoadPlan.Mode) throws {
        let count = Monitor(0)
        let backend = try counting(count)
        defer { backend.stop() }
        var plan = try plan(backend.address.port, mode, connections: 3)
        plan.end = .seconds(0.2)
        plan.warmupSeconds = 0.05
        plan.awaitsAll = true
        plan.message = LoadMessage(sizes: 20...300)
        let summary = try summary(plan)
        #expect(summary.errors == [])
        #expect(summary.messages.sent == summary.messages.received)
        #expect(summary.messages.totalSent == summary.messages.totalReceived)
        #expect(summary.messages.totalSent == UInt64(count.value))
        #expect(summary.latencyMicroseconds.count == summary.messages.received)
        #expect(summary.connections.opened == 3)
        let timeline = summary.timeline.intervals
        #expect(timeline.reduce(0) { $0 + $1.received } == summary.messages.totalReceived)
        #expect(timeline.reduce(0) { $0 + $1.opened } == 3)
    }

    @Test func `by the clock, the wait for a server that stalls is charged to every message`()
        throws
    {
        // It answers nothing until 50 messages have come: by its clock the first of them waits for 49 intervals.
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            var frames: [Frame] = []
            while frames.count < 50 { frames.append(try peer.readFrame()) }
            for var frame in frames {
                frame.maskKey = nil
                try peer.send(frame)
            }
            try peer.echo()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .rate(messagesPerSecond: 500))
        plan.end = .seconds(0.25)
        let summary = try summary(plan)
        #expect(summary.errors == [])
        #expect(summary.model == "open")
        #expect(summary.latencyMicroseconds.max >= 98_000)
        #expect(summary.messages.received >= 100)
    }

    @Test func `text messages are text, and sizes stay in their range`() throws {
        let sizes = Monitor<[Int]>([])
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            while let frame = try peer.readFrameOrEnd() {
                var answer = frame
                answer.maskKey = nil
                if frame.opcode == 1, String(validating: frame.payload, as: UTF8.self) != nil {
                    sizes.update { $0.append(frame.payload.count) }
                }
                try peer.send(answer)
                if frame.opcode == 8 { return }
            }
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo, count: 300)
        plan.message = LoadMessage(sizes: 40...140, isText: true)
        plan.awaitsAll = true
        let summary = try summary(plan)
        #expect(summary.errors == [])
        #expect(sizes.value.count == 300)
        #expect(sizes.value.allSatisfy { (40...140).contains($0) })
        #expect(Set(sizes.value).count > 50)
    }

    @Test func `a message that is given is sent as it is`() throws {
        let first = Monitor<Frame?>(nil)
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            var frame = try peer.readFrame()
            frame.maskKey = nil
            let seen = frame
            first.update { $0 = seen }
            try peer.send(frame)
            try peer.echo()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo, count: 5)
        plan.message = LoadMessage(content: Array("{\"type\":\"ping\"}".utf8), isText: true)
        #expect(try summary(plan).errors == [])
        #expect(first.value == Frame.text("{\"type\":\"ping\"}"))
    }

    // MARK: Push

    @Test func `what a server sends is counted, whatever its size and its pieces`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            guard try peer.readFrame().payload == Array("all".utf8) else { return }
            for index in 0..<200 {
                let payload = [UInt8](repeating: 0x61, count: index * 7)
                try peer.send(Frame(opcode: 1, payload: payload, isFinal: index % 3 != 0))
                if index % 3 == 0 { try peer.send(Frame(opcode: 0, payload: [0x62])) }
            }
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .push(clock: nil), count: 200)
        plan.subscription = LoadMessage(content: Array("all".utf8), isText: true)
        let summary = try summary(plan)
        #expect(summary.errors == [])
        #expect(summary.messages.totalReceived == 200)
        #expect(summary.messages.totalSent == 1)
    }

    @Test func `a clock in the messages tells their age`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            _ = try peer.readFrame()
            // Messages that are half a second old.
            let sent = Date().timeIntervalSince1970 - 0.5
            for _ in 0..<20 {
                try peer.send(.text("{\"a\": 1, \"ts\": \(Int(sent * 1000))}"))
            }
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .push(clock: "ts"), count: 20)
        plan.subscription = LoadMessage(content: [0x61], isText: true)
        plan.warmupSeconds = 0
        let summary = try summary(plan)
        #expect(summary.errors == [])
        #expect(summary.latencyMicroseconds.p50 >= 500_000)
    }

    @Test func `a message without its clock is told`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            try peer.send(.text("{\"when\": 1}"))
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        let summary = try summary(try plan(backend.address.port, .push(clock: "ts")))
        #expect(summary.errors.map(\.cause) == ["content"])
    }

    // MARK: Connections

    @Test func `sockets that are held are asked whether they are alive`() throws {
        let numbers = Monitor(0)
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            numbers.update { $0 += 1 }
            // One of them does not answer.
            if numbers.value == 2 {
                _ = try peer.readUntilEnd()
                return
            }
            let ping = try peer.readFrame()
            try peer.send(Frame(opcode: 10, payload: ping.payload))
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .idle, connections: 4)
        plan.end = .seconds(0.05)
        plan.awaitsAll = true
        plan.drainSeconds = 0.3
        // One after the other, so that they have their numbers.
        plan.openingsAtOnce = 1
        let summary = try summary(plan, threads: 1)
        #expect(summary.connections.opened == 4)
        #expect(summary.connections.alive == 3)
        #expect(summary.errors.map(\.cause) == ["dead"])
        #expect(summary.errors.map(\.count) == [1])
    }

    @Test func `in a storm all drop, and come back after errors too`() throws {
        let count = Monitor(0)
        let backend = try ScriptedBackend { peer in
            let number = count.update {
                $0 += 1
                return $0
            }
            // The first five of those that come back are refused.
            if (11...15).contains(number) {
                _ = try peer.readHead()
                try peer.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                return
            }
            try peer.accept()
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        let backOff = BackOff(firstSeconds: 0.05, longestSeconds: 0.1, jitter: 1)
        var plan = try plan(backend.address.port, .storm(backOff), connections: 10)
        plan.end = .seconds(20)
        let summary = try summary(plan)
        #expect(summary.storm?.served == 10)
        #expect(summary.storm?.attempts == 15)
        #expect(summary.storm?.secondsUntilAllServed != nil)
        #expect(summary.errors.map(\.cause) == ["status-503"])
        #expect(summary.errors.map(\.count) == [5])
        #expect(summary.connections.opened == 20)
        #expect(count.value == 25)
    }

    @Test func `a ramp takes its time`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        var plan = try plan(try #require(server.addresses.first).port, .idle, connections: 5)
        plan.dialing.rampSeconds = 0.25
        plan.end = .seconds(0.01)
        let summary = try summary(plan, threads: 1)
        #expect(summary.connections.opened == 5)
        #expect(summary.opening.seconds >= 0.2)
    }

    @Test func `connections leave from the addresses that are given`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        var plan = try plan(try #require(server.addresses.first).port, .echo, connections: 4)
        plan.dialing.sources = try ["127.0.0.2", "127.0.0.3"].map {
            try #require(Address(host: $0, port: 0))
        }
        #expect(try summary(plan).errors == [])
        plan.dialing.sources = [try #require(Address(host: "192.0.2.1", port: 0))]
        #expect(try summary(plan).errors.map(\.cause) == ["system"])
    }

    @Test func `of connections that may, a share takes up its session`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        let proxy = try ProxyFixture(to: .tcp(try #require(server.addresses.first).port))
        var plan = LoadPlan(
            target: try LoadTarget(parsing: proxy.url()), mode: .connect(resumes: true))
        plan.connections = 1
        plan.dialing.trust = .file(try TestCertificates.shared().authority)
        plan.end = .count(60)
        plan.dialing.resumedShare = 0.5
        let opening = try summary(plan).opening
        #expect((10...50).contains(opening.resumed), "\(opening.resumed)")
        #expect((opening.tlsMicroseconds?.count ?? 0) + opening.resumed >= 60)
        #expect(opening.tlsResumedMicroseconds?.count == opening.resumed)
        #expect(opening.upgradeMicroseconds.count >= 60)
    }

    @Test func `a run that is stopped reports what it has`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        var plan = try plan(try #require(server.addresses.first).port, .echo, connections: 4)
        plan.end = .seconds(600)
        plan.awaitsAll = true
        let crew = try LoadCrew(plan, threads: 2)
        let control = crew.control
        _ = TestThread {
            while control.progress.received < 100 { usleep(1_000) }
            control.stop()
        }
        let summary = try crew.run().summary
        #expect(summary.errors == [])
        #expect(summary.messages.received >= 100)
        #expect(summary.messages.sent == summary.messages.received)
        #expect(summary.seconds < 600)
    }
}

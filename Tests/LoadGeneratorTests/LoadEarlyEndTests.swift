// SPDX-License-Identifier: Apache-2.0
//
// Goal: a run that somebody ends early reports what there was until then, whatever it was doing.
// Method: runs that are stopped while they open or warm up, against servers that are known to answer.

import Echo
import Glibc
import Reactor
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadEarlyEndTests {
    /// Carries a plan out until the condition is there.
    private func run(
        _ plan: LoadPlan, until isEnough: @escaping @Sendable (LoadProgress) -> Bool
    ) throws -> LoadSummary {
        let crew = try LoadCrew(plan, threads: 2)
        let control = crew.control
        _ = TestThread {
            while !isEnough(control.progress) { usleep(1_000) }
            control.stop()
        }
        return try crew.run().summary
    }

    @Test func `clients in their back-off wait, in the report and while it runs`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        let backOff = BackOff(firstSeconds: 600, longestSeconds: 600, jitter: 0)
        let port = try #require(server.addresses.first).port
        var plan = try plan(port, .storm(backOff), connections: 4)
        plan.end = .seconds(600)
        plan.awaitsAll = true
        let summary = try run(plan) { $0.waiting == 4 && $0.connecting == 0 && $0.open == 0 }
        #expect(summary.storm?.waiting == 4 && summary.storm?.connecting == 0)
        #expect(summary.errors.map(\.cause) == ["waiting"], "\(summary.errors)")
        #expect(summary.errors.first?.count == 4)
    }

    @Test func `sockets that are held are asked when the run ends while others are opened`() throws
    {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        var plan = try plan(try #require(server.addresses.first).port, .idle, connections: 1_000)
        plan.dialing.rampSeconds = 20
        plan.end = .seconds(600)
        plan.awaitsAll = true
        let summary = try run(plan) { $0.opened >= 5 }
        #expect(summary.errors == [])
        #expect(summary.connections.opened >= 5)
        #expect(summary.connections.alive == summary.connections.opened)
    }

    @Test func `what was pushed counts when the run ends while others are opened`() throws {
        let server = try ScriptedBackend { peer in
            try peer.accept()
            for _ in 0..<50 { try peer.send(.text("news")) }
            try peer.echo()
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: nil), connections: 100)
        plan.dialing.rampSeconds = 20
        plan.end = .seconds(600)
        plan.awaitsAll = true
        let summary = try run(plan) { $0.received >= 150 }
        #expect(summary.errors == [])
        #expect(summary.messages.received >= 150)
        // What comes behind the end is in the total alone.
        #expect(summary.messages.received <= summary.messages.totalReceived)
        // The third connection comes 0.4 seconds behind the first.
        #expect(summary.seconds >= 0.35, "\(summary.seconds)")
        #expect(summary.messages.perSecond > 0)
        #expect(summary.generator.cpuShares.allSatisfy { (0...1).contains($0) })
    }

    @Test func `the time of a thread that is done stands still, and that of the counts does not`() {
        let control = LoadControl(threads: 2)
        func tell(_ thread: Int, _ milliseconds: UInt64) {
            var gauge = LoadGauge()
            gauge.toldAt = control.beganAt + milliseconds * 1_000_000
            control.tell(gauge, from: thread)
        }
        tell(0, 1_000)
        tell(1, 1_200)
        #expect(abs(control.progress.toldSeconds - 1.1) < 0.001)
        tell(1, 5_000)
        #expect(abs(control.progress.toldSeconds - 5) < 0.001)
    }

    @Test func `of less than 10 ms no share is told`() {
        for (nanoseconds, isTold) in [(9_999_999, false), (10_000_000, true)] as [(UInt64, Bool)] {
            var cpu = ThreadCPU()
            cpu.begin(at: 1_000)
            cpu.end(at: 1_000 + nanoseconds)
            #expect((cpu.usage(of: 0.01, messages: 1).seconds > 0) == isTold, "\(nanoseconds)")
        }
    }

    @Test func `a run that ends in its warm-up says so`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        var plan = try plan(try #require(server.addresses.first).port, .echo, connections: 2)
        plan.warmupSeconds = 600
        plan.end = .seconds(600)
        plan.awaitsAll = true
        let summary = try run(plan) { $0.received >= 100 }
        #expect(summary.errors == [])
        #expect(summary.seconds < 60)
        #expect(summary.notes.contains { $0.hasPrefix("Ended early") }, "\(summary.notes)")
    }
}

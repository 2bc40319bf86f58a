// SPDX-License-Identifier: Apache-2.0
//
// Goal: what is under way at the end of a run, and what goes with a connection that is lost, is counted.
// Method: servers that leave something without an answer, or that leave.

import Config
import Glibc
import LoadGenerator
import Reactor
import TestKit
import Testing

@Suite struct LoadLossTests {
    private func summary(
        _ plan: LoadPlan, threads: Int = 1
    ) throws -> LoadSummary { try LoadCrew(plan, threads: threads).run().summary }

    private func count(_ cause: String, _ summary: LoadSummary) -> UInt64 {
        summary.errors.first { $0.cause == cause }?.count ?? 0
    }

    @Test func `messages of a connection that is lost are missing`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            for _ in 0..<5 { _ = try peer.readFrame() }
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .closed(inFlight: 5), connections: 2)
        plan.awaitsAll = true
        let summary = try summary(plan)
        #expect(summary.messages.totalSent == 10)
        #expect(count("missing", summary) == 10, "\(summary.errors)")
        #expect(summary.connections.lost == 2)
    }

    @Test func `the clock goes on when all connections are gone`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            _ = try peer.readFrame()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .rate(messagesPerSecond: 100), connections: 2)
        plan.end = .seconds(0.5)
        plan.awaitsAll = true
        plan.drainSeconds = 0.2
        let summary = try summary(plan)
        #expect(summary.connections.lost == 2)
        #expect(summary.seconds >= 0.45)
        #expect(summary.messages.sent + summary.messages.unsent == 50, "\(summary.messages)")
        let share = try LoadExpectation(parsing: "errors > 90%").judge(summary)
        #expect(share.isMet, "\(share.found)")
    }

    @Test func `by the clock, a run by count ends with a connection less`() throws {
        let number = Monitor(0)
        let backend = try ScriptedBackend { peer in
            let mine = number.update {
                $0 += 1
                return $0
            }
            try peer.accept()
            if mine == 1 { _ = try peer.readFrame() } else { try peer.echo() }
        }
        defer { backend.stop() }
        var plan = try plan(
            backend.address.port, .rate(messagesPerSecond: 200), connections: 2, count: 40)
        plan.awaitsAll = true
        plan.drainSeconds = 0.5
        let summary = try summary(plan)
        #expect(summary.connections.lost == 1)
        #expect(summary.seconds < 10)
        #expect(summary.messages.sent + summary.messages.unsent == 40, "\(summary.messages)")
    }

    @Test func `connections that are not through at the end are counted`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .connect(resumes: false), connections: 3)
        plan.end = .seconds(0.1)
        plan.awaitsAll = true
        plan.drainSeconds = 0.2
        let summary = try summary(plan)
        #expect(count("timeout-upgrade", summary) == 3, "\(summary.errors)")
        #expect(summary.connections.failed == 3)
    }

    @Test func `of a storm that is not over those are told apart that wait or connect`() throws {
        let number = Monitor(0)
        let backend = try ScriptedBackend { peer in
            let mine = number.update {
                $0 += 1
                return $0
            }
            if mine > 4 {
                _ = try peer.readUntilEnd()
                return
            }
            try peer.accept()
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        let backOff = BackOff(firstSeconds: 0.01, longestSeconds: 0.02, jitter: 1)
        var plan = try plan(backend.address.port, .storm(backOff), connections: 4)
        plan.end = .seconds(0.3)
        plan.awaitsAll = true
        let summary = try summary(plan)
        #expect(count("connecting", summary) == 4, "\(summary.errors)")
        #expect(summary.storm?.connecting == 4 && summary.storm?.waiting == 0)
        #expect(summary.storm?.secondsUntilAllServed == nil)
    }

    @Test func `clients of a script get what they wait for, or it is missing`() throws {
        let number = Monitor(0)
        let isStopped = Gate("the end of the measured part")
        let backend = try ScriptedBackend { peer in
            let mine = number.update {
                $0 += 1
                return $0
            }
            try peer.accept()
            let frame = try peer.readFrame()
            try isStopped.wait()
            // Of two clients one is answered behind the end.
            if mine > 1 {
                _ = try peer.readUntilEnd()
                return
            }
            usleep(300_000)
            try peer.send(.text(String(decoding: frame.payload, as: UTF8.self)))
            try peer.echo()
        }
        defer { backend.stop() }
        let script = try LoadScript.load(
            yaml: "scenarios: [{ name: a, steps: [{ send: x }, { expect: { text: x } }] }]",
            file: "load.yaml")
        var plan = try plan(backend.address.port, .script, connections: 2)
        plan.program = try LoadProgram(script)
        plan.repeatsScenarios = true
        plan.end = .seconds(600)
        plan.awaitsAll = true
        plan.drainSeconds = 2
        let crew = try LoadCrew(plan, threads: 1)
        let control = crew.control
        // It ends when both wait for their answers.
        _ = TestThread {
            while control.progress.sent < 2 { usleep(1_000) }
            control.stop()
            isStopped.open()
        }
        let summary = try crew.run().summary
        #expect(summary.errors.map(\.cause) == ["missing"], "\(summary.errors)")
        #expect(summary.errors.map(\.count) == [1])
        #expect(summary.messages.received == 1)
    }

    // MARK: By count

    /// An echo server that does something else with the sixth message of its first connection.
    private func echoing(
        sixth: @escaping @Sendable (WebSocketPeer) throws -> Void
    ) throws -> ScriptedBackend {
        let number = Monitor(0)
        return try ScriptedBackend { peer in
            let mine = number.update {
                $0 += 1
                return $0
            }
            try peer.accept()
            guard mine == 1 else { return try peer.echo() }
            for _ in 0..<5 {
                var answer = try peer.readFrame()
                answer.maskKey = nil
                try peer.send(answer)
            }
            _ = try peer.readFrame()
            try sixth(peer)
        }
    }

    @Test func `a run by count does not wait for what is gone with its connection`() throws {
        let backend = try echoing { $0.stream.reset() }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo, connections: 2, count: 200)
        plan.awaitsAll = true
        let summary = try summary(plan)
        #expect(summary.seconds < 5, "30 seconds would be waited for it")
        #expect(summary.messages.sent == 200)
        #expect(summary.messages.received == 199)
        #expect(count("missing", summary) == 1, "\(summary.errors)")
        #expect(summary.connections.lost == 1)
    }

    @Test
    func `a run by count that waits in vain measures no wait, and tells of each message once`()
        throws
    {
        let backend = try echoing { _ = try $0.readUntilEnd() }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo, connections: 2, count: 200)
        plan.awaitsAll = true
        plan.stallSeconds = 2
        plan.drainSeconds = 0.1
        let summary = try summary(plan)
        #expect(summary.seconds < 2, "measured is what came before the wait")
        #expect(summary.messages.sent == 200)
        #expect(summary.messages.received == 199)
        #expect(summary.errors.map(\.cause) == ["missing"], "\(summary.errors)")
        #expect(count("missing", summary) == 1)
    }

    @Test func `where a server that pushes falls silent, that is told once`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            try peer.send(.text("one"))
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .push(clock: nil), connections: 2)
        plan.awaitsAll = true
        plan.stallSeconds = 0.5
        let summary = try summary(plan, threads: 2)
        #expect(summary.messages.received == 2)
        #expect(summary.errors.map(\.count) == [1], "\(summary.errors)")
        #expect(summary.errors.first?.example == "nothing came for 0.5 seconds")
    }

    // MARK: By the clock

    @Test func `what a socket does not take is not sent, and not missing`() throws {
        let isOver = Gate("the end of the run")
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            peer.stream.stopsReading = true
            try isOver.wait()
        }
        defer {
            isOver.open()
            backend.stop()
        }
        var plan = try plan(backend.address.port, .rate(messagesPerSecond: 100))
        plan.messageBytes = 1 << 20
        plan.end = .seconds(0.5)
        plan.awaitsAll = true
        plan.drainSeconds = 0.2
        let summary = try summary(plan)
        #expect(summary.messages.sent > 0 && summary.messages.unsent > 0, "\(summary.messages)")
        #expect(summary.messages.sent + summary.messages.unsent == 50, "\(summary.messages)")
        #expect(count("missing", summary) == summary.messages.sent, "\(summary.errors)")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: numbers are of what was measured: messages of a recording count from the moment at which they should have left,
// and what this program could not know is said.
// Method: servers that answer late, read slowly, or have a clock of their own; reports of older versions.

import Config
import Foundation
import Reactor
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadFairnessTests {
    /// A server that does something for each of its connections, behind the handshake.
    private func serving(
        _ serve: @escaping @Sendable (WebSocketPeer) throws -> Void
    ) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            _ = try peer.accept()
            try serve(peer)
        }
    }

    private func played(
        _ plan: LoadPlan, _ yaml: String, seconds: Double? = nil
    ) throws -> LoadSummary {
        var plan = plan
        plan.program = try LoadProgram(try LoadScript.load(yaml: yaml, file: "load.yaml"))
        plan.end = .seconds(seconds ?? 600)
        plan.repeatsScenarios = seconds != nil
        return try LoadCrew(plan, threads: 1).run().summary
    }

    private static func echo(_ peer: WebSocketPeer, after seconds: Double = 0) throws {
        var isFirst = true
        while let frame = try peer.readFrameOrEnd() {
            if isFirst, seconds > 0 { usleep(UInt32(seconds * 1e6)) }
            isFirst = false
            var answer = frame
            answer.maskKey = nil
            try peer.send(answer)
            if frame.opcode == 8 { return }
        }
    }

    // MARK: Replay

    private static func record(_ lines: [(Int, String, String)]) -> String {
        let frames = lines.map { at, direction, text in
            "{\"type\":\"frame\",\"atMicroseconds\":\(at),\"relay\":\"0-1-1\",\"direction\":\"\(direction)\","
                + "\"opcode\":\"text\",\"final\":true,\"bytes\":\(text.utf8.count),\"text\":\"\(text)\"}\n"
        }
        return
            "{\"type\":\"tap\",\"atMicroseconds\":0,\"version\":1,\"startedMilliseconds\":1,\"payloads\":true}\n"
            + "{\"type\":\"relay\",\"atMicroseconds\":0,\"relay\":\"0-1-1\",\"path\":\"/\",\"scheme\":\"ws\",\"host\":\"a\"}\n"
            + frames.joined()
    }

    private func replayed(
        _ text: String, _ server: ScriptedBackend, expects: Bool
    ) throws -> LoadSummary {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(text, to: "\(folder)/r")
        let recording = try LoadRecording(path: "\(folder)/r")
        var plan = try plan(server.address.port, .script, connections: 1)
        plan.program = recording.program(
            speed: .times(2), expectsReplies: expects, sendsSecrets: false)
        plan.isPlayedByTheClock = true
        plan.end = .seconds(600)
        return try LoadCrew(plan, threads: 1).run().summary
    }

    private static let conversation = record([
        (0, "up", "a"), (1_000, "down", "a"), (200_000, "up", "b"), (201_000, "down", "b"),
    ])

    @Test func `latency counts from the moment at which a message should have left`() throws {
        let server = try serving { try Self.echo($0, after: 0.6) }
        defer { server.stop() }
        let summary = try replayed(Self.conversation, server, expects: true)
        #expect(summary.errors == [] && summary.model == "open")
        #expect(summary.latencyMicroseconds.count == 2)
        // The first takes 600 ms. The second should have left at 100 ms, and could at 600.
        #expect(summary.latencyMicroseconds.mean >= 540_000)
        #expect(summary.latencyMicroseconds.p50 >= 490_000)
        let late = try #require(summary.generator.sendLateMicroseconds)
        #expect(
            late.count >= 2 && late.max < 300_000, "what the server kept it waiting is not its own")
        #expect(summary.notes == [])
    }

    @Test func `messages of a recording leave at their moments, and not when a timer ticks`() throws
    {
        // At no whole millisecond, and so far apart that none waits for another.
        let text = Self.record((0..<100).map { ($0 * 10_370, "up", "m\($0)") })
        let server = try serving { try Self.echo($0) }
        defer { server.stop() }
        var found: [Double] = []
        // A machine that is busy with other things wakes nobody in time; a timer of milliseconds never does.
        while found.count < 5, !found.contains(where: { $0 < 400 }) {
            let summary = try replayed(text, server, expects: false)
            let late = try #require(summary.generator.sendLateMicroseconds)
            #expect(late.count >= 100)
            found.append(late.p50)
        }
        #expect(found.contains { $0 < 400 }, "\(found) µs")
    }

    @Test func `a median that is this program's own makes it the limit`() throws {
        var meter = LoadMeter()
        meter.isMeasuring = true
        for _ in 0..<100 {
            meter.record(nanoseconds: 1_270_000)
            meter.sendLag.record(700_000)
        }
        // One of a hundred is late by less than a millisecond, so that the p99 alone would not tell.
        func reasons(_ isByTheClock: Bool) throws -> [String] {
            var plan = LoadPlan(target: try LoadTarget(parsing: "ws://a/"), mode: .script)
            plan.isPlayedByTheClock = isByTheClock
            let outcome = LoadOutcome(
                meter: meter, seconds: 1, openingSeconds: 0, receivedInTime: 100,
                usage: ThreadUsage(), served: 0, attempts: 0)
            return LoadSummary(
                LoadFindings(
                    plan: plan, outcomes: [outcome], nameMicroseconds: nil, startedAt: Date())
            ).generator.reasons
        }
        #expect(try reasons(true).contains { $0.hasPrefix("half of the messages left") })
        #expect(try reasons(false) == [])
    }

    @Test func `where nothing could be measured, the report says so`() throws {
        let server = try serving { try Self.echo($0) }
        defer { server.stop() }
        let summary = try replayed(Self.conversation, server, expects: false)
        #expect(summary.latencyMicroseconds.count == 0)
        #expect(summary.notes.contains { $0.contains("--expect-replies") }, "\(summary.notes)")
        let noted = LoadPage.html(summary).split(separator: "\n").filter {
            $0.hasPrefix("<p class=\"note\">")
        }
        #expect(noted.count == summary.notes.count, "\(noted)")
    }

    @Test func `an archive may leave out what its writer does not know`() throws {
        let text = """
            {"log": {"entries": [{}, {"_webSocketMessages": []},
              {"request": {"headers": [{"name": "Cookie"}, {"value": "x"}]},
               "_webSocketMessages": [{"type": "send", "data": "a"}, {"data": "b"}, {"type": "send", "opcode": -1},
                 {"type": "send", "time": 5.5, "data": "c"}, {"type": "send", "time": 5.75, "opcode": 2, "data": "AQI="}]}]}}
            """
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(text, to: "\(folder)/r")
        let recording = try LoadRecording(path: "\(folder)/r")
        #expect(recording.count == 1)
        let messages = recording.sockets[0].messages
        #expect(messages.map(\.seconds) == [0, 0, 0, 0.25])
        #expect(messages.map(\.isSent) == [true, false, true, true])
        #expect(messages.last?.bytes == [1, 2])
        #expect(recording.sockets[0].path == nil)
    }

    @Test func `an archive that is too large is refused by its size`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let path = "\(folder)/r.har"
        try Scratch.write("{", to: path)
        // A hole takes no room on the disk.
        #expect(truncate(path, 300 << 20) == 0)
        let fault = #expect(throws: LoadFault.self) { _ = try LoadRecording(path: path) }
        #expect(
            fault?.sentence.contains("256 MiB: it has 300 MiB") == true, "\(fault?.sentence ?? "")")
    }

    // MARK: Clocks and numbers

    @Test func `a clock that is ahead is told, and makes no age of 0`() throws {
        let server = try serving { peer in
            let now = UInt64(Date().timeIntervalSince1970 * 1_000)
            for ahead in [5_000, 60_000] {
                try peer.send(Frame.text("{\"ts\":\(now + UInt64(ahead))}"))
            }
            try peer.send(Frame.text("{\"ts\":\(now - 1_000)}"))
            _ = try peer.readFrameOrEnd()
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: "ts"), connections: 1)
        plan.end = .count(3)
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.messages.received == 3 && summary.messages.early == 2)
        #expect((59_000_000...60_000_000).contains(summary.messages.earlyMaxMicroseconds))
        #expect(summary.latencyMicroseconds.count == 1)
        #expect(summary.latencyMicroseconds.p50 >= 1_000_000)
        #expect(summary.notes.contains { $0.contains("2 messages came before their own clock") })
    }

    @Test func `a report of an older version is read, and what it lacks is nothing`() throws {
        let old = """
            {"version": 1, "mode": "echo", "model": "open", "seconds": 2.5,
             "messages": {"sent": 10, "received": 9, "perSecond": 3.6},
             "latencyMicroseconds": {"count": 9, "p50": 1, "p99": 5},
             "opening": {"seconds": 1, "tlsMicroseconds": {"p50": 4}},
             "runs": [{"seconds": 1, "perSecond": 2, "latencyMicroseconds": {"p50": 3}}],
             "timeline": {"intervals": [{"sent": 4}]}, "unknown": {"of": ["a newer one"]}}
            """
        let summary = try LoadSummary(json: Data(old.utf8))
        #expect(summary.messages.received == 9 && summary.messages.dropped == 0)
        #expect(summary.latencyMicroseconds.p99 == 5 && summary.latencyMicroseconds.max == 0)
        #expect(
            summary.opening.tlsMicroseconds?.p50 == 4 && summary.opening.tlsMicroseconds?.max == 0)
        #expect(summary.runs.map(\.latencyMicroseconds.p50) == [3] && summary.runs[0].errors == 0)
        #expect(
            summary.timeline.intervals.map(\.sent) == [4] && summary.timeline.intervalSeconds == 1)
        for text in ["", "{}", "[]", "{\"version\": 1}", "{\"rows\": []}"] {
            #expect(throws: LoadFault.self) { _ = try LoadSummary(json: Data(text.utf8)) }
        }
        let newer = #expect(throws: LoadFault.self) {
            _ = try LoadSummary(
                json: Data("{\"version\": 9, \"mode\": \"echo\", \"latencyMicroseconds\": {}}".utf8)
            )
        }
        #expect(newer?.sentence.contains("newer Sluice") == true)
    }

    @Test func `the connections of a ramp begin in turn over the threads`() throws {
        var plan = LoadPlan(target: try LoadTarget(parsing: "ws://127.0.0.1:1/"), mode: .echo)
        plan.connections = 12
        plan.dialing.rampSeconds = 12
        let shares = plan.shares(3)
        var moments: [UInt64] = []
        for share in shares {
            let loop = try LoadLoop(
                plan: share, address: .loopback(port: 1), context: nil,
                opening: try OpeningHandshake(target: plan.target, dialing: plan.dialing))
            moments += (0..<share.connections).map { loop.rampNanoseconds(of: $0) }
        }
        let second = UInt64(1_000_000_000)
        for (index, moment) in moments.sorted().enumerated() {
            #expect(moment.distance(to: UInt64(index) * second).magnitude < 1_000)
        }
    }

    // MARK: Scripts

    @Test func `the clients of a script begin evenly over a ramp`() throws {
        let server = try serving { try Self.echo($0) }
        defer { server.stop() }
        var late: [Double] = []
        // A machine that is busy with other things is late now and then; bursts are late each time.
        while late.count < 5, !late.contains(where: { $0 < 40_000 }) {
            var plan = try plan(server.address.port, .script, connections: 40)
            plan.dialing.rampSeconds = 0.8
            let summary = try played(
                plan, "scenarios: [{ name: a, steps: [{ send: x }, { expect: { text: x } }] }]")
            #expect(summary.errors == [])
            #expect(summary.connections.opened == 40)
            late.append(try #require(summary.opening.rampLateMicroseconds))
        }
        #expect(late.contains { $0 < 40_000 }, "\(late) µs")
    }

    @Test func `messages that nobody expected in time are counted`() throws {
        let server = try serving { peer in
            _ = try peer.readFrame()
            for number in 0..<1_500 { try peer.send(Frame.text("message \(number)")) }
            try peer.send(Frame.text("last"))
            try Self.echo(peer)
        }
        defer { server.stop() }
        let summary = try played(
            try plan(server.address.port, .script, connections: 1),
            "scenarios: [{ name: a, steps: [{ send: go }, { wait: 1s }, { expect: { text: last } }] }]"
        )
        #expect(summary.errors == [])
        #expect(summary.messages.received == 1_501)
        #expect(summary.messages.dropped == 1_501 - 1_024)
        #expect(
            summary.notes.contains { $0.contains("477 messages were dropped unread") },
            "\(summary.notes)")
    }

    @Test func `a player waits for a server that does not read, and loses nothing`() throws {
        let counted = Monitor(0)
        let server = try serving { peer in
            while let frame = try peer.readFrameOrEnd() {
                if frame.opcode == 8 { return try peer.send(Frame.close(1_000)) }
                counted.update { $0 += frame.payload.count }
            }
        }
        defer { server.stop() }
        let summary = try played(
            try plan(server.address.port, .script, connections: 1),
            """
            scenarios:
              - name: a
                steps: [{ loop: { times: 50, steps: [{ send: "\(String(repeating: "x", count: 1_000_000))" }] } }]
            """)
        #expect(summary.errors == [])
        #expect(summary.messages.totalSent == 50 && counted.value == 50_000_000)
    }

    @Test func `a player that never waits leaves the others their turns`() throws {
        let server = try serving { try Self.echo($0) }
        defer { server.stop() }
        let summary = try played(
            try plan(server.address.port, .script, connections: 2),
            """
            scenarios:
              - { name: greedy, steps: [{ loop: { times: 200000, steps: [{ wait: 0s }] } }, { send: x }] }
              - { name: modest, steps: [{ loop: { times: 20, steps: [{ send: y }, { expect: { text: y } }] } }] }
            """)
        #expect(summary.errors == [])
        #expect(summary.scenarios.map(\.finished) == [1, 1])
    }

    @Test func `a pattern that runs away elsewhere holds nobody up`() throws {
        let server = try serving { peer in
            _ = try peer.readFrame()
            try peer.send(Frame.text(String(repeating: "a", count: 2_000) + "!"))
            try peer.send(Frame.text("aaa"))
            try Self.echo(peer)
        }
        defer { server.stop() }
        let summary = try played(
            try plan(server.address.port, .script, connections: 1),
            "scenarios: [{ name: a, steps: [{ send: go }, { expect: { matches: '^(a+)+$' } }] }]")
        #expect(summary.errors == [])
        #expect(summary.scenarios.map(\.finished) == [1])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: in each mode the report counts what the server counts, with a warm-up too, and tells it in the right unit of time.
// Method: a server that counts its connections and messages; numbers of runs that are put together by hand.

import Config
import Foundation
import Reactor
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadCountTests {
    /// What a server has counted.
    private struct Tally {
        var opened: UInt64 = 0
        var got: UInt64 = 0
        var sent: UInt64 = 0
    }

    /// A server that counts, and sends back what it gets; in push it sends by itself, until it gets a Close.
    private func counting(_ tally: Monitor<Tally>, pushes: Bool) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            try peer.accept()
            tally.update { $0.opened += 1 }
            while true {
                let hasInput = try !pushes || peer.stream.hasInput(by: .after(.milliseconds(2)))
                guard hasInput else {
                    tally.update { $0.sent += 1 }
                    try peer.send(.text("news"))
                    continue
                }
                guard var frame = try peer.readFrameOrEnd() else { return }
                frame.maskKey = nil
                let isMessage = frame.opcode < 8
                if isMessage { tally.update { $0.got += 1 } }
                if !pushes || !isMessage { try peer.send(frame) }
                if isMessage, !pushes { tally.update { $0.sent += 1 } }
                if frame.opcode == 8 { return }
            }
        }
    }

    @Test(arguments: [
        LoadPlan.Mode.connect(resumes: false), .stream(windowBytes: 65_536), .push(clock: nil),
        .script,
    ])
    func `each mode counts as its server does, with a warm-up`(mode: LoadPlan.Mode) throws {
        let tally = Monitor(Tally())
        let isPush = mode == .push(clock: nil)
        let backend = try counting(tally, pushes: isPush)
        defer { backend.stop() }
        var plan = try plan(backend.address.port, mode, connections: 3)
        if isPush { plan.subscription = LoadMessage(content: [0x61], isText: true) }
        if mode == .script {
            plan.program = try LoadProgram(
                try LoadScript.load(
                    yaml: "scenarios: [{ name: a, steps: [{ send: x }, { expect: { text: x } }] }]",
                    file: "load.yaml"))
            plan.repeatsScenarios = true
        }
        plan.warmupSeconds = 0.15
        plan.end = .seconds(0.5)
        plan.awaitsAll = true
        let summary = try LoadCrew(plan, threads: 2).run().summary
        #expect(summary.errors == [])
        try backend.waitForScripts(backend.connectionCount)
        let (counted, messages) = (tally.value, summary.messages)
        #expect(summary.connections.opened == counted.opened)
        #expect(messages.totalSent == counted.got)
        #expect(messages.totalReceived == counted.sent)
        #expect(mode == .connect(resumes: false) ? counted.got == 0 : counted.got > 0)
        let opening = summary.opening
        #expect(abs(opening.perSecond - Double(opening.opened) / opening.seconds) < 0.001)
        switch mode {
        // These open in the warm-up too, and the time that is told is that of the measured part.
        case .connect, .script: #expect(opening.opened < summary.connections.opened)
        default: #expect(opening.opened == 3)
        }
    }

    @Test func `a step of a script that fails in the warm-up is an error of the run`() throws {
        let number = Monitor(0)
        let backend = try ScriptedBackend { peer in
            let mine = number.update {
                $0 += 1
                return $0
            }
            try peer.accept()
            guard mine == 1 else { return try peer.echo() }
            _ = try peer.readFrame()
            try peer.send(.text("y"))
            try peer.echo()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .script, connections: 2)
        plan.program = try LoadProgram(
            try LoadScript.load(
                yaml:
                    "scenarios: [{ name: a, steps: [{ send: x }, { expect: { text: x, next: true } }] }]",
                file: "load.yaml"))
        plan.repeatsScenarios = true
        plan.warmupSeconds = 0.3
        plan.end = .seconds(0.3)
        plan.awaitsAll = true
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors.map(\.cause) == ["expectation"], "\(summary.errors)")
        #expect(summary.errors.map(\.count) == [1])
    }

    // MARK: Several runs

    /// The result of a run of one thread, in which so many messages came.
    private func outcome(
        _ usage: ThreadUsage, messages: UInt64, change: (inout LoadMeter) -> Void = { _ in }
    ) -> LoadOutcome {
        var meter = LoadMeter()
        meter.isMeasuring = true
        for _ in 0..<messages { meter.countOne() }
        change(&meter)
        return LoadOutcome(
            meter: meter, seconds: usage.seconds, openingSeconds: 0, receivedInTime: messages,
            usage: usage, served: 0, attempts: 0)
    }

    private func result(_ outcomes: [LoadOutcome]) throws -> LoadResult {
        let plan = LoadPlan(
            target: try LoadTarget(parsing: "ws://a/"), mode: .rate(messagesPerSecond: 100))
        return LoadResult(
            LoadFindings(
                plan: plan, outcomes: outcomes, nameMicroseconds: nil, startedAt: Date()))
    }

    private func result(
        seconds: Double, cpuSeconds: Double, messages: UInt64,
        change: (inout LoadMeter) -> Void = { _ in }
    ) throws -> LoadResult {
        let usage = ThreadUsage(seconds: seconds, cpuSeconds: cpuSeconds, messages: messages)
        return try result([outcome(usage, messages: messages, change: change)])
    }

    @Test func `CPU time for each message is that of the threads of which it is known`() throws {
        let known = ThreadUsage(seconds: 1, cpuSeconds: 0.2, messages: 100)
        let summary = try result([
            outcome(known, messages: 100), outcome(ThreadUsage(), messages: 900),
        ]).summary
        #expect(summary.messages.received == 1_000)
        #expect(abs((summary.generator.cpuMicrosecondsPerMessage ?? 0) - 2_000) < 0.001)
    }

    /// The late ones may all be those that did not come back: then nothing of the latency is the generator's.
    @Test(arguments: [UInt64(3_000_000), 8_000_000])
    func `messages that did not come back distort no latency of others`(late: UInt64) throws {
        let result = try result(seconds: 1, cpuSeconds: 0.1, messages: 50) { meter in
            for _ in 0..<50 {
                meter.record(nanoseconds: 4_000_000)
                meter.sendLag.record(50_000)
                meter.sendLag.record(late)
            }
        }
        #expect(!result.summary.generatorLimited, "\(result.summary.generator.reasons)")
        #expect(result.summary.generator.sendLateMicroseconds?.count == 100)
    }

    @Test(arguments: [
        ("self-signed certificate in certificate chain", true),
        ("unable to get local issuer certificate", true),
        ("EE certificate key too weak", false), ("certificate has expired", false),
    ])
    func `an authority's file is advised where that is what is missing`(
        words: String, isMissing: Bool
    ) {
        let advice = LoadSummary.cure(ofCertificate: words)
        #expect(advice.contains("--ca") == isMissing, "\(advice)")
        #expect(advice.contains("--insecure"))
    }

    @Test(arguments: [1, 6, 11, 16, 33, 90])
    func `those that did not come back are left out one by one`(missing: Int) throws {
        let came = 1_000 - missing
        let result = try result(seconds: 1, cpuSeconds: 0.1, messages: UInt64(came)) { meter in
            for _ in 0..<came {
                meter.record(nanoseconds: 5_000_000)
                meter.sendLag.record(50_000)
            }
            for _ in 0..<missing { meter.sendLag.record(20_000_000) }
        }
        #expect(!result.summary.generatorLimited, "\(result.summary.generator.reasons)")
    }

    @Test func `later ones that did not come back hide no late ones that did`() throws {
        let result = try result(seconds: 1, cpuSeconds: 0.1, messages: 50) { meter in
            for _ in 0..<50 {
                meter.record(nanoseconds: 9_000_000)
                meter.sendLag.record(8_000_000)
                meter.sendLag.record(20_000_000)
            }
        }
        let reasons = result.summary.generator.reasons
        #expect(reasons.contains { $0.hasPrefix("1 of 100 messages left 8") }, "\(reasons)")
    }

    @Test func `where each message is known its own lateness counts`() throws {
        let result = try result(seconds: 1, cpuSeconds: 0.1, messages: 50) { meter in
            for _ in 0..<50 {
                meter.record(nanoseconds: 9_000_000)
                meter.timedSendLag.record(8_000_000)
                meter.sendLag.record(8_000_000)
            }
            // Of messages to which nothing is expected.
            for _ in 0..<1_000 { meter.sendLag.record(10_000) }
        }
        let reasons = result.summary.generator.reasons
        #expect(reasons.contains { $0.hasPrefix("half of the messages left 8") }, "\(reasons)")
    }

    @Test func `CPU time for each message is that of all runs over all of their messages`() throws {
        let all = try #require(
            LoadResult.together([
                try result(seconds: 1, cpuSeconds: 0.5, messages: 100),
                try result(seconds: 9, cpuSeconds: 0.1, messages: 100),
            ]))
        let generator = all.summary.generator
        #expect(abs((generator.cpuMicrosecondsPerMessage ?? 0) - 3_000) < 0.001)
        #expect(generator.cpuShares == [0.06])
        #expect(!all.summary.generatorLimited)
    }

    @Test func `a run in which the generator was the limit is not averaged away`() throws {
        var results = try (0..<4).map { _ in
            try result(seconds: 1, cpuSeconds: 0.1, messages: 100)
        }
        results.insert(try result(seconds: 1, cpuSeconds: 0.99, messages: 100), at: 1)
        let all = try #require(LoadResult.together(results))
        #expect(all.summary.generatorLimited)
        #expect(
            all.summary.generator.reasons == [
                "in run 2, a thread of the generator used 99 % of its core"
            ])
    }

    @Test func `messages that leave late distort no latency where none was measured`() throws {
        let late: (inout LoadMeter) -> Void = { meter in
            for _ in 0..<100 { meter.sendLag.record(5_000_000) }
        }
        let result = try result(seconds: 1, cpuSeconds: 0.1, messages: 0, change: late)
        #expect(result.summary.latencyMicroseconds.count == 0)
        #expect(!result.summary.generatorLimited, "\(result.summary.generator.reasons)")
    }

    // MARK: Shares

    @Test func `in a storm each attempt is one that may fail`() throws {
        var summary = LoadSummary()
        summary.mode = "storm"
        // Four clients are opened, and dropped; three of ten attempts bring one back.
        summary.connections.opened = 7
        summary.opening.opened = 4
        summary.storm = LoadSummary.Storm(served: 3, attempts: 10)
        summary.errors = [LoadSummary.Failure(cause: "refused", count: 7, example: "")]
        let verdict = try LoadExpectation(parsing: "errors < 1%").judge(summary)
        #expect(verdict.found == "50 %")
    }
}

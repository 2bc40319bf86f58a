// SPDX-License-Identifier: Apache-2.0
//
// Goal: clients do what a script says, with their own values, and what goes wrong is told with its step.
// Method: scripts against servers that keep what they got; the parts of a script by themselves.

import Config
import Echo
import Foundation
import Reactor
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadScriptPlayTests {
    /// What a server got on each of its connections: the request's target, then texts.
    private func keeping(_ kept: Monitor<[[String]]>) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let head = try peer.accept()
            let index = kept.update {
                $0.append([head.target])
                return $0.count - 1
            }
            while let frame = try peer.readFrameOrEnd() {
                var answer = frame
                answer.maskKey = nil
                if frame.opcode == 1 {
                    let text = String(decoding: frame.payload, as: UTF8.self)
                    kept.update { $0[index].append(text) }
                }
                try peer.send(answer)
                if frame.opcode == 8 { return }
            }
        }
    }

    private func play(
        _ yaml: String, _ port: UInt16, connections: Int, seconds: Double? = nil,
        file: String = "load.yaml"
    ) throws -> LoadSummary {
        var plan = try plan(port, .script, connections: connections)
        plan.program = try LoadProgram(try LoadScript.load(yaml: yaml, file: file))
        plan.end = .seconds(seconds ?? 600)
        plan.repeatsScenarios = seconds != nil
        plan.openingSeconds = 5
        return try LoadCrew(plan, threads: 2).run().summary
    }

    @Test func `each client goes through its scenario once, with its own values`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(
            "name,\"full, name\"\nann,\"A \"\"B\"\"\nC\"\nbob,D\n", to: "\(folder)/u.csv")
        let kept = Monitor<[[String]]>([])
        let backend = try keeping(kept)
        defer { backend.stop() }
        let summary = try play(
            """
            users: u.csv
            variables: { id: { counter: 10 } }
            scenarios:
              - name: a
                path: /u?name=${name}
                steps:
                  - loop: { times: 2, steps: [{ send: "${name} ${id}" }, { expect: { contains: "${id}" } }] }
                  - send: '{"list": [{"n": 1.5}, true], "id": ${id}}'
                  - expect: { json: list.0.n, equals: "1.5", capture: number }
                  - send: "x=${number} $${y}"
                  - expect: { matches: "x=([0-9.]+)", capture: again, next: true }
                  - wait: 1ms
                  - send: "${again}"
            """, backend.address.port, connections: 3, file: "\(folder)/load.yaml")
        #expect(summary.errors == [])
        #expect(
            summary.scenarios == [LoadSummary.Scenario(name: "a", finished: 3, failed: 0)])
        let expected = [("ann", 10), ("bob", 11), ("ann", 12)].map { name, id in
            [
                "/u?name=\(name)", "\(name) \(id)", "\(name) \(id)",
                "{\"list\": [{\"n\": 1.5}, true], \"id\": \(id)}", "x=1.5 ${y}", "1.5",
            ]
        }
        #expect(Set(kept.value) == Set(expected))
        #expect(summary.messages.totalSent == 15)
        #expect(summary.latencyMicroseconds.count == 12)
    }

    @Test func `a script with a warm-up is measured behind it`() throws {
        let kept = Monitor<[[String]]>([])
        let backend = try keeping(kept)
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .script, connections: 2)
        plan.program = try LoadProgram(
            try LoadScript.load(
                yaml: "scenarios: [{ name: a, steps: [{ send: x }, { expect: { text: x } }] }]",
                file: "load.yaml"))
        plan.warmupSeconds = 0.2
        plan.end = .seconds(0.3)
        plan.repeatsScenarios = true
        plan.awaitsAll = true
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors == [])
        #expect(summary.messages.received > 0 && summary.latencyMicroseconds.count > 0)
        #expect(summary.messages.totalReceived > summary.messages.received)
        let finished = Double(summary.scenarios.first?.finished ?? 0)
        #expect(finished > 0)
        #expect(kept.value.count > 4)
        // But for those that were under way at its beginning or its end, and those that the end found opening.
        let opened = summary.opening.perSecond * summary.seconds
        #expect(abs(opened - finished) <= 6, "\(opened) opened, \(finished) finished")
        #expect(summary.connections.opened > UInt64(opened))
        #expect(summary.messages.sent >= summary.messages.received)
        // Once is over before a warm-up would be.
        plan.repeatsScenarios = false
        let fault = #expect(throws: LoadFault.self) { try LoadCrew(plan, threads: 1) }
        #expect(fault?.sentence.contains("no warm-up: give --duration") == true)
    }

    @Test func `a variable with a line end adds nothing to the request`() throws {
        let kept = Monitor<[[String]]>([])
        let backend = try keeping(kept)
        defer { backend.stop() }
        let summary = try play(
            """
            variables: { room: "a HTTP/1.1\\r\\nX-Forged: b" }
            scenarios: [{ name: a, path: "/${room}", steps: [{ send: x }] }]
            """, backend.address.port, connections: 1)
        #expect(summary.errors.map(\.cause) == ["upgrade"])
        #expect(kept.value == [])
    }

    @Test func `scenarios are played by their weights, over and over`() throws {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        let summary = try play(
            """
            scenarios:
              - { name: often, weight: 3, steps: [{ send: a }, { expect: { text: a } }] }
              - { name: seldom, steps: [{ send: b }, { expect: { text: b } }, { wait: 600s }] }
            """, try #require(server.addresses.first).port, connections: 8, seconds: 0.3)
        #expect(summary.errors == [])
        // Those that wait are cut by the end, and are no failure.
        #expect(summary.scenarios.map(\.name) == ["often"])
        #expect((summary.scenarios.first?.finished ?? 0) > 6)
        let program = try LoadProgram(
            try LoadScript.load(
                yaml: """
                    scenarios:
                      - { name: often, weight: 3, steps: [{ send: a }] }
                      - { name: seldom, steps: [{ send: b }] }
                    """, file: "x"))
        for count in [8, 100, 4000] {
            let often = (0..<count).count { program.scenario(of: UInt64($0)) == 0 }
            #expect(abs(often * 4 - count * 3) <= 8, "\(often) of \(count)")
        }
    }

    @Test(arguments: [
        (
            "[{ send: a }, { expect: { text: b, within: 50ms } }]", "expectation",
            "a message that is 'b' did not come within 0.05 s; the last one was: a"
        ),
        (
            "[{ send: a }, { expect: { contains: b, next: true } }]", "expectation",
            "a message with 'b' in it was expected, and the last one was: a"
        ),
        (
            "[{ expect: { within: 50ms } }]", "expectation",
            "a message did not come within 0.05 s; no message has come"
        ),
        ("[{ send: end }, { expect: {} }]", "close-1011", "with 1011: over"),
    ])
    func `what goes wrong is told with its step`(
        steps: String, cause: String, words: String
    ) throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            guard let frame = try peer.readFrameOrEnd() else { return }
            if frame.payload == Array("end".utf8) {
                try peer.send(Frame.close(1011, "over"))
                _ = try peer.readUntilEnd()
                return
            }
            var answer = frame
            answer.maskKey = nil
            try peer.send(answer)
            if frame.opcode != 8 { try peer.echo() }
        }
        defer { backend.stop() }
        let summary = try play(
            "scenarios:\n  - { name: a, steps: \(steps) }", backend.address.port, connections: 2)
        #expect(summary.errors.map(\.cause) == [cause])
        #expect(summary.errors.map(\.count) == [2])
        let example = summary.errors.first?.example ?? ""
        #expect(example.contains(words), "\(example)")
        if cause == "expectation" {
            #expect(example.contains("scenario 'a', load.yaml:2:"), "\(example)")
        }
        #expect(summary.scenarios.map(\.failed) == [2])
    }

    @Test func `what a script refers to has to be there`() throws {
        let problems = #expect(throws: ConfigurationProblems.self) {
            try LoadProgram(
                try LoadScript.load(
                    yaml: """
                        users: nowhere.csv
                        variables: { name: x }
                        scenarios:
                          - name: a
                            steps:
                              - send: "${nam}"
                              - expect: { matches: "(" , capture: later }
                              - send: "${later}"
                        expect: [p98 < 1s]
                        """, file: "s.yaml"))
        }
        let text = problems?.description ?? ""
        for words in [
            "s.yaml:1:8: users: nowhere.csv: it can't be read",
            "s.yaml:6:9: there is no variable 'nam' here", "did you mean 'name'?",
            "s.yaml:7:9: matches: '(' can't be used: a '(' has no ')'", "s.yaml:9:10: ",
        ] { #expect(text.contains(words), "\(text)") }
        #expect(!text.contains("'later'"), "\(text)")
    }

    @Test func `a file of a million rows is read`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        var text = "id,word\r\n"
        for row in 0..<1_000_000 { text += "\(row),w\(row)\r\n" }
        try Scratch.write(text, to: "\(folder)/m.csv")
        let table = try LoadTable(path: "\(folder)/m.csv")
        #expect(table.count == 1_000_000)
        #expect(table.columns == ["id", "word"])
        for row in [0, 1, 499_999, 999_999] { #expect(table.row(row) == ["\(row)", "w\(row)"]) }
        #expect(table.row(1_000_001) == ["1", "w1"])
    }

    @Test(arguments: [
        ("", "at least one row"), ("a,b\n", "at least one row"), ("a,b\n\"x,1\n", "no end"),
        ("a,,c\n1,2,3\n", "the name “”"),
    ])
    func `a table that can't be used says why`(text: String, words: String) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(text, to: "\(folder)/t.csv")
        let fault = #expect(throws: LoadFault.self) { try LoadTable(path: "\(folder)/t.csv") }
        #expect(fault?.sentence.contains(words) == true, "\(fault?.sentence ?? "")")
    }

    @Test func `values of JSON are found by their way`() throws {
        let bytes = Array(
            #"{"a": {"b": [1, 2.5, "x", null, false, {"c": "é"}]}, "n": 12345678901, "m": 18446744073709551615}"#
                .utf8)
        let value = try #require(JSONValue(message: bytes))
        for (path, text) in [
            ("a.b.0", "1"), ("a.b.1", "2.5"), ("a.b.2", "x"), ("a.b.3", "null"),
            ("a.b.4", "false"), ("a.b.5.c", "é"), ("n", "12345678901"),
            ("m", "18446744073709551615"),
        ] { #expect(value.value(at: path)?.text == text, "\(path)") }
        for path in ["b", "a.b.9", "a.b.x", "a.b.0.c"] {
            #expect(value.value(at: path)?.text == nil, "\(path)")
        }
        #expect(value.value(at: "a.b").map(\.text) == .some(nil))
        #expect(JSONValue(message: Array("{".utf8)) == nil)
    }
}

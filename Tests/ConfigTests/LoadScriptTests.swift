// SPDX-License-Identifier: Apache-2.0
//
// Goal: a script says what its clients do, and everything that is wrong with it is told with its place.
// Method: a script with every key; scripts with one mistake each.

import Testing

@testable import Config

@Suite struct LoadScriptTests {
    private func script(_ yaml: String) throws -> LoadScript {
        try LoadScript.load(yaml: yaml, file: "dir/load.yaml")
    }

    @Test func `every key is read`() throws {
        let script = try script(
            """
            connections: 20
            duration: 30s
            ramp: 5s
            users: users.csv
            variables:
              word: "a b"
              id: { counter: 7 }
              room: { random: 1..5 }
            scenarios:
              - name: chat
                weight: 3
                path: /chat?u=${id}
                subprotocols: [a, b]
                headers: { X-User: "u${id}" }
                steps:
                  - send: "hi ${room}"
                  - sendBase64: AQID
                  - expect: { json: a.b, equals: "1", within: 2s, next: true, capture: x }
                  - expect: { matches: "(a)(b)", capture: [y, z] }
                  - expect: { text: t }
                  - expect: { contains: c }
                  - expect: { base64: AQI= }
                  - wait: 1s
                  - wait: 1s..3s
                  - loop: { times: 4, steps: [{ send: again }] }
                  - close: 1001
            expect: ["p99 < 50ms"]
            """)
        #expect(script.connections == 20)
        #expect(script.duration == .seconds(30))
        #expect(script.ramp == .seconds(5))
        #expect(script.users == "dir/users.csv")
        #expect(
            script.variables == [
                LoadVariable(name: "word", source: .text("a b")),
                LoadVariable(name: "id", source: .counter(7)),
                LoadVariable(name: "room", source: .random(1...5)),
            ])
        #expect(script.expectations.map(\.text) == ["p99 < 50ms"])
        let scenario = try #require(script.scenarios.first)
        #expect(scenario.name == "chat")
        #expect(scenario.weight == 3)
        #expect(scenario.path == "/chat?u=${id}")
        #expect(scenario.subprotocols == ["a", "b"])
        #expect(scenario.headers == [LoadHeader(name: "X-User", value: "u${id}")])
        var (json, pattern, text, part, bytes) = (
            LoadCheck(), LoadCheck(), LoadCheck(), LoadCheck(), LoadCheck()
        )
        (json.json, json.equals, json.within) = ("a.b", "1", .seconds(2))
        (json.isNext, json.captures) = (true, ["x"])
        (pattern.matches, pattern.captures) = ("(a)(b)", ["y", "z"])
        text.text = "t"
        part.contains = "c"
        bytes.bytes = [1, 2]
        let actions: [LoadStep.Action] = [
            .send("hi ${room}"), .sendBytes([1, 2, 3]), .expect(json), .expect(pattern),
            .expect(text), .expect(part), .expect(bytes), .wait(.seconds(1) ... .seconds(1)),
            .wait(.seconds(1) ... .seconds(3)),
        ]
        #expect(Array(scenario.steps.map(\.action).prefix(9)) == actions)
        guard case .loop(times: 4, let steps) = scenario.steps[9].action else {
            Issue.record("\(scenario.steps[9])")
            return
        }
        #expect(steps.map(\.action) == [.send("again")])
        #expect(scenario.steps[10].action == .close(1001))
        #expect(scenario.steps[0].place == SourcePlace(file: "dir/load.yaml", line: 16, column: 9))
    }

    @Test(arguments: [
        ("connexions: 1\nscenarios: []", "1:1", "unknown key 'connexions'", "did you mean"),
        ("connections: 1", "1:1", "'scenarios' is missing", ""),
        ("scenarios: []", "1:12", "found an empty list", ""),
        ("scenarios: [{ name: a }]", "1:13", "'steps' is missing", ""),
        ("scenarios: [{ name: a, steps: [{ wait: 5 }] }]", "1:40", "found '5'", "1s..3s"),
        (
            "scenarios: [{ name: a, steps: [{ send: a, wait: 1s }] }]", "1:32",
            "found 2 actions in one step", "put a - in front of each"
        ),
        (
            "scenarios: [{ name: a, steps: [{ expects: { text: a } }] }]", "1:34",
            "unknown key 'expects'", "did you mean 'expect'?"
        ),
        (
            "scenarios: [{ name: a, steps: [{ expect: { equals: a } }] }]", "1:42",
            "found equals without json", ""
        ),
        (
            "scenarios: [{ name: a, steps: [{ sendBase64: '*' }] }]", "1:46", "found '*'",
            "as AQID"
        ),
        (
            "scenarios: [{ name: a, path: x, steps: [{ send: a }] }]", "1:13",
            "found 'x', allowed: a path that begins with /", ""
        ),
        (
            "variables: { 'a-b': c }\nscenarios: [{ name: a, steps: [{ send: a }] }]", "1:14",
            "letters, digits and _", ""
        ),
        (
            "variables: { a: { random: 5..1 } }\nscenarios: [{ name: a, steps: [{ send: a }] }]",
            "1:27", "found '5..1'", "as 1..100"
        ),
        (
            "variables: { a: {} }\nscenarios: [{ name: a, steps: [{ send: a }] }]", "1:17",
            "one of counter and random", ""
        ),
    ])
    func `a mistake is told with its place`(
        yaml: String, place: String, found: String, more: String
    ) throws {
        let problems = #expect(throws: ConfigurationProblems.self) { try script(yaml) }
        let text = problems?.description ?? ""
        #expect(text.contains("dir/load.yaml:\(place): "), "\(text)")
        #expect(text.contains(found), "\(text)")
        #expect(more.isEmpty || text.contains(more), "\(text)")
    }
}

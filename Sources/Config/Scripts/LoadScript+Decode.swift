// SPDX-License-Identifier: Apache-2.0
import Foundation

extension LoadScript {
    /// Reads a script; throws everything that is wrong with it.
    ///
    /// - Parameters:
    ///   - yaml: the text.
    ///   - file: names it in problems; the path of `users` is relative to its folder.
    /// - Returns: the script.
    /// - Throws: everything that is wrong with it, each with its place.
    public static func load(
        yaml: String, file: String
    ) throws(ConfigurationProblems) -> LoadScript {
        let findings = Findings(file: file)
        let root = Value(
            node: try Document(yaml: yaml, file: file).root(), path: "", findings: findings)
        let script = section.decode(root)
        try findings.throwIfAny { _ in [] }
        guard let script else {
            throw ConfigurationProblems(file: file, "this is no script: it needs scenarios")
        }
        return script
    }

    static let section = Section(
        "Script", LoadScript(),
        [
            .number(
                "connections", \.connections, 1...10_000_000, absent: "`--connections`",
                "how many clients there are at one time"),
            .duration(
                "duration", \.duration, .milliseconds(1) ... .seconds(30 * 86_400),
                absent: "each client goes through its scenario once",
                "how long clients begin their scenarios anew; `--duration` goes before it"),
            .duration(
                "ramp", \.ramp, .zero ... .seconds(86_400), absent: "`--ramp`",
                "the time over which clients begin"),
            .custom(
                "users", .text("path"), absent: "none",
                "a file in CSV whose first line names variables, with a row for each client; with more clients than"
                    + " rows they begin again at the first"
            ) { owner, value in
                guard let text = value.text("a path") else { return false }
                owner.users = value.findings.resolve(text)
                owner.usersPlace = value.place
                return true
            },
            .custom(
                "variables", .names(.either([.text("text"), .mapping("variables.NAME")])),
                absent: "none", "what stands for `${NAME}` in texts, paths and headers"
            ) { owner, value in
                owner.variables = (value.namedItems(of: "values") ?? []).compactMap {
                    LoadVariable(name: $0.name, value: $0.value)
                }
                return true
            },
            .required(
                "scenarios", .list(.mapping("scenarios[]")),
                "what clients do; at least one entry"
            ) { owner, value in
                owner.scenarios = (value.nonEmptyList(of: "scenarios") ?? [])
                    .compactMap(LoadScenario.init)
                return !owner.scenarios.isEmpty
            },
            .custom(
                "expect", .list(.text("expectation")), absent: "no error",
                "what the run has to show, as `p99 < 50ms`, `errors < 0.1%`, `connected == 5000`"
            ) { owner, value in
                owner.expectations = (value.list(of: "expectations") ?? []).compactMap { item in
                    item.text("an expectation, as p99 < 50ms").map {
                        LoadExpected(text: $0, place: item.place)
                    }
                }
                return true
            },
        ])

    /// The sections of a script, in the order of the reference.
    static let sections: [KeySection] = [
        LoadScript.section.keys, LoadVariable.section.keys, LoadScenario.section.keys,
        LoadStep.section.keys, LoadStep.loopSection.keys, LoadCheck.section.keys,
    ]
}

/// The keys of a variable's mapping before one of them is chosen.
struct VariableKeys: Sendable {
    var counter: Int?
    var random: ClosedRange<Int>?
}

extension LoadVariable {
    static let section = Section(
        "variables.NAME", VariableKeys(),
        [
            .number(
                "counter", \.counter, 0...1_000_000_000, absent: "none",
                "a number for each client, counted from this one on"),
            .custom(
                "random", .text("range"), absent: "none",
                "a number that is drawn anew each time a client begins its scenario, as `1..100`"
            ) { owner, value in
                let what = "two whole numbers, as 1..100"
                guard let text = value.text(what) else { return false }
                let ends = text.split(separator: ".", omittingEmptySubsequences: true).map {
                    Int($0)
                }
                guard ends.count == 2, text.contains(".."), let low = ends[0], let high = ends[1],
                    low <= high
                else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.random = low...high
                return true
            },
        ])

    init?(name: Value, value: Value) {
        guard let text = name.text("a name"), LoadVariable.isName(text) else {
            name.report("found \(name.found), allowed: a name with letters, digits and _")
            return nil
        }
        if let constant = value.writtenText {
            self.init(name: text, source: .text(constant))
            return
        }
        guard let keys = Self.section.decode(value) else { return nil }
        switch (keys.counter, keys.random) {
        case (let counter?, nil): self.init(name: text, source: .counter(counter))
        case (nil, let random?): self.init(name: text, source: .random(random))
        case (nil, nil), (_?, _?):
            value.report("found \(value.found), allowed: one of counter and random")
            return nil
        }
    }

    /// Whether a text can be a variable's name.
    public static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
                    || (0x61...0x7A).contains($0) || $0 == 0x5F
            }
    }
}

extension LoadScenario {
    static let section = Section(
        "scenarios[]", LoadScenario(),
        [
            .required("name", .text("text"), "names it in messages") { owner, value in
                owner.name = value.text("a name") ?? ""
                return !owner.name.isEmpty
            },
            .number(
                "weight", \.weight, 1...1_000_000,
                "how many of the clients do this, in proportion to the other weights"),
            .text(
                "path", \.path, what: "a path that begins with /", absent: "that of the URL",
                "the path and query to ask for"),
            .custom(
                "subprotocols", .list(.text("name")), absent: "`--subprotocol`",
                "subprotocols to offer"
            ) { owner, value in
                owner.subprotocols = (value.list(of: "names") ?? []).compactMap {
                    $0.text("a name")
                }
                return true
            },
            .custom(
                "headers", .names(.text("text")), absent: "`--header`",
                "further fields of the request"
            ) { owner, value in
                owner.headers = (value.namedItems(of: "values") ?? []).compactMap { name, value in
                    guard let name = name.writtenText, let text = value.text("a value") else {
                        return nil
                    }
                    return LoadHeader(name: name, value: text)
                }
                return true
            },
            .required(
                "steps", .list(.mapping("steps[]")), "what is done, in this order"
            ) { owner, value in
                owner.steps = (value.nonEmptyList(of: "steps") ?? []).compactMap(LoadStep.init)
                return !owner.steps.isEmpty
            },
        ])

    init?(_ value: Value) {
        guard var scenario = Self.section.decode(value) else { return nil }
        scenario.place = value.place
        if let path = scenario.path, !path.hasPrefix("/") {
            value.report("path: found '\(path)', allowed: a path that begins with /")
        }
        self = scenario
    }
}

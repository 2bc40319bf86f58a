// SPDX-License-Identifier: Apache-2.0
public import Config
import Foundation

/// What the clients of a scripted load do, ready to be carried out by many threads.
public struct LoadProgram: Sendable {
    /// One thing that a client does.
    enum Operation: Sendable {
        case send(LoadTemplate)
        case sendBytes([UInt8])
        /// With the number of its pattern, where it has one.
        case expect(LoadCheck, pattern: Int?)
        case wait(ClosedRange<Duration>)
        case until(Duration)
        /// Goes on behind `end` when it has been done so often.
        case loop(times: Int, end: Int)
        /// The end of a loop, which began there.
        case again(Int)
        case close(Int)
    }

    struct Scenario: Sendable {
        let name: String
        let weight: Int
        let path: LoadTemplate?
        let subprotocols: [String]
        let headers: [(name: String, value: LoadTemplate)]
        var operations: [(operation: Operation, place: SourcePlace)] = []
    }

    /// Variables that every client has.
    static let builtIn = ["connection", "iteration", "time"]

    private(set) var scenarios: [Scenario] = []
    /// Regular expressions.
    private(set) var patterns: [LinearPattern] = []
    let variables: [LoadVariable]
    let table: LoadTable?
    private var problems: [ConfigurationProblem] = []
    /// Whether clients take the scenarios one after the other; else by their weights.
    private(set) var playsInTurn = false

    /// Makes a program of a script, and reads its file of users.
    ///
    /// - Throws: everything that is wrong with it, each with its place.
    public init(_ script: LoadScript) throws(ConfigurationProblems) {
        variables = script.variables
        var table: LoadTable?
        if let path = script.users {
            do throws(LoadFault) {
                table = try LoadTable(path: path)
            } catch {
                let place = script.usersPlace ?? .commandLine
                problems.append(
                    ConfigurationProblem(place: place, sentence: "users: \(error.sentence)"))
            }
        }
        self.table = table
        let given = Self.builtIn + variables.map(\.name) + (table?.columns ?? [])
        for scenario in script.scenarios { add(scenario, given: Set(given)) }
        for expected in script.expectations {
            do throws(LoadFault) {
                _ = try LoadExpectation(parsing: expected.text)
            } catch {
                problems.append(
                    ConfigurationProblem(place: expected.place, sentence: error.sentence))
            }
        }
        if !problems.isEmpty { throw ConfigurationProblems(sorting: problems) }
    }

    /// Makes a program of what was recorded: every text stands for itself.
    init(playing recorded: [LoadScenario]) {
        variables = []
        table = nil
        for scenario in recorded {
            var made = Scenario(
                name: scenario.name, weight: 1,
                path: scenario.path.map { LoadTemplate(verbatim: $0) },
                subprotocols: scenario.subprotocols,
                headers: scenario.headers.map { ($0.name, LoadTemplate(verbatim: $0.value)) })
            for step in scenario.steps {
                switch step.action {
                case .send(let text):
                    let template = LoadTemplate(verbatim: text)
                    made.operations.append((.send(template), step.place))
                case .sendBytes(let bytes): made.operations.append((.sendBytes(bytes), step.place))
                case .expect(let check):
                    made.operations.append((.expect(check, pattern: nil), step.place))
                case .until(let time): made.operations.append((.until(time), step.place))
                case .wait(let range): made.operations.append((.wait(range), step.place))
                case .close(let code): made.operations.append((.close(code), step.place))
                // A recording has none.
                case .loop: break
                }
            }
            scenarios.append(made)
        }
        playsInTurn = true
    }

    private mutating func add(_ scenario: LoadScenario, given: Set<String>) {
        var known = given
        let path = scenario.path.map { LoadTemplate($0) }
        let headers = scenario.headers.map { (name: $0.name, value: LoadTemplate($0.value)) }
        for template in headers.map(\.value) + (path.map { [$0] } ?? []) {
            check(template, known, scenario.place)
        }
        var made = Scenario(
            name: scenario.name, weight: scenario.weight, path: path,
            subprotocols: scenario.subprotocols, headers: headers)
        add(scenario.steps, to: &made, &known)
        scenarios.append(made)
    }

    private mutating func check(
        _ template: LoadTemplate, _ known: Set<String>, _ place: SourcePlace
    ) {
        for name in template.names where !known.contains(name) {
            let near = Nearest.suggestion(for: name, among: known.sorted())
            problems.append(
                ConfigurationProblem(
                    place: place,
                    sentence: "there is no variable '\(name)' here, allowed:"
                        + " \(known.sorted().joined(separator: ", "))",
                    hint: near.map { "did you mean '\($0)'?" }))
        }
    }

    private mutating func add(
        _ steps: [LoadStep], to scenario: inout Scenario, _ known: inout Set<String>
    ) {
        for step in steps {
            func append(_ operation: Operation) {
                scenario.operations.append((operation, step.place))
            }
            switch step.action {
            case .send(let text):
                let template = LoadTemplate(text)
                check(template, known, step.place)
                append(.send(template))
            case .sendBytes(let bytes): append(.sendBytes(bytes))
            case .expect(let check):
                append(.expect(check, pattern: pattern(check, step.place)))
                known.formUnion(check.captures)
            case .wait(let range): append(.wait(range))
            case .until(let time): append(.until(time))
            case .close(let code): append(.close(code))
            case .loop(let times, let steps):
                let start = scenario.operations.count
                append(.loop(times: times, end: 0))
                add(steps, to: &scenario, &known)
                append(.again(start))
                let end = scenario.operations.count
                scenario.operations[start].operation = .loop(times: times, end: end)
            }
        }
    }

    private mutating func pattern(_ check: LoadCheck, _ place: SourcePlace) -> Int? {
        guard let text = check.matches else { return nil }
        do throws(LoadFault) {
            patterns.append(try LinearPattern(text))
        } catch {
            problems.append(
                ConfigurationProblem(
                    place: place, sentence: "matches: '\(text)' can't be used: \(error.sentence)"))
            return nil
        }
        return patterns.count - 1
    }

    /// Which scenario a client plays: each gets its share of any run of numbers.
    func scenario(of number: UInt64) -> Int {
        if playsInTurn { return Int(number % UInt64(scenarios.count)) }
        let all = scenarios.reduce(0.0) { $0 + Double($1.weight) }
        // Multiples of the golden ratio are spread evenly over 0 to 1.
        let share = (Double(number) * 0.618_033_988_749_895 + 0.5).truncatingRemainder(
            dividingBy: 1)
        var sum = 0.0
        for (index, scenario) in scenarios.enumerated() {
            sum += Double(scenario.weight) / all
            if share < sum { return index }
        }
        return scenarios.count - 1
    }

    /// How many scenarios there are.
    public var count: Int { scenarios.count }
}

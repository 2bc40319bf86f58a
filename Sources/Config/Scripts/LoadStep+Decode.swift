// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The keys of a step before it is known that there is one of them.
struct StepKeys: Sendable {
    var actions: [LoadStep.Action] = []
}

/// The keys of a loop.
struct LoopKeys: Sendable {
    var times = 1
    var steps: [LoadStep] = []
}

extension LoadStep {
    static let section = Section(
        "steps[]", StepKeys(),
        [
            .custom(
                "send", .text("text"), absent: "none",
                "sends a text message; `${NAME}` in it is replaced by the variable"
            ) { owner, value in
                guard let text = value.writtenText else {
                    value.report("found \(value.found), allowed: a text")
                    return false
                }
                owner.actions.append(.send(text))
                return true
            },
            .custom(
                "sendBase64", .text("base64"), absent: "none", "sends a binary message"
            ) { owner, value in
                guard let text = value.text("base64"), let data = Data(base64Encoded: text) else {
                    value.report("found \(value.found), allowed: base64, as AQID")
                    return false
                }
                owner.actions.append(.sendBytes(Array(data)))
                return true
            },
            .custom(
                "expect", .mapping("steps[].expect"), absent: "none",
                "waits for a message; one that does not come is an error, and ends the scenario"
            ) { owner, value in
                guard let check = LoadCheck(value) else { return false }
                owner.actions.append(.expect(check))
                return true
            },
            .custom(
                "wait", .text("duration or range"), absent: "none",
                "does nothing for so long, as `1s`, or for a time between two, as `1s..3s`"
            ) { owner, value in
                guard let range = Self.range(value) else { return false }
                owner.actions.append(.wait(range))
                return true
            },
            .custom(
                "loop", .mapping("steps[].loop"), absent: "none", "does steps over and over"
            ) { owner, value in
                guard let loop = Self.loopSection.decode(value) else { return false }
                owner.actions.append(.loop(times: loop.times, steps: loop.steps))
                return true
            },
            .custom(
                "close", .number(1000...4999), absent: "none",
                "sends a Close with this code, and ends the scenario; without it, a scenario ends with 1000"
            ) { owner, value in
                guard let code = value.integer(1000...4999) else { return false }
                owner.actions.append(.close(code))
                return true
            },
        ])

    static let loopSection = Section(
        "steps[].loop", LoopKeys(),
        [
            .number("times", \.times, 1...1_000_000_000, "how often the steps are done"),
            .required("steps", .list(.mapping("steps[]")), "what is done each time") {
                owner, value in
                owner.steps = (value.nonEmptyList(of: "steps") ?? []).compactMap(LoadStep.init)
                return !owner.steps.isEmpty
            },
        ])

    init?(_ value: Value) {
        guard let keys = Self.section.decode(value) else { return nil }
        guard let action = keys.actions.first, keys.actions.count == 1 else {
            if keys.actions.count > 1 {
                value.report(
                    "found \(keys.actions.count) actions in one step, allowed: one; put a - in front of each"
                )
            }
            return nil
        }
        self.init(action, place: value.place)
    }

    private static func range(_ value: Value) -> ClosedRange<Duration>? {
        let what = "a duration or two, as 1s or 1s..3s"
        guard let text = value.text(what) else { return nil }
        let ends = text.split(separator: ".", omittingEmptySubsequences: true).map {
            Units.duration(of: String($0))
        }
        guard (1...2).contains(ends.count), let low = ends.first ?? nil,
            let high = ends.last ?? nil,
            low <= high, high <= .seconds(86_400)
        else {
            value.report("found '\(text)', allowed: \(what)")
            return nil
        }
        return low...high
    }
}

extension LoadCheck {
    static let section = Section(
        "steps[].expect", LoadCheck(),
        [
            .text("text", \.text, what: "a text", absent: "any", "the whole text of the message"),
            .custom(
                "base64", .text("base64"), absent: "any", "the whole payload of the message"
            ) { owner, value in
                guard let text = value.text("base64"), let data = Data(base64Encoded: text) else {
                    value.report("found \(value.found), allowed: base64, as AQID")
                    return false
                }
                owner.bytes = Array(data)
                return true
            },
            .text("contains", \.contains, what: "a text", absent: "any", "a text that is in it"),
            .text(
                "matches", \.matches, kind: "regular expression", what: "a regular expression",
                absent: "any", "a regular expression that fits some of it"),
            .text(
                "json", \.json, kind: "path", what: "the way to a value, as user.names.0",
                absent: "any", "the way to a value in its JSON, as `user.names.0`"),
            .text(
                "equals", \.equals, what: "a text", absent: "any",
                "what the value of `json` is; true, false and null as JSON writes them, and numbers in any form: `1`, `1.0` and `1e0` are one number"
            ),
            .duration(
                "within", \.within, .milliseconds(1) ... .seconds(86_400),
                "how long it may take"),
            .boolean(
                "next", \.isNext,
                "whether the next message has to be it; else messages that do not fit are passed over"
            ),
            .custom(
                "capture", .either([.text("name"), .list(.text("name"))]), absent: "none",
                "variables that get what was found: the value of `json`, the groups of `matches`, or the whole text"
            ) { owner, value in
                let items = value.isList ? value.list(of: "names") ?? [] : [value]
                for item in items {
                    guard let name = item.text("a name") else { continue }
                    if LoadVariable.isName(name) {
                        owner.captures.append(name)
                    } else {
                        item.report(
                            "found '\(name)', allowed: a name with letters, digits and _")
                    }
                }
                return true
            },
        ])

    init?(_ value: Value) {
        guard let check = Self.section.decode(value) else { return nil }
        if check.equals != nil, check.json == nil {
            value.report(
                "found equals without json, allowed: equals says what the value of json is")
        }
        self = check
    }
}

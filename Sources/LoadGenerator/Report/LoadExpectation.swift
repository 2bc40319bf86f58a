// SPDX-License-Identifier: Apache-2.0

/// What is expected of a run: a measure, how it compares, and a number, as `p99 < 50ms`.
public struct LoadExpectation: Sendable, Equatable {
    /// A measure of a run.
    enum Measure: String, CaseIterable {
        case p50, p90, p99, p999, max, mean
        case errors, connected, failed, lost, alive, sent, received, late, resumed
        case messagesPerSecond, megabytesPerSecond, openedPerSecond, openingSeconds

        /// Whether it is a time.
        var isTime: Bool {
            switch self {
            case .p50, .p90, .p99, .p999, .max, .mean, .openingSeconds: true
            default: false
            }
        }
    }

    private enum Comparison: String, CaseIterable {
        case atMost = "<="
        case atLeast = ">="
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case more = ">"
    }

    /// As it was written.
    public let text: String
    private let measure: Measure
    private let comparison: Comparison
    /// A time in microseconds, a share of 100, or a plain number.
    private let wanted: Double
    private let isShare: Bool

    /// The measures that can be expected, for messages.
    public static let measures = Measure.allCases.map(\.rawValue)

    /// Reads an expectation.
    ///
    /// - Throws: `LoadFault` that says what was found and what is allowed.
    public init(parsing text: String) throws(LoadFault) {
        self.text = text
        let allowed =
            "write a measure, a comparison and a number, as “p99 < 50ms”, “errors < 0.1%” or “connected == 5000”"
        guard
            let comparison = Comparison.allCases.first(where: { text.contains($0.rawValue) }),
            let place = text.firstRange(of: comparison.rawValue)
        else { throw LoadFault("“\(text)” compares nothing; \(allowed)") }
        let name = Self.trimmed(text[..<place.lowerBound])
        let known = name == "p99.9" ? "p999" : String(name)
        guard let measure = Measure(rawValue: known) else {
            throw LoadFault(
                "“\(text)”: there is no measure “\(name)”; there are"
                    + " \(Self.measures.joined(separator: ", "))")
        }
        let value = Self.trimmed(text[place.upperBound...])
        self.measure = measure
        self.comparison = comparison
        isShare = value.hasSuffix("%")
        if isShare, measure != .errors, measure != .late {
            throw LoadFault("“\(text)”: a share stands behind errors and late only")
        }
        let number =
            measure.isTime ? Self.microseconds(value) : Double(isShare ? value.dropLast() : value)
        guard let number, number.isFinite, number >= 0 else {
            let what = measure.isTime ? "a time with its unit, as 50ms" : "a number"
            throw LoadFault("“\(text)”: “\(value)” is not \(what)")
        }
        wanted = number
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    private static func microseconds(_ text: Substring) -> Double? {
        for (unit, factor) in [("us", 1.0), ("µs", 1), ("ms", 1000), ("s", 1e6)]
        where text.hasSuffix(unit) {
            return Double(trimmed(text.dropLast(unit.count))).map { $0 * factor }
        }
        return nil
    }

    /// Whether each of several runs is as expected, and what was found.
    ///
    /// Found is what the run has shown that is farthest from what is expected, and how many runs were not as expected.
    public func judge(_ runs: [LoadSummary]) -> LoadSummary.Expected {
        let verdicts = runs.map { judge($0) }
        let distances = runs.map { distance($0) }
        let indices = verdicts.indices
        guard let worst = indices.max(by: { distances[$0] < distances[$1] }) else {
            return LoadSummary.Expected(text: text, isMet: false, found: "nothing")
        }
        var verdict = verdicts[worst]
        guard runs.count > 1 else { return verdict }
        let failed = verdicts.count { !$0.isMet }
        verdict.isMet = failed == 0
        if verdicts.allSatisfy({ $0.found == verdict.found }) {
            verdict.found += " in each of \(runs.count) runs"
            return verdict
        }
        verdict.found += " in run \(worst + 1), the worst of \(runs.count)"
        if failed > 0 { verdict.found += "; \(failed) of them not as expected" }
        return verdict
    }

    /// How far a run is from what is expected: the more, the worse.
    private func distance(_ summary: LoadSummary) -> Double {
        guard let found = value(summary) else { return .infinity }
        return switch comparison {
        case .less, .atMost: found
        case .more, .atLeast: -found
        case .equal: abs(found - wanted)
        case .notEqual: -abs(found - wanted)
        }
    }

    /// Whether a run is as expected, and what it has shown.
    public func judge(_ summary: LoadSummary) -> LoadSummary.Expected {
        guard let found = value(summary) else {
            return LoadSummary.Expected(text: text, isMet: false, found: "nothing")
        }
        let isMet =
            switch comparison {
            case .less: found < wanted
            case .atMost: found <= wanted
            case .more: found > wanted
            case .atLeast: found >= wanted
            case .equal: found == wanted
            case .notEqual: found != wanted
            }
        let rounded = (found * 1000).rounded() / 1000
        let shown =
            measure.isTime
            ? LoadNumber.time(microseconds: found)
            : rounded == rounded.rounded() && abs(rounded) < 1e15
                ? "\(Int(rounded))" : "\(rounded)"
        return LoadSummary.Expected(
            text: text, isMet: isMet, found: shown + (isShare ? " %" : ""))
    }

    /// A time of the messages; nil where none was measured.
    private static func time(
        _ summary: LoadSummary, _ key: KeyPath<LoadSummary.Latency, Double>
    ) -> Double? {
        let latency = summary.latencyMicroseconds
        return latency.count > 0 ? latency[keyPath: key] : nil
    }

    /// How often it was tried to open a WebSocket; in a storm those that failed then are among its attempts alone.
    private static func openings(_ summary: LoadSummary) -> Double {
        let (connections, storm) = (summary.connections, summary.storm)
        let opened = storm.map { summary.opening.opened &+ $0.attempts } ?? connections.opened
        return Double(opened) + Double(connections.failed)
    }

    /// What a run has of the measure; nil where it has nothing of which there would be a time, a rate or a share.
    private func value(_ summary: LoadSummary) -> Double? {
        let (messages, connections) = (summary.messages, summary.connections)
        switch measure {
        case .p50: return Self.time(summary, \.p50)
        case .p90: return Self.time(summary, \.p90)
        case .p99: return Self.time(summary, \.p99)
        case .p999: return Self.time(summary, \.p999)
        case .max: return Self.time(summary, \.max)
        case .mean: return Self.time(summary, \.mean)
        case .errors:
            let count = summary.errors.reduce(0.0) { $0 + Double($1.count) }
            // What could not leave was tried as well.
            let unsent = Double(messages.unsent)
            let tries =
                Double(messages.totalSent) + unsent + Self.openings(summary)
            guard isShare else { return count }
            return tries > 0 ? min(100, (count + unsent) / tries * 100) : nil
        case .late:
            let all = Double(messages.received)
            return isShare
                ? (all > 0 ? Double(messages.late) / all * 100 : nil) : Double(messages.late)
        case .connected: return Double(connections.opened)
        case .failed: return Double(connections.failed)
        case .lost: return Double(connections.lost)
        case .alive: return connections.alive.map { Double($0) }
        case .sent: return Double(messages.sent)
        case .received: return Double(messages.received)
        case .resumed: return Double(summary.opening.resumed)
        case .messagesPerSecond: return messages.received > 0 ? messages.perSecond : nil
        case .megabytesPerSecond: return messages.received > 0 ? messages.megabytesPerSecond : nil
        case .openedPerSecond: return connections.opened > 0 ? summary.opening.perSecond : nil
        case .openingSeconds: return connections.opened > 0 ? summary.opening.seconds * 1e6 : nil
        }
    }
}

/// Numbers for people.
public enum LoadNumber {
    /// A time with the unit that suits it.
    public static func time(microseconds: Double) -> String {
        switch microseconds {
        case ..<1000: "\(digits(microseconds)) µs"
        case ..<1_000_000: "\(digits(microseconds / 1000)) ms"
        default: "\(digits(microseconds / 1_000_000)) s"
        }
    }

    /// A number with three digits, and all of those in front of the point.
    public static func digits(_ value: Double) -> String {
        let factor = value < 10 ? 100.0 : value < 100 ? 10 : 1
        let rounded = (value * factor).rounded() / factor
        return rounded == rounded.rounded() && abs(rounded) < 1e15
            ? grouped(Int(rounded)) : "\(rounded)"
    }

    /// A whole number with commas between its thousands.
    public static func grouped(_ number: Int) -> String {
        var text = String(number.magnitude)
        var place = text.count - 3
        while place > 0 {
            text.insert(",", at: text.index(text.startIndex, offsetBy: place))
            place -= 3
        }
        return (number < 0 ? "-" : "") + text
    }

    /// The same of a count.
    public static func grouped(_ count: UInt64) -> String { grouped(Int(clamping: count)) }
}

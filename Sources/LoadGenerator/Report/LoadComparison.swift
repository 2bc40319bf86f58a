// SPDX-License-Identifier: Apache-2.0

/// Two runs side by side: how much each measure has changed, and whether that is more than chance.
public struct LoadComparison: Sendable {
    /// What a change is.
    public enum Verdict: String, Sendable, Codable {
        /// All runs of the second are better than all of the first.
        case better
        /// All runs of the second are worse than all of the first.
        case worse
        /// Runs of one lie among those of the other.
        case within
        /// Single runs do not tell.
        case unknown
        /// They were different loads.
        case incomparable
    }

    /// One measure of both.
    public struct Row: Sendable, Codable, Equatable {
        /// What is measured.
        public let name: String
        /// Of the first run, with its unit.
        public let before: String
        /// Of the second.
        public let after: String
        /// The second divided by the first; nil where the first is 0.
        public let ratio: Double?
        /// Whether it is beyond the noise.
        public let verdict: Verdict

        func judged(_ verdict: Verdict) -> Row {
            Row(name: name, before: before, after: after, ratio: ratio, verdict: verdict)
        }

        /// The ratio for people.
        public var ratioText: String {
            ratio.map { "\(LoadNumber.digits($0)) ×" } ?? "–"
        }

        /// The verdict for people.
        public var verdictText: String {
            switch verdict {
            case .better: "yes, better"
            case .worse: "yes, worse"
            case .within: "no"
            case .unknown: "not known: give --repeat 5"
            case .incomparable: "not known: different loads"
            }
        }
    }

    /// The first run.
    public let before: LoadSummary
    /// The second run.
    public let after: LoadSummary
    /// In what they differ that was asked of them.
    public let differences: [LoadDifference]
    /// Their measures; where the loads differ none of them is beyond the noise.
    public let rows: [Row]

    /// Compares two runs.
    public init(_ before: LoadSummary, _ after: LoadSummary) {
        self.before = before
        self.after = after
        differences = LoadDifference.all(before, after)
        typealias Latency = LoadSummary.Latency
        let times: [(String, KeyPath<Latency, Double>)] = [
            ("p50", \.p50), ("p90", \.p90), ("p99", \.p99), ("p99.9", \.p999), ("max", \.max),
        ]
        var rows = times.map { name, key in
            Self.row(
                name, isLessBetter: true,
                before.latencyMicroseconds[keyPath: key], after.latencyMicroseconds[keyPath: key],
                before.runs.map { $0.latencyMicroseconds[keyPath: key] },
                after.runs.map { $0.latencyMicroseconds[keyPath: key] }
            ) { LoadNumber.time(microseconds: $0) }
        }
        rows.append(
            Self.row(
                before.mode == "connect" ? "cycles/s" : "messages/s", isLessBetter: false,
                Self.rate(before), Self.rate(after), before.runs.map(\.perSecond),
                after.runs.map(\.perSecond)
            ) { LoadNumber.digits($0) })
        rows.append(
            Self.row(
                "errors", isLessBetter: true, Self.errors(before), Self.errors(after),
                before.runs.map { Double($0.errors) }, after.runs.map { Double($0.errors) }
            ) { LoadNumber.digits($0) })
        let costs = (before.runs + after.runs).compactMap(\.cpuMicrosecondsPerMessage)
        if costs.count == before.runs.count + after.runs.count,
            let first = before.generator.cpuMicrosecondsPerMessage,
            let second = after.generator.cpuMicrosecondsPerMessage
        {
            rows.append(
                Self.row(
                    "generator CPU per message", isLessBetter: true, first, second,
                    Array(costs.prefix(before.runs.count)),
                    Array(costs.dropFirst(before.runs.count))
                ) { LoadNumber.time(microseconds: $0) })
        }
        let isSame = !differences.contains(where: \.isOfLoad)
        self.rows = isSame ? rows : rows.map { $0.judged(.incomparable) }
    }

    /// Whether they were different loads, so that their measures say little of each other.
    public var isOfDifferentLoads: Bool { differences.contains(where: \.isOfLoad) }

    /// What has to be known to read the measures, in lines; empty where nothing was asked differently.
    public var warnings: [String] {
        var lines: [String] = []
        let ofLoad = differences.filter(\.isOfLoad)
        if !ofLoad.isEmpty {
            lines.append(
                "These are different loads, so that no change is told to be beyond the noise:")
            lines += ofLoad.map { "  " + $0.text }
        }
        let others = differences.filter { !$0.isOfLoad }
        if !others.isEmpty {
            lines.append("They went to their servers in different ways:")
            lines += others.map { "  " + $0.text }
        }
        return lines
    }

    private static func rate(_ summary: LoadSummary) -> Double {
        summary.mode == "connect" ? summary.opening.perSecond : summary.messages.perSecond
    }

    private static func errors(_ summary: LoadSummary) -> Double {
        summary.errors.reduce(0) { $0 + Double($1.count) }
    }

    private static func row(
        _ name: String, isLessBetter: Bool, _ before: Double, _ after: Double, _ first: [Double],
        _ second: [Double], _ text: (Double) -> String
    ) -> Row {
        Row(
            name: name, before: text(before), after: text(after),
            ratio: before > 0 ? after / before : nil,
            verdict: verdict(first, second, isLessBetter))
    }

    /// Whether all runs of one lie on one side of all of the other; of fewer than four each, chance does that too often.
    static func verdict(_ first: [Double], _ second: [Double], _ isLessBetter: Bool) -> Verdict {
        guard first.count >= 4, second.count >= 4, let low = first.min(), let high = first.max(),
            let otherLow = second.min(), let otherHigh = second.max()
        else { return .unknown }
        if otherLow > high { return isLessBetter ? .worse : .better }
        if otherHigh < low { return isLessBetter ? .better : .worse }
        return .within
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Something in which two runs differ that was asked of them.
public struct LoadDifference: Sendable, Codable, Equatable {
    /// What it is, by the name of its option.
    public let field: String
    /// In the first run.
    public let first: String
    /// In the second.
    public let second: String
    /// Whether it makes them different loads; where the load goes does not, since that may be what is compared.
    public let isOfLoad: Bool

    /// For people.
    public var text: String { "\(field): \(first) in the first, \(second) in the second" }

    /// All in which two runs differ; what a report of an older version does not tell is left out.
    static func all(_ before: LoadSummary, _ after: LoadSummary) -> [LoadDifference] {
        var pairs: [(field: String, first: String, second: String, isOfLoad: Bool)] = [
            ("mode", before.mode, after.mode, true), ("model", before.model, after.model, true),
            ("scheme", scheme(before), scheme(after), false),
        ]
        if before.asked.isEmpty || after.asked.isEmpty {
            pairs.append(("connections", connections(before), connections(after), true))
        } else {
            for field in Set(before.asked.keys).union(after.asked.keys).sorted() {
                pairs.append((field, before.asked[field] ?? "–", after.asked[field] ?? "–", true))
            }
        }
        // What a report does not tell is empty.
        return pairs.filter {
            $0.first != $0.second && !$0.first.isEmpty && !$0.second.isEmpty
        }.map {
            LoadDifference(
                field: $0.field, first: $0.first, second: $0.second, isOfLoad: $0.isOfLoad)
        }
    }

    private static func scheme(_ summary: LoadSummary) -> String {
        summary.url.firstIndex(of: ":").map { String(summary.url[..<$0]) } ?? ""
    }

    /// How many each run had at one time: with `--repeat` those of all runs are added up.
    private static func connections(_ summary: LoadSummary) -> String {
        let wanted = summary.connections.wanted / max(1, summary.runs.count)
        return wanted > 0 ? "\(wanted)" : ""
    }
}

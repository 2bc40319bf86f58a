// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Metrics

/// docs/metrics.md against the families that the program declares, both ways.
@Suite struct MetricsReferenceTests {
    /// `make reference` sets it: the table is written anew instead of being compared.
    private static let writes = ProcessInfo.processInfo.environment["SLUICE_REFERENCE"] == "write"

    private static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("docs/metrics.md")

    private static let head = "| metric | kind | labels | meaning |"

    private static var rows: [String] {
        [head, "|---|---|---|---|"]
            + MetricFamily.all.map { family in
                let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
                return "| `\(family.name)` | \(family.kind.rawValue) | \(labels) | \(family.help) |"
            }
    }

    @Test func `the table of the reference is that of the declared families`() throws {
        let lines = try String(contentsOf: Self.file, encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let start = try #require(lines.firstIndex(of: Self.head))
        let end = try #require(lines[start...].firstIndex { !$0.hasPrefix("|") })
        if Self.writes {
            let made = Array(lines[..<start]) + Self.rows + Array(lines[end...])
            try made.joined(separator: "\n").write(to: Self.file, atomically: true, encoding: .utf8)
            return
        }
        let wrong = zip(lines[start..<end], Self.rows).first { $0 != $1 }
        #expect(
            Array(lines[start..<end]) == Self.rows,
            "`make reference` writes it; first difference: \(wrong.map { "\($0.0) | \($0.1)" } ?? "length")"
        )
    }

    @Test func `every family is declared once, named by its kind, and says what it means`() {
        let names = MetricFamily.all.map(\.name)
        #expect(Set(names).count == names.count)
        // OpenMetrics names a counter without `_total`, and knows each name once.
        let families = MetricFamily.all.map(\.openMetricsName)
        #expect(Set(families).count == families.count)
        for family in MetricFamily.all {
            #expect(family.name.hasPrefix("sluice_") || family.name.hasPrefix("process_"))
            #expect(family.name.hasSuffix("_total") == (family.kind == .counter), "\(family.name)")
            #expect(family.name.hasSuffix("_info") == (family.kind == .info), "\(family.name)")
            #expect(family.help.count > 10 && !family.help.hasSuffix("."), "\(family.name)")
            #expect(Set(family.labels).count == family.labels.count, "\(family.name)")
            #expect(!family.labels.contains("le"), "\(family.name)")
        }
    }
}

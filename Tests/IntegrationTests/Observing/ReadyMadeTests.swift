// SPDX-License-Identifier: Apache-2.0
//
// Goal: the alerts and the dashboard in docs/ are for the metrics that this program has.
// Method: promtool checks and tries the alerts, and reads every query of the dashboard; their names are compared with
// those of a running Sluice's documentation.

import Foundation
import TestKit
import Testing

@Suite struct ReadyMadeTests {
    private static let docs = "\(Scratch.packageFolder)/docs"

    /// The names of metrics in the table of docs/metrics.md, which is made of what the program declares; of a histogram
    /// those of its series.
    private static func declared() throws -> Set<String> {
        var names: Set<String> = []
        for row in try Scratch.read("\(docs)/metrics.md").matches(
            of: /\| `([a-z_]+)` \| ([a-z]+) \|/.anchorsMatchLineEndings())
        {
            let name = String(row.output.1)
            if row.output.2 == "histogram" {
                names.formUnion(["_bucket", "_sum", "_count"].map { name + $0 })
            } else {
                names.insert(name)
            }
        }
        return names
    }

    /// The names of metrics in a query.
    private static func names(in query: String) -> Set<String> {
        Set(query.matches(of: /(sluice|process)_[a-z_]+/).map { String($0.output.0) })
    }

    // MARK: Alerts

    @Test(arguments: [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
    func `promtool finds nothing wrong with the alerts`(arguments: [String]) throws {
        let words = "cd \(Self.docs)/prometheus && promtool \(arguments.joined(separator: " "))"
        let said = try ended(["/bin/sh", "-c", words])
        #expect(said.status == 0, "\(said.output)")
        #expect(said.output.contains("SUCCESS"), "\(said.output)")
    }

    @Test
    func `each alert is of metrics that exist, is tried, and has a section that says what to do`()
        throws
    {
        let rules = try Scratch.read("\(Self.docs)/prometheus/alerts.yml")
        let tests = try Scratch.read("\(Self.docs)/prometheus/alerts_test.yml")
        let sections = try Scratch.read("\(Self.docs)/prometheus/README.md")
        let alerts = rules.matches(of: /- alert: (\w+)/).map { String($0.output.1) }
        #expect(alerts.count >= 10)
        for alert in alerts {
            #expect(sections.contains("\n## \(alert)\n"), "\(alert)")
            // It is expected somewhere, and somewhere it is not.
            let tried = tests.components(separatedBy: "alertname: \(alert)\n").dropFirst()
            #expect(tried.contains { $0.hasPrefix("    exp_alerts: []") }, "\(alert)")
            #expect(tried.contains { $0.hasPrefix("    exp_alerts:\n") }, "\(alert)")
        }
        for key in ["summary:", "description:", "severity:"] {
            #expect(rules.components(separatedBy: key).count == alerts.count + 1, "\(key)")
        }
        let unknown = Self.names(in: rules).subtracting(try Self.declared())
        #expect(unknown.isEmpty, "\(unknown)")
    }

    // MARK: The dashboard

    /// A dashboard, as far as Grafana needs it to show something.
    private struct Dashboard: Decodable {
        struct Source: Decodable, Equatable {
            let type: String
            let uid: String
        }
        struct Place: Decodable {
            let x: Int
            let y: Int
            let w: Int
            let h: Int

            func overlaps(_ other: Place) -> Bool {
                x < other.x + other.w && other.x < x + w && y < other.y + other.h
                    && other.y < y + h
            }
        }
        struct Target: Decodable {
            let refId: String
            let expr: String
            let datasource: Source
        }
        struct Panel: Decodable {
            let id: Int
            let type: String
            let title: String
            let gridPos: Place
            let datasource: Source?
            let targets: [Target]?
        }
        struct Variable: Decodable {
            let name: String
            let type: String
            let definition: String?
        }
        struct Variables: Decodable { let list: [Variable] }
        struct Annotation: Decodable { let expr: String? }
        struct Annotations: Decodable { let list: [Annotation] }

        let title: String
        let uid: String
        let schemaVersion: Int
        let panels: [Panel]
        let templating: Variables
        let annotations: Annotations

        /// All queries in PromQL, with what stands for variables filled in.
        var queries: [String] {
            let texts =
                panels.flatMap { $0.targets ?? [] }.map(\.expr)
                + annotations.list.compactMap(\.expr)
            return texts.map { text in
                text.replacing("[$__rate_interval]", with: "[5m]")
                    .replacing(/\$(job|instance|route)/, with: ".*")
            }
        }
    }

    private static func dashboard() throws -> Dashboard {
        try JSONDecoder().decode(
            Dashboard.self, from: Data(Scratch.read("\(docs)/grafana/sluice.json").utf8))
    }

    @Test func `the dashboard has what Grafana needs to load it`() throws {
        let dashboard = try Self.dashboard()
        // Grafana 10; newer ones bring it up to theirs.
        #expect(dashboard.schemaVersion == 38 && dashboard.uid == "sluice")
        #expect(
            dashboard.templating.list.map(\.name) == ["datasource", "job", "instance", "route"])
        #expect(dashboard.templating.list[0].type == "datasource")
        #expect(Set(dashboard.panels.map(\.id)).count == dashboard.panels.count)
        let source = Dashboard.Source(type: "prometheus", uid: "${datasource}")
        for (index, panel) in dashboard.panels.enumerated() {
            let place = panel.gridPos
            #expect(place.x >= 0 && place.x + place.w <= 24 && place.h > 0, "\(panel.title)")
            let others = dashboard.panels[..<index].filter { $0.gridPos.overlaps(place) }
            #expect(others.isEmpty, "\(panel.title) lies on \(others.map(\.title))")
            #expect(!panel.title.isEmpty)
            if panel.type == "row" { continue }
            #expect(
                ["timeseries", "stat", "heatmap", "table", "state-timeline"].contains(panel.type))
            let targets = try #require(panel.targets, "\(panel.title)")
            #expect(panel.datasource == source && targets.allSatisfy { $0.datasource == source })
            #expect(
                !targets.isEmpty && Set(targets.map(\.refId)).count == targets.count,
                "\(panel.title)")
        }
    }

    @Test func `every query of the dashboard can be read, and is of metrics that exist`() throws {
        let dashboard = try Self.dashboard()
        let queries = dashboard.queries
        #expect(queries.count > 50)
        #expect(queries.allSatisfy { !$0.contains("$") }, "a variable is not filled in")
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // JSON is YAML, so its quotes are right whatever a query holds.
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        let rules = try queries.enumerated().map { index, query in
            let text = String(decoding: try encoder.encode(query), as: UTF8.self)
            return "  - { record: \"query:\(index)\", expr: \(text) }\n"
        }
        try Scratch.write(
            "groups:\n- name: dashboard\n  rules:\n\(rules.joined())", to: "\(folder)/rules.yml")
        let said = try ended(["promtool", "check", "rules", "\(folder)/rules.yml"])
        #expect(said.status == 0 && said.output.contains("SUCCESS"), "\(said.output)")
        let declared = try Self.declared()
        let used = (queries + dashboard.templating.list.compactMap(\.definition)).map(
            Self.names(in:)
        ).reduce(into: Set<String>()) { $0.formUnion($1) }
        #expect(used.subtracting(declared).isEmpty)
        // And none is left out that somebody may look for.
        let families = Set(declared.map { $0.replacing(/_(bucket|sum|count)$/, with: "") })
        let shown = Set(used.map { $0.replacing(/_(bucket|sum|count)$/, with: "") })
        #expect(families.subtracting(shown).isEmpty, "\(families.subtracting(shown))")
    }

    @Test func `a real Prometheus has an answer to every query of the dashboard`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["metrics: { address: \"127.0.0.1:0\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("hello")
        let prometheus = try Prometheus(scraping: try sluice.metricsAddress())
        // A rate needs two samples.
        try eventually("some scrapes") {
            try prometheus.query("count_over_time(up[1h])").values.contains { $0 >= 3 }
        }
        var hasAnswer = 0
        for query in try Self.dashboard().queries where try !prometheus.query(query).isEmpty {
            hasAnswer += 1
        }
        // Nothing of requests, and nothing that failed.
        #expect(hasAnswer > 25, "\(hasAnswer)")
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The report of a load as a page of HTML that needs nothing else: no script, no font, no other file.
public enum LoadPage {
    /// The page of one run, or of several together.
    public static func html(_ summary: LoadSummary) -> String {
        var parts = [
            "<h1>\(escaped(summary.mode)), \(escaped(summary.model)) model</h1>",
            "<p class=\"where\">\(escaped(summary.url))</p>",
        ]
        for reason in summary.generator.reasons {
            parts.append(
                "<p class=\"warning\">The generator was the limit: \(escaped(reason)). The numbers speak of it as"
                    + " much as of the server.</p>")
        }
        for note in summary.notes { parts.append("<p class=\"note\">\(escaped(note))</p>") }
        parts.append(numbers(summary))
        parts += charts(summary)
        parts.append(failures(summary))
        if !summary.runs.isEmpty { parts.append(runs(summary)) }
        parts.append(expectations(summary))
        parts.append(environment(summary))
        return document(title: "Load of \(summary.url)", parts)
    }

    /// The page of two runs, side by side.
    public static func html(comparing comparison: LoadComparison) -> String {
        let rows = comparison.rows.map { row in
            "<tr><th scope=\"row\">\(escaped(row.name))</th><td>\(escaped(row.before))</td>"
                + "<td>\(escaped(row.after))</td><td>\(escaped(row.ratioText))</td>"
                + "<td class=\"\(row.verdict.rawValue)\">\(escaped(row.verdictText))</td></tr>"
        }.joined(separator: "\n")
        let table = """
            <table><caption>The first run, the second, and their ratio</caption>
            <tr><th scope="col"></th><th scope="col">first</th><th scope="col">second</th>
            <th scope="col">ratio</th><th scope="col">beyond the noise?</th></tr>
            \(rows)
            </table>
            """
        let chart = PageChart.percentiles([
            ("first", comparison.before.distribution), ("second", comparison.after.distribution),
        ])
        return document(
            title: "Two loads",
            [
                "<h1>Two loads</h1>",
                "<p class=\"where\">first: \(escaped(comparison.before.command))<br>"
                    + "second: \(escaped(comparison.after.command))</p>",
                comparison.warnings.isEmpty
                    ? ""
                    : "<p>" + comparison.warnings.map(escaped).joined(separator: "<br>") + "</p>",
                table, section("Latency by percentile", chart),
            ])
    }

    // MARK: Parts

    private static func section(_ title: String, _ content: String) -> String {
        "<section><h2>\(escaped(title))</h2>\n\(content)</section>"
    }

    /// A cell with what people read, and the exact number for programs.
    private static func cell(_ key: String, _ value: Double, _ text: String) -> String {
        "<td data-key=\"\(key)\" data-value=\"\(value)\">\(escaped(text))</td>"
    }

    private static func numbers(_ summary: LoadSummary) -> String {
        let times = summary.latencyMicroseconds
        let percentiles = [
            ("p50", times.p50), ("p90", times.p90), ("p99", times.p99), ("p999", times.p999),
            ("max", times.max),
        ]
        let heads = percentiles.map {
            "<th scope=\"col\">\($0.0 == "p999" ? "p99.9" : $0.0)</th>"
        }
        let cells = percentiles.map {
            cell("latencyMicroseconds.\($0.0)", $0.1, LoadNumber.time(microseconds: $0.1))
        }
        let counts: [(String, String, UInt64)] = [
            ("opened", "connections.opened", summary.connections.opened),
            ("failed", "connections.failed", summary.connections.failed),
            ("lost", "connections.lost", summary.connections.lost),
            ("sent", "messages.sent", summary.messages.sent),
            ("received", "messages.received", summary.messages.received),
            ("late", "messages.late", summary.messages.late),
        ]
        let countHeads = counts.map { "<th scope=\"col\">\($0.0)</th>" }
        let countCells = counts.map { cell($0.1, Double($0.2), LoadNumber.grouped($0.2)) }
        let rate = LoadNumber.digits(summary.messages.perSecond)
        return """
            <table><caption>Latency</caption><tr>\(heads.joined())</tr><tr>\(cells.joined())</tr></table>
            <table><caption>Connections and messages</caption><tr>\(countHeads.joined())\
            <th scope="col">messages/s</th></tr><tr>\(countCells.joined())\
            \(cell("messages.perSecond", summary.messages.perSecond, rate))</tr></table>
            """
    }

    private static func charts(_ summary: LoadSummary) -> [String] {
        let timeline = summary.timeline
        let seconds = timeline.intervalSeconds
        func rates(_ key: (LoadSummary.Interval) -> UInt64) -> [Double] {
            timeline.intervals.map { Double(key($0)) / max(0.001, seconds) }
        }
        var parts: [String] = []
        if timeline.intervals.contains(where: { !$0.buckets.isEmpty }) {
            parts.append(section("Latency over time", PageChart.heat(timeline)))
            parts.append(
                section(
                    "Latency by percentile",
                    PageChart.percentiles([("latency", summary.distribution)])))
        }
        parts.append(
            section(
                "Messages per second",
                PageChart.lines(
                    [("sent", rates(\.sent)), ("received", rates(\.received))], seconds)))
        parts.append(
            section(
                "Connections opened per second",
                PageChart.lines(
                    [("opened", rates(\.opened)), ("failed", rates(\.failed))], seconds)))
        if !summary.errors.isEmpty {
            parts.append(
                section(
                    "Errors per second", PageChart.lines([("errors", rates(\.errors))], seconds)))
        }
        return parts
    }

    private static func failures(_ summary: LoadSummary) -> String {
        if summary.errors.isEmpty { return section("Errors", "<p>None.</p>") }
        let rows = summary.errors.map {
            "<tr><th scope=\"row\">\(escaped($0.cause))</th><td>\(LoadNumber.grouped($0.count))</td>"
                + "<td>\(escaped($0.example))</td></tr>"
        }
        return section(
            "Errors",
            "<table><tr><th scope=\"col\">cause</th><th scope=\"col\">count</th>"
                + "<th scope=\"col\">the first</th></tr>\(rows.joined(separator: "\n"))</table>")
    }

    private static func runs(_ summary: LoadSummary) -> String {
        let rows = summary.runs.enumerated().map { index, run in
            "<tr><th scope=\"row\">\(index + 1)</th><td>\(LoadNumber.digits(run.perSecond))</td>"
                + "<td>\(LoadNumber.time(microseconds: run.latencyMicroseconds.p50))</td>"
                + "<td>\(LoadNumber.time(microseconds: run.latencyMicroseconds.p99))</td>"
                + "<td>\(LoadNumber.grouped(run.errors))</td></tr>"
        }
        return section(
            "Single runs",
            "<table><tr><th scope=\"col\">run</th><th scope=\"col\">per second</th>"
                + "<th scope=\"col\">p50</th><th scope=\"col\">p99</th><th scope=\"col\">errors</th></tr>"
                + "\(rows.joined(separator: "\n"))</table>")
    }

    private static func expectations(_ summary: LoadSummary) -> String {
        if summary.expectations.isEmpty { return "" }
        let rows = summary.expectations.map {
            "<tr><th scope=\"row\">\(escaped($0.text))</th>"
                + "<td class=\"\($0.isMet ? "better" : "worse")\">\($0.isMet ? "met" : "not met")</td>"
                + "<td>\(escaped($0.found))</td></tr>"
        }
        return section("Expectations", "<table>\(rows.joined(separator: "\n"))</table>")
    }

    private static func environment(_ summary: LoadSummary) -> String {
        let environment = summary.environment
        let shares = summary.generator.cpuShares.map { "\(Int(($0 * 100).rounded())) %" }
        let rows = [
            ("command", summary.command), ("began", summary.startedAt),
            ("measured", "\(LoadNumber.digits(summary.seconds)) s"),
            ("TLS", summary.tls.map { "\($0.version) \($0.cipher)" } ?? "none"),
            (
                "generator",
                (["\(summary.generator.threads) threads"]
                    + [shares.joined(separator: ", ")].filter { !$0.isEmpty })
                    .joined(separator: ": ")
            ),
            ("machine", "\(environment.host), \(environment.cores) cores, \(environment.system)"),
            ("program", environment.version),
        ].map { "<tr><th scope=\"row\">\($0.0)</th><td>\(escaped($0.1))</td></tr>" }
        return section("Environment", "<table>\(rows.joined(separator: "\n"))</table>")
    }

    // MARK: The document

    /// A text in which nothing is markup.
    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    private static func document(title: String, _ parts: [String]) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <title>\(escaped(title))</title>
        <style>
        \(style)
        </style>
        </head>
        <body><main>
        \(parts.joined(separator: "\n"))
        </main></body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --back: #fff; --text: #1c2126; --faint: #5a646e; --line: #d5dae0;
          --one: #0b62c4; --two: #b34700; --good: #1a6b31; --bad: #b3261e; }
        @media (prefers-color-scheme: dark) { :root { --back: #14181c; --text: #e6e9ec; --faint: #a3adb8;
          --line: #3a434d; --one: #6cb2ff; --two: #ffa463; --good: #73d08c; --bad: #ff8a80; } }
        body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 0; }
        main { max-width: 56rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
        h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
        .where { color: var(--faint); overflow-wrap: anywhere; margin-top: .25rem; }
        .note { border-left: .3rem solid var(--line); padding: .25rem .75rem; }
        .warning { border-left: .3rem solid var(--bad); padding: .25rem .75rem; }
        table { border-collapse: collapse; margin: .5rem 0; } caption { text-align: left; font-weight: 600; }
        th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line);
          vertical-align: top; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
        th { white-space: nowrap; font-weight: 500; color: var(--faint); }
        .better { color: var(--good); } .worse { color: var(--bad); }
        svg { width: 100%; height: auto; display: block; }
        svg text { fill: var(--faint); font: 11px system-ui, sans-serif; }
        .axis { stroke: var(--line); } .cell { fill: var(--one); }
        .line0 { stroke: var(--one); } .line1 { stroke: var(--two); stroke-dasharray: 6 3; }
        .line0, .line1 { fill: none; stroke-width: 1.8; }
        .key0 { fill: var(--one); } .key1 { fill: var(--two); }
        """
}

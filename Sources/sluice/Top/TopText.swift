// SPDX-License-Identifier: Apache-2.0
import Admin
import Ledger

/// The words and numbers of `sluice top`.
enum TopText {
    /// One line on the screen.
    struct Line: Equatable {
        var text: String
        /// A colour (SGR); nil for none.
        var color: Int?
        var isReversed = false
    }

    private static let yellow = 33

    static let help =
        "1-4 or Tab view  s sort  S reverse  / filter  p pause  ↑↓ scroll  q quit"

    /// How many rows of a table there are on a screen of so many lines.
    static func rows(onScreenOf lines: Int) -> Int { max(1, lines - headLines - 3) }

    /// Lines above the views.
    private static let headLines = 5

    /// All lines of a screen.
    static func screen(
        _ look: TopLook, _ wish: TopWish, trouble: String?, columns: Int, rows: Int
    ) -> [Line] {
        let table = TopTable(look, wish)
        let all = table.chosen(wish)
        let room = Self.rows(onScreenOf: rows)
        let offset = min(wish.offset, max(0, all.count - room))
        var lines = head(look, trouble: trouble)
        lines.append(Line(text: views(wish, look, shown: all.count, columns: columns)))
        for (index, line) in table.lines(Array(all.dropFirst(offset).prefix(room)), width: columns)
            .enumerated()
        {
            // The title stands out over the whole width.
            let text = index == 0 ? padded(line.text, to: columns) : line.text
            lines.append(Line(text: text, color: line.color, isReversed: index == 0))
        }
        if all.isEmpty { lines.append(Line(text: empty(wish, look.state))) }
        while lines.count < rows - 1 { lines.append(Line(text: "")) }
        lines = Array(lines.prefix(max(0, rows - 1)))
        lines.append(Line(text: footer(wish)))
        return lines.map { line in
            var line = line
            line.text = String(oneLine(line.text).prefix(columns))
            return line
        }
    }

    /// The last line: what keys do, or what is typed.
    private static func footer(_ wish: TopWish) -> String {
        wish.isTyping ? "filter: \(wish.filter)▏ Enter keeps it, Esc takes it away" : help
    }

    private static func empty(_ wish: TopWish, _ state: LiveState) -> String {
        if wish.view == .relays && state.relaysMatching > 0 { return "Looking for them." }
        if !wish.filter.isEmpty { return "Nothing of it matches \(wish.filter)." }
        switch wish.view {
        case .routes: return "There are no routes."
        case .endpoints: return "There are no endpoints."
        case .relays: return "There are no live relays."
        case .clients: return "No client has a live relay."
        }
    }

    /// What the process is, what passes, and what is wrong.
    static func head(_ look: TopLook, trouble: String?) -> [Line] {
        let state = look.state
        let totals = state.totals
        let rates = look.rates
        let file = state.configuration.file.isEmpty ? "quick mode" : state.configuration.file
        let cores = look.cores.map { "\(Int(($0 * 100).rounded())) %" } ?? "-"
        var lines = [
            Line(
                text:
                    "sluice \(state.version)  pid \(state.pid)  \(oneLine(file)), generation"
                    + " \(state.configuration.generation)" + (state.isReady ? "" : "  stopping")),
            Line(
                text: "\(totals.relays) relays  \(totals.connections) connections"
                    + "  \(totals.requestsInFlight) requests  cpu \(cores)"
                    + "  memory \(size(Double(state.process.residentBytes)))"
                    + "  fds \(state.process.descriptors)/\(state.process.descriptorsMax)"),
            Line(
                text: "messages/s \(rate(rates?.upMessages)) up \(rate(rates?.downMessages)) down"
                    + "  bytes/s \(size(rates?.upBytes)) up \(size(rates?.downBytes)) down"
                    + "  requests/s \(rate(rates?.requests))"),
            Line(
                text: "opened/s \(rate(rates?.relaysOpened))  closed/s \(rate(rates?.relaysClosed))"
                    + "  refused/s \(rate(rates?.upgradesRefused))"
                    + "  limits/s \(rate(rates?.limitHits))"
                    + "  held \(size(Double(state.process.heldBytes)))"),
        ]
        let warning = trouble ?? self.trouble(of: state)
        lines.append(
            Line(text: warning.map(oneLine) ?? "", color: warning == nil ? nil : yellow))
        return lines
    }

    /// A text that neither steers a terminal nor goes on in the next line.
    static func oneLine(_ text: String) -> String {
        Output.escaped(text).replacing("\n", with: "\\n").replacing("\t", with: "\\t")
    }

    /// What an operator has to know first; nil where nothing is wrong.
    private static func trouble(of state: LiveState) -> String? {
        if let reason = state.process.waitingReason { return "new connections wait: \(reason)" }
        if let problem = state.process.logProblem { return "the log can't be written: \(problem)" }
        if let problem = state.configuration.lastProblem {
            // Each of several problems is a line.
            return "the last reload failed: "
                + problem.split(separator: "\n").joined(separator: "; ")
        }
        let ends = state.listeners.flatMap(\.certificates).filter { $0.secondsLeft < 14 * 86_400 }
        if let first = ends.min(by: { $0.secondsLeft < $1.secondsLeft }) {
            return first.secondsLeft < 0
                ? "the certificate for \(first.name) has ended"
                : "the certificate for \(first.name) ends in \(duration(UInt64(first.secondsLeft)))"
        }
        return state.drains.last { !$0.progress.isDone }.map(DrainText.line)
    }

    /// The views, and how the present one is sorted and filtered.
    private static func views(
        _ wish: TopWish, _ look: TopLook, shown: Int, columns: Int
    ) -> String {
        let names = TopView.allCases.enumerated().map { index, view in
            view == wish.view ? "[\(index + 1) \(view)]" : " \(index + 1) \(view) "
        }.joined()
        let count: String
        switch wish.view {
        case .routes: count = of(shown, look.state.routeCount)
        case .endpoints: count = of(shown, look.state.endpointCount)
        case .relays: count = of(shown, look.state.relaysMatching)
        case .clients: count = of(shown, look.state.clientCount)
        }
        var parts = ["\(count) by \(wish.order)\(wish.isReversed ? ", reversed" : "")"]
        if !wish.filter.isEmpty && !wish.isTyping { parts.append("/\(wish.filter)") }
        if wish.isPaused { parts.append("PAUSED") }
        let right = parts.joined(separator: "  ")
        let blanks = max(2, columns - names.count - right.count)
        return names + String(repeating: " ", count: blanks) + right
    }

    private static func of(_ shown: Int, _ all: Int) -> String {
        shown == all ? "\(all)" : "\(shown) of \(all)"
    }

    private static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    // MARK: Numbers

    /// How often in a second: a whole number from 10 on, else with one decimal.
    static func rate(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "-" }
        if value == 0 { return "0" }
        return value < 9.95
            ? "\((value * 10).rounded() / 10)" : "\(UInt64(min(value, 1e15).rounded()))"
    }

    /// Bytes for people.
    static func size(_ value: Double?) -> String {
        guard let value, value.isFinite, value >= 0 else { return "-" }
        return Rates.size(UInt64(min(value, 1e18).rounded()))
    }

    /// An age: 59s, 3m12s, 2h05m, 4d3h.
    static func duration(_ seconds: UInt64) -> String {
        func two(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3_600 { return "\(seconds / 60)m\(two(seconds % 60))s" }
        if seconds < 86_400 { return "\(seconds / 3_600)h\(two(seconds / 60 % 60))m" }
        return "\(seconds / 86_400)d\(seconds / 3_600 % 24)h"
    }

    /// A short time in milliseconds.
    static func time(_ seconds: Double) -> String {
        let milliseconds = seconds * 1_000
        return milliseconds < 10
            ? "\((milliseconds * 10).rounded() / 10)ms" : "\(Int(milliseconds.rounded()))ms"
    }
}

// SPDX-License-Identifier: Apache-2.0
import LoadGenerator

/// The report of a load for people.
enum LoadText {
    private static func row(_ name: String, _ text: String) -> String {
        name + String(repeating: " ", count: max(1, 12 - name.count)) + text
    }

    private static func time(_ microseconds: Double) -> String {
        LoadNumber.time(microseconds: microseconds)
    }

    private static func count(_ number: UInt64) -> String { LoadNumber.grouped(number) }

    /// How a run stands, in one line.
    static func line(_ now: LoadProgress, after last: LoadProgress) -> String {
        /// A rate of the time in which it could be; nil where that is too short for one.
        func rate(_ new: UInt64, _ old: UInt64, from begin: Double, to end: Double) -> String? {
            let seconds = min(end, now.toldSeconds) - max(begin, last.toldSeconds)
            guard seconds >= 0.01 else { return nil }
            return LoadNumber.grouped(Int((Double(new &- min(new, old)) / seconds).rounded()))
        }
        var parts = ["\(Int(now.seconds.rounded())) s", "\(LoadNumber.grouped(now.open)) open"]
        if now.waiting > 0 {
            parts.append("\(LoadNumber.grouped(now.waiting)) waiting to come back")
        }
        if now.connecting > 0 { parts.append("\(LoadNumber.grouped(now.connecting)) connecting") }
        if now.opened > last.opened,
            let opened = rate(
                now.opened, last.opened, from: 0, to: now.openingEndedSeconds ?? .infinity)
        {
            parts.append("\(opened) opened/s")
        }
        if now.received > 0,
            let received = rate(
                now.received, last.received, from: now.trafficBeganSeconds ?? 0, to: .infinity)
        {
            parts.append("\(received) msg/s")
        }
        if now.p99Microseconds > 0 {
            parts.append("p50 \(time(now.p50Microseconds))")
            parts.append("p99 \(time(now.p99Microseconds))")
        }
        parts.append("\(count(now.errors)) error\(now.errors == 1 ? "" : "s")")
        return parts.joined(separator: "   ")
    }

    /// The whole report.
    static func lines(_ summary: LoadSummary) -> [String] {
        var lines = summary.generator.reasons.map {
            "The generator was the limit: \($0). The numbers speak of it as much as of the server."
        }
        lines += [row("load", heading(summary))]
        if let tls = summary.tls { lines.append(row("TLS", "\(tls.version) \(tls.cipher)")) }
        lines += opening(summary)
        lines.append(row("measured", "\(LoadNumber.digits(summary.seconds)) s"))
        lines += messages(summary)
        lines += latency(summary)
        lines += storm(summary)
        lines += summary.scenarios.map {
            row(
                "scenario", "\($0.name): \(count($0.finished)) finished, \(count($0.failed)) failed"
            )
        }
        lines += errors(summary)
        lines += summary.notes.map { row("note", $0) }
        lines.append(row("generator", generator(summary)))
        for expected in summary.expectations {
            let verdict = expected.isMet ? "met" : "NOT met"
            lines.append(row("expected", "\(expected.text): \(verdict), found \(expected.found)"))
        }
        return lines
    }

    private static func heading(_ summary: LoadSummary) -> String {
        let model =
            summary.mode == "echo"
            ? summary.model == "open"
                ? ", open model (by the clock)" : ", closed model (one waits for another)" : ""
        return "\(summary.url): \(summary.mode)\(model)"
    }

    private static func opening(_ summary: LoadSummary) -> [String] {
        let (connections, opening) = (summary.connections, summary.opening)
        var text = count(opening.opened)
        if !["connect", "storm", "script"].contains(summary.mode) {
            text += " of \(LoadNumber.grouped(connections.wanted))"
        }
        text += " in \(time(opening.seconds * 1e6))"
        if opening.perSecond > 0 {
            text += ", \(LoadNumber.digits(opening.perSecond))/s"
        }
        if connections.opened > opening.opened {
            text += "; \(count(connections.opened)) in the whole run"
        }
        if connections.failed > 0 { text += "; \(count(connections.failed)) failed" }
        if connections.lost > 0 { text += "; \(count(connections.lost)) lost" }
        if let alive = connections.alive { text += "; \(count(alive)) alive at the end" }
        var lines = [row("opened", text)]
        if let name = opening.nameMicroseconds { lines.append(row("  name", time(name))) }
        let phases: [(String, LoadSummary.Latency?)] = [
            ("  TCP", opening.tcpMicroseconds), ("  TLS full", opening.tlsMicroseconds),
            ("  resumed", opening.tlsResumedMicroseconds),
            ("  upgrade", opening.upgradeMicroseconds),
        ]
        for case (let name, let times?) in phases where times.count > 0 {
            lines.append(row(name, percentiles(times)))
        }
        return lines
    }

    private static func messages(_ summary: LoadSummary) -> [String] {
        let messages = summary.messages
        // In connect they are part of the cycles.
        guard messages.totalSent + messages.totalReceived > 0, summary.mode != "connect" else {
            return []
        }
        var text = "\(count(messages.sent)) sent, \(count(messages.received)) received"
        if messages.late > 0 { text += ", \(count(messages.late)) late" }
        if messages.dropped > 0 { text += ", \(count(messages.dropped)) dropped unread" }
        if messages.early > 0 { text += ", \(count(messages.early)) before their clock" }
        if messages.unsent > 0 { text += ", \(count(messages.unsent)) not sent" }
        return [
            row("messages", text),
            row(
                "rate",
                "\(LoadNumber.digits(messages.perSecond))/s,"
                    + " \(LoadNumber.digits(messages.megabytesPerSecond)) MB/s"),
        ]
    }

    private static func latency(_ summary: LoadSummary) -> [String] {
        let times = summary.latencyMicroseconds
        guard times.count > 0 else { return [] }
        let name =
            switch summary.mode {
            case "connect": "cycle"
            case "storm": "back after"
            case "hold": "ping"
            default: "latency"
            }
        return [row(name, percentiles(times))]
    }

    private static func percentiles(_ times: LoadSummary.Latency) -> String {
        "p50 \(time(times.p50))   p90 \(time(times.p90))   p99 \(time(times.p99))"
            + "   p99.9 \(time(times.p999))   max \(time(times.max))"
    }

    private static func storm(_ summary: LoadSummary) -> [String] {
        guard let storm = summary.storm else { return [] }
        let all = storm.secondsUntilAllServed.map { "all after \(time($0 * 1e6))" }
        let wanted = LoadNumber.grouped(summary.connections.wanted)
        let others = [
            (storm.waiting, "waiting for their next attempt"),
            (storm.connecting, "being connected"),
        ]
        let left = others.filter { $0.0 > 0 }.map { ", \(LoadNumber.grouped($0.0)) \($0.1)" }
            .joined()
        return [
            row(
                "storm",
                "\(LoadNumber.grouped(storm.served)) of \(wanted) served again,"
                    + " \(all ?? "not all")\(left), \(count(storm.attempts)) attempts")
        ]
    }

    private static func errors(_ summary: LoadSummary) -> [String] {
        if summary.errors.isEmpty { return [row("errors", "none")] }
        return summary.errors.map {
            // What a server says stays on its line.
            let example = $0.example.replacing("\n", with: "\\n")
            return row("errors", "\(count($0.count)) \($0.cause), the first: \(example)")
        }
    }

    private static func generator(_ summary: LoadSummary) -> String {
        let generator = summary.generator
        let shares = generator.cpuShares.map { "\(Int(($0 * 100).rounded())) %" }
        var text = "\(generator.threads) thread\(generator.threads == 1 ? "" : "s")"
        if !shares.isEmpty { text += ", \(shares.joined(separator: " and ")) of a core" }
        if let queued = generator.runQueueShares.max(), queued >= 0.01 {
            text += ", \(Int((queued * 100).rounded())) % of the time waiting for one"
        }
        if let cpu = generator.cpuMicrosecondsPerMessage {
            text += ", \(LoadNumber.digits(cpu)) µs for each message"
        }
        text += ", \(LoadNumber.digits(Double(generator.peakKilobytes) / 1000)) MB of memory"
        return text
    }

    /// A comparison as a table.
    static func lines(_ comparison: LoadComparison) -> [String] {
        let head = ["", "first", "second", "ratio", "beyond the noise?"]
        let rows =
            [head]
            + comparison.rows.map {
                [$0.name, $0.before, $0.after, $0.ratioText, $0.verdictText]
            }
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { text, width in
                text + String(repeating: " ", count: width - text.count)
            }
            var line = cells.joined(separator: "   ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import LoadGenerator

/// A report for people and for programs.
enum ReportText {
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func lines(_ report: LoadReport) -> String {
        var lines: [String] = []
        func add(_ name: String, _ value: String) {
            lines.append(name.padding(toLength: 22, withPad: " ", startingAt: 0) + value)
        }
        add(report.mode, report.url)
        if let version = report.tlsVersion { add("TLS", "\(version) \(report.cipher ?? "")") }
        let wanted = report.connections * (report.streams ?? 1)
        let carried = report.streams.map { ", \($0) on each connection" } ?? ""
        if report.opened > 0 { add("WebSockets", "\(report.opened) of \(wanted)\(carried)") }
        add("measured", number(report.seconds) + " s")
        if report.messages > 0 {
            add(
                "messages",
                "\(report.messages), \(number(report.messagesPerSecond))/s of "
                    + "\(report.messageBytes) bytes")
            add(
                "payload",
                "\(number(report.megabytes)) MB, \(number(report.megabytesPerSecond)) MB/s")
        }
        if report.mode == "connect" || report.mode == "cycle" {
            add(
                report.mode == "cycle" ? "streams" : "connections",
                "\(report.handshakes), \(number(report.handshakesPerSecond))/s, "
                    + "\(report.resumed) resumed")
        }
        if report.maxMicroseconds > 0 {
            add(
                "latency µs",
                "p50 \(number(report.p50Microseconds))  p90 \(number(report.p90Microseconds))  "
                    + "p99 \(number(report.p99Microseconds))  "
                    + "p99.9 \(number(report.p999Microseconds))  "
                    + "max \(number(report.maxMicroseconds))")
        }
        if let cpu = report.cpuSeconds {
            add("CPU of the watched", "\(number(cpu)) s, \(number((report.cpuShare ?? 0) * 100)) %")
        }
        let costs = [
            ("CPU µs/message", report.cpuMicrosecondsPerMessage),
            ("CPU µs/MB", report.cpuMicrosecondsPerMegabyte),
            ("CPU µs/WebSocket", report.cpuMicrosecondsPerConnection),
            ("bytes/WebSocket", report.residentBytesPerConnection),
        ]
        for case (let name, let cost?) in costs { add(name, number(cost)) }
        if let resident = report.residentKilobytes {
            add("resident", "\(resident) kB, before \(report.residentKilobytesBefore ?? 0) kB")
        }
        if report.errors > 0 {
            add("errors", "\(report.errors), first: \(report.firstError ?? "")")
        }
        return lines.joined(separator: "\n")
    }

    static func number(_ value: Double) -> String {
        String(format: value < 100 ? "%.2f" : "%.0f", value)
    }
}

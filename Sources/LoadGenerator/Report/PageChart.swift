// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Charts of the report's page, as inline SVG.
enum PageChart {
    private static let width = 860.0
    private static let height = 260.0
    private static let left = 64.0
    private static let right = 16.0
    private static let top = 22.0
    private static let bottom = 30.0

    private static var inner: (width: Double, height: Double) {
        (width - left - right, height - top - bottom)
    }

    private static func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    private static func frame(_ label: String, _ content: [String]) -> String {
        """
        <svg viewBox="0 0 \(Int(width)) \(Int(height))" role="img" aria-label="\(LoadPage.escaped(label))">
        \(content.joined(separator: "\n"))
        <line class="axis" x1="\(left)" y1="\(height - bottom)" x2="\(width - right)" y2="\(height - bottom)"/>
        </svg>

        """
    }

    private static func text(_ x: Double, _ y: Double, _ text: String, _ anchor: String) -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\">\(LoadPage.escaped(text))</text>"
    }

    // MARK: Scales

    /// Powers of ten in microseconds that hold all times, as exponents.
    private static func decades(_ times: [Double]) -> (low: Double, high: Double) {
        let some = times.filter { $0 > 0 }
        guard let least = some.min(), let most = some.max() else { return (0, 1) }
        let low = log10(least).rounded(.down)
        return (low, max(low + 1, log10(most).rounded(.up)))
    }

    private static func y(_ microseconds: Double, _ scale: (low: Double, high: Double)) -> Double {
        let exponent = min(scale.high, max(scale.low, log10(max(microseconds, 1e-6))))
        let share = (exponent - scale.low) / (scale.high - scale.low)
        return top + inner.height * (1 - share)
    }

    private static func timeAxis(_ scale: (low: Double, high: Double)) -> [String] {
        stride(from: scale.low, through: scale.high, by: 1).flatMap { exponent in
            let place = y(pow(10, exponent), scale)
            return [
                "<line class=\"axis\" x1=\"\(left)\" y1=\"\(number(place))\" x2=\"\(width - right)\""
                    + " y2=\"\(number(place))\"/>",
                text(
                    left - 6, place + 4, LoadNumber.time(microseconds: pow(10, exponent)), "end"),
            ]
        }
    }

    private static func secondsAxis(_ seconds: Double) -> [String] {
        (0...4).map { part in
            let share = Double(part) / 4
            return text(
                left + inner.width * share, height - 10,
                "\(LoadNumber.digits(seconds * share)) s", part == 4 ? "end" : "middle")
        }
    }

    private static func legend(_ names: [String]) -> [String] {
        names.enumerated().map { index, name in
            let x = left + Double(index) * 110
            return "<rect class=\"key\(index % 2)\" x=\"\(x)\" y=\"4\" width=\"12\" height=\"8\"/>"
                + text(x + 18, 12, name, "start")
        }
    }

    private static func path(_ points: [(x: Double, y: Double)], _ index: Int) -> String {
        let steps = points.map { "\(number($0.x)),\(number($0.y))" }
        return "<polyline class=\"line\(index % 2)\" points=\"\(steps.joined(separator: " "))\"/>"
    }

    // MARK: Charts

    /// How often which latency came in which stretch, darker for more; with the lines of p50 and p99.
    static func heat(_ timeline: LoadSummary.Timeline) -> String {
        let intervals = timeline.intervals
        let scale = decades(
            intervals.flatMap { interval in
                interval.buckets.compactMap(\.first) + [interval.max]
            })
        let column = inner.width / Double(max(1, intervals.count))
        var content = timeAxis(scale)
        content += secondsAxis(timeline.intervalSeconds * Double(intervals.count))
        for (index, interval) in intervals.enumerated() {
            let most = interval.buckets.compactMap(\.last).max() ?? 1
            let x = left + Double(index) * column
            content += interval.buckets.compactMap { bucket in
                guard let lowest = bucket.first, let count = bucket.last else { return nil }
                let upper = y(lowest * 1.125, scale)
                let tall = max(1, y(max(lowest, 1e-6), scale) - upper)
                let opacity = (0.12 + 0.88 * (count / most).squareRoot()) * 100
                return "<rect class=\"cell\" x=\"\(number(x))\" y=\"\(number(upper))\""
                    + " width=\"\(number(max(0.5, column)))\" height=\"\(number(tall))\""
                    + " fill-opacity=\"\(opacity.rounded() / 100)\"/>"
            }
        }
        func line(_ key: (LoadSummary.Interval) -> Double) -> [(x: Double, y: Double)] {
            intervals.enumerated().compactMap { index, interval in
                key(interval) > 0
                    ? (left + (Double(index) + 0.5) * column, y(key(interval), scale)) : nil
            }
        }
        content.append(path(line(\.p50), 0))
        content.append(path(line(\.p99), 1))
        content += legend(["p50", "p99"])
        return frame("Latency over time, as a heat map with the lines of p50 and p99", content)
    }

    /// Latency by percentile, over a scale on which each nine is as wide as another.
    static func percentiles(_ series: [(name: String, points: [LoadSummary.Point])]) -> String {
        let scale = decades(series.flatMap { $0.points.map(\.microseconds) })
        let nines = 5.0
        func x(_ percentile: Double) -> Double {
            let behind = max(1e-5, 1 - percentile / 100)
            return left + inner.width * min(1, -log10(behind) / nines)
        }
        var content = timeAxis(scale)
        for (percentile, name) in [
            (0.0, "0 %"), (90, "90 %"), (99, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %"),
        ] { content.append(text(x(percentile), height - 10, name, "middle")) }
        for (index, line) in series.enumerated() {
            let points = line.points.map { (x($0.percentile), y($0.microseconds, scale)) }
            content.append(path(points, index))
        }
        content += legend(series.map(\.name))
        return frame("Latency by percentile", content)
    }

    /// Rates over time.
    static func lines(_ series: [(name: String, values: [Double])], _ seconds: Double) -> String {
        let most = max(1, series.flatMap(\.values).max() ?? 1)
        let count = series.map(\.values.count).max() ?? 0
        let column = inner.width / Double(max(1, count))
        var content = secondsAxis(seconds * Double(count))
        for part in 0...2 {
            let value = most * Double(part) / 2
            let place = top + inner.height * (1 - Double(part) / 2)
            content.append(text(left - 6, place + 4, LoadNumber.digits(value), "end"))
        }
        for (index, line) in series.enumerated() {
            let points = line.values.enumerated().map { place, value in
                (
                    left + (Double(place) + 0.5) * column,
                    top + inner.height * (1 - value / most)
                )
            }
            content.append(path(points, index))
        }
        content += legend(series.map(\.name))
        return frame(series.map(\.name).joined(separator: " and ") + " per second", content)
    }
}

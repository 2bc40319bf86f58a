// SPDX-License-Identifier: Apache-2.0

/// The form in which readings are written.
public enum Exposition: Sendable, Equatable {
    /// Prometheus's text format 0.0.4.
    case text
    /// OpenMetrics 1.0.
    case openMetrics

    /// The form that somebody wants, by the `Accept` of the request (RFC 9110 §12.5.1): OpenMetrics where it is
    /// named and nothing that the text format would do for is wanted more.
    public init(accept: String) {
        var openMetrics = 0.0
        var text = 0.0
        for range in accept.lowercased().split(separator: ",") {
            let parts = range.split(separator: ";").map(Self.trimmed)
            let quality = parts.dropFirst().first { $0.hasPrefix("q=") }
                .map { Double($0.dropFirst(2)) ?? 0 }
            let version = parts.dropFirst().first { $0.hasPrefix("version=") }?.dropFirst(8)
            switch parts.first {
            case "application/openmetrics-text":
                guard version == nil || version == "1.0.0" || version == "0.0.1" else { continue }
                openMetrics = max(openMetrics, quality ?? 1)
            case "text/plain", "text/*", "*/*": text = max(text, quality ?? 1)
            default: break
            }
        }
        self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        let last = start.lastIndex { $0 != " " && $0 != "\t" }
        return last.map { start[...$0] } ?? ""
    }

    /// The `Content-Type` of what is written so.
    public var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The readings of these families, in their order; a family that has none is left out.
    public func bytes(of readings: MetricReadings, _ families: [MetricFamily]) -> [UInt8] {
        var writer = ExpositionWriter(form: self)
        for family in families {
            guard let samples = readings.series[family.name]?.samples else { continue }
            writer.head(family)
            for sample in samples { writer.write(sample, of: family) }
        }
        if self == .openMetrics { writer.append("# EOF\n") }
        return writer.bytes
    }
}

/// Writes families and their samples, line by line.
struct ExpositionWriter {
    let form: Exposition
    private(set) var bytes: [UInt8] = []

    init(form: Exposition) { self.form = form }

    mutating func append(_ text: some StringProtocol) { bytes.append(contentsOf: text.utf8) }

    /// The lines that say what a family means.
    mutating func head(_ family: MetricFamily) {
        let name = form == .openMetrics ? family.openMetricsName : family.name
        append("# HELP \(name) ")
        escape(family.help, quotes: form == .openMetrics)
        let isPlainInfo = family.kind == .info && form == .text
        append("\n# TYPE \(name) \(isPlainInfo ? "gauge" : family.kind.rawValue)\n")
    }

    mutating func write(_ sample: MetricReadings.Sample, of family: MetricFamily) {
        switch sample.value {
        case .number(let number): line(family, "", sample.labels, nil, Self.text(number))
        case .histogram(let histogram):
            var below: UInt64 = 0
            for (index, bound) in histogram.bounds.enumerated() {
                below &+= histogram.counts[index]
                line(family, "_bucket", sample.labels, "\(bound)", "\(below)")
            }
            let total = histogram.total
            line(family, "_bucket", sample.labels, "+Inf", "\(total)")
            line(family, "_sum", sample.labels, nil, Self.text(histogram.sum))
            line(family, "_count", sample.labels, nil, "\(total)")
        }
    }

    private mutating func line(
        _ family: MetricFamily, _ suffix: String, _ values: [String], _ bound: String?,
        _ number: String
    ) {
        append(family.name)
        append(suffix)
        if !values.isEmpty || bound != nil {
            append("{")
            for (index, value) in values.enumerated() {
                append("\(index == 0 ? "" : ",")\(family.labels[index])=\"")
                escape(value, quotes: true)
                append("\"")
            }
            if let bound { append("\(values.isEmpty ? "" : ",")le=\"\(bound)\"") }
            append("}")
        }
        append(" \(number)\n")
    }

    /// Text in which nothing ends a line or a value before its time; a Swift string is UTF-8 whatever it was made of.
    private mutating func escape(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\"") where quotes: append("\\\"")
            default: bytes.append(byte)
            }
        }
    }

    /// A number as both forms read it; whole ones without a fraction.
    private static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number > 0 ? "+Inf" : "-Inf" }
        return Int64(exactly: number).map(String.init) ?? "\(number)"
    }
}

extension MetricFamily {
    /// The name of the family in OpenMetrics, where that of its samples has an ending by its kind.
    fileprivate var openMetricsName: String {
        switch kind {
        case .counter: String(name.dropLast("_total".count))
        case .info: String(name.dropLast("_info".count))
        case .gauge, .histogram: name
        }
    }
}

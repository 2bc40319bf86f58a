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
            let words = ExpositionWriter.Words(family)
            for sample in samples { writer.write(sample, of: words) }
        }
        if self == .openMetrics { writer.append("# EOF\n") }
        return writer.bytes
    }
}

/// Writes families and their samples, line by line.
struct ExpositionWriter {
    /// What is the same in all lines of a family.
    struct Words {
        let name: [UInt8]
        let bucket: [UInt8]
        let sum: [UInt8]
        let count: [UInt8]
        /// What stands before the value of each label: `{route="`, `",code="`.
        let labels: [[UInt8]]

        init(_ family: MetricFamily) {
            name = Array(family.name.utf8)
            bucket = name + "_bucket".utf8
            sum = name + "_sum".utf8
            count = name + "_count".utf8
            labels = family.labels.enumerated().map { index, label in
                Array("\(index == 0 ? "{" : "\",")\(label)=\"".utf8)
            }
        }
    }

    let form: Exposition
    private(set) var bytes: [UInt8] = []
    /// The labels of the sample that is written, without the brace that ends them.
    private var labels: [UInt8] = []
    /// What all lines of a histogram's buckets begin with.
    private var bucket: [UInt8] = []

    init(form: Exposition) { self.form = form }

    mutating func append(_ text: some StringProtocol) { bytes.append(contentsOf: text.utf8) }

    /// The lines that say what a family means.
    mutating func head(_ family: MetricFamily) {
        let name = form == .openMetrics ? family.openMetricsName : family.name
        append("# HELP \(name) ")
        Self.escape(family.help, quotes: form == .openMetrics, into: &bytes)
        let type =
            switch form {
            case .text: family.kind == .info ? "gauge" : family.kind.rawValue
            case .openMetrics: family.isUntypedInOpenMetrics ? "unknown" : family.kind.rawValue
            }
        append("\n# TYPE \(name) \(type)\n")
    }

    mutating func write(_ sample: MetricReadings.Sample, of words: Words) {
        labels.removeAll(keepingCapacity: true)
        for (head, value) in zip(words.labels, sample.labels) {
            labels.append(contentsOf: head)
            Self.escape(value, quotes: true, into: &labels)
        }
        if !sample.labels.isEmpty { labels.append(UInt8(ascii: "\"")) }
        switch sample.value {
        case .number(let number):
            begin(words.name)
            append(number)
        case .histogram(let histogram): write(histogram, of: words)
        }
    }

    private mutating func write(_ histogram: HistogramReading, of words: Words) {
        bucket.removeAll(keepingCapacity: true)
        bucket.append(contentsOf: words.bucket)
        bucket.append(contentsOf: labels)
        bucket.append(UInt8(ascii: labels.isEmpty ? "{" : ","))
        var total: UInt64 = 0
        for (count, bound) in zip(histogram.counts, histogram.limits.words) {
            total &+= count
            bytes.append(contentsOf: bucket)
            bytes.append(contentsOf: bound)
            append(whole: total)
        }
        begin(words.sum)
        append(histogram.sum)
        begin(words.count)
        append(whole: total)
    }

    /// A line up to its number.
    private mutating func begin(_ name: [UInt8]) {
        bytes.append(contentsOf: name)
        if !labels.isEmpty {
            bytes.append(contentsOf: labels)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
    }

    /// A number as both forms read it, and the end of its line; whole ones have no fraction.
    private mutating func append(_ number: Double) {
        if number >= 0, let whole = UInt64(exactly: number) {
            append(whole: whole)
            return
        }
        if number.isNaN {
            append("NaN\n")
        } else if number.isInfinite {
            append(number > 0 ? "+Inf\n" : "-Inf\n")
        } else {
            append("\(Int64(exactly: number).map(String.init) ?? "\(number)")\n")
        }
    }

    /// A whole number, and the end of its line: most of what is written.
    private mutating func append(whole number: UInt64) {
        let digitsMax = 20
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: digitsMax + 1) { text in
            var first = digitsMax
            text.initializeElement(at: first, to: UInt8(ascii: "\n"))
            var rest = number
            repeat {
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                first &-= 1
                text.initializeElement(
                    at: first, to: UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit))
                rest = quotient
            } while rest > 0
            bytes.append(contentsOf: text[first...])
        }
    }

    /// Text in which nothing ends a line or a value before its time; a Swift string is UTF-8 whatever it was made of.
    private static func escape(_ text: String, quotes: Bool, into bytes: inout [UInt8]) {
        func needsEscape(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "\n")
                || quotes && byte == UInt8(ascii: "\"")
        }
        guard text.utf8.contains(where: needsEscape) else {
            bytes.append(contentsOf: text.utf8)
            return
        }
        for byte in text.utf8 {
            if needsEscape(byte) { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte == UInt8(ascii: "\n") ? UInt8(ascii: "n") : byte)
        }
    }
}

extension MetricFamily {
    private static let names = Set(all.map(\.name))

    /// Whether it is a counter whose family would have the name of another family in OpenMetrics, which is not allowed:
    /// it stands there without a type, under its whole name.
    var isUntypedInOpenMetrics: Bool {
        kind == .counter && Self.names.contains(String(name.dropLast("_total".count)))
    }

    /// The name of the family in OpenMetrics, where that of its samples has an ending by its kind.
    var openMetricsName: String {
        switch kind {
        case .counter: isUntypedInOpenMetrics ? name : String(name.dropLast("_total".count))
        case .info: String(name.dropLast("_info".count))
        case .gauge, .histogram: name
        }
    }
}

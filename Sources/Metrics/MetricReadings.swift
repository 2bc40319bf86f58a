// SPDX-License-Identifier: Apache-2.0

/// Values of metrics at one moment, gathered from all who have some.
///
/// What is added under the same labels is summed: each reactor adds its own. What is appended is all of its series.
public struct MetricReadings: Sendable {
    enum Value: Sendable, Equatable {
        case number(Double)
        case histogram(HistogramReading)
    }

    struct Sample: Sendable {
        let labels: [String]
        var value: Value
    }

    struct Series: Sendable {
        var samples: [Sample] = []
        private var places: [[String]: Int] = [:]

        mutating func add(_ labels: [String], _ value: Value) {
            guard let place = places[labels] else {
                places[labels] = samples.count
                samples.append(Sample(labels: labels, value: value))
                return
            }
            switch (samples[place].value, value) {
            case (.number(let before), .number(let more)):
                samples[place].value = .number(before + more)
            case (.histogram(var before), .histogram(let more)):
                before.add(more)
                samples[place].value = .histogram(before)
            default: preconditionFailure("a family has values of two kinds")
            }
        }

        mutating func append(_ labels: [String], _ value: Value) {
            precondition(
                places.isEmpty, "a family has values that are summed and others that are not")
            samples.append(Sample(labels: labels, value: value))
        }
    }

    private(set) var series: [String: Series] = [:]

    /// No values yet.
    public init() {}

    /// Adds a number; `labels` has the values of the family's labels in their order.
    public mutating func add(_ family: MetricFamily, _ labels: [String] = [], value: Double) {
        precondition(labels.count == family.labels.count && family.kind != .histogram)
        series[family.name, default: Series()].add(labels, .number(value))
    }

    /// Adds a count.
    public mutating func add(
        _ family: MetricFamily, _ labels: [String] = [], count: some BinaryInteger
    ) {
        add(family, labels, value: Double(count))
    }

    /// Adds what a histogram has counted.
    public mutating func add(
        _ family: MetricFamily, _ labels: [String], _ reading: HistogramReading
    ) {
        precondition(labels.count == family.labels.count && family.kind == .histogram)
        series[family.name, default: Series()].add(labels, .histogram(reading))
    }

    /// Adds a count that is all of its series.
    ///
    /// The family has no others that are summed, so it need not be looked for whether there is one already: that takes
    /// longer than everything else.
    public mutating func append(
        _ family: MetricFamily, _ labels: [String], count: some BinaryInteger
    ) {
        precondition(labels.count == family.labels.count && family.kind != .histogram)
        series[family.name, default: Series()].append(labels, .number(Double(count)))
    }

    /// Adds what a histogram has counted and is all of its series, as the other one does.
    public mutating func append(
        _ family: MetricFamily, _ labels: [String], _ reading: HistogramReading
    ) {
        precondition(labels.count == family.labels.count && family.kind == .histogram)
        series[family.name, default: Series()].append(labels, .histogram(reading))
    }

    /// All numbers of a family, each with the values of the family's labels.
    public func numbers(_ family: MetricFamily) -> [(labels: [String], number: Double)] {
        (series[family.name]?.samples ?? []).compactMap { sample in
            guard case .number(let number) = sample.value else { return nil }
            return (sample.labels, number)
        }
    }

    /// All histograms of a family, each with the values of the family's labels.
    public func histograms(
        _ family: MetricFamily
    ) -> [(labels: [String], reading: HistogramReading)] {
        (series[family.name]?.samples ?? []).compactMap { sample in
            guard case .histogram(let reading) = sample.value else { return nil }
            return (sample.labels, reading)
        }
    }

    /// The number under these labels; nil where there is none.
    public func number(_ family: MetricFamily, _ labels: [String] = []) -> Double? {
        let sample = series[family.name]?.samples.first { $0.labels == labels }
        guard case .number(let number)? = sample?.value else { return nil }
        return number
    }
}

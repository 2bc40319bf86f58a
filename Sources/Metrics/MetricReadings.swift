// SPDX-License-Identifier: Apache-2.0

/// Values of metrics at one moment, gathered from all who have some.
///
/// What is added under the same labels is summed: each reactor adds its own.
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

    /// The number under these labels; nil where there is none.
    public func number(_ family: MetricFamily, _ labels: [String] = []) -> Double? {
        let sample = series[family.name]?.samples.first { $0.labels == labels }
        guard case .number(let number)? = sample?.value else { return nil }
        return number
    }
}

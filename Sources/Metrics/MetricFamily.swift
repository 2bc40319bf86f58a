// SPDX-License-Identifier: Apache-2.0

/// A metric as others know it: its name, its labels and what it means.
public struct MetricFamily: Sendable, Equatable {
    /// How its values are to be read.
    public enum Kind: String, Sendable {
        /// It only grows, and begins with 0 when the process does.
        case counter
        /// It rises and falls.
        case gauge
        /// How many values fell into which bucket.
        case histogram
        /// Always 1: its labels say all.
        case info
    }

    /// The name of its samples; those of a histogram have `_bucket`, `_sum` and `_count` behind it.
    public let name: String
    /// How its values are to be read.
    public let kind: Kind
    /// The names of its labels, in the order in which a reading gives their values.
    public let labels: [String]
    /// What it means, in one sentence without the full stop.
    public let help: String

    /// A family; a counter's name ends in `_total`, and that of an info in `_info`.
    public init(_ name: String, _ kind: Kind, _ labels: [String] = [], _ help: String) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }
}

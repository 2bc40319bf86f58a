// SPDX-License-Identifier: Apache-2.0

/// Why a host or path pattern cannot be used, and at which of its characters that shows.
public struct PatternFault: Error, Sendable, Equatable {
    /// What is wrong, as one sentence without the pattern itself.
    public let sentence: String
    /// Byte of the pattern at which it shows, counted from 1.
    public let column: Int

    init(_ sentence: String, at column: Int) {
        self.sentence = sentence
        self.column = column
    }
}

extension PatternFault: CustomStringConvertible {
    /// The sentence and the column.
    public var description: String { "\(sentence) (at character \(column))" }
}

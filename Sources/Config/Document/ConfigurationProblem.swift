// SPDX-License-Identifier: Apache-2.0

/// A place in a configuration file.
public struct SourcePlace: Sendable, Hashable {
    /// The file, as it was named to Sluice.
    public let file: String
    /// The line, counted from 1; 0 when the place is the file as a whole.
    public let line: Int
    /// The column, counted from 1.
    public let column: Int

    /// For what no file says.
    public static let commandLine = SourcePlace(file: "quick mode", line: 0, column: 0)

    /// A place in `file`; line and column count from 1, and line 0 means the whole file.
    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }
}

extension SourcePlace: CustomStringConvertible {
    /// The place in the form that editors jump to: `file:line:column`.
    public var description: String { line == 0 ? file : "\(file):\(line):\(column)" }
}

/// One thing that is wrong with a configuration.
public struct ConfigurationProblem: Error, Sendable, Equatable {
    /// The place in the file that the sentence is about.
    public let place: SourcePlace
    /// What was found and what is allowed.
    public let sentence: String
    /// What would mend it, if that can be guessed.
    public let hint: String?

    /// A problem; for those who judge the values later too.
    public init(place: SourcePlace, sentence: String, hint: String? = nil) {
        self.place = place
        self.sentence = sentence
        self.hint = hint
    }
}

extension ConfigurationProblem: CustomStringConvertible {
    /// One line: the place, the sentence and the hint.
    public var description: String {
        "\(place): \(sentence)" + (hint.map { " (\($0))" } ?? "")
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
public struct ConfigurationProblems: Error, Sendable, Equatable {
    /// The problems; at least one.
    public let problems: [ConfigurationProblem]

    /// Problems in the order in which they are to be told.
    public init(_ problems: [ConfigurationProblem]) {
        self.problems = problems
    }

    /// Problems of one file that were found by several, in the order of the file; those of one place stay in the
    /// order in which they were found.
    public init(sorting problems: [ConfigurationProblem]) {
        self.problems = problems.enumerated().sorted {
            ($0.element.place.line, $0.element.place.column, $0.offset)
                < ($1.element.place.line, $1.element.place.column, $1.offset)
        }.map(\.element)
    }

    /// One about a file as a whole.
    public init(file: String, _ sentence: String) {
        let place = SourcePlace(file: file, line: 0, column: 0)
        problems = [ConfigurationProblem(place: place, sentence: sentence)]
    }
}

extension ConfigurationProblems: CustomStringConvertible {
    /// One line per problem.
    public var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

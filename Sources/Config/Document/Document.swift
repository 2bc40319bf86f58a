// SPDX-License-Identifier: Apache-2.0
import Yams

/// The one YAML document in a file.
struct Document {
    let yaml: String
    let file: String

    /// Its root; throws where the text is no YAML, or there is nothing in it.
    func root() throws(ConfigurationProblems) -> Node {
        do {
            // Without resolving, a scalar is its text and two keys are equal if their texts are.
            if let node = try Yams.compose(yaml: yaml, .basic),
                !Value(node: node, path: "", findings: Findings(file: file)).isNothing
            {
                return node
            }
        } catch let error as YamlError {
            throw refusal(error)
        } catch {
            let fault = YAMLFault("\(error)", isIndentedByTab: false)
            throw refusal(1, 1, "not valid YAML: \(fault.found)", hint: fault.remedy)
        }
        throw refusal(1, 1, "the file is empty, a configuration has at least listen and routes")
    }

    private func refusal(_ error: YamlError) -> ConfigurationProblems {
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            // Of two documents the problem is only the second half of the sentence.
            let words = Self.isSecondDocument(context?.text) ? context?.text ?? "" : problem
            // It is missed at the end of the file, and to be written where the text begins: what stands at the end has
            // nothing to do with it.
            let isUnended = Self.isUnendedText(problem)
            let place = isUnended ? context?.mark ?? mark : mark
            let fault =
                (isUnended ? nil : cause(mark))
                ?? YAMLFault(
                    words, isIndentedByTab: !isUnended && isIndentedByTab(mark),
                    isAtEnd: mark.line > Self.writtenLines(yaml).count)
            return refusal(
                place.line, place.column, "not valid YAML: \(fault.found)", hint: fault.remedy)
        case .duplicatedKeysInMapping(let keys, let context):
            let key = keys.first ?? ""
            let again = nextLine(of: key, after: context.mark).map { ", again in line \($0)" }
            return refusal(
                context.mark.line, context.mark.column,
                "the key '\(key)' stands twice in one mapping\(again ?? "")")
        case .reader(let problem, let offset, _, _):
            let before = Self.lines(yaml.prefix(offset ?? 0))
            let column = (before.last?.count ?? 0) + 1
            let fault = YAMLFault(problem, isIndentedByTab: false)
            return refusal(
                before.count, column, "not valid YAML: \(fault.found)", hint: fault.remedy)
        default:
            let fault = YAMLFault("\(error)", isIndentedByTab: false)
            return refusal(1, 1, "not valid YAML: \(fault.found)", hint: fault.remedy)
        }
    }

    private func refusal(
        _ line: Int, _ column: Int, _ sentence: String, hint: String? = nil
    ) -> ConfigurationProblems {
        // What is missing at the end of the file libyaml misses in a line behind it.
        let lines = Self.writtenLines(yaml)
        let place =
            line <= lines.count
            ? SourcePlace(file: file, line: line, column: column)
            : SourcePlace(
                file: file, line: lines.count, column: (lines.last?.unicodeScalars.count ?? 0) + 1)
        return ConfigurationProblems([
            ConfigurationProblem(place: place, sentence: sentence, hint: hint)
        ])
    }

    private static func isSecondDocument(_ context: String?) -> Bool {
        context?.hasPrefix("expected a single document") == true
    }

    /// Whether one of libyaml's texts says that text in quotes does not end.
    private static func isUnendedText(_ problem: String) -> Bool {
        problem.hasPrefix("found unexpected end of stream")
            || problem.hasPrefix("found unexpected document indicator")
    }

    /// What the lines at a place show better than libyaml's text.
    private func cause(_ mark: Mark) -> YAMLFault? {
        let lines = Self.lines(yaml[...])
        guard lines.indices.contains(mark.line - 1) else { return nil }
        return YAMLFault.cause(
            in: lines[mark.line - 1],
            below: mark.line > 1 ? (lines[mark.line - 2], mark.line - 1) : nil)
    }

    private func isIndentedByTab(_ mark: Mark) -> Bool {
        let lines = Self.lines(yaml[...])
        guard lines.indices.contains(mark.line - 1) else { return false }
        return lines[mark.line - 1].prefix(while: \.isWhitespace).contains("\t")
    }

    /// Where a key of a block mapping stands a second time; nil where that cannot be told.
    private func nextLine(of key: String, after mark: Mark) -> Int? {
        let indent = mark.column - 1
        for (index, line) in Self.lines(yaml[...]).enumerated().dropFirst(mark.line) {
            let text = line.drop { $0 == " " }
            if text.isEmpty || text.hasPrefix("#") { continue }
            let depth = line.count - text.count
            if depth == indent, text.hasPrefix(key + ":") { return index + 1 }
            // Anything further left ends the mapping.
            if depth < indent { return nil }
        }
        return nil
    }

    /// The lines up to the last one in which something stands; one at least.
    private static func writtenLines(_ text: String) -> [Substring] {
        var lines = lines(text[...])
        while lines.count > 1, lines.last?.allSatisfy(\.isWhitespace) == true { lines.removeLast() }
        return lines
    }

    private static func lines(_ text: Substring) -> [Substring] {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }
}

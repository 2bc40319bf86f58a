// SPDX-License-Identifier: Apache-2.0

/// What libyaml says of a text that is no YAML, in words for people who write a configuration.
struct YAMLFault {
    /// What was found, as a clause.
    let found: String
    /// What to change, as a clause.
    let remedy: String

    private init(_ found: String, _ remedy: String) {
        self.found = found
        self.remedy = remedy
    }

    private static let quote = "put the text into quotes"

    /// What the texts of scanner.c, parser.c, loader.c and reader.c mean.
    private static let known: [String: YAMLFault] = [
        "mapping values are not allowed in this context": YAMLFault(
            "a ':' stands where no value can begin",
            "one key and value in a line, in line with its neighbours; text with ': ' in it in quotes"
        ),
        "block sequence entries are not allowed in this context": YAMLFault(
            "a '-' stands where no list can begin",
            "begin the list in a line of its own below its key"),
        "mapping keys are not allowed in this context": YAMLFault(
            "a '?' stands where no key can begin", quote),
        "found character that cannot start any token": YAMLFault(
            "a value begins with a character that YAML keeps for itself", quote),
        "could not find expected ':'": YAMLFault(
            "a key has no ':' behind it", "write key: value, and close what is in quotes"),
        "did not find expected key": YAMLFault(
            "something stands where a key should be",
            "indent it as its neighbours are, and close quotes and brackets in the lines above"),
        "did not find expected '-' indicator": YAMLFault(
            "something stands where the next '-' of a list should be",
            "begin an entry with '-', and indent a key of the entry above as its first key is"),
        "did not find expected ',' or ']'": YAMLFault(
            "a list in brackets goes on without ',' and does not end with ']'",
            "put a ',' between its entries and a ']' at its end"),
        "did not find expected ',' or '}'": YAMLFault(
            "a mapping in braces goes on without ',' and does not end with '}'",
            "put a ',' between its keys and a '}' at its end"),
        "did not find expected node content": YAMLFault(
            "a value is missing", "write one behind the key, the '-' or the ','"),
        "did not find expected <document start>": YAMLFault(
            "something stands behind the end of the configuration",
            "indent it as what it belongs to is, or take it out"),
        "expected a single document in the stream": YAMLFault(
            "a second document begins with this '---'",
            "a configuration is one document: take the line out, or what stands behind it"),
        "found undefined alias": YAMLFault(
            "a '*' names an anchor that is not there", "put text that begins with '*' into quotes"),
        "found duplicate anchor": YAMLFault(
            "an anchor stands twice", "give the second '&' another name"),
        "found unexpected end of stream": YAMLFault(
            "text in quotes does not end", "put the quote at its end"),
        "found unexpected document indicator": YAMLFault(
            "text in quotes does not end before the next document", "put the quote at its end"),
        "found unknown escape character": YAMLFault(
            "a '\\' in double quotes has a character behind it that means nothing",
            "write it twice, or take single quotes"),
        "did not find expected hexdecimal number": YAMLFault(
            "an escape in double quotes lacks hexadecimal digits", "write all of them, as \\x41"),
        "found invalid Unicode character escape code": YAMLFault(
            "an escape in double quotes names no character", "correct it"),
        "did not find expected alphabetic or numeric character": YAMLFault(
            "a '&' or '*' has no name behind it", quote),
        "found undefined tag handle": YAMLFault("a '!' begins a tag that is not known", quote),
        "found unexpected ':'": YAMLFault("a ':' stands in a text without quotes", quote),
        "found a tab character where an indentation space is expected": tab,
        "found a tab character that violates indentation": tab,
        "found an indentation indicator equal to 0": YAMLFault(
            "a block of text is indented by 0", "write | or > without the number"),
        "did not find expected comment or line break": YAMLFault(
            "something stands behind | or >", "begin the text in the next line"),
        "control characters are not allowed": YAMLFault(
            "a control character is in it", "take it out, or write it in double quotes as \\x01"),
    ]

    /// What is the matter by the line itself, where libyaml's text tells a consequence of it; nil for other lines.
    ///
    /// - Parameters:
    ///   - line: the line of the fault.
    ///   - before: the line above it, and its number.
    /// - Returns: the fault in its place.
    static func cause(in line: Substring, below before: (text: Substring, number: Int)?)
        -> YAMLFault?
    {
        if line.contains("${") {
            return YAMLFault(
                "'${' stands there, and Sluice puts no variables in",
                "write the value, or make the file with envsubst")
        }
        if line.firstMatch(of: /[\s:]\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](:|\s*$)/) != nil {
            return YAMLFault(
                "an address in brackets is a list to YAML", "put it in quotes, as \"[::1]:8443\"")
        }
        if let before,
            before.text.firstMatch(of: /^\s*(- )?[A-Za-z]+:[^\s\/]|^\s*(- )?path:\//) != nil
        {
            return YAMLFault(
                "the line above (\(before.number)) has no blank behind its ':'",
                "write key: value, with a blank")
        }
        return nil
    }

    /// What stands in libyaml's texts on directives, and on tags.
    private static let directive = [
        "directive", "%YAML", "incompatible YAML document", "non-alphabetical character", "version",
    ]
    private static let tag = ["tag", "'!'", "'>'", "URI", "whitespace or line break"]

    private static let tab = YAMLFault("a tab indents it", "indent with spaces, YAML forbids tabs")

    /// What one of libyaml's texts means; what is not known is taken over as it is.
    ///
    /// - Parameters:
    ///   - problem: libyaml's text.
    ///   - isIndentedByTab: whether a tab stands in front of the line.
    ///   - isAtEnd: whether nothing stands behind the place.
    init(_ problem: String, isIndentedByTab: Bool, isAtEnd: Bool = false) {
        if isIndentedByTab {
            self = Self.tab
        } else if isAtEnd, problem == "did not find expected node content" {
            self.init(
                "the file ends within brackets or braces, where a value is missing",
                "write one, and close each '[' by a ']' and each '{' by a '}'")
        } else if let fault = Self.known[problem] {
            self = fault
        } else if let fault = Self.known.first(where: { problem.hasPrefix($0.key) })?.value {
            self = fault
        } else if Self.directive.contains(where: problem.contains) {
            self.init(
                "a '%' begins a directive that can't be used here",
                "take the line out, or put text that begins with '%' into quotes")
        } else if Self.tag.contains(where: problem.contains) {
            self.init(
                "a '!' begins a tag that can't be read", "put text that begins with '!' into quotes"
            )
        } else {
            self.init(
                "the reader of YAML says \"\(problem)\"",
                "compare the line with the reference's examples")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// What holds where a configuration is silent stands in Config, and nowhere else.
///
/// A type that Service fills from a configuration and that has a default of its own is a second place
/// for the same number: whoever changes one forgets the other, and whoever forgets to pass the setting
/// is not told.
enum Defaults {
    /// The targets whose types are filled from a configuration.
    private static let filled: Set<String> = [
        "Wire", "Router", "Reactor", "TLS", "Splice", "Naming", "Frontend", "Log", "Health",
        "HTTP2",
    ]

    /// What has no key, and a number that some setting happens to have too.
    private static let coincidences: Set<String> = ["LogPlan.entriesMax"]

    /// Properties and parameters that give again what a setting gives, one line each.
    static func violations(in files: [SourceFile]) -> [String] {
        let code = files.filter { $0.isSource && $0.isSwift }
        let declared = code.filter { $0.path.hasPrefix("Sources/Config/Settings/") }
            .flatMap(values).filter { $0 > 1 }
        // What holds for HTTP/2 goes through rules of Frontend's.
        let made = code.filter {
            $0.target == "Service" || $0.path.hasSuffix("/MultiplexRules.swift")
        }.flatMap(madeTypes)
        return code.filter { filled.contains($0.target ?? "") }.flatMap {
            repetitions(in: $0, of: Set(declared), types: Set(made))
        }
    }

    /// The numbers that the properties of a file have from the start: durations in milliseconds.
    static func values(in file: SourceFile) -> [Int] {
        file.lines.compactMap { line in
            guard let match = line.firstMatch(of: /^ +public var \w+(?:: \w+)? = (.+)$/) else {
                return nil
            }
            let text = match.1
            if let seconds = text.firstMatch(of: /^Duration\.seconds\((.+)\)$/) {
                return number(seconds.1).map { $0 * 1_000 }
            }
            if let milliseconds = text.firstMatch(of: /^Duration\.milliseconds\((.+)\)$/) {
                return number(milliseconds.1)
            }
            return number(text)
        }
    }

    /// Types of which a file makes values.
    private static func madeTypes(in file: SourceFile) -> [Substring] {
        file.lines.filter { !isComment($0) }.flatMap { line in
            line.matches(of: /\b([A-Z]\w+)\(/).map(\.1)
        }
    }

    private static func repetitions(
        in file: SourceFile, of values: Set<Int>, types: Set<Substring>
    ) -> [String] {
        var type: Substring?
        // Parameters of functions are no settings: those of initialisers are.
        var isFunction = false
        return file.lines.enumerated().flatMap { index, line -> [String] in
            // Regular expressions are slow without optimisation: few lines need one.
            if line.first == "}" { type = nil }
            if line.first?.isLetter == true,
                let match = line.firstMatch(of: /^(?:public )?(?:final )?(?:struct|class) (\w+)/)
            {
                type = types.contains(match.1) ? match.1 : nil
            }
            guard let type, line.hasPrefix("    "), !isComment(line) else { return [] }
            let member = line.dropFirst(4)
            if member.first?.isLetter == true {
                isFunction = member.split(separator: " ").contains { $0 == "func" }
            }
            guard !isFunction, !member.hasPrefix("        "), line.contains(" = "),
                !line.contains("static ")
            else { return [] }
            return line.matches(of: /(\w+)(?:: \w+)? = ([0-9_]+(?: (?:\*|<<) [0-9_]+)*)(?=[,) ]|$)/)
                .filter { number($0.2).map(values.contains) ?? false }
                .filter { !coincidences.contains("\(type).\($0.1)") }
                .map {
                    "\(file.path):\(index + 1): \(type).\($0.1) is a setting, and gives \($0.2)"
                }
        }
    }

    private static func isComment(_ line: Substring) -> Bool {
        line.drop(while: \.isWhitespace).hasPrefix("//")
    }

    /// A number, a product or a shifted number as Swift writes them.
    private static func number(_ text: Substring) -> Int? {
        if let shift = text.firstRange(of: "<<") {
            guard let bits = number(text[shift.upperBound...]),
                let shifted = number(text[..<shift.lowerBound])
            else { return nil }
            return shifted << bits
        }
        var product = 1
        for factor in text.split(separator: "*") {
            guard let number = Int(factor.filter { $0 != "_" && $0 != " " }) else { return nil }
            product *= number
        }
        return product
    }
}

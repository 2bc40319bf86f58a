// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation

/// The words of a command line, sorted by what their command declares, whether or not they can be used.
struct CommandWords {
    /// An option or flag as the parser itself describes it.
    struct Declared {
        /// Its names with their dashes, as `--config` and `-c`.
        let names: [String]
        let takesValue: Bool
        /// Whether it may be given several times.
        let isRepeating: Bool
        /// Whether its value may begin with a dash, as a number below 0 does.
        let takesDashes: Bool
    }

    /// An option as it was given.
    struct Given {
        /// With its dashes, as it was written.
        let name: String
        /// Nil where the command has no such option.
        let declared: Declared?
        /// Nil for a flag, and where none stands behind it.
        let value: String?
    }

    /// Whose words they are: the default command's where none is named.
    let command: any ParsableCommand.Type
    /// As much of the command's name as was written, behind `sluice`.
    let path: [String]
    let known: [Declared]
    private(set) var options: [Given] = []
    private(set) var positionals: [String] = []

    init(_ arguments: [String]) {
        var named: any ParsableCommand.Type = Sluice.self
        var path = ["sluice"]
        for word in arguments {
            guard let next = Self.subcommand(word, of: named) else { break }
            named = next
            path.append(word)
        }
        command = named.configuration.defaultSubcommand ?? named
        self.path = path
        known = Self.declared(by: command)
        sort(Array(arguments.dropFirst(path.count - 1)))
    }

    /// The names of the options that the command has, in alphabetical order.
    var knownNames: [String] { known.flatMap(\.names).sorted() }

    private mutating func sort(_ words: [String]) {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                positionals += rest
                return
            }
            guard word.count > 1, word.hasPrefix("-") else {
                positionals.append(word)
                continue
            }
            let name = String(word.prefix { $0 != "=" })
            guard let found = known.first(where: { $0.names.contains(name) }) else {
                // Letters may stand together, as -ab.
                let isKnown =
                    !name.hasPrefix("--")
                    && name.dropFirst().contains { letter in
                        known.contains { $0.names.contains("-\(letter)") }
                    }
                if !isKnown { options.append(Given(name: name, declared: nil, value: nil)) }
                continue
            }
            var value: String?
            if name.count < word.count {
                value = String(word.dropFirst(name.count + 1))
            } else if found.takesValue, let next = rest.first,
                found.takesDashes || !next.hasPrefix("-") || next == "-"
            {
                value = next
                rest.removeFirst()
            }
            options.append(Given(name: name, declared: found, value: value))
        }
    }

    static func subcommand(
        _ word: String, of command: any ParsableCommand.Type
    ) -> (any ParsableCommand.Type)? {
        command.configuration.subcommands.first { $0.configuration.commandName == word }
    }

    /// The options of a command, as the parser describes them to programs.
    private static func declared(by command: any ParsableCommand.Type) -> [Declared] {
        struct Tool: Decodable {
            struct Command: Decodable {
                let arguments: [Argument]?
            }
            struct Argument: Decodable {
                struct Name: Decodable {
                    let kind: String
                    let name: String
                }
                let kind: String
                let names: [Name]?
                let isRepeating: Bool
                let parsingStrategy: String
            }
            let command: Command
        }
        let tool = try? JSONDecoder().decode(Tool.self, from: Data(command._dumpHelp().utf8))
        let own = (tool?.command.arguments ?? []).compactMap { argument -> Declared? in
            guard let names = argument.names else { return nil }
            return Declared(
                names: names.map { ($0.kind == "long" ? "--" : "-") + $0.name },
                takesValue: argument.kind == "option", isRepeating: argument.isRepeating,
                takesDashes: argument.parsingStrategy == "unconditional")
        }
        let common = [["--help", "-h"], ["--version"]].map {
            Declared(names: $0, takesValue: false, isRepeating: false, takesDashes: false)
        }
        return own + common
    }
}

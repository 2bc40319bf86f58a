// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Foundation
import Trust

/// What is wrong with the words of a command line, where the parser does not tell it or tells it badly.
///
/// The parser looks for what is missing, and checks what is there, before it tells that an option is unknown; of an
/// option that stands twice it takes the last.
enum WrongArguments {
    /// Writes what is wrong to standard error and ends the program with 64, the code of wrong usage.
    static func refuse(_ fault: String) -> Never {
        Output.complain("Error: \(Program.pasteable(fault))")
        exit(ExitCode.validationFailure.rawValue)
    }

    /// The first word that is no text in UTF-8, as far as it can be shown; nil where all are.
    ///
    /// Swift puts U+FFFD in place of what it can't read, which would name another file.
    static func notText() -> String? {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let word = CommandLine.unsafeArgv[index],
                String(validatingCString: word) == nil
            else { continue }
            return String(cString: word)
        }
        return nil
    }

    /// What is said where no word stands behind the program's name.
    static let nothing = """
        No app and no command is named.
        Usage: sluice 3000                 serves wss://localhost:8443 in front of the app at port 3000
               sluice run -c sluice.yaml   serves several apps, as a configuration says
               sluice doctor URL           says why a WebSocket URL fails, and what to change
               sluice echo                 is an app to try things with, at port 9000
          See 'sluice --help' for all commands and options.
        """

    /// The words with `help` in front, where it stands behind a command's name, as in `cert help` or `cert help list`:
    /// the parser knows it at the beginning only.
    static func helpFirst(_ arguments: [String]) -> [String] {
        var command: any ParsableCommand.Type = Sluice.self
        for (index, word) in arguments.enumerated() {
            if word == "help", index > 0,
                index == arguments.count - 1 || !command.configuration.subcommands.isEmpty
            {
                return ["help"] + arguments[..<index] + arguments[(index + 1)...]
            }
            guard let next = CommandWords.subcommand(word, of: command) else { break }
            command = next
        }
        return arguments
    }

    /// What is wrong with `help WORD…`; nil where there is such a command, or no help is asked for.
    static func inHelp(_ arguments: [String]) -> String? {
        guard arguments.first == "help" else { return nil }
        var command: any ParsableCommand.Type = Sluice.self
        var path = ["sluice", "help"]
        for word in arguments.dropFirst() where !word.hasPrefix("-") && word != "help" {
            if let next = CommandWords.subcommand(word, of: command) {
                command = next
                path.append(word)
                continue
            }
            let names = command.configuration.subcommands.compactMap {
                $0.configuration.commandName
            }
            let meant =
                path.count == 2
                ? UnknownWord.meant(by: word) : Nearest.suggestion(for: word, among: names)
            let whole = (path.dropFirst(2) + [word]).joined(separator: " ")
            if let meant, !meant.hasPrefix("-"), meant != "help" {
                return
                    "\(whole) is no command. Did you mean `\((path + [meant]).joined(separator: " "))`?"
            }
            return "\(whole) is no command."
                + (names.isEmpty ? "" : " The commands are \(names.joined(separator: ", ")).")
        }
        return nil
    }

    /// What is wrong with words that the parser has taken.
    static func fault(inTaken words: CommandWords) -> String? {
        (repeated(words) ?? empty(words)).map { $0 + usage(words) }
    }

    /// A message of the parser with the usage that fits, and under the name that was written; nil where it has none.
    static func fitted(_ message: String, _ words: CommandWords) -> String? {
        guard words.path.count > 1, let found = message.range(of: "\nUsage: ") else { return nil }
        return message[..<found.lowerBound] + usage(words)
    }

    /// What is wrong with words that the parser has refused with `message`; nil where it says that well.
    static func fault(inRefused words: CommandWords, message: String) -> String? {
        let fault =
            mistyped(words) ?? unknownWord(words) ?? unknownOption(words) ?? repeated(words)
            ?? empty(words)
            ?? WordAdvice.superfluous(words, message) ?? WordAdvice.missing(words, message)
            ?? own(message)
        return fault.map { $0 + usage(words) }
    }

    /// How the command is used, as the parser shows it below what is wrong.
    private static func usage(_ words: CommandWords) -> String {
        // What stands without a command's name is for the default one.
        let owner: any ParsableCommand.Type = words.path.count == 1 ? Sluice.self : words.command
        let usage = fitting(Sluice.usageString(for: owner), words)
            .replacing("\n", with: "\n       ")
        return "\nUsage: \(usage)"
            + "\n  See '\(words.path.joined(separator: " ")) --help' for more information."
    }

    /// As many lines of usage are shown; of more, the one that has most of the options that were given.
    private static let usageLinesMax = 4

    /// The lines of a command's usage that help with these words.
    private static func fitting(_ usage: String, _ words: CommandWords) -> String {
        let lines = usage.split(separator: "\n").map(String.init)
        guard lines.count > usageLinesMax, var best = lines.first else { return usage }
        let given = words.options.filter { $0.declared != nil }
        /// A mode decides what else is there, so that it goes before other options.
        func count(_ line: String) -> Int {
            given.reduce(0) { sum, option in
                let isMode = option.name == "--mode"
                let text = isMode ? "--mode \(option.value ?? "")" : option.name
                return sum + ((line + " ").contains(" \(text) ") ? isMode ? 10 : 1 : 0)
            }
        }
        for line in lines.dropFirst() where count(line) > count(best) { best = line }
        return best
    }

    /// An option that counts once and stands twice, with its values.
    private static func repeated(_ words: CommandWords) -> String? {
        for declared in words.known where declared.takesValue && !declared.isRepeating {
            let all = words.options.filter { $0.declared?.names == declared.names }
            guard all.count > 1 else { continue }
            let values = all.map { "\($0.name) \(Shell.word($0.value ?? ""))" }
            return
                "\(all[0].name) counts once, and stands \(all.count == 2 ? "twice" : "\(all.count) times"): "
                + values.joined(separator: ", ") + ". Give the one that is meant."
        }
        return nil
    }

    /// An option or word that is empty, as an unset variable of a script is; a Close may have no reason.
    private static func empty(_ words: CommandWords) -> String? {
        let isUnset = "If it comes from a variable of a script, that is not set."
        if let option = words.options.first(where: { $0.value == "" && $0.name != "--reason" }) {
            return "\(option.name) has an empty value. \(isUnset)"
        }
        return words.positionals.contains("") ? "One of the words is empty. \(isUnset)" : nil
    }

    /// A first word that is neither a command nor an app, whatever else stands there.
    private static func unknownWord(_ words: CommandWords) -> String? {
        guard words.path.count == 1, let word = words.positionals.first, !word.isEmpty else {
            return nil
        }
        let next = words.positionals.dropFirst().first
        if let advice = UnknownWord.serving(word, next) { return advice }
        if UnknownWord.isHost(word), let next, let port = UInt16(next),
            (try? QuickUpstream(parsing: "\(word):\(port)")) != nil
        {
            return "\(word) names no port. Did you mean `sluice \(word):\(port)`?"
        }
        do {
            _ = try QuickUpstream(parsing: word)
        } catch let error as ValidationError {
            return error.message
        } catch {
            return nil
        }
        return nil
    }

    /// An option that is like one of the command's, which tells that it is the command that was meant.
    private static func mistyped(_ words: CommandWords) -> String? {
        guard let name = words.options.first(where: { $0.declared == nil })?.name,
            name.hasPrefix("--"), !meant(by: name, among: words.knownNames).isEmpty
        else { return nil }
        return unknownOption(words)
    }

    /// The first option that the command does not have; nil where it has all of them.
    private static func unknownOption(_ words: CommandWords) -> String? {
        guard let name = words.options.first(where: { $0.declared == nil })?.name else {
            return nil
        }
        if let advice = WordAdvice.configurationOption(name, words) {
            return "Unknown option '\(name)'. \(advice)"
        }
        let meant = meant(by: name, among: words.knownNames).map { "'\($0)'" }
        if !meant.isEmpty {
            return "Unknown option '\(name)'. Did you mean \(meant.joined(separator: " or "))?"
        }
        return "Unknown option '\(name)'."
            + (WordAdvice.unknownOption(name, words).map { " " + $0 } ?? "")
    }

    /// The options that are like an unknown one.
    ///
    /// Of a letter those that begin with it, if they are few: any other letter is as near as the next.
    private static func meant(by name: String, among known: [String]) -> [String] {
        guard !name.hasPrefix("--"), let letter = name.dropFirst().first else {
            if let near = Nearest.suggestion(for: name, among: known) { return [near] }
            // Other parsers take an option's beginning for it.
            let begun = known.filter { name.count > 3 && $0.hasPrefix(name) }
            return begun.count <= 3 ? begun : []
        }
        // Words behind one dash are meant as with two.
        if name.count > 2 {
            return Nearest.suggestion(for: "-" + name, among: known.filter { $0.hasPrefix("--") })
                .map { [$0] } ?? []
        }
        let begun = known.filter { $0.hasPrefix("--\(letter.lowercased())") }
        return begun.count <= 3 ? begun : []
    }

    /// What an option itself says of its value, without what the parser puts in front of that.
    private static func own(_ message: String) -> String? {
        let pattern = #/^The value '.*' is invalid for '(-[^ ']+)[^']*': /#
        guard let match = message.firstMatch(of: pattern) else { return nil }
        let rest = message[match.range.upperBound...]
        return rest.hasPrefix("\(match.output.1) takes ") ? String(rest) : nil
    }
}

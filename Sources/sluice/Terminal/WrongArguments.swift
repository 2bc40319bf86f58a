// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Foundation

/// What is wrong with the words of a command line, where the parser does not name it.
///
/// The parser looks for what is missing, and checks what is there, before it tells that an option is unknown.
enum WrongArguments {
    /// Writes what is wrong to standard error and ends the program with 64, the code of wrong usage.
    static func refuse(_ fault: String) -> Never {
        FileHandle.standardError.write(Data("Error: \(fault)\n".utf8))
        exit(ExitCode.validationFailure.rawValue)
    }

    /// What is wrong with `help WORD…`; nil where there is such a command, or no help is asked for.
    static func inHelp(_ arguments: [String]) -> String? {
        guard arguments.first == "help" else { return nil }
        var command: any ParsableCommand.Type = Sluice.self
        var path = ["sluice", "help"]
        for word in arguments.dropFirst() where !word.hasPrefix("-") && word != "help" {
            if let next = subcommand(word, of: command) {
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

    /// The first option that the command does not have; nil where it has all of them.
    static func unknownOption(_ arguments: [String]) -> String? {
        var command: any ParsableCommand.Type = Sluice.self
        var path = ["sluice"]
        for word in arguments {
            guard let next = subcommand(word, of: command) else { break }
            command = next
            path.append(word)
        }
        // What stands without a command's name is for the default one.
        let owner = command.configuration.defaultSubcommand ?? command
        let known = names(of: command).union(names(of: owner))
        for word in arguments.prefix(while: { $0 != "--" })
        where word.count > 1 && word.hasPrefix("-") {
            let name = String(word.prefix { $0 != "=" })
            // Letters may stand together, as -ab.
            let isKnown =
                name.hasPrefix("--")
                ? known.contains(name) : name.dropFirst().contains { known.contains("-\($0)") }
            if isKnown || Double(word) != nil { continue }
            let usage = Sluice.usageString(for: command).replacing("\n", with: "\n       ")
            let meant = meant(by: name, among: known.sorted()).map { "'\($0)'" }
            return "Unknown option '\(name)'."
                + (meant.isEmpty ? "" : " Did you mean \(meant.joined(separator: " or "))?")
                + "\nUsage: \(usage)"
                + "\n  See '\(path.joined(separator: " ")) --help' for more information."
        }
        return nil
    }

    /// The options that are like an unknown one.
    ///
    /// Of a letter those that begin with it, if they are few: any other letter is as near as the next.
    private static func meant(by name: String, among known: [String]) -> [String] {
        guard !name.hasPrefix("--"), let letter = name.dropFirst().first else {
            return Nearest.suggestion(for: name, among: known).map { [$0] } ?? []
        }
        // Words behind one dash are meant as with two.
        if name.count > 2 {
            return Nearest.suggestion(for: "-" + name, among: known.filter { $0.hasPrefix("--") })
                .map { [$0] } ?? []
        }
        let begun = known.filter { $0.hasPrefix("--\(letter.lowercased())") }
        return begun.count <= 3 ? begun : []
    }

    private static func subcommand(
        _ word: String, of command: any ParsableCommand.Type
    ) -> (any ParsableCommand.Type)? {
        command.configuration.subcommands.first { $0.configuration.commandName == word }
    }

    /// The options of a command with their dashes, as the parser itself describes them.
    private static func names(of command: any ParsableCommand.Type) -> Set<String> {
        var names: Set = ["--help", "-h", "--version"]
        let whole = try? JSONSerialization.jsonObject(with: Data(command._dumpHelp().utf8))
        let described = (whole as? [String: Any])?["command"] as? [String: Any]
        for argument in described?["arguments"] as? [[String: Any]] ?? [] {
            for name in argument["names"] as? [[String: String]] ?? [] {
                guard let text = name["name"] else { continue }
                names.insert((name["kind"] == "long" ? "--" : "-") + text)
            }
        }
        return names
    }
}

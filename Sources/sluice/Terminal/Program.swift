// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Trust

/// The program as whoever has called it can call it again.
enum Program {
    /// What stands in front of the commands that are printed to be copied.
    static let name = name(called: CommandLine.arguments.first ?? "")

    /// The path by which it was called in a folder, as `.build/release/sluice` by `make run`, since it is hardly in
    /// `PATH` then; else its name.
    static func name(called: String) -> String {
        called.contains("/") && !called.hasPrefix("/") ? Shell.word(called) : "sluice"
    }

    /// A text of a room that does not know how the program was called, with its commands so that they can be copied.
    static func pasteable(_ text: String) -> String { pasteable(text, as: name) }

    static func pasteable(_ text: String, as name: String) -> String {
        if name == "sluice" { return text }
        var result = ""
        var rest = text[...]
        while let found = rest.firstRange(of: "sluice ") {
            let before = rest[..<found.lowerBound].last
            let next = rest[found.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "-" }
            let isWord = before.map { !($0.isLetter || $0.isNumber || "/._-".contains($0)) } ?? true
            result += rest[..<found.lowerBound]
            result += (isWord && isArgument(next) ? name : "sluice") + " "
            rest = rest[found.upperBound...]
        }
        return result + rest
    }

    /// Whether a word behind the program's name makes a command of it: `Sluice` is also the subject of sentences.
    private static func isArgument(_ word: Substring) -> Bool {
        let commands = Sluice.configuration.subcommands.compactMap { $0.configuration.commandName }
        return ["help", "PORT", "URL", "ws", "--help", "--version"].contains(word)
            || commands.contains { $0 == word } || UInt16(word) != nil
    }
}

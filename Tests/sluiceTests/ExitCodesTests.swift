// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Testing

@testable import sluice

/// Goal: the help of each command, and the table of docs/operations.md, say how commands end.
///
/// That commands do end so is shown by IntegrationTests, which go through the table row by row.
struct ExitCodesTests {
    /// `make reference` sets it: the table is written anew instead of being compared.
    private static let writes = ProcessInfo.processInfo.environment["SLUICE_REFERENCE"] == "write"
    private static let head = "| command | exit code | when |"
    private static let file = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("docs/operations.md")

    /// The commands that do something, as they are typed behind `sluice`.
    private static func commands(
        of parent: any ParsableCommand.Type, before: String = ""
    ) -> [(name: String, type: any ParsableCommand.Type)] {
        parent.configuration.subcommands.flatMap { child in
            let name = before + (child.configuration.commandName ?? "")
            return child.configuration.subcommands.isEmpty
                ? [(name, child)] : commands(of: child, before: name + " ")
        }
    }

    @Test func `every command says in its help how it can end`() {
        let commands = Self.commands(of: Sluice.self)
        #expect(commands.count > 15)
        for (name, type) in commands {
            let help = Sluice.helpMessage(for: type, columns: 10_000)
            if name == "doctor" {
                #expect(help.contains("Exit codes: 0 healthy, 10 mixed-content, "), "\(help)")
                continue
            }
            let outcomes = ExitCodes.outcomes(of: name)
            #expect(outcomes.first?.code == 0, "\(name)")
            #expect(Set(outcomes.map(\.code)).count == outcomes.count, "\(name)")
            for outcome in outcomes {
                #expect(help.contains("\(outcome.code) when \(outcome.when)"), "\(name): \(help)")
            }
            #expect(help.contains("64 when the command line is wrong."), "\(name)")
        }
        let declared = Set(ExitCodes.all.flatMap(\.commands))
        #expect(declared == Set(commands.map(\.name)).subtracting(["doctor"]))
    }

    @Test func `the table of the operators' page is the declared one`() throws {
        let text = try String(contentsOf: Self.file, encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let start = try #require(lines.firstIndex(of: Self.head)) + 2
        let end = lines[start...].firstIndex { !$0.hasPrefix("|") } ?? lines.endIndex
        if Self.writes {
            let made = lines[..<start] + ExitCodes.rows + lines[end...]
            try made.joined(separator: "\n").write(
                to: Self.file, atomically: true, encoding: .utf8)
        } else {
            #expect(Array(lines[start..<end]) == ExitCodes.rows, "`make reference` writes it")
        }
    }
}

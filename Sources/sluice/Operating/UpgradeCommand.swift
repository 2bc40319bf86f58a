// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Config

/// `sluice upgrade`: a new program takes over without a closed door.
struct UpgradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade",
        abstract: "Have a newly installed program take over from a running Sluice.",
        discussion: """
            The running process starts the program file that it was started from, with the same \
            arguments, and hands the listening sockets to it. When the new process serves, the old one \
            drains as its configuration says, and ends. If the new process does not serve in time, it \
            is ended, and nothing has changed.
            """ + ExitCodes.help("upgrade"))

    @OptionGroup var options: AdminOptions

    @Option(
        help: ArgumentHelp("How long the new process may take to serve.", valueName: "duration"))
    var timeout = "30s"

    /// Refuses what is no duration.
    func validate() throws {
        guard let duration = Units.duration(of: timeout), duration > .zero,
            duration <= .seconds(3_600)
        else {
            throw ValidationError("--timeout takes a duration up to 1h, as 30s, found \(timeout).")
        }
    }

    /// Asks for it and says what became of it.
    func run() throws {
        let milliseconds = Units.duration(of: timeout)?.wholeMilliseconds ?? 30_000
        let outcome = try options.ask(
            "POST", "/upgrade?timeoutMilliseconds=\(milliseconds)", for: AdminOutcome.self)
        Output.line(outcome.message)
    }
}

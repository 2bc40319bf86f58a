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
            drains as its configuration says, and ends: live sockets are told to go, and their clients \
            reconnect. If the new process does not serve in time, it \
            is ended, and nothing has changed.
            """ + ExitCodes.help("upgrade"))

    @OptionGroup var options: AdminOptions

    @Option(
        help: ArgumentHelp("How long the new process may take to serve.", valueName: "duration"))
    var timeout = Units.text(.milliseconds(AdminDefaults.upgradeMilliseconds))

    private var milliseconds: UInt64? {
        guard let duration = Units.duration(of: timeout), duration > .zero,
            duration <= .seconds(3_600)
        else { return nil }
        return duration.wholeMilliseconds
    }

    /// Refuses what is no duration.
    func validate() throws {
        guard milliseconds != nil else {
            throw ValidationError("--timeout takes a duration up to 1h, as 30s, found \(timeout).")
        }
    }

    /// Asks for it and says what became of it.
    func run() throws {
        // What is no duration was refused before.
        let query = milliseconds.map { "?timeoutMilliseconds=\($0)" } ?? ""
        let outcome = try options.peer(to: .change).ask(
            "POST", "/upgrade\(query)", for: AdminOutcome.self)
        Output.line(outcome.message)
    }
}

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
        parsing: .unconditional,
        help: ArgumentHelp("How long the new process may take to serve.", valueName: "duration"))
    var timeout = Units.text(.milliseconds(AdminDefaults.upgradeMilliseconds))

    private func milliseconds() throws -> UInt64 {
        try Number.duration("--timeout", timeout, max: .seconds(3_600)).wholeMilliseconds
    }

    /// Refuses what is no duration.
    func validate() throws { _ = try milliseconds() }

    /// Asks for it and says what became of it.
    func run() throws {
        let query = "?timeoutMilliseconds=\(try milliseconds())"
        let outcome = try options.peer(to: .change).ask(
            "POST", "/upgrade\(query)", for: AdminOutcome.self)
        options.show(outcome)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Config
import Foundation

/// `sluice upgrade`: a new program takes over without a closed door.
struct UpgradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade",
        abstract: "Have a newly installed program take over from a running Sluice.",
        discussion: """
            The running process starts the program file that it was started from, with the same \
            arguments, and hands the listening sockets to it. When the new process serves, the live \
            WebSockets go there too, and neither clients nor apps notice. The old process drains what \
            has to stay, as its configuration says, and ends: WebSockets over HTTP/2 or TLS 1.2, and \
            all with --no-move, are told to go, and their clients reconnect. If the new process does \
            not serve in time, it is ended, and nothing has changed.
            """ + ExitCodes.help("upgrade"))

    @OptionGroup var options: AdminOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long the new process may take to serve.", valueName: "duration"))
    var timeout = Units.text(.milliseconds(AdminDefaults.upgradeMilliseconds))

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long to wait for live sockets that can't move at once.", valueName: "duration"))
    var settle = Units.text(.milliseconds(AdminDefaults.settleMilliseconds))

    @Flag(help: "Move no live sockets: all are told to go, and their clients reconnect.")
    var noMove = false

    @Flag(help: "Print the outcome as JSON: how many sockets moved, stayed and were lost.")
    var json = false

    private func settleMilliseconds() throws -> UInt64 {
        try Number.duration(
            "--settle", settle, max: .milliseconds(AdminDefaults.settleMillisecondsMax),
            hasZero: true
        ).wholeMilliseconds
    }

    private func milliseconds() throws -> UInt64 {
        try Number.duration("--timeout", timeout, max: .seconds(3_600)).wholeMilliseconds
    }

    /// Refuses what is no duration.
    func validate() throws {
        _ = try milliseconds()
        _ = try settleMilliseconds()
    }

    /// Asks for it and says what became of it.
    func run() throws {
        let query =
            "?timeoutMilliseconds=\(try milliseconds())&settleMilliseconds=\(try settleMilliseconds())"
            + (noMove ? "&move=0" : "")
        let outcome = try options.peer(to: .change).ask(
            "POST", "/upgrade\(query)", for: AdminOutcome.self)
        if json {
            // Where no new process has come up, all is as it was.
            var report =
                outcome.upgrade
                ?? UpgradeReport(oldProcess: outcome.process ?? 0, newProcess: 0)
            if outcome.upgrade == nil { report.fault = outcome.message }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            options.show(outcome)
        }
        let isWhole = outcome.upgrade.map { $0.lost == 0 && $0.fault == nil } ?? true
        if !outcome.isDone || !isWhole { throw ExitCode(1) }
    }
}

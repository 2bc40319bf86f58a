// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Service

/// `sluice run -c FILE`: serve a configuration.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Serve a configuration.",
        usage: "sluice run -c sluice.yaml [--workers <n>]",
        discussion: """
            HUP takes up the changed configuration and certificates without touching live connections \
            (sluice reload does the same and says what became of it). USR1 opens the log file anew. \
            USR2 starts the program file that is now on disk and hands over to it (as sluice upgrade \
            does). TERM and INT \
            stop listening when drain.delay is over, send every relay a Close, wait for the answers and \
            exit; a second one cuts. sluice status says what is going on.
            """ + ExitCodes.help("run"))

    @OptionGroup var file: ConfigurationFile

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Reactor threads. (default: what the file says, else one per core)", valueName: "n"),
        transform: { try Number.read("--workers", $0, 1...1_024) })
    var workers: Int?

    /// Serves until told to stop.
    func run() throws {
        try Serving.run(.file(file.path, workers: workers)) { Announcement(configuration: $0) }
    }
}

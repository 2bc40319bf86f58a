// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Glibc
import TLS

/// Where the program begins.
@main
enum Entry {
    static func main() {
        Output.holdDescriptors()
        Output.outliveReaders()
        // Before anything of OpenSSL has run: later it would be refused.
        SessionMemory.install()
        if let word = WrongArguments.notText() {
            WrongArguments.refuse(
                "\(word): this word is not in UTF-8, and Sluice takes names of files and all else in UTF-8"
                    + " alone. Rename the file, or reach it by a link with another name (ln -s).")
        }
        let arguments = LoadCommand.withUsualHelp(
            WrongArguments.helpFirst(Array(CommandLine.arguments.dropFirst())))
        if arguments.isEmpty { WrongArguments.refuse(WrongArguments.nothing) }
        if let fault = WrongArguments.inHelp(arguments) { WrongArguments.refuse(fault) }
        do {
            var command = try Sluice.parseAsRoot(arguments)
            if let fault = WrongArguments.fault(inTaken: CommandWords(arguments)) {
                WrongArguments.refuse(fault)
            }
            try command.run()
            leave(with: 0)
        } catch {
            let standard = Sluice.exitCode(for: error)
            if standard == .validationFailure,
                let fault = WrongArguments.fault(
                    inRefused: CommandWords(arguments), message: Sluice.message(for: error))
            {
                WrongArguments.refuse(fault)
            }
            // Each line of these begins with its place, for editors that jump there.
            let full = Sluice.fullMessage(for: error)
            let words =
                (error as? ConfigurationProblems).map(\.description)
                ?? (error as? CertificateFault).map { "Error: \(CertificateCure.sentence($0))" }
                ?? (standard == .validationFailure
                    ? WrongArguments.fitted(full, CommandWords(arguments)) : nil) ?? full
            // What was asked for, as the help, is no error.
            if standard == .success {
                Output.line(words)
            } else if !words.isEmpty {
                Output.complain(Program.pasteable(words))
            }
            leave(with: ExitCodes.code(of: error) ?? standard.rawValue)
        }
    }

    /// Ends the program; where it could not print what it had to, that is an error of its own.
    private static func leave(with code: Int32) -> Never {
        guard let problem = Output.problem else { exit(code) }
        Output.complain("Error: \(problem)")
        exit(code == 0 ? ExitCodes.output : code)
    }
}

/// The command tree.
///
/// Without a command's name, the arguments are those of quick mode.
struct Sluice: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "wss in, ws out: puts TLS in front of a plain WebSocket app.",
        usage: """
            sluice 3000
            sluice ws://127.0.0.1:3000/Esv/ocp
            sluice run -c sluice.yaml
            """,
        discussion: """
            `sluice 3000` serves wss://localhost:8443/… and relays every WebSocket to the app at \
            ws://localhost:3000/…, with a certificate that it makes on first use. It takes \
            --listen 9443 (another port), --lan (for the network, with a QR code), --host NAME, \
            --path /p, --origin URL, --cert FILE --key FILE, --workers N and --no-check: \
            `sluice help quick` explains them.
            """,
        version: "sluice \(version)",
        subcommands: [
            QuickCommand.self, RunCommand.self, CheckCommand.self, SchemaCommand.self,
            CertCommand.self, DoctorCommand.self,
            StatusCommand.self, TopCommand.self, TapCommand.self, ReloadCommand.self,
            DrainCommand.self,
            RebalanceCommand.self, UpgradeCommand.self, ChaosCommand.self, EchoCommand.self,
            LoadCommand.self,
        ],
        defaultSubcommand: QuickCommand.self)
}

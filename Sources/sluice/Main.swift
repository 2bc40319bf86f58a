// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Glibc
import TLS

/// Where the program begins.
@main
enum Entry {
    static func main() {
        // Before anything of OpenSSL has run: later it would be refused.
        SessionMemory.install()
        let arguments = Array(CommandLine.arguments.dropFirst())
        if let fault = WrongArguments.inHelp(arguments) { WrongArguments.refuse(fault) }
        do {
            var command = try Sluice.parseAsRoot()
            try command.run()
        } catch {
            if Sluice.exitCode(for: error) == .validationFailure,
                let fault = WrongArguments.unknownOption(arguments)
            {
                WrongArguments.refuse(fault)
            }
            guard let code = ExitCodes.code(of: error) else { Sluice.exit(withError: error) }
            FileHandle.standardError.write(Data("\(Sluice.fullMessage(for: error))\n".utf8))
            exit(code)
        }
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
            ws://localhost:3000/…, with a certificate that it makes on first use.
            """,
        version: "sluice \(version)",
        subcommands: [
            QuickCommand.self, RunCommand.self, CheckCommand.self, SchemaCommand.self,
            CertCommand.self, DoctorCommand.self,
            StatusCommand.self, ReloadCommand.self, DrainCommand.self,
            RebalanceCommand.self, UpgradeCommand.self, EchoCommand.self,
        ],
        defaultSubcommand: QuickCommand.self)
}

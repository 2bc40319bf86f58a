// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Echo
import Glibc
import Reactor

/// `sluice echo`: a plain ws app that answers every message with itself.
struct EchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Run a plain ws app that sends every message back, to try things with.")

    @Option(
        help: ArgumentHelp(
            "Address to listen on; may be given several times. (default: 127.0.0.1:9000)",
            valueName: "address"))
    var listen: [String] = []

    /// Echoes until told to stop.
    func run() throws {
        OpenFiles.raiseLimit()
        let signals = SignalWaiter([SIGTERM, SIGINT])
        var addresses: [Address] = []
        for text in listen.isEmpty ? ["127.0.0.1:9000"] : listen {
            addresses.append(try Address(parsing: text))
        }
        let server = try EchoServer.start(listening: addresses)
        for address in server.addresses {
            Output.line("listening \(address.isUnix ? "" : "ws://")\(address)")
        }
        _ = signals.next()
        server.stop()
    }
}

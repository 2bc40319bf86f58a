// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Echo
import Glibc
import Reactor
import Service

/// `sluice echo`: a plain ws app that answers every message with itself.
struct EchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Run a plain ws app that sends every message back, to try things with.",
        usage: """
            sluice echo
            sluice echo 9000
            """,
        discussion: """
            It also serves a page to try its socket by hand, at every listener's root. \
            `sluice 9000` puts TLS in front of it.
            """ + ExitCodes.help("echo"))

    @Option(
        help: ArgumentHelp(
            """
            A port of this machine, or an address as :9000; may be given several times. (default: \
            9000)
            """, valueName: "address"))
    var listen: [String] = []

    @Argument(help: ArgumentHelp("An address, as --listen names it.", valueName: "address"))
    var places: [String] = []

    @OptionGroup(visibility: .hidden) var port: PortOption

    /// Refuses what is no address.
    func validate() throws {
        try port.refuse()
        try ListenOption.check(places, isArgument: true)
        try ListenOption.check(listen + places)
    }

    /// Echoes until told to stop.
    func run() throws {
        Output.serves()
        OpenFiles.raiseLimit()
        let signals = SignalWaiter([SIGTERM, SIGINT])
        var addresses: [Address] = []
        let wanted = listen + places
        for text in try (wanted.isEmpty ? ["9000"] : wanted).flatMap({
            try ListenOption.addresses($0)
        }) {
            addresses.append(try Address(parsing: text))
        }
        let server: EchoServer
        do throws(SystemError) {
            server = try EchoServer.start(listening: addresses)
        } catch {
            throw Complaint(PortHolder.sentence(on: error))
        }
        for address in server.addresses {
            Output.line("listening \(address.isUnix ? "" : "ws://")\(address)")
        }
        _ = signals.next()
        server.stop()
    }
}

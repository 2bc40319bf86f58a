// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Glibc

/// `sluice rebalance`: spreads live sockets over an upstream's endpoints again.
struct RebalanceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance",
        abstract: "Spread live sockets evenly again after an endpoint has joined.",
        discussion: """
            Live sockets stay where they are for as long as they last, so a new endpoint stays empty. \
            This closes sockets of endpoints above the average, --rate in a second, with 1012 \
            (service restart), until all have their share. The clients reconnect. With balance \
            leastConnections that takes the fewest closes.

            --reactors spreads live sockets over the threads of Sluice itself, and closes none.
            """ + ExitCodes.help("rebalance"))

    @OptionGroup var options: AdminOptions

    @Option(help: ArgumentHelp("The upstream, as the configuration names it.", valueName: "name"))
    var upstream: String?

    @Flag(help: "Move live sockets between reactors (threads), until all have about as many.")
    var reactors = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How many to close in a second, as 50/s.", valueName: "rate"))
    var rate = "50/s"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The Close code. (default: \(AdminDefaults.closeCode))", valueName: "code"),
        transform: CloseCode.read)
    var code: UInt16?

    private func perSecond() throws -> Int {
        let number = rate.hasSuffix("/s") ? String(rate.dropLast(2)) : rate
        guard let count = Int(number), AdminDefaults.paces.contains(count) else {
            throw ValidationError(
                "--rate takes a number in a second from \(AdminDefaults.paces.lowerBound) to"
                    + " \(AdminDefaults.paces.upperBound), as 50/s, found \(rate).")
        }
        return count
    }

    /// Refuses what is no rate.
    func validate() throws {
        _ = try perSecond()
        if (upstream == nil) != reactors {
            throw ValidationError(
                reactors
                    ? "--reactors moves sockets within Sluice, so it does not go together with --upstream."
                    : "Missing expected argument '--upstream <name>'.")
        }
    }

    /// Asks for it, and says how far it is.
    func run() throws {
        guard let upstream else {
            options.show(
                try options.peer(to: .change).ask(
                    "POST", "/rebalance/reactors", for: AdminOutcome.self))
            return
        }
        let request = RebalanceRequest(
            upstream: upstream, perSecond: try perSecond(), code: code ?? AdminDefaults.closeCode)
        let peer = try options.peer(to: .change)
        let outcome = try peer.ask(
            "POST", "/rebalance", body: request, for: AdminOutcome.self)
        options.show(outcome)
        guard let id = outcome.drain else { return }
        Interruption.say(
            "The rebalance goes on without this command, until every endpoint has its share."
                + " sluice status\(options.words) shows how far it is.")
        try peer.follow(id)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Foundation
import Glibc
import Reactor

/// `sluice top`: what a running Sluice does, second by second.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch what a running Sluice does: rates, relays, endpoints.",
        discussion: """
            Draws the terminal anew each second. Keys: 1 to 4 or Tab change between routes, endpoints, \
            relays and clients; s sorts by the next column, S turns the order round; / filters by what is \
            typed behind it (Enter keeps that, Esc takes it away); p or the space bar pauses; arrows, \
            Page Up and Page Down scroll; q quits. With --once it prints what there is and ends, and with \
            --json as well one JSON object: what `GET /live` answers, and under rates what passed in a second.
            """ + ExitCodes.help("top"))

    @OptionGroup var options: AdminOptions

    @Flag(help: "Print once and end, with rates over the time of --every.") var once = false

    @Flag(help: "For machines: JSON; with --once.") var json = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Look again after so long. (default: 1)", valueName: "seconds"),
        transform: { try Number.seconds("--every", $0, max: 60) })
    var every = 1.0

    @Option(help: ArgumentHelp("What to list first.", valueName: "view"))
    var view = TopView.routes

    @Option(
        help: ArgumentHelp(
            "By what to sort: the words depend on the view, as name, messages, bytes or relays.",
            valueName: "word"))
    var sort: String?

    @Option(
        help: ArgumentHelp(
            "Only rows in which all these words stand.", valueName: "words"))
    var filter: String?

    /// How many relays are asked for where somebody scrolls or prints.
    private static let relaysMax = 500

    /// Refuses what would have no meaning.
    func validate() throws {
        if json && !once { throw ValidationError("--json prints once and ends: give --once too.") }
        if let sort, !view.orders.contains(sort) {
            throw ValidationError(
                "--sort takes, of \(view), \(view.orders.joined(separator: ", ")); found \(sort).")
        }
    }

    private var wish: TopWish {
        var wish = TopWish()
        wish.show(view)
        if let sort { wish.order = sort }
        wish.filter = filter ?? ""
        return wish
    }

    /// Asks the running process again and again and draws what it says, until somebody has seen enough.
    func run() throws {
        let peer = try options.peer(to: .look)
        // Behind what is printed or drawn, where it is seen.
        defer { peer.tellOfOthers() }
        let first = TopLook(try Self.look(peer, wish), after: nil)
        if once {
            usleep(UInt32(every * 1_000_000))
            try printOnce(TopLook(try Self.look(peer, wish), after: first.state))
            return
        }
        guard Terminal.output.isTerminal,
            let terminal = TopTerminal(usesColor: Terminal.output.usesColor)
        else {
            throw Complaint(
                "sluice top draws on a terminal, and standard input or output is none: with --once it prints"
                    + " what there is and ends, with --once --json for machines.")
        }
        // Before there is another thread, which would get the signals.
        let waiter = SignalWaiter(TopTerminal.signals)
        let screen = try TopScreen(
            terminal, wish: wish, first: first, options: options, everySeconds: every)
        if let signal = try screen.run(waiter) {
            peer.tellOfOthers()
            // It ends as its shell expects of this signal.
            var set = sigset_t()
            sigemptyset(&set)
            sigaddset(&set, signal)
            Glibc.signal(signal, SIG_DFL)
            pthread_sigmask(SIG_UNBLOCK, &set, nil)
            raise(signal)
        }
    }

    /// One look; of relays as many as are shown.
    static func look(_ peer: AdminPeer, _ wish: TopWish) throws -> LiveState {
        try peer.ask("GET", wish.target(relays: relaysMax), for: LiveState.self)
    }

    private func printOnce(_ look: TopLook) throws {
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            Output.line(String(decoding: try encoder.encode(TopReport(look: look)), as: UTF8.self))
            return
        }
        let table = TopTable(look, wish)
        let lines = TopText.head(look, trouble: nil).map { TopText.oneLine($0.text) }
            .filter { !$0.isEmpty }
        Output.line(lines.joined(separator: "\n"))
        Output.line("")
        for line in table.lines(table.chosen(wish), width: .max) {
            Output.line(TopText.oneLine(line.text))
        }
    }
}

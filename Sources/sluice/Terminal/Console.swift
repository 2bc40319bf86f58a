// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Log
import Reactor
import Service
import Synchronization

/// What a running server shows to the person who started it: lines, and on a terminal one that lives.
final class Console: Sendable {
    let terminal: Terminal
    /// Only on a terminal.
    let lastLine: LastLine?
    /// Of relays that have ended.
    private let ended = Mutex(Traffic())
    private let isOver = Mutex(false)

    /// Relays that are looked at one by one; of more, only their number is shown.
    private static let relaysMax = 5_000

    init(_ terminal: Terminal = .output) {
        self.terminal = terminal
        lastLine = terminal.isTerminal ? LastLine(descriptor: STDOUT_FILENO) : nil
    }

    /// Prints a line; nothing any more once all is over.
    func line(_ text: String) {
        if isOver.withLock({ $0 }) { return }
        let painted = terminal.painted(Program.pasteable(text))
        if let lastLine { lastLine.above { Output.line(painted) } } else { Output.line(painted) }
    }

    /// The journal with this console, and whoever looks after the app, listening.
    func listening(to journal: Journal, for app: AppWatch?) -> Journal {
        if lastLine == nil && app == nil { return journal }
        return Journal(
            access: { [self] record in
                switch record.kind {
                case .opened: if journal.takesRelayOpens { journal.access(record) }
                case .ended:
                    ended.withLock { $0.add(record.up, record.down) }
                    if journal.takesRelayEnds { journal.access(record) }
                case .request:
                    app?.note(record)
                    if journal.takesRequests { journal.access(record) }
                }
            },
            event: { event in
                journal.event(LogEvent(event.level, Program.pasteable(event.sentence)))
            }, shortages: journal.shortages)
    }

    /// Begins to show what passes, where there is a terminal.
    func start(_ controller: Controller) throws(SystemError) {
        guard let lastLine else { return }
        _ = try ReactorThread.start(name: "sluice-status") { [self] in
            var last = Traffic()
            var lastMilliseconds = Clock.nowMilliseconds()
            while !isOver.withLock({ $0 }) {
                let open = controller.relayCount
                let now = Clock.nowMilliseconds()
                var rates: Rates?
                if open <= Self.relaysMax {
                    let total = total(controller)
                    rates = Rates(
                        from: last, to: total, milliseconds: max(1, now - lastMilliseconds))
                    last = total
                }
                lastMilliseconds = now
                // A successor has the terminal now.
                if controller.isLeaving { break }
                let text = Self.text(open: open, rates, columns: Terminal.columns)
                isOver.withLock { if !$0 { lastLine.show(text) } }
                usleep(1_000_000)
            }
            lastLine.clear()
        }
    }

    /// Takes the live line away for good.
    func end() {
        isOver.withLock { $0 = true }
        lastLine?.clear()
    }

    private func total(_ controller: Controller) -> Traffic {
        var total = ended.withLock { $0 }
        for relay in controller.relays(countMax: Self.relaysMax) {
            total.add(relay.up, relay.down)
        }
        return total
    }

    /// The live line: what is open, and what passed in the last second; short enough for one line.
    static func text(open: Int, _ rates: Rates?, columns: Int) -> String {
        var text = "\(open) \(open == 1 ? "socket" : "sockets") open"
        if let rates {
            text += "   \(rates.messages) messages/s   \(Rates.size(rates.bytes))/s"
        }
        // A line as long as the terminal is wide would scroll in some.
        return String(text.prefix(max(0, columns - 1)))
    }
}

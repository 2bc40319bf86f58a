// SPDX-License-Identifier: Apache-2.0
import Admin
import Glibc
import Reactor

/// `sluice top` while it runs: keys, signals and looks at the process come side by side, and each draws anew.
final class TopScreen {
    /// What comes from other threads.
    private enum News: Sendable {
        case look(LiveState)
        case trouble(String)
        case signal(Int32)
    }

    private let terminal: TopTerminal
    private var wish: TopWish
    private var look: TopLook
    private var trouble: String?
    private let everyMilliseconds: UInt64
    /// A look is under way: the one behind it is asked for when it is there.
    private var isLooking = false
    /// What is under way was asked for in a pause, and is shown all the same.
    private var isWanted = false
    /// When to look again: 0 for at once, also in a pause; `max` for what the present look will say.
    private var nextMilliseconds: UInt64
    private let news: Mailbox<News>
    private let wishes: Mailbox<TopWish>

    /// Looks at the process that the options name, or that is found without; the first look is there already.
    init(
        _ terminal: TopTerminal, wish: TopWish, first: TopLook, options: AdminOptions,
        everySeconds: Double
    ) throws {
        self.terminal = terminal
        self.wish = wish
        look = first
        everyMilliseconds = UInt64(everySeconds * 1_000)
        nextMilliseconds = Clock.nowMilliseconds() + everyMilliseconds
        news = try Mailbox()
        wishes = try Mailbox()
        let (news, wishes) = (news, wishes)
        // A process that does not answer must not keep keys from being taken.
        _ = try ReactorThread.start(name: "sluice-look") {
            while wishes.wait(milliseconds: -1) {
                guard let wish = wishes.take().last else { continue }
                do {
                    // Found anew each time: after an upgrade or a restart another process is there.
                    let peer = try options.peer(to: .look)
                    news.post(.look(try TopCommand.look(peer, wish)))
                } catch {
                    news.post(.trouble(Self.sentence(error)))
                }
            }
        }
    }

    private static func sentence(_ error: any Error) -> String {
        let text = (error as? Complaint)?.description ?? "\(error)"
        return text.split(separator: "\n").first.map(String.init) ?? text
    }

    /// Draws until somebody quits.
    ///
    /// - Returns: the signal that has ended it; nil where a key has.
    func run(_ waiter: SignalWaiter) throws -> Int32? {
        let news = news
        _ = try ReactorThread.start(name: "sluice-keys") {
            while true { news.post(.signal(waiter.next())) }
        }
        terminal.take()
        defer { terminal.restore() }
        while !wish.isOver {
            draw()
            askIfDue()
            var waitFor = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
                pollfd(fd: news.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&waitFor, nfds_t(waitFor.count), pause)
            if let signal = takeNews() { return signal }
            if waitFor[0].revents != 0 {
                guard let keys = terminal.keys() else { return SIGHUP }
                for key in keys { take(key) }
            }
        }
        return nil
    }

    /// How long nothing is to be done, in milliseconds; -1 for as long as nothing happens.
    private var pause: Int32 {
        if isLooking || !isDueSomeTime { return -1 }
        let now = Clock.nowMilliseconds()
        return Int32(clamping: nextMilliseconds > now ? nextMilliseconds - now : 0)
    }

    /// In a pause nothing is asked for but what was not seen yet, as the relays of a filter.
    private var isDueSomeTime: Bool { !wish.isPaused || nextMilliseconds == 0 }

    private func askIfDue() {
        guard !isLooking, isDueSomeTime, Clock.nowMilliseconds() >= nextMilliseconds else {
            return
        }
        isLooking = true
        isWanted = wish.isPaused
        nextMilliseconds = .max
        wishes.post(wish)
    }

    private func take(_ key: TopKey) {
        if key == .suspend {
            suspend()
            return
        }
        let before = wish
        let room = TopText.rows(onScreenOf: terminal.size.rows)
        guard wish.take(key, rows: room) else { return }
        let count = TopTable(look, wish).chosen(wish).count
        wish.offset = min(wish.offset, max(0, count - room))
        // Relays are chosen by the process, so it is asked at once.
        if wish.target(relays: 1) != before.target(relays: 1) { nextMilliseconds = 0 }
    }

    /// Stops, with the terminal as its shell wants it; goes on behind this by `fg`.
    private func suspend() {
        terminal.restore()
        kill(getpid(), SIGSTOP)
        terminal.take()
    }

    /// - Returns: the signal that ends the program, if there was one.
    private func takeNews() -> Int32? {
        for item in news.take() {
            switch item {
            case .look(let state):
                isLooking = false
                trouble = nil
                if !wish.isPaused || isWanted { look = TopLook(state, after: look.state) }
                comeBack(in: everyMilliseconds)
            case .trouble(let sentence):
                isLooking = false
                trouble = sentence
                comeBack(in: max(everyMilliseconds, 1_000))
            case .signal(SIGWINCH): break
            case .signal(SIGTSTP): suspend()
            case .signal(SIGCONT):
                // Stopped by somebody else, whose shell has had the terminal meanwhile.
                terminal.take()
            case .signal(let number): return number
            }
        }
        return nil
    }

    /// Looks again after so long, unless a key has asked for that at once.
    private func comeBack(in milliseconds: UInt64) {
        if nextMilliseconds > 0 { nextMilliseconds = Clock.nowMilliseconds() + milliseconds }
    }

    private func draw() {
        let (columns, rows) = terminal.size
        terminal.draw(
            TopText.screen(look, wish, trouble: trouble, columns: columns, rows: rows))
    }
}

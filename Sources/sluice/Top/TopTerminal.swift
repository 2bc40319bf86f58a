// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor

/// The terminal of `sluice top`: keys one by one, and a screen of its own, which goes when the program does.
///
/// `restore` is called on every way out, also by a signal; a program that is killed (SIGKILL) can't.
final class TopTerminal {
    /// Signals that end the program, that stop it and let it go on, and that say of another size.
    static let signals: [Int32] = [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH,
    ]

    private static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
    private static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

    private let before: termios
    private let usesColor: Bool
    private var isTaken = false

    /// The terminal at standard input and output; nil where either is none.
    init?(usesColor: Bool) {
        var before = termios()
        guard isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &before) == 0 else { return nil }
        self.before = before
        self.usesColor = usesColor
    }

    /// Takes the terminal: no echo, no line to be ended first, and no key that the system keeps for itself.
    func take() {
        var raw = before
        raw.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | ISTRIP)
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw)
        isTaken = true
        Output.write(Array(Self.enter.utf8))
    }

    /// Gives it back as it was.
    func restore() {
        guard isTaken else { return }
        isTaken = false
        Output.write(Array(Self.leave.utf8))
        var before = before
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
    }

    /// Columns and rows.
    var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Draws all lines; there are as many as the screen has rows.
    func draw(_ lines: [TopText.Line]) {
        let text = lines.map { line in
            var codes: [String] = []
            if line.isReversed { codes.append("7") }
            if usesColor, let color = line.color { codes.append("\(color)") }
            let painted =
                codes.isEmpty
                ? line.text : "\u{1B}[\(codes.joined(separator: ";"))m\(line.text)\u{1B}[0m"
            // Before the text: behind a line that fills all columns it would take the last one away.
            return "\u{1B}[2K" + painted
        }.joined(separator: "\r\n")
        Output.write(Array("\u{1B}[H\(text)".utf8))
    }

    /// Keys that were pressed, which wait; nil where the terminal is gone.
    func keys() -> [TopKey]? {
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        if count < 0 && (errno == EINTR || errno == EAGAIN) { return [] }
        return count > 0 ? TopKey.keys(in: Array(bytes.prefix(count))) : nil
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What a descriptor's reader can show.
struct Terminal: Equatable {
    /// Whether lines can be redrawn in place.
    let isTerminal: Bool
    /// Whether colours are wanted, too (https://no-color.org).
    let usesColor: Bool

    /// What it is by the variables that speak of terminals.
    init(isTerminal: Bool, type: String?, noColor: String?) {
        self.isTerminal = isTerminal && type != nil && type != "" && type != "dumb"
        usesColor = self.isTerminal && (noColor ?? "").isEmpty
    }

    /// Where the program's standard output goes.
    static var output: Terminal {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        return Terminal(
            isTerminal: isatty(STDOUT_FILENO) == 1, type: variable("TERM"),
            noColor: variable("NO_COLOR"))
    }

    /// Characters in a line, as far as the terminal says.
    static var columns: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// A line of the program's own with its label dim, a notice's label yellow, and URLs bold.
    func painted(_ line: String) -> String {
        guard usesColor else { return line }
        var painted = line
        if let label = Self.labels.first(where: { line.hasPrefix($0 + " ") }) {
            let code = label == Notice.label ? "33" : "2"
            painted = "\u{1B}[\(code)m\(label)\u{1B}[0m" + line.dropFirst(label.count)
        }
        return painted.split(separator: " ", omittingEmptySubsequences: false).map { word in
            let isURL = ["wss://", "https://"].contains { word.hasPrefix($0) }
            return isURL ? "\u{1B}[1m\(word)\u{1B}[0m" : String(word)
        }.joined(separator: " ")
    }

    private static let labels = ["listening", "route", "socket", "app", Notice.label]
}

/// Something that a person at the terminal should know or change.
enum Notice {
    static let label = "notice"

    static func line(_ sentence: String) -> String { "\(label)    \(sentence)" }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestKit
import Testing

/// A terminal of a given size (tmux) with a shell in it; ended with the last reference.
final class Tmux {
    private let folder: String
    private var socket: String { "\(folder)/tmux" }

    /// Starts a shell in a terminal of so many columns and rows, with this in its environment.
    init(columns: Int = 80, rows: Int = 24, environment: [String: String] = [:]) throws {
        folder = try Scratch.makeFolder()
        // Names of colours and of the screen are the terminal's own, whatever the test was started in.
        let variables = ["LC_ALL": "C.UTF-8"].merging(environment) { $1 }
        try Scratch.write("PS1='ready> '\n", to: "\(folder)/rc")
        let words = variables.flatMap { ["-e", "\($0.key)=\($0.value)"] }
        try run(
            [
                // Whoever runs the tests may want no colours in what they print.
                "env", "-u", "NO_COLOR", "tmux", "-u", "-S", socket, "-f", "/dev/null",
                "new-session", "-d", "-x",
                "\(columns)", "-y", "\(rows)",
            ] + words + ["bash --rcfile \(folder)/rc -i"], environment: ["LC_ALL": "C.UTF-8"])
        try eventually("the shell's prompt") { try lines().contains { $0.hasPrefix("ready>") } }
    }

    deinit {
        _ = try? run(["tmux", "-S", socket, "kill-server"])
        Scratch.remove(folder)
    }

    /// What the screen shows, a line for each row; with `isRaw` also its colours.
    func lines(isRaw: Bool = false) throws -> [String] {
        try tmux(["capture-pane", "-p"] + (isRaw ? ["-e"] : []))
    }

    /// Types a line to the shell.
    func enter(_ text: String) throws {
        try tmux(["send-keys", "-l", text])
        try press("Enter")
    }

    /// Presses keys, by the names that tmux has for them.
    func press(_ keys: String...) throws { try tmux(["send-keys"] + keys) }

    /// Gives the terminal another size.
    func resize(columns: Int, rows: Int) throws {
        try tmux(["resize-window", "-x", "\(columns)", "-y", "\(rows)"])
    }

    /// Waits until the screen shows something.
    func expect(_ what: String, _ isThere: ([String]) -> Bool) throws {
        var seen: [String] = []
        do {
            try eventually(what) {
                seen = try lines()
                return isThere(seen)
            }
        } catch {
            throw PeerError("\(error); the screen:\n\(seen.joined(separator: "\n"))")
        }
    }

    @discardableResult
    private func tmux(_ arguments: [String]) throws -> [String] {
        try run(["tmux", "-u", "-S", socket] + arguments, environment: ["LC_ALL": "C.UTF-8"])
    }
}

// SPDX-License-Identifier: Apache-2.0
import Trust

/// The program as whoever has called it can call it again.
enum Program {
    /// What stands in front of the commands that are printed to be copied.
    static let name = name(called: CommandLine.arguments.first ?? "")

    /// The path by which it was called in a folder, as `.build/release/sluice` by `make run`, since it is hardly in
    /// `PATH` then; else its name.
    static func name(called: String) -> String {
        called.contains("/") && !called.hasPrefix("/") ? Shell.word(called) : "sluice"
    }
}

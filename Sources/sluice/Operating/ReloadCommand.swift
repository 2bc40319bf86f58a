// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser

/// `sluice reload`: the running Sluice reads its configuration again.
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have a running Sluice take up its changed configuration.",
        discussion: """
            Routes, upstreams, listeners, certificates, limits and timeouts are exchanged at once; no \
            live connection is touched. Prints what has changed. If the file or a certificate can't \
            be used, nothing changes, and the place and reason are printed.
            """ + ExitCodes.help("reload"))

    @OptionGroup var options: AdminOptions

    /// Asks for it and says what became of it.
    func run() throws {
        let peer = try options.peer(to: .change)
        options.show(try peer.ask("POST", "/reload", for: AdminOutcome.self))
    }
}

// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import TLS
import Trust

/// Which stores are meant.
struct CertStores: ParsableArguments {
    /// A part of the machine's stores.
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case system
        case browsers
    }

    @Option(
        help: ArgumentHelp(
            "Only the system's store (curl, Python, Go), or only the browsers'.",
            valueName: "system|browsers"))
    var only: Part?

    @Option(
        help: ArgumentHelp(
            "The folder that stands for /, to prepare an image. (default: /)", valueName: "dir"))
    var root: String = "/"

    @OptionGroup var place: CertPlace

    /// The stores of this machine and this user.
    func stores() throws -> TrustStores {
        try TrustStores(
            authorityPath: try place.authorityPath(),
            home: only == .system ? nil : DataDirectory.home,
            root: only == .browsers ? nil : root)
    }

    /// Prints what was found or done.
    ///
    /// - Throws: an exit code of 1 when something failed, or a program is missing.
    func show(_ reports: [StoreReport]) throws {
        for report in reports { Output.line(report.text) }
        if only != .system && !reports.contains(where: { $0.name != "system" }) {
            Output.line("browsers  none found in \(DataDirectory.home ?? "?")")
        }
        let hasFailed = reports.contains { report in
            switch report.outcome {
            case .failed, .needsTool: true
            default: false
            }
        }
        if hasFailed { throw ExitCode(1) }
    }
}

/// `sluice cert trust`: browsers and programs of this machine believe the local authority.
struct CertTrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust",
        abstract: "Have this machine's browsers and programs trust the local authority.",
        discussion: """
            Puts it into the NSS stores of Chromium and Firefox (also of snap and flatpak), and \
            into the system's store; where only root may do that, the command is printed. It can \
            be run any number of times. Browsers that run have to be restarted.
            """)

    @OptionGroup var stores: CertStores

    func run() throws {
        // On a fresh machine one command is enough.
        if stores.place.directory == nil {
            _ = try CertificateAuthority.loadOrMake(in: stores.place.path)
        }
        try stores.show(try stores.stores().trust())
    }
}

/// `sluice cert untrust`: takes it all back.
struct CertUntrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "untrust",
        abstract: "Have them forget it again; nothing is left behind.")

    @OptionGroup var stores: CertStores

    func run() throws { try stores.show(try stores.stores().untrust()) }
}

/// `sluice cert status`: who trusts it now.
struct CertStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say where the local authority is trusted.")

    @OptionGroup var stores: CertStores

    func run() throws { try stores.show(try stores.stores().status()) }
}

// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
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
            """
            The folder that stands for /, to prepare an image; nothing outside of it is changed.
            """, valueName: "dir"))
    var root: String = "/"

    @OptionGroup var place: CertPlace

    /// Whether another folder than / was named.
    var isImage: Bool { TrustStores.resolved(root) != "/" }

    /// Refuses what contradicts itself, and a variable of a script that is empty.
    func validate() throws {
        guard let real = TrustStores.resolved(root) else {
            throw ValidationError("--root takes a folder that is there, found \"\(root)\".")
        }
        if real != "/" && only == .browsers {
            throw ValidationError("--root is about the system's store: leave out --only browsers.")
        }
    }

    /// Who called sudo; nil where nobody did.
    ///
    /// What root writes into a user's browser is that user's no more.
    private var invoker: Invoker? { Invoker.current }

    /// Where the authority is: of whoever called sudo, since that is who has it, unless a directory
    /// is named.
    private func authorityPath() throws -> String {
        guard place.directory == nil, let invoker else {
            if isImage && access(place.path + "/ca.pem", F_OK) != 0 {
                throw Complaint(
                    "There is no authority yet, since \(place.path)/ca.pem is missing, and --root changes nothing"
                        + " outside of \(root); `sluice cert` makes it.")
            }
            return try place.authorityPath()
        }
        let path = invoker.dataDirectory + "/ca.pem"
        guard access(path, F_OK) == 0 else {
            throw Complaint(
                "\(path): \(invoker.name) has no authority yet; without sudo, `sluice cert` makes"
                    + " it.")
        }
        try CertificateAuthority.requireSafe(in: invoker.dataDirectory)
        return path
    }

    /// Where the authority is that is to be forgotten, whoever may have changed it; nil where it is gone.
    private var forgottenPath: String? {
        let directory =
            place.directory ?? invoker?.dataDirectory ?? place.path
        let path = directory + "/ca.pem"
        return access(path, F_OK) == 0 ? path : nil
    }

    /// The stores of this machine and this user.
    ///
    /// - Parameter isForgetting: whether it is no matter that the authority's file is gone.
    /// - Returns: those that were asked for.
    /// - Throws: a sentence where there is no authority, `CertificateFault` where it can't be read.
    func stores(isForgetting: Bool = false) throws -> TrustStores {
        try TrustStores(
            authorityPath: isForgetting ? forgottenPath : try authorityPath(),
            home: only == .system || invoker != nil || isImage ? nil : DataDirectory.home,
            root: only == .browsers ? nil : root)
    }

    /// Makes the authority where none is, so that one command is enough on a fresh machine, and says so.
    func makeAuthority() throws {
        guard place.directory == nil && invoker == nil && !isImage else { return }
        let authority = try CertificateAuthority.loadOrMake(
            in: try DataDirectory.usable(orGive: "--directory"))
        guard authority.isNew else { return }
        Output.line(
            "authority  \(authority.certificatePath) made, since there was none; `\(Program.name) PORT` and"
                + " `\(Program.name) cert` sign with it")
    }

    /// Prints what was found or done.
    ///
    /// - Throws: an exit code of 1 when something failed, a program is missing, or the one store that
    ///   was asked for is root's.
    func show(_ reports: [StoreReport]) throws {
        for report in reports { Output.line(report.text) }
        if isImage && only != .system {
            Output.line("browsers  left alone: --root changes nothing outside of \(root)")
        } else if let invoker, only != .system {
            Output.line(
                "browsers  left alone: they are \(invoker.name)'s; run it again without sudo")
        } else if only != .system && !reports.contains(where: { $0.owner != .system }) {
            Output.line("browsers  none found in \(DataDirectory.home ?? "?")")
        }
        let hasFailed = reports.contains { report in
            switch report.outcome {
            case .failed, .needsTool, .stillTrusted: true
            // Beside others it is one of several; asked for alone, nothing was done.
            case .needsRoot: only == .system
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
            into the system's store. If only root may do that, it prints the command. If you have no \
            authority yet, it makes one in your directory; one that --directory names has to be \
            there. You can run it any number of times. Restart browsers that are running.
            """ + ExitCodes.help("cert trust"))

    @OptionGroup var stores: CertStores

    func run() throws {
        try stores.makeAuthority()
        let places = try stores.stores()
        let reports = places.trust()
        try stores.show(reports)
        let isInSystem = reports.contains {
            $0.owner == .system && ($0.outcome == .added || $0.outcome == .trusted)
        }
        if stores.isImage {
            // What lies outside of the image is not there when it runs.
            guard isInSystem, let inside = places.pathsInImage else { return }
            Output.line(
                "\nPrograms in the image with a list of their own, by the paths that it has then:")
            for line in TrustAdvice.programs(inside.authority, bundle: inside.bundle) {
                Output.line(line)
            }
            return
        }
        Output.line("\nPrograms with a list of their own:")
        let path = CertCommand.absolute(places.authorityPath ?? "")
        let lines = TrustAdvice.programs(path, bundle: isInSystem ? places.systemBundle : nil)
        for line in lines { Output.line(line) }
    }
}

/// `sluice cert untrust`: takes it all back.
struct CertUntrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "untrust",
        abstract: "Have this machine's browsers and programs no longer trust the local authority.",
        discussion: """
            Takes the authority of the directory out of the stores, and no other. If your own \
            directory has none any more, it takes out the one authority of Sluice's that it finds; \
            if it finds several, --all takes out all.
            """ + ExitCodes.help("cert untrust"))

    @OptionGroup var stores: CertStores

    @Flag(help: "Take out every authority of Sluice's, whichever directory it is from.")
    var all = false

    func run() throws {
        // Another one than was named is not taken out for it.
        if let directory = stores.place.directory, !all,
            access(directory + "/ca.pem", F_OK) != 0
        {
            throw Complaint(
                "\(directory)/ca.pem: there is no authority, so it can't be told which one was meant: correct"
                    + " the folder. If its files are gone, --all takes every authority of Sluice's out."
            )
        }
        let places = try stores.stores(isForgetting: true)
        // Which one it is, is not in the command where no directory is.
        if stores.place.directory == nil, !all, let path = places.authorityPath {
            let facts = try? CertificateFacts.read(pemFile: path)
            Output.line("authority  \(path)" + (facts.map { ", \($0.subject)" } ?? ""))
        }
        try stores.show(places.untrust(all: all))
    }
}

/// `sluice cert status`: who trusts it now.
struct CertStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say where the local authority is trusted.",
        discussion: """
            Looks at the stores that `sluice cert trust` would change, and changes nothing.
            """ + ExitCodes.help("cert status"))

    @OptionGroup var stores: CertStores

    func run() throws {
        let reports = try stores.stores().status()
        try stores.show(reports)
        if reports.contains(where: { $0.outcome != .trusted }) { throw ExitCode(1) }
    }
}

// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Doctor
import Foundation
import Glibc
import TLS
import Trust

/// `sluice cert`: a local authority, its certificates, and who trusts it.
struct CertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cert",
        abstract: "Make certificates for local use, and have them trusted.",
        usage: """
            sluice cert
            sluice cert app.test '*.app.test' 192.168.1.20
            sluice cert trust
            """,
        discussion: """
            Without a subcommand's name, the arguments are the names to make a certificate for. It \
            takes --directory DIR (another place than the user's), --only (for these names and no \
            others), --permit NAME and --any-name (what an authority that is made now may sign for \
            besides local names): `sluice cert make --help` explains them.
            """ + ExitCodes.help("cert make"),
        subcommands: [
            CertMakeCommand.self, CertTrustCommand.self, CertUntrustCommand.self,
            CertStatusCommand.self, CertListCommand.self, CertShowCommand.self,
            CertRenewCommand.self, CertExportCommand.self,
        ],
        defaultSubcommand: CertMakeCommand.self)

    /// What a browser on the same machine may write into its address line.
    static let defaultNames = ["localhost", "127.0.0.1", "::1"]

    /// The option that names a folder, with a blank before it; empty where none was named.
    static func place(_ folder: String?) -> String {
        folder.map { " --directory \(Shell.word($0))" } ?? ""
    }

    /// How a client comes to believe the certificates, in lines.
    static func trustAdvice(for path: String, in folder: String? = nil) -> String {
        // Who has named a folder has to name it again.
        let place = place(folder)
        return """
              this machine  \(Program.name) cert trust\(place)  (browsers and system; `\(Program.name) cert untrust\(place)` takes it back)
            \(TrustAdvice.programs(path).joined(separator: "\n"))
              elsewhere     \(Program.name) cert export\(place)
            """
    }

    /// A path from `/` on, for settings of programs that run in other folders.
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        let folder = FileManager.default.currentDirectoryPath
        return (folder == "/" ? "" : folder) + "/"
            + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
    }

    /// The last day of a term, with what is the matter with it at `now`.
    static func until(_ term: CertificateTerm, at now: Int64 = Int64(time(nil))) -> String {
        let day = date(term.notAfter)
        return switch term.condition(at: now) {
        case .valid: day
        case .endsSoon: "\(day) (ends \(term.wait(at: now)))"
        case .expired: "\(day) (expired)"
        case .notYetValid: "\(day) (not valid before \(date(term.notBefore)))"
        }
    }

    static func date(_ unixSeconds: Int64) -> String {
        var time = time_t(unixSeconds)
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return "?" }
        func padded(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    }
}

/// `sluice cert [make]`: a certificate for local use, signed by an authority of one's own.
struct CertMakeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Make a certificate, signed by a local authority (the default).",
        usage: """
            sluice cert
            sluice cert app.test '*.app.test' 192.168.1.20
            sluice cert --directory certs localhost 127.0.0.1 ::1
            """,
        discussion: """
            Writes ca.pem, ca-key.pem, NAME.pem and NAME-key.pem, where NAME is the first name. \
            A certificate that is there keeps the names that it has, and gets those that it lacks; \
            with --only it is for the names given and no others. It can be run any number of times.
            """ + ExitCodes.help("cert make"))

    @Argument(
        help: ArgumentHelp(
            "DNS names, wildcards and IP addresses. (default: \(CertCommand.defaultNames.joined(separator: " ")))",
            valueName: "name"))
    var names: [String] = []

    @OptionGroup var place: CertPlace

    @Option(
        help: ArgumentHelp(
            """
            A DNS name, with all below it, that an authority made now may sign for, besides local \
            names (localhost, .test, .local, .internal, …) and private addresses. May be given \
            several times.
            """, valueName: "name"))
    var permit: [String] = []

    @Flag(help: "Take names out of the certificate that are not given here.")
    var only = false

    @Flag(help: "An authority made now may sign for any name. Guard its key.")
    var anyName = false

    /// Refuses what contradicts itself.
    func validate() throws {
        try refuseMistypedCommand()
        do throws(CertificateFault) {
            for name in names { try CertificateAuthority.requireName(name) }
            try NameScope.local(more: permit).requireNames()
        } catch {
            throw ValidationError("\(error).")
        }
        if anyName && !permit.isEmpty {
            throw ValidationError("--any-name permits every name: leave --permit out.")
        }
    }

    /// One bare word that is nearly a command's name is not made a certificate of by mistake.
    private func refuseMistypedCommand() throws {
        let commands = CertCommand.configuration.subcommands
            .compactMap { $0.configuration.commandName }
        if let word = names.first,
            ["create", "new", "add", "issue", "generate"].contains(word.lowercased())
        {
            let rest = names.dropFirst().map(Shell.word).joined(separator: " ")
            throw ValidationError(
                "\(word) is no command of `sluice cert`. Did you mean `sluice cert make"
                    + "\(rest.isEmpty ? "" : " " + rest)`?")
        }
        guard names.count == 1, let word = names.first, !word.contains("."), !word.contains(":"),
            word != "localhost",
            let meant = ["ls": "list", "rm": "untrust", "info": "show", "print": "show"][
                word.lowercased()]
                ?? Nearest.suggestion(for: word.lowercased(), among: commands)
        else { return }
        var sentence =
            "\(word) is no command of `sluice cert`. Did you mean `sluice cert \(meant)`?"
        // What would be refused is not said.
        let there = (try? CertificateAuthority.present(in: place.path)) ?? nil
        let options = place.directory.map { "--directory \(Shell.word($0)) " } ?? ""
        let more = NameScope.options(for: [word])
        let isName = (try? CertificateAuthority.requireName(word)) != nil
        if isName, let there, (try? there.permits(word)) == true {
            sentence +=
                " For a certificate of that name: sluice cert make \(options)\(word) localhost"
        } else if isName, there == nil {
            sentence +=
                " For a certificate of that name: sluice cert make \(options)\(more)\(word) localhost"
        }
        throw ValidationError(sentence)
    }

    /// Refuses what an authority that is there can't be told any more: what it may sign for stands in its
    /// certificate.
    private func refuseWithoutEffect(in directory: String) throws {
        guard anyName || !permit.isEmpty,
            let there = try CertificateAuthority.present(in: directory)
        else { return }
        let option: String
        if anyName {
            guard try CertificateFacts.read(pemFile: there.certificatePath).isConstrained else {
                return
            }
            option = "--any-name"
        } else {
            let lacking = try permit.filter { try !there.permits($0) }
            if lacking.isEmpty { return }
            option = lacking.map { "--permit \($0)" }.joined(separator: " ")
        }
        throw Complaint(
            "\(there.certificatePath): it is there already, and \(option) is for an authority that is made"
                + " now: what one may sign for can't be changed. Move ca.pem and ca-key.pem away, run this"
                + " again, and have the new one trusted (\(Program.name) cert trust\(CertCommand.place(place.directory)));"
                + " or make it in another folder, with --directory.")
    }

    /// Makes what is missing and prints what is there now and how to trust it.
    func run() throws {
        let wanted = names.isEmpty ? CertCommand.defaultNames : names
        let files = LocalCertificate(
            in: try place.directory ?? DataDirectory.usable(orGive: "--directory"), named: wanted[0]
        )
        try refuseWithoutEffect(in: files.directory)
        let authority = try CertificateAuthority.loadOrMake(
            in: files.directory, scope: anyName ? .any : .local(more: permit), for: wanted)
        let outcome = try authority.ensureLeaf(
            for: wanted, others: only ? .go : .stay, chainPath: files.chainPath,
            keyPath: files.keyPath)
        let root = try CertificateFacts.read(pemFile: authority.certificatePath)
        let leaf = try CertificateFacts.read(pemFile: files.chainPath)
        let until = CertCommand.date(leaf.notAfter)
        Output.line(
            """
            authority    \(authority.certificatePath) (\(authority.isNew ? "made" : "kept"), \
            until \(CertCommand.date(root.notAfter)))
            may sign for \(CertificateCure.scope(root))
            certificate  \(files.chainPath) (\(Self.word(for: outcome)), until \(until))
            key          \(files.keyPath)
            for          \(leaf.names.joined(separator: ", "))

            Trust the authority where the client runs:
            \(CertCommand.trustAdvice(for: CertCommand.absolute(authority.certificatePath), in: place.directory))
            """)
        for key in [authority.keyPath, files.keyPath]
        where CertificateFacts.isReadableByOthers(key) {
            Output.line("\nWarning: others can read \(key); do: chmod 600 \(Shell.word(key))")
        }
    }

    static func word(for outcome: LeafOutcome) -> String {
        switch outcome {
        case .made: "made"
        case .renewed(let reason): "renewed, since \(reason)"
        case .kept: "kept"
        }
    }
}

/// Where the authority and its certificates are.
struct CertPlace: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where the files are. (default: $XDG_DATA_HOME/sluice or ~/.local/share/sluice)",
            valueName: "dir"))
    var directory: String?

    /// The path of the directory that the option names, or of the user's own.
    var path: String { directory ?? DataDirectory.path }

    /// The option that names the folder of a chain where that has an authority of its own; empty for the user's
    /// directory, and where there is none.
    static func option(forChain path: String) -> String {
        guard let real = realpath(path, nil) else { return "" }
        defer { free(real) }
        let folder = (String(cString: real) as NSString).deletingLastPathComponent
        guard access(folder + "/ca.pem", F_OK) == 0, folder != DataDirectory.path else { return "" }
        return " --directory \(Shell.word(folder))"
    }

    /// What makes an authority there; quick mode keeps its own in the user's directory.
    private var making: String {
        directory.map { "`\(Program.name) cert --directory \(Shell.word($0))` makes one" }
            ?? "`\(Program.name) cert` or `\(Program.name) PORT` makes it"
    }

    /// The authority's certificate, which has to be there.
    func authorityPath() throws -> String {
        let file = path + "/ca.pem"
        guard access(file, F_OK) == 0 else {
            throw Complaint("There is no authority yet, since \(file) is missing; \(making).")
        }
        try CertificateAuthority.requireSafe(in: path)
        return file
    }

    /// The certificates that lie there beside their keys, without the authority's.
    func leaves() throws -> [LocalCertificate] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw Complaint(FileTrouble.sentence("read", path, error))
        }
        return names.compactMap { name in
            guard name.hasSuffix("-key.pem"), name != "ca-key.pem" else { return nil }
            let files = LocalCertificate(in: path, named: String(name.dropLast(8)))
            return access(files.chainPath, F_OK) == 0 ? files : nil
        }
    }
}

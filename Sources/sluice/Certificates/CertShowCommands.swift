// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Doctor
import Foundation
import Glibc
import Ledger
import TLS
import Trust

/// `sluice cert list`: what is in the directory.
struct CertListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the authority and its certificates.",
        discussion: """
            Each with its names, its end and what has to be done.
            """ + ExitCodes.help("cert list"))

    @OptionGroup var place: CertPlace

    func run() throws {
        var rows = [["CERTIFICATE", "FOR", "UNTIL", "STATE"]]
        let authorityPath = try place.authorityPath()
        let root = try CertificateFacts.read(pemFile: authorityPath)
        rows.append([
            authorityPath, root.subject, CertCommand.date(root.notAfter),
            "\(CertShowCommand.state(root)), signs for \(CertificateCure.scope(root))",
        ])
        for leaf in try place.leaves() {
            guard let facts = try? CertificateFacts.read(pemFile: leaf.chainPath) else { continue }
            rows.append([
                leaf.chainPath, facts.names.joined(separator: " "),
                CertCommand.date(facts.notAfter), Self.state(leaf, facts, in: place),
            ])
        }
        Output.line(Table.text(rows))
    }

    private static func state(
        _ leaf: LocalCertificate, _ facts: CertificateFacts, in place: CertPlace
    ) -> String {
        // Signing nothing, so nothing is made where nothing is.
        let authority: CertificateAuthority
        do {
            authority = try CertificateAuthority.loadOrMake(in: place.path)
        } catch {
            return "not judged: \(error.file): \(error.found)"
        }
        do {
            let outcome = try authority.condition(
                chainPath: leaf.chainPath, keyPath: leaf.keyPath)
            guard case .renewed(let reason) = outcome else { return CertShowCommand.state(facts) }
            let option = place.directory.map { " --directory \(Shell.word($0))" } ?? ""
            return "\(Program.name) cert renew\(option), since \(reason)"
        } catch {
            return "not from here (\(error.found))"
        }
    }
}

/// `sluice cert renew`: what is near its end is made anew, with the names that it has.
struct CertRenewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew",
        abstract: "Renew the directory's certificates that end within 30 days.",
        discussion: """
            Each keeps its names and its files. It can be run any number of times, by a timer too; \
            a Sluice that runs takes the new ones up with `sluice reload`. Certificates from \
            elsewhere are left alone.
            """ + ExitCodes.help("cert renew"))

    @OptionGroup var place: CertPlace

    func run() throws {
        _ = try place.authorityPath()
        let authority = try CertificateAuthority.loadOrMake(in: place.path)
        var hasFailed = false
        for leaf in try place.leaves() {
            let names: [String]
            do {
                names = try CertificateFacts.read(pemFile: leaf.chainPath).names
                // Judged first: what is not from here stays, and is no reason to stop.
                _ = try authority.condition(chainPath: leaf.chainPath, keyPath: leaf.keyPath)
            } catch {
                Output.line("\(leaf.chainPath)  left alone: \(error.found)")
                continue
            }
            do {
                let outcome = try authority.ensureLeaf(
                    for: names, chainPath: leaf.chainPath, keyPath: leaf.keyPath)
                let facts = try CertificateFacts.read(pemFile: leaf.chainPath)
                Output.line(
                    "\(leaf.chainPath)  \(CertMakeCommand.word(for: outcome)), until"
                        + " \(CertCommand.date(facts.notAfter))")
            } catch {
                hasFailed = true
                Output.line("\(leaf.chainPath)  failed: \(CertificateCure.sentence(error))")
            }
        }
        if hasFailed { throw ExitCode(1) }
    }
}

/// `sluice cert show FILE|URL`: what a certificate says.
struct CertShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the certificates of a file, or those that a server presents.",
        usage: """
            sluice cert show ca.pem
            sluice cert show sluice-ca.cer
            sluice cert show localhost
            sluice cert show wss://localhost:8443
            sluice cert show example.com:443
            """,
        discussion: """
            Of a server it also says whether a browser would believe them. Nothing is asked of the \
            server but the handshake; `sluice doctor` goes on.
            """ + ExitCodes.help("cert show"))

    @Argument(
        help: ArgumentHelp(
            "A file (PEM or DER), the name of a certificate in Sluice's folder, a wss: or https: URL, or host:port.",
            valueName: "file|name|url")
    )
    var place: String

    @OptionGroup var folder: CertPlace

    @Option(
        help: ArgumentHelp(
            "File with authorities to trust as well (PEM or DER).", valueName: "file"))
    var ca: [String] = []

    static func state(_ facts: CertificateFacts) -> String {
        let now = Int64(Date().timeIntervalSince1970)
        return switch facts.term.condition(at: now) {
        case .notYetValid: "not valid yet"
        case .expired: "expired"
        case .valid, .endsSoon: Count.words(facts.term.daysLeft(at: now), "day") + " left"
        }
    }

    private static func signing(_ facts: CertificateFacts) -> String {
        guard facts.isCA else { return "no" }
        let names = facts.isConstrained ? "for some names only: it is an authority" : "for any name"
        if facts.isForServersOnly { return "\(names), servers only" }
        // What was made before this version had these words in it.
        let isOurs = facts.subject.contains("Sluice development CA")
        return names + "; also for mail, clients and code"
            + (isOurs
                ? ", since an older Sluice made it: move ca.pem and ca-key.pem away and run"
                    + " \(Program.name) cert for one that signs for servers only, then trust that"
                : "")
    }

    /// The server that is meant; nil where it is a file.
    private var url: SocketURL? {
        if place.contains("://") { return SocketURL(place) }
        // A file of that name comes first.
        guard access(place, F_OK) != 0, place.contains(":"), !place.contains("/") else {
            return nil
        }
        return SocketURL("wss://\(place)")
    }

    /// The file that is meant: of that name, or the certificate that Sluice has made for it.
    private func file() throws -> String {
        let isName =
            !place.contains("/")
            && !Self.endings.contains { place.lowercased().hasSuffix($0) }
        guard isName, access(place, F_OK) != 0, errno == ENOENT else { return place }
        let made = LocalCertificate(in: folder.path, named: place).chainPath
        guard access(made, F_OK) == 0 else {
            throw Complaint(
                "There is no file \(place), and no certificate of that name in \(folder.path)."
                    + " `sluice cert list\(CertCommand.place(folder.directory))` shows what is there; a server is named with its port, as"
                    + (UInt16(place) != nil ? " localhost:\(place)." : " \(place):443."))
        }
        return made
    }

    /// How the names of certificates' files end, which are no names of servers.
    private static let endings = [".pem", ".crt", ".cer", ".der", ".key", ".p12", ".pfx"]

    /// Refuses what is no server with TLS, and authorities that can't be read.
    func validate() throws {
        if place.contains("://"), url?.isSecure != true {
            throw ValidationError("\(place) is no URL with TLS: give wss://host:port or a file.")
        }
        try AuthorityOption.check(ca)
        if !ca.isEmpty && url == nil {
            throw ValidationError(
                "--ca is for the certificates of a server: give its URL, or leave --ca out.")
        }
    }

    func run() throws {
        guard let url else {
            Self.show(try CertificateFacts.readAll(file: try file()))
            return
        }
        var options = DoctorCommand.baseOptions
        options.authorities = ca
        let presented = try Doctor.present(url, options).get()
        Output.line("server       \(presented.address), \(presented.version), \(presented.cipher)")
        Output.line("browsers     \(Self.browsers(presented, isTold: !ca.isEmpty))\n")
        Self.show(presented.chain)
    }

    /// What browsers say of what a server presents: the doctor's judgement, for which `sluice cert status` looks into
    /// the same stores.
    ///
    /// `isTold` says that authorities were named with `--ca`, of which browsers know nothing.
    static func browsers(_ presented: Presented, isTold: Bool) -> String {
        if let fault = presented.fault { return fault }
        guard let trust = presented.browserTrust else {
            return isTold
                ? "would believe it where they trust the authorities here, and those of --ca"
                : "would believe it, with the authorities here"
        }
        let trusting = trust.trusting.joined(separator: ", ")
        let refusing = trust.refusing.joined(separator: ", ")
        let remedy = "until `\(Program.name) cert trust`"
        return switch (trust.trusting.isEmpty, trust.refusing.isEmpty) {
        case (false, true): "would believe it: \(trusting)"
        case (false, false):
            "would believe it: \(trusting); not \(remedy): \(refusing)"
        case (true, false): "would not believe it \(remedy): \(refusing)"
        case (true, true): "none was found here; those elsewhere would not believe it \(remedy)"
        }
    }

    private static func show(_ chain: [CertificateFacts]) {
        for (index, facts) in chain.enumerated() {
            if chain.count > 1 { Output.line((index > 0 ? "\n" : "") + "certificate \(index + 1)") }
            Output.line(text(facts))
        }
    }

    /// The names and addresses for which an authority may sign alone; nil where it may for any, or is none.
    private static func permitted(_ facts: CertificateFacts) -> String? {
        guard facts.isCA, facts.isConstrained else { return nil }
        let names = facts.permittedNames.joined(separator: ", ") + " (and all below them)"
        let addresses =
            facts.permittedAddresses.isEmpty
            ? "any address" : facts.permittedAddresses.joined(separator: ", ")
        return "\(names); \(addresses)".harmless
    }

    private static func text(_ facts: CertificateFacts) -> String {
        """
        subject      \(facts.subject.harmless)
        issuer       \(facts.issuer.harmless)
        names        \(facts.names.isEmpty ? "none" : facts.names.joined(separator: ", ").harmless)
        valid        \(CertCommand.date(facts.notBefore)) to \(CertCommand.date(facts.notAfter)) (\(state(facts)))
        key          \(facts.keyKind)
        may sign     \(signing(facts))\(permitted(facts).map { "\nfor          \($0)" } ?? "")
        SHA-256      \(facts.fingerprint)
        """
    }
}

/// `sluice cert export`: the authority's certificate for another machine.
struct CertExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the authority's certificate, for another machine, container or phone.",
        usage: """
            sluice cert export > sluice-ca.pem
            sluice cert export --der --output sluice-ca.cer
            """,
        discussion: """
            Never its key. The lines to use it with there are printed beside it (to standard error \
            where the certificate goes to standard output).
            """ + ExitCodes.help("cert export"))

    @Flag(help: "As DER, which phones want, in place of PEM.")
    var der = false

    @Option(help: ArgumentHelp("The file to write. (default: standard output)", valueName: "file"))
    var output: String?

    @OptionGroup var place: CertPlace

    func run() throws {
        let path = try place.authorityPath()
        let facts = try CertificateFacts.read(pemFile: path)
        guard facts.isCA else { throw Complaint("\(path) is no authority's certificate.") }
        let pem: Data
        do {
            pem = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw Complaint(FileTrouble.sentence("read", path, error))
        }
        let bytes = der ? try Self.derBytes(pem, path) : pem
        let name = output ?? (der ? "sluice-ca.cer" : "sluice-ca.pem")
        let lines =
            der
            ? TrustAdvice.machines(der: name)
            : TrustAdvice.machines(pem: name, in: place.directory)
        let advice = lines.joined(separator: "\n")
        // What leads to standard output is that: the advice goes beside it.
        if let output, !Output.isAt(output) {
            try Self.write(Array(bytes), to: output)
            Output.line("\(output) written, SHA-256 \(facts.fingerprint)\n\n\(advice)\n")
        } else {
            Output.write(Array(bytes))
            Output.complain(advice)
        }
    }

    /// Writes a file, or through a pipe or a device; what else stands there stays.
    private static func write(_ bytes: [UInt8], to path: String) throws {
        do throws(FileWriting.Fault) {
            try FileWriting.write(bytes, to: path)
        } catch {
            switch error {
            case .system(_, let code):
                throw Complaint(FileTrouble.sentence("written", path, code: code))
            case .occupied(let what):
                throw Complaint("\(path): it can't be written: it is \(what); name a file.")
            case .unread:
                throw Complaint(
                    "\(path): it can't be written: it is a pipe that nobody reads; start its reader, or"
                        + " name a file.")
            }
        }
    }

    /// What stands between the lines of a PEM file (RFC 7468).
    private static func derBytes(_ pem: Data, _ path: String) throws -> Data {
        let lines = String(decoding: pem, as: UTF8.self).split(whereSeparator: \.isNewline)
        let body = lines.drop { !$0.hasPrefix("-----BEGIN CERTIFICATE") }.dropFirst()
            .prefix { !$0.hasPrefix("-----") }
        guard let der = Data(base64Encoded: body.joined()) else {
            throw Complaint("\(path) is not the PEM form of a certificate.")
        }
        return der
    }
}

// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import TLS

/// `sluice cert list`: what is in the directory.
struct CertListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the authority and its certificates.")

    @OptionGroup var place: CertPlace

    func run() throws {
        _ = try place.authorityPath()
        let names = try FileManager.default.contentsOfDirectory(atPath: place.path).sorted()
        for name in names where name.hasSuffix(".pem") && !name.hasSuffix("-key.pem") {
            let path = "\(place.path)/\(name)"
            guard let facts = try? CertificateFacts.read(pemFile: path) else { continue }
            let what = facts.isCA ? facts.subject : facts.names.joined(separator: ", ")
            Output.line("\(path)  until \(CertCommand.date(facts.notAfter))  \(what)")
        }
    }
}

/// `sluice cert show FILE`: what a certificate says.
struct CertShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show what the first certificate of a PEM file says.")

    @Argument(help: ArgumentHelp("A certificate, PEM.", valueName: "file"))
    var file: String

    private static func signing(_ facts: CertificateFacts) -> String {
        guard facts.isCA else { return "no" }
        return facts.isConstrained ? "for some names only: it is an authority" : "for any name"
    }

    func run() throws {
        let facts = try CertificateFacts.read(pemFile: file)
        let now = Int64(Date().timeIntervalSince1970)
        let days = (facts.notAfter - now) / 86_400
        let state =
            now < facts.notBefore
            ? "not valid yet" : now > facts.notAfter ? "expired" : "\(days) days left"
        Output.line(
            """
            subject      \(facts.subject)
            issuer       \(facts.issuer)
            names        \(facts.names.isEmpty ? "none" : facts.names.joined(separator: ", "))
            valid        \(CertCommand.date(facts.notBefore)) to \(CertCommand.date(facts.notAfter)) (\(state))
            key          \(facts.keyKind)
            may sign     \(Self.signing(facts))
            SHA-256      \(facts.fingerprint)
            """)
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
            Never its key. Debian and Ubuntu: copy the PEM to \
            /usr/local/share/ca-certificates/sluice-ca.crt and run update-ca-certificates. Fedora: \
            to /etc/pki/ca-trust/source/anchors, update-ca-trust. Dockerfile: COPY it and RUN the \
            same. Android: Settings, Security, Install a certificate, CA. iOS: open the DER file, \
            install the profile, then Settings, General, About, Certificate Trust Settings. \
            macOS: security add-trusted-cert -d -k /Library/Keychains/System.keychain FILE. \
            Windows: certutil -addstore Root FILE.
            """)

    @Flag(help: "As DER, which phones want, in place of PEM.")
    var der = false

    @Option(help: ArgumentHelp("The file to write. (default: standard output)", valueName: "file"))
    var output: String?

    @OptionGroup var place: CertPlace

    func run() throws {
        let path = try place.authorityPath()
        let facts = try CertificateFacts.read(pemFile: path)
        guard facts.isCA else { throw Complaint("\(path) is no authority's certificate.") }
        let pem = try Data(contentsOf: URL(fileURLWithPath: path))
        let bytes = der ? try Self.derBytes(pem, path) : pem
        if let output {
            try bytes.write(to: URL(fileURLWithPath: output), options: .atomic)
        } else {
            FileHandle.standardOutput.write(bytes)
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

// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import TLS

/// `sluice cert`: a certificate for local use, signed by an authority of one's own.
struct CertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cert",
        abstract: "Make a certificate for local use, signed by a local authority.",
        usage: """
            sluice cert
            sluice cert app.test '*.app.test' 192.168.1.20
            sluice cert --directory certs localhost 127.0.0.1 ::1
            """,
        discussion: """
            Writes ca.pem, ca-key.pem, NAME.pem and NAME-key.pem, where NAME is the first name. \
            What is there and still does is kept, so it can be run any number of times.
            """)

    /// What a browser on the same machine may write into its address line.
    static let defaultNames = ["localhost", "127.0.0.1", "::1"]

    @Argument(
        help: ArgumentHelp(
            "DNS names, wildcards and IP addresses. (default: \(defaultNames.joined(separator: " ")))",
            valueName: "name"))
    var names: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where the files go. (default: $XDG_DATA_HOME/sluice or ~/.local/share/sluice)",
            valueName: "dir"))
    var directory: String?

    /// Makes what is missing and prints what is there now and how to trust it.
    func run() throws {
        let wanted = names.isEmpty ? Self.defaultNames : names
        let files = LocalCertificate(in: directory ?? DataDirectory.path, named: wanted[0])
        let authority = try CertificateAuthority.loadOrMake(in: files.directory)
        let outcome = try authority.ensureLeaf(
            for: wanted, chainPath: files.chainPath, keyPath: files.keyPath)
        let root = try CertificateFacts.read(pemFile: authority.certificatePath)
        let leaf = try CertificateFacts.read(pemFile: files.chainPath)
        let until = Self.date(leaf.notAfter)
        print(
            """
            authority    \(authority.certificatePath) (\(authority.isNew ? "made" : "kept"), \
            until \(Self.date(root.notAfter)))
            certificate  \(files.chainPath) (\(Self.word(for: outcome)), until \(until))
            key          \(files.keyPath)
            for          \(leaf.names.joined(separator: ", "))

            Trust the authority where the client runs:
            \(Self.trustAdvice(for: authority.certificatePath))
            """)
        for key in [authority.keyPath, files.keyPath]
        where CertificateFacts.isReadableByOthers(key) {
            print("\nWarning: others can read \(key); do: chmod 600 '\(key)'")
        }
    }

    /// How a client comes to believe the certificates, in two lines.
    static func trustAdvice(for path: String) -> String {
        """
          browsers  Settings, Certificates, Authorities, Import: \(path)
          system    sudo cp '\(path)' /usr/local/share/ca-certificates/sluice.crt \
        && sudo update-ca-certificates
        """
    }

    private static func word(for outcome: LeafOutcome) -> String {
        switch outcome {
        case .made: "made"
        case .renewed(let reason): "renewed, since \(reason)"
        case .kept: "kept"
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

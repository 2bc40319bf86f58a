// SPDX-License-Identifier: Apache-2.0

import Foundation

/// An authority for the certificates of clients, kept by `openssl ca` in a folder of its own.
public final class ClientAuthority: Sendable {
    /// PEM file with its certificate.
    public let certificate: String
    private let folder: String
    private let name: String

    /// An authority; `parent` has signed it, where it is an intermediate one.
    public init(_ name: String = "clients", signedBy parent: ClientAuthority? = nil) throws {
        let folder = try Scratch.makeFolder()
        self.folder = folder
        self.name = name
        certificate = "\(folder)/ca.pem"
        try Scratch.write(Self.settings.replacing("FOLDER", with: folder), to: "\(folder)/ca.cnf")
        try Scratch.write("", to: "\(folder)/index.txt")
        try Self.makeKey("\(folder)/ca.key")
        guard let parent else {
            try run(
                [
                    "openssl", "req", "-config", "\(folder)/ca.cnf", "-x509", "-extensions",
                    "authority",
                ]
                    + ["-key", "\(folder)/ca.key", "-out", certificate, "-days", "30"]
                    + ["-subj", "/CN=\(name)"])
            return
        }
        try parent.sign("\(folder)/ca.key", as: "/CN=\(name)", "authority", to: certificate)
    }

    deinit { Scratch.remove(folder) }

    /// Issues a certificate and its key.
    ///
    /// - Parameters:
    ///   - subject: as `/CN=alice/O=Example`, the general part first.
    ///   - names: a subjectAltName in the form of `openssl`; none where it is empty.
    ///   - kind: `client`, `server` for one without clientAuth, or `large` for one of more than 6 KiB.
    ///   - dates: the first and the last second, as `20200101000000Z`; a month from now on where it is nil.
    /// - Returns: the files of both.
    /// - Throws: `PeerError` where `openssl` fails.
    public func issue(
        _ subject: String, names: String = "", kind: String = "client",
        dates: (String, String)? = nil
    ) throws -> TestIdentity {
        let place = "\(folder)/\(UUID().uuidString)"
        try Self.makeKey("\(place).key")
        try sign("\(place).key", as: subject, kind, to: "\(place).pem", names: names, dates: dates)
        return TestIdentity(chain: "\(place).pem", key: "\(place).key")
    }

    private func sign(
        _ key: String, as subject: String, _ kind: String, to file: String, names: String = "",
        dates: (String, String)? = nil
    ) throws {
        try run(
            ["openssl", "req", "-config", "\(folder)/ca.cnf", "-new", "-key", key]
                + ["-subj", subject, "-out", "\(file).csr"])
        let extensions = "\(file).ext"
        let text = try Scratch.read("\(folder)/ca.cnf")
        let section = text.components(separatedBy: "[\(kind)]\n")[1].prefix { $0 != "[" }
        try Scratch.write(
            section + (names.isEmpty ? "" : "subjectAltName = \(names)\n"), to: extensions)
        var command = ["openssl", "ca", "-config", "\(folder)/ca.cnf", "-batch", "-notext"]
        command += ["-in", "\(file).csr", "-out", file, "-extfile", extensions]
        command += ["-cert", certificate, "-keyfile", "\(folder)/ca.key"]
        if let dates { command += ["-startdate", dates.0, "-enddate", dates.1] }
        try run(command)
    }

    /// Writes the list of what it has revoked to a file: these certificates, and those of the times before.
    ///
    /// - Parameters:
    ///   - revoked: which it revokes now.
    ///   - file: where the list is written to.
    ///   - dates: when it was made and when the next one comes; a month from now on where it is nil.
    /// - Throws: `PeerError` where `openssl` fails.
    public func revoke(
        _ revoked: [TestIdentity], in file: String, dates: (String, String)? = nil
    ) throws {
        let command =
            ["openssl", "ca", "-config", "\(folder)/ca.cnf", "-cert", certificate]
            + ["-keyfile", "\(folder)/ca.key"]
        for identity in revoked { try run(command + ["-revoke", identity.chain]) }
        let times = dates.map { ["-crl_lastupdate", $0.0, "-crl_nextupdate", $0.1] }
        try run(command + ["-gencrl", "-out", file] + (times ?? ["-crldays", "30"]))
    }

    private static func makeKey(_ file: String) throws {
        try run(
            ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
                + ["-out", file])
    }

    private static let settings = """
        [req]
        distinguished_name = name
        prompt = no
        utf8 = yes
        string_mask = utf8only
        [name]
        CN = replaced
        [ca]
        default_ca = defaults
        [defaults]
        new_certs_dir = FOLDER
        database = FOLDER/index.txt
        serial = FOLDER/serial
        rand_serial = yes
        default_md = sha256
        default_days = 30
        policy = any
        unique_subject = no
        [any]
        O = optional
        CN = optional
        [authority]
        basicConstraints = critical,CA:TRUE
        keyUsage = critical,keyCertSign,cRLSign
        subjectKeyIdentifier = hash
        [client]
        basicConstraints = critical,CA:FALSE
        keyUsage = critical,digitalSignature
        extendedKeyUsage = clientAuth
        subjectKeyIdentifier = hash
        authorityKeyIdentifier = keyid
        [server]
        basicConstraints = critical,CA:FALSE
        keyUsage = critical,digitalSignature
        extendedKeyUsage = serverAuth
        subjectKeyIdentifier = hash
        authorityKeyIdentifier = keyid
        [large]
        basicConstraints = critical,CA:FALSE
        keyUsage = critical,digitalSignature
        extendedKeyUsage = clientAuth
        nsComment = LARGE
        subjectKeyIdentifier = hash
        authorityKeyIdentifier = keyid
        """
        .replacing("LARGE", with: String(repeating: "x", count: 7_000))
        + "\n"
}

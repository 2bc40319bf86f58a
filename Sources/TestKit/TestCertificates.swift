// SPDX-License-Identifier: Apache-2.0

/// A certificate chain and its key as files.
public struct TestIdentity: Sendable, Equatable {
    /// PEM file of the chain.
    public let chain: String
    /// PEM file of the key.
    public let key: String

    /// Files by their paths.
    public init(chain: String, key: String) {
        self.chain = chain
        self.key = key
    }

    /// As a configuration names them.
    public var setting: String { "{ chain: \"\(chain)\", key: \"\(key)\" }" }
}

/// A certificate authority of the tests' own, made once per process by the `openssl` command.
public struct TestCertificates: Sendable {
    /// What kind of key a certificate has.
    public enum KeyKind: Sendable {
        /// EC P-256.
        case ecdsa
        /// RSA, 2048 bits.
        case rsa
    }

    /// PEM file with the authority's certificate.
    public let authority: String
    /// EC certificate for localhost, 127.0.0.1 and ::1.
    public let local: TestIdentity
    /// RSA certificate for the same names.
    public let localRSA: TestIdentity
    /// EC certificate for chat.example.
    public let chat: TestIdentity
    /// EC certificate for *.wild.example.
    public let wildcard: TestIdentity

    private let folder: String

    private static let made = Result { try TestCertificates() }

    /// The certificates of this process.
    public static func shared() throws -> TestCertificates {
        try made.get()
    }

    private static let localNames = "DNS:localhost,IP:127.0.0.1,IP:::1"

    private init() throws {
        let folder = try Scratch.makeFolder()
        self.folder = folder
        authority = "\(folder)/ca.pem"
        try Scratch.write(TestCertificates.settings, to: "\(folder)/openssl.cnf")
        try run(
            ["openssl", "req", "-config", "\(folder)/openssl.cnf", "-x509", "-extensions", "ca"]
                + TestCertificates.newKey(.ecdsa)
                + [
                    "-keyout", "\(folder)/ca.key", "-out", authority, "-days", "30",
                    "-subj", "/CN=Sluice test authority",
                ])
        func issue(_ name: String, _ key: KeyKind, _ names: String) throws -> TestIdentity {
            try TestCertificates.issue(name, key, names, in: folder)
        }
        local = try issue("local", .ecdsa, TestCertificates.localNames)
        localRSA = try issue("local-rsa", .rsa, TestCertificates.localNames)
        chat = try issue("chat", .ecdsa, "DNS:chat.example")
        wildcard = try issue("wildcard", .ecdsa, "DNS:*.wild.example")
    }

    /// Issues another EC certificate for the local names; `name` is its CN and file name.
    public func issueLocal(_ name: String) throws -> TestIdentity {
        try TestCertificates.issue(name, .ecdsa, TestCertificates.localNames, in: folder)
    }

    private static func issue(
        _ name: String, _ key: KeyKind, _ alternativeNames: String, in folder: String
    ) throws -> TestIdentity {
        let files = TestIdentity(chain: "\(folder)/\(name).pem", key: "\(folder)/\(name).key")
        try run(
            ["openssl", "req", "-config", "\(folder)/openssl.cnf", "-x509", "-extensions", "leaf"]
                + ["-CA", "\(folder)/ca.pem", "-CAkey", "\(folder)/ca.key"] + newKey(key)
                + [
                    "-keyout", files.key, "-out", files.chain, "-days", "30",
                    "-subj", "/CN=\(name)", "-addext", "subjectAltName=\(alternativeNames)",
                ])
        return files
    }

    private static func newKey(_ kind: KeyKind) -> [String] {
        switch kind {
        case .ecdsa: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        case .rsa: ["-newkey", "rsa:2048", "-nodes"]
        }
    }

    private static let settings = """
        [req]
        distinguished_name = name
        prompt = no
        [name]
        CN = replaced
        [ca]
        basicConstraints = critical,CA:TRUE
        keyUsage = critical,keyCertSign,cRLSign
        subjectKeyIdentifier = hash
        [leaf]
        basicConstraints = critical,CA:FALSE
        keyUsage = critical,digitalSignature
        extendedKeyUsage = serverAuth
        subjectKeyIdentifier = hash
        authorityKeyIdentifier = keyid
        """
}

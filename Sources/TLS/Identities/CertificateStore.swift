// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What a listener's TLS accepts.
public struct TLSServerOptions: Sendable, Equatable {
    /// The oldest version accepted.
    public var minimumVersion: TLSVersion
    /// TLS 1.2 cipher list in OpenSSL's notation; nil for Mozilla's intermediate list.
    public var cipherList: String?
    /// TLS 1.3 cipher suites, colon-separated; nil for the library's.
    public var cipherSuites: String?
    /// Groups for the key exchange by OpenSSL's names, preferred first.
    public var groups: [String]
    /// Whether clients that offer HTTP/2 get it (ALPN `h2`, RFC 9113 §3.2).
    public var speaksHTTP2: Bool

    /// The oldest version accepted, and what else is not the library's or the usual choice.
    public init(
        minimumVersion: TLSVersion, cipherList: String? = nil,
        cipherSuites: String? = nil, groups: [String] = KeyExchangeGroups.defaults,
        speaksHTTP2: Bool = false
    ) {
        self.speaksHTTP2 = speaksHTTP2
        self.minimumVersion = minimumVersion
        self.cipherList = cipherList
        self.cipherSuites = cipherSuites
        self.groups = groups
    }
}

/// The certificates of one listener: which chain answers to which name.
///
/// Immutable; a reload makes a new one and new connections use it, while live ones keep theirs.
/// Chains for the same name with keys of different kinds (ECDSA, RSA) stand side by side, and the
/// client's offer decides. An unknown name gets the first chain.
public final class CertificateStore: Sendable {
    /// The context a new connection begins with, before its name is known.
    public let initial: TLSContext
    /// The first chain's names, for people.
    public let defaultNames: [String]
    /// The names and addresses of all chains, each once, in the order of the chains.
    public let names: [String]
    /// SHA-256 of each chain's own certificate in hexadecimal digits, by the chain's file.
    public let fingerprints: [String: String]
    /// What clients are going to say of the chains, which are served all the same.
    public let warnings: [IdentityProblem]
    /// From when until when the certificates of the chains are valid, and what clients' certificates are judged by.
    public let terms: [IdentityTerm]
    /// Whose clients are let in; nil where no certificates are asked for.
    public let clients: ClientAuthorities?

    /// Reads all files and makes the contexts.
    ///
    /// - Parameters:
    ///   - identities: chains and keys; the first answers to unknown names.
    ///   - options: versions and ciphers.
    ///   - tickets: the keys that seal session tickets, which outlive a reload.
    ///   - clients: whose clients are let in; nil where they are not asked for certificates.
    /// - Throws: `TLSError`; where files can't be served, with all of their `problems`.
    public init(
        _ identities: [IdentityFiles], options: TLSServerOptions, tickets: TicketKeys,
        clients: ClientAuthorities? = nil
    ) throws(TLSError) {
        self.clients = clients
        SessionMemory.install()
        var loaded: [ServerIdentity] = []
        var problems: [IdentityProblem] = []
        // The forms that a private key passes through while it is read hold it too.
        SessionMemory.wiping(.everything) {
            for files in identities {
                do throws(IdentityProblem) {
                    loaded.append(try ServerIdentity(reading: files))
                } catch {
                    problems.append(error)
                }
            }
        }
        guard problems.isEmpty else { throw TLSError(problems) }
        guard let first = loaded.first else { throw TLSError("no certificate is configured") }
        defaultNames = first.names
        var seen: Set<String> = []
        self.names = loaded.flatMap(\.names).filter { seen.insert($0).inserted }
        fingerprints = Dictionary(
            loaded.map { ($0.files.chain, $0.fingerprint) }, uniquingKeysWith: { first, _ in first }
        ).merging(clients?.fingerprints ?? [:]) { first, _ in first }

        let names = NameTable()
        var contexts: [[Int]: TLSContext] = [:]
        func context(for members: [Int]) throws(TLSError) -> TLSContext {
            if let known = contexts[members] { return known }
            let made = try Self.makeContext(
                members.map { loaded[$0] }, options: options, tickets: tickets, clients: clients)
            contexts[members] = made
            return made
        }
        for name in Set(loaded.flatMap(\.names)) {
            names.contexts[name] = try context(for: Self.members(of: loaded, named: name))
        }
        let initialMembers =
            first.names.first.map { Self.members(of: loaded, named: $0) } ?? [0]
        // A context of its own: it alone holds the table, so the table never holds itself.
        let initial = try Self.makeContext(
            initialMembers.map { loaded[$0] }, options: options, tickets: tickets, clients: clients)
        names.attach(to: initial)
        self.initial = initial
        Self.warnOfUnused(loaded)
        warnings = loaded.flatMap(\.warnings) + (clients?.warnings ?? [])
        terms = loaded.flatMap(\.terms) + (clients?.terms ?? [])
    }

    /// A chain for whose names another one with the same kind of key stands in front is never sent.
    private static func warnOfUnused(_ loaded: [ServerIdentity]) {
        for (index, identity) in loaded.enumerated().dropFirst() {
            let serving = identity.names.flatMap { members(of: loaded, named: $0) }
            if serving.contains(index) { continue }
            let other = serving.first { loaded[$0].keyKind == identity.keyKind }
            identity.warn(.shadowed(by: loaded[other ?? 0].files.chain))
        }
    }

    /// Indexes of the identities that answer to a name: the first of each kind of key.
    private static func members(of loaded: [ServerIdentity], named name: String) -> [Int] {
        var kinds: Set<Int32> = []
        return loaded.indices.filter { index in
            loaded[index].names.contains(name) && kinds.insert(loaded[index].keyKind).inserted
        }
    }

    private static func makeContext(
        _ identities: [ServerIdentity], options: TLSServerOptions, tickets: TicketKeys,
        clients: ClientAuthorities?
    ) throws(TLSError) -> TLSContext {
        let pointer = try TLSContext.makeBare(
            TLS_server_method(), minimumVersion: options.minimumVersion)
        let context = TLSContext(adopting: pointer)
        try TLSContext.setGroups(pointer, options.groups)
        let ciphers = options.cipherList ?? TLSContext.cipherListIntermediate
        guard SSL_CTX_set_cipher_list(pointer, ciphers) == 1 else {
            throw TLSError.drainingQueue(
                "setting the ciphers \(ciphers)",
                remedy: "give names that `openssl ciphers -v` prints (tls.ciphers)"
            ).blaming(.cipherList)
        }
        let suites = options.cipherSuites ?? TLSContext.cipherSuitesPreferred
        guard SSL_CTX_set_ciphersuites(pointer, suites) == 1 else {
            throw TLSError.drainingQueue(
                "setting the cipher suites \(suites)",
                remedy: "give names that `openssl ciphers -s -tls1_3` prints (tls.cipherSuites)"
            ).blaming(.cipherSuites)
        }
        // The order is the server's, but for a client that puts ChaCha20 first: it knows that its machine
        // has no instructions for AES.
        SSL_CTX_set_options(pointer, sluice_op_server_preference())
        guard sluice_ctx_set1_sigalgs_list(pointer, TLSContext.signatureAlgorithms) == 1 else {
            throw TLSError.drainingQueue("setting the signature algorithms")
        }
        // Sessions are taken up again by tickets alone: no cache that reactors would share.
        _ = sluice_ctx_set_session_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_num_tickets(pointer, 1)
        SSL_CTX_set_max_early_data(pointer, 0)
        let sessionContext = Array("sluice".utf8)
        SSL_CTX_set_session_id_context(pointer, sessionContext, UInt32(sessionContext.count))
        SSL_CTX_set_alpn_select_cb(pointer, ALPN.select, options.speaksHTTP2 ? ALPN.withHTTP2 : nil)
        tickets.attach(to: context, clients)
        try clients?.attach(to: context)
        for identity in identities { try identity.use(in: pointer) }
        return context
    }
}

extension ServerIdentity {
    /// Has a context show this chain.
    func use(in pointer: OpaquePointer) throws(TLSError) {
        guard SSL_CTX_use_certificate(pointer, leaf) == 1,
            SSL_CTX_use_PrivateKey(pointer, key) == 1
        else { throw TLSError.drainingQueue("using the certificate \(files.chain)") }
        for certificate in behind
        where sluice_ctx_add1_chain_cert(pointer, certificate.pointer) != 1 {
            throw TLSError.drainingQueue("using the chain \(files.chain)")
        }
    }
}

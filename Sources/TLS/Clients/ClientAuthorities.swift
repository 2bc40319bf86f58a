// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Whose clients a listener lets in, as files.
public struct ClientAuthorityFiles: Sendable, Equatable {
    /// Certificates that clients' certificates lead to: PEM, or one in DER.
    public let authorities: String
    /// Lists of certificates that were revoked: PEM, or one in DER; nil where none are looked at.
    public let revoked: String?
    /// Whether a client without a certificate gets no connection.
    public let isRequired: Bool

    /// Names the files.
    public init(authorities: String, revoked: String? = nil, isRequired: Bool = false) {
        self.authorities = authorities
        self.revoked = revoked
        self.isRequired = isRequired
    }
}

/// Whose clients a listener lets in.
///
/// Immutable: a reload makes another one. Handshakes of all reactors verify by it at once.
public final class ClientAuthorities: Sendable {
    /// How many certificates may stand between a client's and the authority.
    static let intermediatesMax = 4
    /// Bytes of all certificates that a client may send.
    private static let listBytesMax = 32_768

    /// SHA-256 of all that the files hold, and of what is required: the same for two that let the same clients in.
    ///
    /// Sessions are bound to it: a ticket that was given under another one leads to a whole handshake.
    public let digest: [UInt8]
    /// SHA-256 of what each file holds, in hexadecimal digits.
    public let fingerprints: [String: String]
    /// What is going to keep clients out.
    public let warnings: [IdentityProblem]
    /// From when until when authorities and lists are valid.
    public let terms: [IdentityTerm]
    private let isRequired: Bool
    // Filled before anybody else sees it; OpenSSL locks its look-ups.
    nonisolated(unsafe) private let store: OpaquePointer
    // Read-only from the beginning.
    nonisolated(unsafe) private let authorities: [CertificateReference]

    /// Reads the files.
    ///
    /// - Throws: `IdentityProblem` where one can't be used.
    public init(reading files: ClientAuthorityFiles) throws(IdentityProblem) {
        SessionMemory.install()
        ERR_clear_error()
        defer { ERR_clear_error() }
        let authorities = try PEMFile.certificates(inFile: files.authorities)
        let lists =
            if let revoked = files.revoked { try RevocationList.read(revoked) } else {
                [RevocationList]()
            }
        guard let store = X509_STORE_new() else {
            throw IdentityProblem(files.authorities, .unreadable(ENOMEM))
        }
        self.store = store
        self.authorities = authorities
        isRequired = files.isRequired
        for authority in authorities {
            guard X509_STORE_add_cert(store, authority.pointer) == 1 else {
                throw IdentityProblem(
                    files.authorities, .refused(TLSError.drainingQueue("").reasons))
            }
        }
        var flags = UInt(X509_V_FLAG_PARTIAL_CHAIN)
        if let revoked = files.revoked {
            for list in lists where X509_STORE_add_crl(store, list.pointer) != 1 {
                throw IdentityProblem(revoked, .refused(TLSError.drainingQueue("").reasons))
            }
            flags |= UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)
        }
        X509_STORE_set_flags(store, flags)

        let digests = [
            Self.digest(authorities.flatMap { ClientCertificate.der($0.pointer) }),
            Self.digest(lists.flatMap(\.der)),
        ]
        digest = Self.digest(
            digests[0] + digests[1]
                + [files.revoked == nil ? 0 : 1, files.isRequired ? 1 : 0])
        var fingerprints = [files.authorities: Self.text(digests[0])]
        if let revoked = files.revoked { fingerprints[revoked] = Self.text(digests[1]) }
        self.fingerprints = fingerprints
        terms =
            authorities.map { authority in
                let (start, end) = authority.withHandle { ($0.notBefore, $0.notAfter) }
                return IdentityTerm(
                    file: files.authorities, member: .clientAuthority(authority.subject),
                    term: CertificateTerm(notBefore: start, notAfter: end))
            }
            + lists.compactMap { list in
                files.revoked.flatMap { file in
                    list.term.map {
                        IdentityTerm(file: file, member: .revocationList(list.issuer), term: $0)
                    }
                }
            }
        let now = Int64(time(nil))
        var warnings = terms.compactMap { $0.problem(at: now) }
        if let revoked = files.revoked {
            for authority in authorities
            where !lists.contains(where: { $0.isIssued(by: authority) }) {
                warnings.append(
                    IdentityProblem(revoked, .revocationListMissing(authority.subject)))
            }
        }
        self.warnings = warnings
    }

    deinit { X509_STORE_free(store) }

    private static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        let isMade = EVP_Digest(bytes, bytes.count, &digest, &count, EVP_sha256(), nil) == 1
        precondition(isMade, "OpenSSL has no SHA-256")
        return Array(digest.prefix(Int(count)))
    }

    private static func text(_ digest: [UInt8]) -> String {
        digest.map { byte in
            let text = String(byte, radix: 16)
            return text.count < 2 ? "0" + text : text
        }.joined()
    }

    // MARK: Handshakes

    /// Has a context ask clients for certificates, verify them and bind its sessions to these authorities.
    func attach(to context: TLSContext) throws(TLSError) {
        let pointer = context.pointer
        guard sluice_ctx_set1_verify_cert_store(pointer, store) == 1,
            SSL_CTX_set_session_id_context(pointer, digest, UInt32(digest.count)) == 1
        else { throw TLSError.drainingQueue("setting the authorities of clients") }
        for authority in authorities {
            // What the client is asked for: people then choose among the certificates that may fit.
            SSL_CTX_add_client_CA(pointer, authority.pointer)
        }
        SSL_CTX_set_verify_depth(pointer, Int32(Self.intermediatesMax))
        _ = sluice_ctx_set_max_cert_list(pointer, Self.listBytesMax)
        SSL_CTX_set_verify(
            pointer, SSL_VERIFY_PEER | (isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            Self.judge)
    }

    /// What OpenSSL asks about each certificate of a chain, from the authority to the client's.
    private static let judge: @convention(c) (Int32, OpaquePointer?) -> Int32 = {
        isSound, context in
        guard let context else { return 0 }
        let error = X509_STORE_CTX_get_error(context)
        let depth = X509_STORE_CTX_get_error_depth(context)
        let chain = X509_STORE_CTX_get0_chain(context)
        if isSound == 1 {
            if depth == 0, let chain, let ssl = sluice_verified_session(context),
                !ClientTicket.fits(chain)
            {
                SSL_set_num_tickets(ssl, 0)
            }
            return 1
        }
        // Whoever signed the authority need not say that it holds: the operator has said so.
        if error == X509_V_ERR_UNABLE_TO_GET_CRL, let chain, depth == sluice_x509_count(chain) - 1 {
            X509_STORE_CTX_set_error(context, X509_V_OK)
            return 1
        }
        if let ssl = sluice_verified_session(context) {
            RefusedClient.note(error, X509_STORE_CTX_get_current_cert(context), on: ssl)
        }
        return 0
    }

    // MARK: Sessions that are taken up again

    /// Whether a ticket's session may go on: the client's certificate that it was made with would be let in now.
    func admits(_ session: OpaquePointer?) -> Bool {
        guard let session else { return false }
        guard let leaf = SSL_SESSION_get0_peer(session) else { return !isRequired }
        guard let context = X509_STORE_CTX_new(), let others = sluice_x509_stack() else {
            return false
        }
        defer {
            X509_STORE_CTX_free(context)
            sluice_x509_stack_free(others)
            ERR_clear_error()
        }
        let behind = ClientTicket.certificates(in: session)
        return withExtendedLifetime(behind) {
            for certificate in behind where sluice_x509_push(others, certificate.pointer) <= 0 {
                return false
            }
            guard X509_STORE_CTX_init(context, store, leaf, others) == 1,
                X509_STORE_CTX_set_default(context, "ssl_client") == 1
            else { return false }
            X509_STORE_CTX_set_depth(context, Int32(Self.intermediatesMax))
            X509_STORE_CTX_set_verify_cb(context, Self.judge)
            return X509_verify_cert(context) == 1
        }
    }
}

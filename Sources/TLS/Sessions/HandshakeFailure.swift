// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Why a handshake with a client has failed, and what that client had offered.
public struct HandshakeFailure: Sendable, Equatable {
    /// A cause, as fine as a log tells them apart.
    public enum Cause: Sendable, Hashable {
        /// The client sent this fatal alert (RFC 8446 §6.2).
        case alert(UInt8)
        /// The client refused the certificate by this alert, and had asked for a name that it is not for; its
        /// own names stand here.
        case otherName(UInt8, has: String)
        /// Both speak no common version.
        case noCommonVersion
        /// Both have no cipher suite in common that fits the key of a certificate.
        case noCommonSuite
        /// Both have no group for the key exchange in common.
        case noCommonGroup
        /// The client does not take the curve of a certificate's key, which stands here; in TLS 1.2 its
        /// groups say which it takes (RFC 8422 §4, §5.1).
        case noCurveOfCertificate(String)
        /// The client takes no signature by the key of a certificate.
        case noCommonSignature
        /// The client offers none of the application protocols of the listener.
        case noCommonProtocol
        /// The client has shown no certificate where one is required.
        case noClientCertificate
        /// The client's certificate is refused; whose it is, as far as that is known.
        case clientCertificate(ClientFault, subject: String)
        /// Anything else, in OpenSSL's words.
        case other(String)
    }

    /// What made the handshake fail.
    public let cause: Cause
    /// What the client offered; nil where its ClientHello could not be read.
    public let offer: ClientOffer?

    /// A failure with its cause and what the client had offered; `offer` is nil if unknown.
    public init(cause: Cause, offer: ClientOffer?) {
        self.cause = cause
        self.offer = offer
    }

    /// One line: why, what to do about it, what the client offered.
    public var description: String {
        let offered = offer.map { "; it offers \($0)" } ?? ""
        return "TLS handshake failed: \(cause.sentence)\(offered)"
    }
}

extension HandshakeFailure.Cause {
    /// Why and what to do, as a clause.
    public var sentence: String {
        switch self {
        case .alert(let number): Self.sentence(ofAlert: number)
        case .otherName(let number, let names):
            "the client refuses this certificate, which is for \(names) and not for the name that was asked"
                + " for (alert \(Self.name(ofAlert: number))): use a name in the URL that it has, or serve a"
                + " certificate for that name too"
        case .noCommonVersion:
            "the client speaks no version of TLS that this listener does (tls.minimumVersion)"
        case .noCommonSuite:
            "the client has no cipher suite that this listener has and the key of a certificate fits"
                + " (tls.ciphers, tls.cipherSuites, or a second certificate with an RSA or EC key)"
        case .noCommonGroup:
            "the client has no key exchange group that this listener has (listen[].tls.groups)"
        case .noCurveOfCertificate(let curve):
            "the client can't use a certificate with a key on \(curve), which in TLS 1.2 its groups would"
                + " have to name (a second certificate with an RSA key helps)"
        case .noCommonSignature:
            "the client takes no signature by the key of a certificate (a second certificate with an"
                + " RSA or EC P-256 key helps)"
        case .noCommonProtocol:
            "the client wants another protocol (ALPN) than those that this listener serves (tls.protocols)"
        case .noClientCertificate:
            "the client has shown no certificate, which this listener requires"
                + " (listen[].tls.clientCertificates.mode)"
        case .clientCertificate(let fault, let subject):
            "the client's certificate\(subject.isEmpty ? "" : " \(subject)") \(fault.clause)"
        case .other(let reason): reason
        }
    }

    /// What an alert of the client's means (RFC 8446 §6.2, RFC 5246 §7.2.2).
    private static func sentence(ofAlert number: UInt8) -> String {
        switch number {
        case 42, 46, 48:
            "the client does not trust this certificate (alert \(name(ofAlert: number))): have it trust"
                + " the authority that has signed it, or serve the whole chain with its intermediates"
        case 43:
            "the client can't use a certificate of this kind (alert unsupported certificate): serve one"
                + " with an EC P-256 or RSA key"
        case 44:
            "the client knows this certificate as revoked (alert certificate revoked): replace it"
        case 45:
            "the client says that the certificate has expired or is not valid yet (alert certificate"
                + " expired): renew it, or set the client's clock"
        case 40: "the client found nothing in common (alert handshake failure)"
        case 70: "the client takes no version of TLS that was chosen here (alert protocol version)"
        case 90: "the client gave up by itself (alert user canceled)"
        default: "the client ended it (alert \(name(ofAlert: number)))"
        }
    }

    private static func name(ofAlert number: UInt8) -> String {
        SSL_alert_desc_string_long(Int32(number)).map { String(cString: $0) } ?? "\(number)"
    }
}

extension TLSSession {
    /// Why the handshake has failed, taken out of OpenSSL's queue; to be asked at once.
    ///
    /// - Parameter hello: the records with which the client began.
    /// - Returns: the cause, and the offer where the records hold a whole ClientHello.
    public borrowing func takeHandshakeFailure(
        hello: UnsafeRawBufferPointer
    ) -> HandshakeFailure {
        let code = ERR_peek_last_error()
        let isOfTLS = sluice_err_lib(code) == UInt32(ERR_LIB_SSL)
        let reason = isOfTLS ? Int32(truncatingIfNeeded: sluice_err_reason(code)) : 0
        let words = TLSError.drainingQueue("TLS").reasons.last
        let offer = ClientOffer(records: hello)
        return HandshakeFailure(cause: cause(reason, words, offer), offer: offer)
    }

    private borrowing func cause(
        _ reason: Int32, _ words: String?, _ offer: ClientOffer?
    ) -> HandshakeFailure.Cause {
        // The reason of an alert that was received is its number and an offset.
        let alert = reason - SSL_AD_REASON_OFFSET
        if (0...255).contains(alert) {
            return namesWithoutMatch(UInt8(alert)).map { .otherName(UInt8(alert), has: $0) }
                ?? .alert(UInt8(alert))
        }
        switch reason {
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_WRONG_SSL_VERSION,
            SSL_R_NO_PROTOCOLS_AVAILABLE:
            return .noCommonVersion
        case SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS: return .noCommonGroup
        case SSL_R_NO_SHARED_CIPHER:
            return causeWithoutSuite(offer)
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
            return .noCommonSignature
        case SSL_R_NO_APPLICATION_PROTOCOL: return .noCommonProtocol
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return .noClientCertificate
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            guard let ssl, let refused = RefusedClient.of(ssl) else {
                return .other(words ?? "the client's certificate is refused")
            }
            return .clientCertificate(ClientFault(refused.reason), subject: refused.subject)
        default: return .other(words ?? "the peer closed the connection")
        }
    }

    /// The names of the certificate that a client has refused by an alert, where that is for no such name as it asked
    /// for; else nil.
    private borrowing func namesWithoutMatch(_ alert: UInt8) -> String? {
        // Clients send these two for a wrong name, and 48, unknown authority, for that alone.
        guard [42, 46].contains(alert), let ssl,
            let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
            let certificate = SSL_get_certificate(ssl),
            X509_check_host(certificate, name, 0, 0, nil) == 0, X509_up_ref(certificate) == 1
        else { return nil }
        let names = CertificateFacts(CertificateHandle(adopting: certificate)).names
        let more = names.count > 4 ? " and \(names.count - 4) more" : ""
        return names.isEmpty ? "no name" : names.prefix(4).joined(separator: ", ") + more
    }

    /// Why no suite is left: in TLS 1.2 groups, curves and signatures decide which can be chosen, and
    /// OpenSSL says of all of them that there is no suite in common.
    private borrowing func causeWithoutSuite(_ offer: ClientOffer?) -> HandshakeFailure.Cause {
        guard let ssl, let offer, SSL_version(ssl) <= Int32(TLSVersion.tls12.rawValue) else {
            return .noCommonSuite
        }
        let ours = SSL_get_ciphers(ssl)
        let shared = (0..<sluice_cipher_count(ours)).compactMap { sluice_cipher_at(ours, $0) }
            .filter { offer.suites.contains(SSL_CIPHER_get_protocol_id($0)) }
        if shared.isEmpty { return .noCommonSuite }
        if !offer.groups.isEmpty, sluice_shared_group_count(ssl) == 0 { return .noCommonGroup }
        var place = sluice_current_cert(ssl, Int(SSL_CERT_SET_FIRST))
        while place == 1 {
            defer { place = sluice_current_cert(ssl, Int(SSL_CERT_SET_NEXT)) }
            let kind = EVP_PKEY_get_base_id(SSL_get_privatekey(ssl))
            let proof = kind == EVP_PKEY_RSA ? NID_auth_rsa : NID_auth_ecdsa
            guard shared.contains(where: { SSL_CIPHER_get_auth_nid($0) == proof }) else { continue }
            if kind == EVP_PKEY_EC, !offer.groups.isEmpty,
                let curve = Self.curve(of: SSL_get_privatekey(ssl)),
                !offer.groups.contains(curve.number)
            {
                return .noCurveOfCertificate(curve.name)
            }
            if !hasSharedSignature(by: kind) { return .noCommonSignature }
        }
        return .noCommonSuite
    }

    /// Whether the client takes any signature by such a key that this listener makes.
    private borrowing func hasSharedSignature(by kind: Int32) -> Bool {
        guard let ssl else { return false }
        return (0..<max(0, SSL_get_shared_sigalgs(ssl, 0, nil, nil, nil, nil, nil))).contains {
            var signer: Int32 = 0
            SSL_get_shared_sigalgs(ssl, $0, &signer, nil, nil, nil, nil)
            // A plain RSA key signs by PSS too.
            return signer == kind || kind == EVP_PKEY_RSA && signer == EVP_PKEY_RSA_PSS
        }
    }

    /// The curve of a key with its number among the groups (RFC 8422 §5.1.1).
    private static func curve(of key: OpaquePointer?) -> (number: UInt16, name: String)? {
        var name = [CChar](repeating: 0, count: 64)
        guard let key, EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1 else { return nil }
        let text = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        switch String(decoding: text, as: UTF8.self) {
        case SN_X9_62_prime256v1, "P-256": return (0x0017, "P-256")
        case SN_secp384r1, "P-384": return (0x0018, "P-384")
        case SN_secp521r1, "P-521": return (0x0019, "P-521")
        default: return nil
        }
    }
}

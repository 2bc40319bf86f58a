// SPDX-License-Identifier: Apache-2.0
import COpenSSL

extension TLSProbe {
    /// One thing that is wrong with the server's certificate.
    public enum Fault: Sendable, Equatable {
        /// It was signed by nobody but itself.
        case selfSigned
        /// Its authority is not known here.
        case untrusted
        /// It is for other names.
        case wrongName
        /// Its time is over.
        case expired
        /// Its time has not begun.
        case notYetValid
        /// Something else, in OpenSSL's words.
        case other(String)

        /// Reads OpenSSL's code (X509_V_ERR_…).
        init(_ code: Int32) {
            switch code {
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: self = .selfSigned
            case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
                self = .untrusted
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: self = .wrongName
            case X509_V_ERR_CERT_HAS_EXPIRED: self = .expired
            case X509_V_ERR_CERT_NOT_YET_VALID: self = .notYetValid
            default: self = .other(String(cString: X509_verify_cert_error_string(Int(code))))
            }
        }
    }

    /// The certificates that the server sent, its own first.
    public var chain: [CertificateFacts] {
        sent.map { pointer in
            X509_up_ref(pointer)
            return CertificateFacts(CertificateHandle(adopting: pointer))
        }
    }

    /// The server's own certificate.
    public var certificate: CertificateFacts? { chain.first }

    private var sent: [OpaquePointer] {
        guard let stack = SSL_get_peer_cert_chain(ssl) else { return [] }
        return (0..<sluice_x509_count(stack)).compactMap { sluice_x509_at(stack, $0) }
    }

    /// Whether the server sent one certificate that names a place where its issuer's is
    /// (RFC 5280 §4.2.2.1), and not that one: private authorities do not do that.
    public var isLeafAlone: Bool {
        let sent = sent
        return sent.count == 1 && X509_get_ext_by_NID(sent[0], NID_info_access, -1) >= 0
    }

    /// Why browsers hold a certificate for too weak, of those that were sent; nil where they do not.
    public var weakness: String? {
        for (index, pointer) in sent.enumerated() {
            let whose = index == 0 ? "the certificate" : "an intermediate"
            if let key = X509_get0_pubkey(pointer), let wrong = Self.weakness(of: key) {
                return "\(whose) has \(wrong)"
            }
            var digest: Int32 = 0
            // The signature of a root is nobody's proof.
            if X509_get_signature_info(pointer, &digest, nil, nil, nil) == 1,
                digest == NID_sha1 || digest == NID_md5,
                X509_NAME_cmp(X509_get_subject_name(pointer), X509_get_issuer_name(pointer)) != 0
            {
                return "\(whose) is signed with \(digest == NID_sha1 ? "SHA-1" : "MD5")"
            }
        }
        return nil
    }

    /// Browsers want 2048 bits of RSA, 256 of EC, and take no DSA.
    private static func weakness(of key: OpaquePointer) -> String? {
        let bits = EVP_PKEY_get_bits(key)
        if EVP_PKEY_is_a(key, "RSA") == 1, bits < 2_048 { return "an RSA key of \(bits) bits" }
        if EVP_PKEY_is_a(key, "EC") == 1, bits < 256 { return "an EC key of \(bits) bits" }
        return EVP_PKEY_is_a(key, "DSA") == 1 ? "a DSA key" : nil
    }
}

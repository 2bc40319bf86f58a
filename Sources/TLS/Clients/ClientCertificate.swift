// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// The certificate that a client has proven to be its own, copied out of OpenSSL.
///
/// It was verified by `ClientAuthorities`, in the handshake or, where a session was taken up again, in the one before and
/// once more then.
public final class ClientCertificate: Sendable {
    /// The whole certificate in DER.
    public let der: [UInt8]
    /// What stands between it and the authority, in DER: each was signed by the next one's key.
    public let chain: [[UInt8]]
    /// Whom it is for, as `CN=…,O=…` (RFC 4514); may be empty where it has names.
    public let subject: String
    /// Its names.
    public let names: [CertifiedName]
    /// SHA-256 of the whole certificate.
    public let fingerprint: [UInt8]
    /// The last second at which it is valid, since 1970.
    public let notAfter: Int64
    /// `ClientAuthorities.digest` of those that have verified it.
    public let authorities: [UInt8]

    /// Who the client is in one text: the subject, or the first name where that is empty.
    public var identity: String {
        subject.isEmpty ? names.first { !$0.text.isEmpty }?.text ?? "" : subject
    }

    init?(_ pointer: OpaquePointer, chain: [[UInt8]], authorities: [UInt8]) {
        guard X509_up_ref(pointer) == 1 else { return nil }
        let handle = CertificateHandle(adopting: pointer)
        der = Self.der(pointer)
        self.chain = chain
        subject = handle.subject
        notAfter = handle.notAfter
        names = Self.names(of: pointer)
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard !der.isEmpty, X509_digest(pointer, EVP_sha256(), &digest, &count) == 1 else {
            ERR_clear_error()
            return nil
        }
        fingerprint = Array(digest.prefix(Int(count)))
        self.authorities = authorities
    }

    /// A certificate in DER; empty where memory is short.
    static func der(_ pointer: OpaquePointer) -> [UInt8] {
        let count = i2d_X509(pointer, nil)
        guard count > 0 else { return [] }
        var der = [UInt8](repeating: 0, count: Int(count))
        der.withUnsafeMutableBufferPointer { bytes in
            var start = bytes.baseAddress
            _ = i2d_X509(pointer, &start)
        }
        return der
    }

    private static func names(of pointer: OpaquePointer) -> [CertifiedName] {
        guard let found = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil) else {
            ERR_clear_error()
            return []
        }
        let list = OpaquePointer(found)
        defer { GENERAL_NAMES_free(list) }
        return (0..<sluice_general_name_count(list)).compactMap { index in
            sluice_general_name(list, index).flatMap {
                CertifiedName($0, kind: sluice_general_name_type($0))
            }
        }
    }
}

extension TLSSession {
    /// The certificate of the client of a finished handshake; nil where it has shown none.
    ///
    /// To be asked before OpenSSL's object is released.
    public borrowing func clientCertificate(
        verifiedBy authorities: ClientAuthorities
    ) -> ClientCertificate? {
        guard let ssl, SSL_get_verify_result(ssl) == Int(X509_V_OK),
            let leaf = SSL_get0_peer_certificate(ssl)
        else { return nil }
        return ClientCertificate(
            leaf, chain: ClientTicket.chain(of: ssl), authorities: authorities.digest)
    }
}

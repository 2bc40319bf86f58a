// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Why a client's certificate was refused in a handshake, kept with its session for the log.
final class RefusedClient {
    /// OpenSSL's number of the reason: `X509_V_ERR_…`.
    let reason: Int32
    /// Whose certificate it is about, as `CN=…,O=…`; empty where that is unknown.
    let subject: String

    private init(_ reason: Int32, subject: String) {
        self.reason = reason
        self.subject = subject
    }

    private static let index = CRYPTO_get_ex_new_index(
        CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil,
        { _, object, _, _, _, _ in
            if let object { Unmanaged<AnyObject>.fromOpaque(object).release() }
        })

    /// Keeps the first reason of a session.
    static func note(_ reason: Int32, _ certificate: OpaquePointer?, on ssl: OpaquePointer) {
        guard SSL_get_ex_data(ssl, index) == nil else { return }
        let subject = certificate.map { CertificateHandle.text(X509_get_subject_name($0)) } ?? ""
        let refused = Unmanaged.passRetained(RefusedClient(reason, subject: subject))
        if SSL_set_ex_data(ssl, index, refused.toOpaque()) != 1 { refused.release() }
    }

    /// The reason that was kept; nil for none.
    static func of(_ ssl: OpaquePointer) -> RefusedClient? {
        SSL_get_ex_data(ssl, index).map {
            Unmanaged<RefusedClient>.fromOpaque($0).takeUnretainedValue()
        }
    }
}

/// What was wrong with a client's certificate.
public enum ClientFault: Sendable, Hashable {
    /// Its time is over, or has not begun.
    case expired, notYetValid
    /// It is not for clients.
    case purpose
    /// More certificates stand between it and the authority than may.
    case chainTooLong
    /// No authority that is known has signed it.
    case unknownAuthority
    /// Its authority has revoked it.
    case revoked
    /// The authority's list of what it has revoked is too old, is not valid yet, or is not there.
    case listOver, listNotYetValid, listMissing
    /// Anything else, in OpenSSL's words.
    case other(String)

    init(_ reason: Int32) {
        switch reason {
        case X509_V_ERR_CERT_HAS_EXPIRED: self = .expired
        case X509_V_ERR_CERT_NOT_YET_VALID: self = .notYetValid
        case X509_V_ERR_INVALID_PURPOSE: self = .purpose
        case X509_V_ERR_CERT_CHAIN_TOO_LONG: self = .chainTooLong
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
            X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_CERT_UNTRUSTED:
            self = .unknownAuthority
        case X509_V_ERR_CERT_REVOKED: self = .revoked
        case X509_V_ERR_CRL_HAS_EXPIRED: self = .listOver
        case X509_V_ERR_CRL_NOT_YET_VALID: self = .listNotYetValid
        case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER: self = .listMissing
        default:
            self = .other(
                X509_verify_cert_error_string(Int(reason)).map { String(cString: $0) } ?? "")
        }
    }

    /// What was found and what to do, as a clause behind whose certificate it is.
    var clause: String {
        switch self {
        case .expired: "has expired: the client needs a new one"
        case .notYetValid:
            "is not valid yet: check the clock of this machine and that of the authority"
        case .purpose:
            "is not for clients: its extended key usage lacks clientAuth, or what signed it may not"
        case .chainTooLong:
            "has more than \(ClientAuthorities.intermediatesMax) certificates between it and the"
                + " authority"
        case .unknownAuthority:
            "leads to no authority of listen[].tls.clientCertificates.ca: add the one that has signed"
                + " it, or have the client send what stands between"
        case .revoked: "was revoked by its authority"
        case .listOver:
            "can't be judged, since the list of revoked certificates is over: put the authority's"
                + " new one into listen[].tls.clientCertificates.revoked, and do: sluice reload"
        case .listNotYetValid:
            "can't be judged, since the list of revoked certificates is not valid yet: check the"
                + " clock of this machine"
        case .listMissing:
            "can't be judged, since listen[].tls.clientCertificates.revoked has no list of who"
                + " signed it: append that"
        case .other(let words): "is refused: \(words)"
        }
    }
}

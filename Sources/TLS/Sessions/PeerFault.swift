// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Why a session with a server has failed, as a client tells it apart.
public struct PeerFault: Sendable, Equatable {
    /// Who or what ended it.
    public enum Cause: Sendable, Equatable {
        /// The server sent this fatal alert; its name as in RFC 8446 §6.2, with spaces.
        case alert(String)
        /// The server's certificate is not trusted; the reason in OpenSSL's words.
        case certificate(String)
        /// Anything else.
        case other
    }

    /// What it was.
    public let cause: Cause
    /// The same as a clause for people.
    public let sentence: String
}

extension TLSSession {
    /// Why the last call has failed, taken out of OpenSSL's queue; to be asked at once.
    public borrowing func takePeerFault() -> PeerFault {
        if let layer, case .byPeer? = layer.pointee.failure {
            let name = alertName(layer.pointee.peerAlert)
            return PeerFault(
                cause: .alert(name), sentence: "the server sent the alert \(name)")
        }
        let code = ERR_peek_last_error()
        let isOfTLS = sluice_err_lib(code) == UInt32(ERR_LIB_SSL)
        let reason = isOfTLS ? Int32(truncatingIfNeeded: sluice_err_reason(code)) : 0
        let words = takeError().description
        if let number = UInt8(exactly: reason - SSL_AD_REASON_OFFSET), number > 0 {
            let name = alertName(number)
            return PeerFault(
                cause: .alert(name), sentence: "the server sent the alert \(name)")
        }
        if reason == SSL_R_CERTIFICATE_VERIFY_FAILED, let ssl {
            let result = SSL_get_verify_result(ssl)
            let why = X509_verify_cert_error_string(result).map { String(cString: $0) } ?? ""
            return PeerFault(
                cause: .certificate(why), sentence: "the certificate is not trusted: \(why)")
        }
        return PeerFault(cause: .other, sentence: words)
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Why TLS with a server did not come about, or broke: what was found there, and what to do.
public struct DestinationFault: Sendable, Equatable {
    /// What of it others decide by (RFC 9209 §2.3).
    public enum Kind: Sendable, Equatable {
        /// The server's certificate can't be believed.
        case certificate
        /// The server sent this fatal alert (RFC 8446 §6.2).
        case alert(UInt8)
        /// Anything else.
        case failure
    }

    /// What kind of fault it is.
    public let kind: Kind
    /// What was found, and what to do, as a clause of which the server is the subject.
    public let clause: String

    init(_ kind: Kind, _ clause: String) {
        self.kind = kind
        self.clause = clause
    }

    /// An alert's name in words, for `alert-message` (RFC 9209 §2.3.17).
    public static func name(ofAlert number: UInt8) -> String { alertName(number) }

    /// The server said something that is no TLS, which began with `bytes`.
    public static func plain(_ bytes: UnsafeRawBufferPointer) -> DestinationFault {
        let isHTTP = bytes.starts(with: "HTTP/".utf8)
        return DestinationFault(
            .failure,
            (isHTTP
                ? "it answered in plain HTTP, so it speaks no TLS there"
                : "what it sent is no TLS")
                + ": write ws:// or http:// for it, or name the port at which it speaks TLS")
    }

    /// The server has ended the connection within the handshake.
    public static let ended = DestinationFault(
        .failure,
        "it closed the connection within the TLS handshake: see its own log, and whether it speaks TLS at"
            + " that port")

    /// The server has reset the connection within the handshake.
    public static let reset = DestinationFault(
        .failure,
        "it reset the connection within the TLS handshake: see its own log, and whether it speaks TLS at"
            + " that port")

    /// The server sent data before it was asked for any.
    public static let early = DestinationFault(
        .failure, "it sent data behind the TLS handshake before it was asked for any")

    /// The server goes on and on before the handshake is done.
    public static let endless = DestinationFault(
        .failure, "its TLS handshake has no end: see whether it speaks TLS at that port")

    /// No session could be begun.
    public static let unusableName = DestinationFault(
        .failure, "its name can't be asked for by TLS: name one that can as tls.serverName")
}

extension TLSSession {
    /// Bytes that a server may send before the handshake is done: more than any chain of certificates that is
    /// taken has, and an end where one says again and again that it wants to begin anew.
    public static let handshakeBytesMax = 256 * 1_024

    /// Whether a byte may begin what a server sends in a handshake: a message of it, or an alert.
    public static func mayBegin(with byte: UInt8) -> Bool {
        byte == RecordType.handshake.rawValue || byte == RecordType.alert.rawValue
    }

    /// Why a session with a server has failed, taken out of OpenSSL's queue; to be asked at once.
    ///
    /// - Parameter serverName: the name that its certificate was to have.
    /// - Returns: what was found, and what to do.
    public borrowing func takeDestinationFault(of serverName: String) -> DestinationFault {
        if let layer, let failure = layer.pointee.failure {
            if case .byPeer = failure {
                return Self.fault(ofAlert: layer.pointee.peerAlert, serverName)
            }
            return DestinationFault(
                .failure, "it broke the rules of TLS (\(failure.reason)): see its own log")
        }
        let code = ERR_peek_last_error()
        let isOfTLS = sluice_err_lib(code) == UInt32(ERR_LIB_SSL)
        let reason = isOfTLS ? Int32(truncatingIfNeeded: sluice_err_reason(code)) : 0
        let words = TLSError.drainingQueue("TLS", remedy: nil).reasons.last
        if let number = UInt8(exactly: reason - SSL_AD_REASON_OFFSET), number > 0 {
            return Self.fault(ofAlert: number, serverName)
        }
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: return certificateFault(serverName)
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_WRONG_SSL_VERSION:
            return DestinationFault(
                .failure,
                "it chose a version of TLS that is older than tls.minimumVersion allows: have it speak"
                    + " TLS 1.2 or 1.3")
        case SSL_R_EXCESSIVE_MESSAGE_SIZE:
            return DestinationFault(
                .certificate,
                "it sent a chain of certificates that is too long: leave out what does not belong to it"
            )
        default:
            return DestinationFault(
                .failure,
                "the TLS handshake failed (\(words ?? "for no reason that OpenSSL names")): see its own log"
            )
        }
    }

    /// What an alert of the server's means, and what to do (RFC 8446 §6.2, RFC 5246 §7.2.2).
    private static func fault(ofAlert number: UInt8, _ serverName: String) -> DestinationFault {
        let advice =
            switch number {
            case 116: "it wants a certificate of its clients: name one as tls.certificate"
            case 41...46, 48, 49:
                "it does not take the certificate that Sluice shows, or its authority: see tls.certificate, and"
                    + " whom it trusts"
            case 40:
                "it found nothing in common, or wants a certificate of its clients (tls.certificate): see its own log"
            case 70: "it speaks no version of TLS from tls.minimumVersion on"
            case 112:
                "it does not know the name \(serverName): name one that it knows as tls.serverName"
            case 120: "it does not speak HTTP/1.1 there"
            default: "see its own log"
            }
        return DestinationFault(
            .alert(number), "it ended TLS with the alert \(alertName(number)): \(advice)")
    }

    /// What is wrong with the certificate that the server has shown.
    private borrowing func certificateFault(_ serverName: String) -> DestinationFault {
        guard let ssl else {
            return DestinationFault(.certificate, "its certificate is not trusted")
        }
        let code = Int32(truncatingIfNeeded: SSL_get_verify_result(ssl))
        let facts = shownCertificate()
        let clause: String
        switch TLSProbe.Fault(code) {
        case .selfSigned:
            clause =
                "its certificate is self-signed: name its file as tls.ca, or have an authority sign it"
        case .untrusted:
            let issuer = facts.map { " (\(Self.shown($0.issuer, most: 200)))" } ?? ""
            clause =
                "its certificate was signed by an authority that is not trusted here\(issuer): name that"
                + " authority's file as tls.ca, or have it send its intermediates too"
        case .wrongName:
            let names = facts?.names ?? []
            let shown = names.prefix(4).map { Self.shown($0, most: 100) }.joined(separator: ", ")
            let more = names.count > 4 ? " and \(names.count - 4) more" : ""
            clause =
                "its certificate is for \(names.isEmpty ? "no name" : shown + more) and not for \(serverName):"
                + " name one that it has as tls.serverName, or give it a certificate for that name"
        case .expired:
            let day = facts.map { " on \(IdentityProblem.date($0.notAfter))" } ?? ""
            clause = "its certificate, or one of its chain, has expired\(day): renew it"
        case .notYetValid:
            let day = facts.map { " before \(IdentityProblem.date($0.notBefore))" } ?? ""
            clause =
                "its certificate, or one of its chain, is not valid\(day): see the clocks of both machines"
        case .other(let words):
            switch code {
            case X509_V_ERR_INVALID_PURPOSE:
                clause =
                    "its certificate is not for servers: ask its authority for one with the extended key usage"
                    + " serverAuth"
            case X509_V_ERR_CERT_CHAIN_TOO_LONG:
                clause =
                    "its certificate has more than \(TLSContext.chainMax) others between itself and an"
                    + " authority that is trusted: trust one of these as tls.ca"
            default: clause = "its certificate is not trusted: \(words)"
            }
        }
        return DestinationFault(.certificate, clause)
    }

    /// A text of a certificate that nobody has verified, as it may stand in a sentence.
    ///
    /// What counts are scalars: of what people see as one character there may be any number.
    static func shown(_ text: String, most: Int) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(most).map {
                    $0.value < 0x20 || 0x7F...0x9F ~= $0.value ? "?" : $0
                }))
    }

    /// The certificate at which verifying has stopped: its own is the first of the chain.
    private borrowing func shownCertificate() -> CertificateFacts? {
        guard let ssl, let chain = SSL_get0_verified_chain(ssl), sluice_x509_count(chain) > 0,
            let own = sluice_x509_at(chain, 0), X509_up_ref(own) == 1
        else { return nil }
        return CertificateFacts(CertificateHandle(adopting: own))
    }
}

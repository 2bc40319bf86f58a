// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Application-layer protocol negotiation (RFC 7301): Sluice speaks HTTP/1.1, and HTTP/2 where it may.
public enum ALPN {
    /// The name of HTTP/1.1 in the IANA registry.
    public static let http1 = "http/1.1"
    /// The name of HTTP/2 over TLS there.
    public static let http2 = "h2"

    /// Length-prefixed names one after the other, as OpenSSL takes them.
    static func wireForm(of names: [String]) -> [UInt8] {
        names.flatMap { [UInt8(truncatingIfNeeded: $0.utf8.count)] + Array($0.utf8) }
    }

    /// The argument of `select` where HTTP/2 may be spoken; nil where only HTTP/1.1.
    static var withHTTP2: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 1) }

    /// Agrees on `h2` where it may be spoken and is offered, else on `http/1.1`; a client that offers only
    /// other protocols gets an alert.
    ///
    /// Clients end a connection of HTTP/2 whose cipher is one of those that RFC 9113 §9.2.2 rules out, so with
    /// such a cipher it is not agreed on.
    static let select:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
            UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { session, chosen, chosenCount, offered, offeredCount, argument in
            guard let chosen, let chosenCount, let offered else { return SSL_TLSEXT_ERR_NOACK }
            var offset = 0
            var isChosen = false
            while offset < Int(offeredCount) {
                let count = Int(offered[offset])
                guard offset + 1 + count <= Int(offeredCount) else { break }
                let name = offered + offset + 1
                if count == 8, !isChosen, memcmp(name, "http/1.1", 8) == 0 {
                    chosen.pointee = name
                    chosenCount.pointee = 8
                    isChosen = true
                }
                // The server's order counts (RFC 7301 §3.2).
                if argument != nil, count == 2, memcmp(name, "h2", 2) == 0, isFitForHTTP2(session) {
                    chosen.pointee = name
                    chosenCount.pointee = 2
                    return SSL_TLSEXT_ERR_OK
                }
                offset += 1 + count
            }
            return isChosen ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
        }

    /// Whether the cipher that a server has just chosen encrypts with an AEAD, and with keys of this
    /// handshake alone: all of TLS 1.3 do (RFC 9113 §9.2.2 and appendix A).
    private static func isFitForHTTP2(_ session: OpaquePointer?) -> Bool {
        guard let session, let cipher = SSL_get_pending_cipher(session) else { return false }
        return SSL_CIPHER_is_aead(cipher) == 1
            && [NID_kx_any, NID_kx_ecdhe, NID_kx_dhe].contains(SSL_CIPHER_get_kx_nid(cipher))
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What a session's ticket says of the client's certificate.
///
/// OpenSSL puts the certificate itself into the ticket. What stands between it and the authority is put there too, since
/// the certificate is verified again when the session is taken up.
enum ClientTicket {
    /// Bytes that the client's certificate and those behind it may have in a ticket.
    ///
    /// The client sends the ticket in its ClientHello, of which OpenSSL reads 16 KiB.
    static let bytesMax = 6_144

    /// The certificates between a client's and the authority, in DER.
    static func chain(of ssl: OpaquePointer) -> [[UInt8]] {
        if SSL_session_reused(ssl) == 1 {
            return SSL_get_session(ssl).map(kept) ?? []
        }
        guard let verified = SSL_get0_verified_chain(ssl) else { return [] }
        return between(verified)
    }

    /// The certificates of a verified chain without the first, which is the client's, and the last, which is the
    /// authority's.
    private static func between(_ chain: OpaquePointer) -> [[UInt8]] {
        let count = sluice_x509_count(chain)
        guard count > 2 else { return [] }
        return (1..<(count - 1)).compactMap { sluice_x509_at(chain, $0) }
            .map(ClientCertificate.der)
    }

    /// Whether the certificates of a verified chain have room in a ticket.
    static func fits(_ chain: OpaquePointer) -> Bool {
        let count = sluice_x509_count(chain)
        var bytes = 0
        for index in 0..<max(1, count - 1) {
            guard let certificate = sluice_x509_at(chain, index) else { continue }
            bytes += Int(max(0, i2d_X509(certificate, nil)))
        }
        return bytes <= bytesMax
    }

    /// Puts the certificates between the client's and the authority into the ticket that is being made.
    static func keepChain(of ssl: OpaquePointer) {
        guard SSL_session_reused(ssl) == 0, let session = SSL_get_session(ssl),
            let verified = SSL_get0_verified_chain(ssl)
        else { return }
        let bytes = between(verified).flatMap { $0 }
        if bytes.isEmpty { return }
        _ = SSL_SESSION_set1_ticket_appdata(session, bytes, bytes.count)
    }

    /// The certificates that a ticket had beside the client's, in DER.
    private static func kept(in session: OpaquePointer) -> [[UInt8]] {
        certificates(in: session).map { ClientCertificate.der($0.pointer) }
    }

    /// The certificates that a ticket had beside the client's.
    static func certificates(in session: OpaquePointer) -> [CertificateReference] {
        var data: UnsafeMutableRawPointer?
        var count = 0
        guard SSL_SESSION_get0_ticket_appdata(session, &data, &count) == 1, let data, count > 0
        else { return [] }
        defer { ERR_clear_error() }
        var found: [CertificateReference] = []
        var start = Optional(UnsafePointer(data.assumingMemoryBound(to: UInt8.self)))
        let end = start.map { $0 + count }
        while let at = start, let end, at < end, let pointer = d2i_X509(nil, &start, end - at) {
            found.append(CertificateReference(adopting: pointer))
        }
        return found
    }
}

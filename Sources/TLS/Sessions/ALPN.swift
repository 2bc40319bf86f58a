// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Application-layer protocol negotiation (RFC 7301): Sluice speaks HTTP/1.1.
enum ALPN {
    /// Length-prefixed names one after the other, as OpenSSL takes them.
    static func wireForm(of names: [String]) -> [UInt8] {
        names.flatMap { [UInt8(truncatingIfNeeded: $0.utf8.count)] + Array($0.utf8) }
    }

    /// Agrees on `http/1.1`; a client that offers only other protocols gets an alert.
    static let select:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
            UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { _, chosen, chosenCount, offered, offeredCount, _ in
            guard let chosen, let chosenCount, let offered else { return SSL_TLSEXT_ERR_NOACK }
            var offset = 0
            while offset < Int(offeredCount) {
                let count = Int(offered[offset])
                guard offset + 1 + count <= Int(offeredCount) else { break }
                if count == 8, memcmp(offered + offset + 1, "http/1.1", 8) == 0 {
                    chosen.pointee = offered + offset + 1
                    chosenCount.pointee = 8
                    return SSL_TLSEXT_ERR_OK
                }
                offset += 1 + count
            }
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What all sessions of one kind share: versions, ciphers, certificates, ticket keys.
///
/// Immutable once made, and used by all reactors at once; a reload makes a new one. Sessions keep
/// what they need of it alive.
public final class TLSContext: Sendable {
    // OpenSSL counts references to an SSL_CTX atomically, and none of ours changes after `init`.
    nonisolated(unsafe) let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { SSL_CTX_free(pointer) }

    /// TLS 1.2 suites of Mozilla's intermediate list that use an ephemeral elliptic curve.
    static let cipherListIntermediate =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        + "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        + "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

    /// Suites of TLS 1.3 in a server's order of preference.
    ///
    /// AES-128 stands first as in Go and BoringSSL: it is as safe in practice, its records cost less, and so
    /// does each handshake, which hashes some hundred times: processors have instructions for SHA-256,
    /// but mostly none for SHA-384.
    static let cipherSuitesPreferred =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

    /// What servers sign with, without SHA-1, SHA-224 and DSA.
    ///
    /// `RSA-PSS+…` is a signature by an ordinary RSA key; a key that is for RSA-PSS alone has numbers
    /// of its own (RFC 8446 §4.2.3).
    static let signatureAlgorithms =
        "ECDSA+SHA256:RSA-PSS+SHA256:ECDSA+SHA384:RSA-PSS+SHA384:ECDSA+SHA512:RSA-PSS+SHA512"
        + ":ed25519:ed448:rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512"
        + ":RSA+SHA256:RSA+SHA384:RSA+SHA512"

    /// Makes an `SSL_CTX` with what server and client have in common.
    static func makeBare(
        _ method: OpaquePointer?, minimumVersion: TLSVersion, maximumVersion: TLSVersion = .tls13
    ) throws(TLSError) -> OpaquePointer {
        SessionMemory.install()
        ERR_clear_error()
        guard let context = SSL_CTX_new_ex(nil, KeySchedule.properties, method) else {
            throw TLSError.drainingQueue("making a TLS context")
        }
        _ = sluice_ctx_set_min_proto_version(context, Int32(minimumVersion.rawValue))
        _ = sluice_ctx_set_max_proto_version(context, Int32(maximumVersion.rawValue))
        // Idle sessions own no record buffer; see docs/benchmarks.md for what that saves.
        _ = sluice_ctx_set_mode(context, Int(SSL_MODE_RELEASE_BUFFERS))
        SSL_CTX_set_options(context, sluice_op_no_renegotiation() | sluice_op_no_compression())
        return context
    }

    /// Lets handshakes exchange keys over these groups, those preferred first.
    static func setGroups(
        _ context: OpaquePointer, _ groups: [String] = KeyExchangeGroups.defaults
    ) throws(TLSError) {
        let list = groups.joined(separator: ":")
        guard sluice_ctx_set1_groups_list(context, list) == 1 else {
            throw TLSError.drainingQueue("setting the key exchange groups \(list)")
        }
    }
}

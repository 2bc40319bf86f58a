// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// The groups over which a handshake may exchange keys (RFC 8446 §4.2.7), by OpenSSL's names.
public enum KeyExchangeGroups {
    /// What a listener takes that names none, preferred first: the hybrid post-quantum group where
    /// the library has it, then the quick curves, then the one that some clients are bound to.
    public static let defaults: [String] =
        (isKnown("X25519MLKEM768") ? ["X25519MLKEM768"] : []) + ["X25519", "P-256", "P-384"]

    /// The names that this OpenSSL knows of those that are in use, for people.
    public static let known: [String] = [
        "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X25519", "P-256", "P-384",
        "P-521", "X448", "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192",
    ].filter(isKnown)

    /// The number in the IANA registry of a group that OpenSSL tells as SSL_get_negotiated_group(3) does: by
    /// a number of its own where it has one, else by the registry's with a mark; 0 for none.
    static func number(of identifier: Int) -> UInt16 {
        if identifier & Int(TLSEXT_nid_unknown) != 0 {
            return UInt16(truncatingIfNeeded: identifier)
        }
        return switch Int32(truncatingIfNeeded: identifier) {
        case NID_X9_62_prime256v1: 0x0017
        case NID_secp384r1: 0x0018
        case NID_secp521r1: 0x0019
        case NID_X25519: 0x001D
        case NID_X448: 0x001E
        case NID_ffdhe2048: 0x0100
        case NID_ffdhe3072: 0x0101
        case NID_ffdhe4096: 0x0102
        case NID_ffdhe6144: 0x0103
        case NID_ffdhe8192: 0x0104
        default: 0
        }
    }

    /// Whether this OpenSSL knows a group by that name, or by another one of its own.
    public static func isKnown(_ name: String) -> Bool {
        SessionMemory.install()
        ERR_clear_error()
        defer { ERR_clear_error() }
        // A colon would make it several, a null byte another, and what 3.5 reads as more than a name
        // is not one.
        let isName = name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !":?*/".utf8.contains($0) }
        guard isName, !name.isEmpty, let context = SSL_CTX_new(TLS_method()) else { return false }
        defer { SSL_CTX_free(context) }
        return sluice_ctx_set1_groups_list(context, name) == 1
    }
}

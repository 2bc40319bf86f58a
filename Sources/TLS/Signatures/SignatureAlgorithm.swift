// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// How a signature was made, by the names of RFC 7518 §3.1, RFC 8037 §3.1 and RFC 9864 §2.2.
public enum SignatureAlgorithm: String, CaseIterable, Sendable {
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    /// By the curve of the key: Ed25519 or Ed448.
    case edDSA = "EdDSA"
    case ed25519 = "Ed25519"
    case ed448 = "Ed448"

    /// The digest; nil where the algorithm has its own.
    var digest: OpaquePointer? {
        switch self {
        case .hs256, .rs256, .ps256, .es256: Self.sha256
        case .hs384, .rs384, .ps384, .es384: Self.sha384
        case .hs512, .rs512, .ps512, .es512: Self.sha512
        case .edDSA, .ed25519, .ed448: nil
        }
    }

    /// Bytes of the digest, and the fewest of a secret (RFC 7518 §3.2).
    var digestBytes: Int {
        switch self {
        case .hs256, .rs256, .ps256, .es256: 32
        case .hs384, .rs384, .ps384, .es384: 48
        case .hs512, .rs512, .ps512, .es512: 64
        case .edDSA, .ed25519, .ed448: 0
        }
    }

    var isPSS: Bool { self == .ps256 || self == .ps384 || self == .ps512 }

    nonisolated(unsafe) private static let sha256 = EVP_MD_fetch(nil, "SHA256", nil)
    nonisolated(unsafe) private static let sha384 = EVP_MD_fetch(nil, "SHA384", nil)
    nonisolated(unsafe) private static let sha512 = EVP_MD_fetch(nil, "SHA512", nil)
}

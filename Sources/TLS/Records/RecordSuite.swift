// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A cipher suite of TLS 1.3 (RFC 8446 §B.4).
enum RecordSuite: UInt8 {
    case aes128GCM
    case aes256GCM
    case chaCha20Poly1305

    /// How many there are.
    static let count = 3
    /// Bytes of a nonce, of every suite (RFC 8446 §5.3).
    static let nonceBytes = 12
    /// Bytes of a tag, of every suite (RFC 5116 §5).
    static let tagBytes = 16
    /// Bytes of the longest key.
    static let keyBytesMax = 32
    /// Bytes of the longest secret.
    static let secretBytesMax = 48

    /// The suite of a number in the IANA registry, if it is one of these.
    init?(number: UInt16) {
        switch number {
        case 0x1301: self = .aes128GCM
        case 0x1302: self = .aes256GCM
        case 0x1303: self = .chaCha20Poly1305
        default: return nil
        }
    }

    /// The name by which OpenSSL's settings know it.
    var name: String {
        switch self {
        case .aes128GCM: "TLS_AES_128_GCM_SHA256"
        case .aes256GCM: "TLS_AES_256_GCM_SHA384"
        case .chaCha20Poly1305: "TLS_CHACHA20_POLY1305_SHA256"
        }
    }

    /// Bytes of a key.
    var keyBytes: Int { self == .aes128GCM ? 16 : 32 }

    /// Bytes of a traffic secret: the hash's output.
    var secretBytes: Int { self == .aes256GCM ? 48 : 32 }

    /// The hash that derives keys.
    var digest: OpaquePointer? { self == .aes256GCM ? EVP_sha384() : EVP_sha256() }

    /// The cipher that protects records.
    var cipher: OpaquePointer? {
        switch self {
        case .aes128GCM: EVP_aes_128_gcm()
        case .aes256GCM: EVP_aes_256_gcm()
        case .chaCha20Poly1305: EVP_chacha20_poly1305()
        }
    }

    /// Records after which a key is replaced: below 2^24.5 for AES-GCM (RFC 8446 §5.5).
    var recordsPerKeyMax: UInt64 { self == .chaCha20Poly1305 ? 1 << 62 : 1 << 24 }
}

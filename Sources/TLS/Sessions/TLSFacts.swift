// SPDX-License-Identifier: Apache-2.0

/// What a finished handshake told.
public struct TLSFacts: Sendable, Equatable {
    /// The version in use.
    public let version: TLSVersion
    /// The cipher suite's number in the IANA registry.
    public let cipher: UInt16
    /// The name the client asked for (SNI, RFC 6066 §3).
    public let serverName: String?
    /// The protocol both agreed on (ALPN, RFC 7301).
    public let applicationProtocol: String?
    /// Whether an earlier session was taken up again.
    public let isResumed: Bool

    /// The cipher suite's IANA name.
    public var cipherName: String {
        switch cipher {
        case 0x1301: "TLS_AES_128_GCM_SHA256"
        case 0x1302: "TLS_AES_256_GCM_SHA384"
        case 0x1303: "TLS_CHACHA20_POLY1305_SHA256"
        case 0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        case 0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        case 0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        case 0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        case 0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        case 0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        default: "0x" + String(cipher, radix: 16, uppercase: true)
        }
    }
}

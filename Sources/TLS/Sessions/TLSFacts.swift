// SPDX-License-Identifier: Apache-2.0

/// What a finished handshake told.
public struct TLSFacts: Sendable, Equatable {
    /// The version in use.
    public let version: TLSVersion
    /// The cipher suite's number in the IANA registry.
    public let cipher: UInt16
    /// The number in the IANA registry of the group over which keys were exchanged (RFC 8446 §4.2.7), also
    /// of the handshake that a session was taken up from; 0 where there was no such exchange.
    public let group: UInt16
    /// The name the client asked for (SNI, RFC 6066 §3).
    public let serverName: String?
    /// The protocol both agreed on (ALPN, RFC 7301).
    public let applicationProtocol: String?
    /// Whether that is HTTP/2 (`h2`, RFC 9113 §3.2).
    public var isHTTP2: Bool { applicationProtocol == ALPN.http2 }
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

    /// The group's name as `groups` of the configuration has it; nil where there is no group.
    public var groupName: String? {
        switch group {
        case 0: nil
        case 0x0017: "P-256"
        case 0x0018: "P-384"
        case 0x0019: "P-521"
        case 0x001D: "X25519"
        case 0x001E: "X448"
        case 0x0100: "ffdhe2048"
        case 0x0101: "ffdhe3072"
        case 0x0102: "ffdhe4096"
        case 0x0103: "ffdhe6144"
        case 0x0104: "ffdhe8192"
        case 0x11EB: "SecP256r1MLKEM768"
        case 0x11EC: "X25519MLKEM768"
        case 0x11ED: "SecP384r1MLKEM1024"
        default: "0x" + String(group, radix: 16, uppercase: true)
        }
    }

    /// What a finished handshake told.
    public init(
        version: TLSVersion, cipher: UInt16, group: UInt16 = 0, serverName: String?,
        applicationProtocol: String?, isResumed: Bool
    ) {
        self.version = version
        self.cipher = cipher
        self.group = group
        self.serverName = serverName
        self.applicationProtocol = applicationProtocol
        self.isResumed = isResumed
    }
}

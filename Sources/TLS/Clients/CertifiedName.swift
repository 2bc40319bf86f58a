// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// A name that a client's certificate has as a subjectAltName (RFC 5280 §4.2.1.6).
public enum CertifiedName: Sendable, Hashable {
    /// A DNS name in lower case.
    case dns(String)
    /// A mail address, whose host is in lower case.
    case mail(String)
    /// A URI as it stands there, as `spiffe://example.org/chargers/1`.
    case uri(String)
    /// An IPv4 or IPv6 address, in 4 or 16 bytes.
    case address([UInt8])

    /// A name as people write it: its form says which kind of name is meant.
    public init(written text: String) {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 {
            self = .address(Array(bytes.prefix(4)))
        } else if inet_pton(AF_INET6, text, &bytes) == 1 {
            self = .address(bytes)
        } else if text.contains("://") || text.lowercased().hasPrefix("urn:") {
            self = .uri(text)
        } else if text.contains("@") {
            self = .mail(Self.mail(text))
        } else {
            self = .dns(text.lowercased())
        }
    }

    /// A name out of a certificate; nil for kinds that nobody can ask for, and for what is not UTF-8.
    init?(_ name: UnsafePointer<GENERAL_NAME>, kind: Int32) {
        guard let string = sluice_general_name_string(name),
            let data = ASN1_STRING_get0_data(string)
        else { return nil }
        let bytes = UnsafeBufferPointer(start: data, count: Int(ASN1_STRING_length(string)))
        if kind == GEN_IPADD {
            guard bytes.count == 4 || bytes.count == 16 else { return nil }
            self = .address(Array(bytes))
            return
        }
        // A NUL within would end the name for one reader and not for another.
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
            return nil
        }
        switch kind {
        case GEN_DNS: self = .dns(text.lowercased())
        case GEN_EMAIL: self = .mail(Self.mail(text))
        case GEN_URI: self = .uri(text)
        default: return nil
        }
    }

    /// The part in front of the last `@` counts as it is written, the host in any case (RFC 5280 §7.5).
    private static func mail(_ text: String) -> String {
        guard let at = text.lastIndex(of: "@") else { return text.lowercased() }
        return text[..<at] + text[at...].lowercased()
    }

    /// Whether a name of a certificate is this one, or one label below it where this is `*.` and a name.
    public func covers(_ name: CertifiedName) -> Bool {
        if self == name { return true }
        guard case .dns(let pattern) = self, pattern.hasPrefix("*."), case .dns(let text) = name,
            let dot = text.firstIndex(of: "."), dot != text.startIndex
        else { return false }
        return text[dot...] == pattern.dropFirst()
    }

    /// As people write it.
    public var text: String {
        switch self {
        case .dns(let text), .mail(let text), .uri(let text): text
        case .address(let bytes): CertificateName.spell(bytes[...]) ?? ""
        }
    }
}

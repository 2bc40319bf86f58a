// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A name that a certificate can be for: a DNS name, a wildcard, or an IP address.
///
/// A value of it is in its canonical spelling, so equal names compare equal, and it holds no
/// character that means something in OpenSSL's extension syntax.
enum CertificateName: Hashable {
    case dns(String)
    case address(String)

    /// Parses what a person gave: `localhost`, `*.example.com`, `127.0.0.1`, `::1`, `[::1]`.
    init(parsing text: String) throws(CertificateFault) {
        let isBracketed = text.hasPrefix("[") && text.hasSuffix("]") && text.count > 2
        let bare = isBracketed ? String(text.dropFirst().dropLast()) : text
        if let address = Self.canonicalAddress(bare) {
            self = .address(address)
            return
        }
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        if let wrong = Self.objection(toName: name) {
            throw CertificateFault(
                "\"\(text)\"", found: wrong,
                remedy: "give a DNS name, a wildcard like *.example.com or an IP address")
        }
        self = .dns(name)
    }

    /// As OpenSSL's `subjectAltName` syntax wants it.
    var extensionValue: String {
        switch self {
        case .dns(let name): "DNS:" + name
        case .address(let address): "IP:" + address
        }
    }

    /// As a person writes it.
    var text: String {
        switch self {
        case .dns(let name): name
        case .address(let address): address
        }
    }

    /// Whether a certificate for `self` serves `other`: the same name, or a wildcard of one label
    /// (RFC 9525 §6.3).
    func covers(_ other: CertificateName) -> Bool {
        if self == other { return true }
        guard case .dns(let pattern) = self, case .dns(let name) = other, pattern.hasPrefix("*."),
            !name.hasPrefix("*."), let dot = name.firstIndex(of: ".")
        else { return false }
        return name[dot...] == pattern.dropFirst()
    }

    /// The address as the system writes it, nil when `text` is no address.
    static func canonicalAddress(_ text: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 { return spell(bytes.prefix(4)) }
        if inet_pton(AF_INET6, text, &bytes) == 1 { return spell(bytes[...]) }
        return nil
    }

    /// An iPAddress of 4 or 16 bytes as text, nil for any other length.
    static func spell(_ address: ArraySlice<UInt8>) -> String? {
        guard address.count == 4 || address.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = address.count == 4 ? AF_INET : AF_INET6
        let isSpelled = address.withUnsafeBytes {
            inet_ntop(family, $0.baseAddress, &text, socklen_t(text.count)) != nil
        }
        guard isSpelled else { return nil }
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Why `name` (lowercase, without a final dot) is no DNS name, nil when it is one.
    private static func objection(toName name: String) -> String? {
        if name.isEmpty { return "it is empty" }
        if name.utf8.count > 253 { return "it is longer than 253 characters" }
        guard name.utf8.allSatisfy({ $0 < 0x80 }) else {
            return "it holds characters outside ASCII (write the xn-- form)"
        }
        var labels = name.split(separator: ".", omittingEmptySubsequences: false)
        if labels.first == "*" {
            labels.removeFirst()
            // Clients match no wildcard right below a top-level name, so it would only look right.
            if labels.count < 2 { return "a wildcard needs two labels behind the star" }
        }
        for label in labels {
            if label.isEmpty { return "it has an empty label" }
            if label.utf8.count > 63 { return "a label is longer than 63 characters" }
            if label.hasPrefix("-") || label.hasSuffix("-") {
                return "a label begins or ends with a hyphen"
            }
            if let wrong = label.first(where: { !isLabelCharacter($0) }) {
                return "\"\(wrong)\" cannot stand there in a name"
            }
        }
        // An all-digit last label would be read as an IPv4 address (RFC 3696 §2).
        if labels.last?.allSatisfy(\.isNumber) == true { return "it is no valid IPv4 address" }
        return nil
    }

    private static func isLabelCharacter(_ character: Character) -> Bool {
        character.isASCII
            && (character.isLetter || character.isNumber || character == "-" || character == "_")
    }
}

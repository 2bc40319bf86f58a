// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Builds X.509 version 3 certificates (RFC 5280) with EC P-256 keys and SHA-256 signatures.
enum CertificateMaking {
    static let daySeconds: Int64 = 86_400
    /// Clocks of the machines that connect may run behind.
    static let backdatingSeconds: Int64 = 3_600
    /// Browsers refuse leaves that live longer than 398 days; stay below, whoever rounds how.
    static let leafSeconds: Int64 = 397 * daySeconds - 1
    static let authoritySeconds: Int64 = 3_653 * daySeconds
    /// The authority's subject begins with it; a leaf of such an issuer is ours to replace.
    static let authorityPrefix = "Sluice development CA"
    /// RFC 5280's upper bound of a common name.
    private static let commonNameMax = 64

    /// A self-signed authority that may sign leaves and nothing else.
    static func authority(
        key: borrowing KeyHandle, owner: String, scope: NameScope, file: String
    ) throws(CertificateFault) -> CertificateHandle {
        let certificate = try blank(file)
        let constraints = try scope.extensionValue()
        let now = Int64(time(nil))
        try setValidity(
            of: certificate, from: now - backdatingSeconds, to: now + authoritySeconds, file)
        let subject = X509_get_subject_name(certificate.pointer)
        try add("O", "Sluice", to: subject, file)
        // A number of its own: databases of browsers hold certificates of one subject for one, and so
        // would mix up two authorities of the same user.
        let mark = " " + keyMark(key)
        let name = "\(authorityPrefix) \(owner)".prefix(commonNameMax - mark.count)
        try add("CN", name + mark, to: subject, file)
        guard X509_set_issuer_name(certificate.pointer, subject) == 1,
            X509_set_pubkey(certificate.pointer, key.pointer) == 1
        else { throw .library("set the subject", file) }
        for (kind, value) in [
            (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
            (NID_key_usage, "critical,keyCertSign,cRLSign"),
            // Whoever checks a chain for another purpose refuses it (RFC 5280 §4.2.1.12 for the leaf; for
            // authorities as OpenSSL, NSS, GnuTLS and browsers read it).
            (NID_ext_key_usage, "serverAuth"),
            (NID_subject_key_identifier, "hash"),
        ] {
            try extend(certificate, issuer: certificate.pointer, kind, value, file)
        }
        try extend(
            certificate, issuer: certificate.pointer, NID_name_constraints, constraints, file)
        try sign(certificate, with: key, file)
        return certificate
    }

    /// A server certificate for `names`, signed by `authority`, which it does not outlive.
    static func leaf(
        for names: [CertificateName], key: borrowing KeyHandle,
        authority: borrowing CertificateHandle, authorityKey: borrowing KeyHandle,
        in directory: String, file: String
    ) throws(CertificateFault) -> CertificateHandle {
        let certificate = try blank(file)
        let start = Int64(time(nil)) - backdatingSeconds
        try setValidity(
            of: certificate, from: start, to: min(start + leafSeconds, authority.notAfter), file)
        let subject = X509_get_subject_name(certificate.pointer)
        try add("O", "Sluice development certificate", to: subject, file)
        // An address there would be judged as if it were a DNS name.
        if case .dns(let first)? = names.first, first.count <= commonNameMax {
            try add("CN", first, to: subject, file)
        }
        let issuer = X509_get_subject_name(authority.pointer)
        guard X509_set_issuer_name(certificate.pointer, issuer) == 1,
            X509_set_pubkey(certificate.pointer, key.pointer) == 1
        else { throw .library("set the issuer", file) }
        for (kind, value) in [
            (NID_basic_constraints, "critical,CA:FALSE"),
            (NID_key_usage, "critical,digitalSignature"),
            (NID_ext_key_usage, "serverAuth"),
            (NID_subject_alt_name, names.map(\.extensionValue).joined(separator: ",")),
            (NID_subject_key_identifier, "hash"),
            (NID_authority_key_identifier, "keyid:always"),
        ] {
            try extend(certificate, issuer: authority.pointer, kind, value, file)
        }
        try sign(certificate, with: authorityKey, file)
        guard authority.permits(certificate) else {
            var refused: [String] = []
            for name in names {
                let isPermitted = try isPermitted(name, authority: authority, key: key)
                if !isPermitted { refused.append(name.text) }
            }
            let permitted = authority.permitted(GEN_DNS).map { String(decoding: $0, as: UTF8.self) }
            let further = (NameScope.further(among: permitted) ?? []).map { ", \($0)" }.joined()
            throw CertificateFault(
                refused.joined(separator: ", "),
                found:
                    "the authority may sign for local names and private addresses\(further) only",
                remedy:
                    "take a name such as app.test or app.localhost, or move ca.pem and ca-key.pem away from"
                    + " \(directory) to have another authority made, which has to be trusted anew",
                wanted: names.map(\.text), directory: directory)
        }
        return certificate
    }

    /// Whether an authority may sign for a name; what is made to find that out stays in memory.
    ///
    /// `key` is any that can sign, since its constraints alone are looked at.
    static func isPermitted(
        _ name: CertificateName, authority: borrowing CertificateHandle, key: borrowing KeyHandle
    ) throws(CertificateFault) -> Bool {
        let leaf = try blank(name.text)
        let now = Int64(time(nil))
        try setValidity(of: leaf, from: now, to: now + daySeconds, name.text)
        try extend(
            leaf, issuer: authority.pointer, NID_subject_alt_name, name.extensionValue, name.text)
        guard X509_set_pubkey(leaf.pointer, key.pointer) == 1 else {
            throw .library("set the key", name.text)
        }
        try sign(leaf, with: key, name.text)
        return authority.permits(leaf)
    }

    /// Eight hexadecimal digits that a key has to itself.
    private static func keyMark(_ key: borrowing KeyHandle) -> String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = i2d_PUBKEY(key.pointer, &bytes)
        defer { sluice_free(bytes) }
        guard count > 0, let bytes,
            EVP_Digest(bytes, Int(count), &digest, nil, EVP_sha256(), nil) == 1
        else { return "" }
        return digest.prefix(4).map { byte in
            let text = String(byte, radix: 16)
            return text.count < 2 ? "0" + text : text
        }.joined()
    }

    /// An empty certificate of version 3 with a serial number of 128 random bits.
    private static func blank(_ file: String) throws(CertificateFault) -> CertificateHandle {
        guard let pointer = X509_new() else { throw .library("make a certificate", file) }
        let certificate = CertificateHandle(adopting: pointer)
        var random = [UInt8](repeating: 0, count: 16)
        guard X509_set_version(pointer, 2) == 1, RAND_bytes(&random, 16) == 1,
            let number = BN_bin2bn(&random, 16, nil)
        else { throw .library("draw a serial number", file) }
        defer { BN_free(number) }
        guard BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer)) != nil else {
            throw .library("set the serial number", file)
        }
        return certificate
    }

    private static func setValidity(
        of certificate: borrowing CertificateHandle, from start: Int64, to end: Int64,
        _ file: String
    ) throws(CertificateFault) {
        guard ASN1_TIME_set(X509_getm_notBefore(certificate.pointer), time_t(start)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(certificate.pointer), time_t(end)) != nil
        else { throw .library("set the validity", file) }
    }

    private static func add(
        _ field: String, _ value: String, to name: OpaquePointer?, _ file: String
    ) throws(CertificateFault) {
        let bytes = Array(value.utf8)
        let isAdded = X509_NAME_add_entry_by_txt(
            name, field, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0)
        guard isAdded == 1 else { throw .library("set the name", file) }
    }

    private static func extend(
        _ certificate: borrowing CertificateHandle, issuer: OpaquePointer, _ kind: Int32,
        _ value: String, _ file: String
    ) throws(CertificateFault) {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuer, certificate.pointer, nil, nil, 0)
        guard let made = X509V3_EXT_nconf_nid(nil, &context, kind, value) else {
            throw .library("make the extension \(value)", file)
        }
        defer { X509_EXTENSION_free(made) }
        guard X509_add_ext(certificate.pointer, made, -1) == 1 else {
            throw .library("add the extension \(value)", file)
        }
    }

    private static func sign(
        _ certificate: borrowing CertificateHandle, with key: borrowing KeyHandle, _ file: String
    ) throws(CertificateFault) {
        guard X509_sign(certificate.pointer, key.pointer, EVP_sha256()) > 0 else {
            throw .library("sign the certificate", file)
        }
    }
}

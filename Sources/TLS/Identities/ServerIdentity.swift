// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A certificate chain and its key, as files name them.
public struct IdentityFiles: Sendable, Equatable {
    /// PEM file: the leaf first, then its intermediates.
    public let chain: String
    /// PEM file with the leaf's private key.
    public let key: String

    /// Names the two files.
    public init(chain: String, key: String) {
        self.chain = chain
        self.key = key
    }
}

/// A chain and key that were read and belong together.
final class ServerIdentity {
    let files: IdentityFiles
    let leaf: OpaquePointer
    let intermediates: [OpaquePointer]
    let key: OpaquePointer
    /// DNS names and addresses of the leaf, lowercase.
    let names: [String]

    /// The kind of key, by which chains stand side by side in one context.
    var keyKind: Int32 { EVP_PKEY_get_base_id(key) }

    /// Reads both files.
    ///
    /// - Throws: `TLSError` that names the file, and what was found there.
    init(reading files: IdentityFiles) throws(TLSError) {
        self.files = files
        ERR_clear_error()
        var chain = try Self.certificates(in: files.chain)
        leaf = chain.removeFirst()
        intermediates = chain
        let key: OpaquePointer
        do {
            key = try Self.privateKey(in: files.key)
        } catch {
            X509_free(leaf)
            for certificate in intermediates { X509_free(certificate) }
            throw error
        }
        self.key = key
        names = Self.names(of: leaf)
        guard X509_check_private_key(leaf, key) == 1 else {
            ERR_clear_error()
            throw TLSError(
                "the key in \(files.key) does not belong to the first certificate in"
                    + " \(files.chain)")
        }
    }

    deinit {
        X509_free(leaf)
        for certificate in intermediates { X509_free(certificate) }
        EVP_PKEY_free(key)
    }

    private static func certificates(in path: String) throws(TLSError) -> [OpaquePointer] {
        guard let file = BIO_new_file(path, "r") else {
            throw TLSError.drainingQueue("reading the certificate chain \(path)")
        }
        defer { BIO_free(file) }
        var certificates: [OpaquePointer] = []
        while let certificate = PEM_read_bio_X509(file, nil, nil, nil) {
            certificates.append(certificate)
        }
        // Reading past the last certificate leaves "no start line" behind, which is no failure.
        let last = ERR_peek_last_error()
        let isEnd = last == 0 || sluice_err_reason(last) == UInt32(PEM_R_NO_START_LINE)
        guard isEnd, !certificates.isEmpty else {
            for certificate in certificates { X509_free(certificate) }
            if isEnd {
                ERR_clear_error()
                throw TLSError("\(path) holds no certificate in PEM form")
            }
            throw TLSError.drainingQueue("reading the certificate chain \(path)")
        }
        ERR_clear_error()
        return certificates
    }

    private static func privateKey(in path: String) throws(TLSError) -> OpaquePointer {
        guard let file = BIO_new_file(path, "r") else {
            throw TLSError.drainingQueue("reading the private key \(path)")
        }
        defer { BIO_free(file) }
        // A key under a passphrase must not make the program ask on the terminal.
        guard let key = PEM_read_bio_PrivateKey(file, nil, { _, _, _, _ in -1 }, nil) else {
            throw TLSError.drainingQueue("reading the private key \(path)")
        }
        return key
    }

    /// The names a certificate is good for: its SANs, else the subject's common name.
    static func names(of certificate: OpaquePointer) -> [String] {
        var names: [String] = []
        if let extensionValue = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) {
            let general = OpaquePointer(extensionValue)
            defer { GENERAL_NAMES_free(general) }
            for index in 0..<sluice_general_name_count(general) {
                guard let name = sluice_general_name(general, index),
                    let string = sluice_general_name_string(name),
                    let data = ASN1_STRING_get0_data(string)
                else { continue }
                let bytes = UnsafeBufferPointer(
                    start: data, count: Int(ASN1_STRING_length(string)))
                switch sluice_general_name_type(name) {
                case GEN_DNS: names.append(String(decoding: bytes, as: UTF8.self).lowercased())
                case GEN_IPADD: names.append(addressText(bytes))
                default: break
                }
            }
        }
        if names.isEmpty, let subject = X509_get_subject_name(certificate) {
            var text = [CChar](repeating: 0, count: 256)
            if X509_NAME_get_text_by_NID(subject, NID_commonName, &text, 256) > 0 {
                let bytes = text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
                names.append(String(decoding: bytes, as: UTF8.self).lowercased())
            }
        }
        return names
    }

    private static func addressText(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: bytes.count - 1, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return groups.joined(separator: ":")
    }
}

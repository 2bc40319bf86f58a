// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A certificate chain and its key, as files name them.
public struct IdentityFiles: Sendable, Hashable {
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

/// A chain and key that were read, belong together, and can be served.
final class ServerIdentity {
    let files: IdentityFiles
    /// The certificate that belongs to the key.
    let certificate: CertificateReference
    /// What is sent behind it, each once: what signed it, and so on, then what else the file has.
    let behind: [CertificateReference]
    private let keyHandle: KeyHandle
    /// DNS names and addresses of the leaf, lowercase.
    let names: [String]
    /// From when until when its certificates are valid.
    let terms: [IdentityTerm]
    /// What clients are going to say of it.
    private(set) var warnings: [IdentityProblem]

    var leaf: OpaquePointer { certificate.pointer }
    var key: OpaquePointer { keyHandle.pointer }
    var fingerprint: String { certificate.withHandle { CertificateFacts($0).fingerprint } }

    /// The kind of key, by which chains stand side by side in one context.
    var keyKind: Int32 { EVP_PKEY_get_base_id(key) }

    /// Reads both files.
    ///
    /// - Parameters:
    ///   - files: where they are.
    ///   - ofClient: whether a client shows them, for which a certificate for clients does.
    /// - Throws: `IdentityProblem` where they can't be served.
    init(reading files: IdentityFiles, ofClient: Bool = false) throws(IdentityProblem) {
        self.files = files
        ERR_clear_error()
        let found = try PEMFile(reading: files.chain).certificates()
        keyHandle = try PEMFile(reading: files.key).privateKey()
        let key = keyHandle.pointer
        guard
            let place = found.firstIndex(where: { X509_check_private_key($0.pointer, key) == 1 })
        else {
            ERR_clear_error()
            throw IdentityProblem(files.key, .keyOfAnother(chain: files.chain))
        }
        ERR_clear_error()
        let chain = ServerChain(found, leaf: place)
        certificate = chain.path[0]
        behind = chain.behind
        names = Self.names(of: certificate.pointer)
        let check = IdentityCheck(files, chain, key: key, ofClient: ofClient)
        try check.refuse()
        terms = check.terms
        warnings = check.warnings(chainOrder: found)
    }

    /// Adds what only those know who see the other chains too.
    func warn(_ cause: IdentityProblem.Cause) {
        warnings.append(IdentityProblem(files.chain, cause))
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

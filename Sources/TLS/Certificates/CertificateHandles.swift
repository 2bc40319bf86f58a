// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// The owner of an `X509`.
struct CertificateHandle: ~Copyable {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { X509_free(pointer) }

    /// Reads the first certificate of a PEM file.
    static func read(pemFile path: String) throws(CertificateFault) -> CertificateHandle {
        do throws(IdentityProblem) {
            let first = try PEMFile(reading: path).certificates()[0]
            X509_up_ref(first.pointer)
            return CertificateHandle(adopting: first.pointer)
        } catch {
            throw error.fault
        }
    }

    /// Seconds since 1970 at which it begins to be valid.
    var notBefore: Int64 { Self.unixSeconds(X509_get0_notBefore(pointer)) }

    /// Seconds since 1970 at which it ends to be valid.
    var notAfter: Int64 { Self.unixSeconds(X509_get0_notAfter(pointer)) }

    var isAuthority: Bool { X509_check_ca(pointer) == 1 }

    var subject: String { Self.text(X509_get_subject_name(pointer)) }

    var issuer: String { Self.text(X509_get_issuer_name(pointer)) }

    /// The common name of the issuer; empty where its name has none.
    var issuerCommonName: String {
        guard let name = X509_get_issuer_name(pointer) else { return "" }
        let index = X509_NAME_get_index_by_NID(name, NID_commonName, -1)
        guard index >= 0, let entry = X509_NAME_get_entry(name, index) else { return "" }
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(entry))
        guard count >= 0, let bytes else {
            ERR_clear_error()
            return ""
        }
        defer { sluice_free(bytes) }
        return String(
            decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
    }

    /// The DNS names and addresses of the subjectAltName extension; the common name does not count
    /// (RFC 9525 §2).
    var names: [CertificateName] {
        guard let found = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil) else {
            ERR_clear_error()
            return []
        }
        let list = OpaquePointer(found)
        defer { GENERAL_NAMES_free(list) }
        var names: [CertificateName] = []
        for index in 0..<sluice_general_name_count(list) {
            guard let entry = sluice_general_name(list, index),
                let string = sluice_general_name_string(entry)
            else { continue }
            let bytes = UnsafeBufferPointer(
                start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
            switch sluice_general_name_type(entry) {
            case GEN_DNS: names.append(.dns(String(decoding: bytes, as: UTF8.self).lowercased()))
            case GEN_IPADD:
                if let address = CertificateName.spell(Array(bytes)[...]) {
                    names.append(.address(address))
                }
            default: continue
            }
        }
        return names
    }

    /// Whether this authority's name constraints, if it has some, let it sign `leaf`
    /// (RFC 5280 §4.2.1.10).
    func permits(_ leaf: borrowing CertificateHandle) -> Bool {
        guard let found = X509_get_ext_d2i(pointer, NID_name_constraints, nil, nil) else {
            ERR_clear_error()
            return true
        }
        let constraints = found.assumingMemoryBound(to: NAME_CONSTRAINTS.self)
        defer { NAME_CONSTRAINTS_free(constraints) }
        // This has OpenSSL look at the names, which the check takes from what it remembers.
        X509_check_purpose(leaf.pointer, -1, 0)
        defer { ERR_clear_error() }
        return NAME_CONSTRAINTS_check(leaf.pointer, constraints) == X509_V_OK
    }

    /// The names of a kind that its name constraints permit, in bytes as they stand there.
    ///
    /// If there are some, no others of that kind are permitted (RFC 5280 §4.2.1.10). The kind is one whose names are
    /// strings: DNS names, addresses, mail, URIs.
    func permitted(_ kind: Int32) -> [[UInt8]] {
        guard let found = X509_get_ext_d2i(pointer, NID_name_constraints, nil, nil) else {
            ERR_clear_error()
            return []
        }
        let constraints = found.assumingMemoryBound(to: NAME_CONSTRAINTS.self)
        defer { NAME_CONSTRAINTS_free(constraints) }
        var names: [[UInt8]] = []
        var index: Int32 = 0
        while let name = sluice_permitted(constraints, index) {
            index += 1
            guard sluice_general_name_type(name) == kind,
                let string = sluice_general_name_string(name)
            else { continue }
            names.append(
                Array(
                    UnsafeBufferPointer(
                        start: ASN1_STRING_get0_data(string),
                        count: Int(ASN1_STRING_length(string)))))
        }
        return names
    }

    static func unixSeconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return Int64(timegm(&parts))
    }

    static func text(_ name: OpaquePointer?) -> String {
        guard let output = MemoryBIO.empty() else { return "" }
        guard sluice_name_print(output.pointer, name) > 0 else {
            ERR_clear_error()
            return ""
        }
        return output.withBytes { String(decoding: $0, as: UTF8.self) }
    }
}

/// The owner of an `EVP_PKEY`.
struct KeyHandle: ~Copyable {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }

    /// Reads the private key of a PEM file.
    static func read(pemFile path: String) throws(CertificateFault) -> KeyHandle {
        do throws(IdentityProblem) {
            return try PEMFile(reading: path).privateKey()
        } catch {
            throw error.fault
        }
    }

    /// Makes an EC key on P-256.
    static func make(for path: String) throws(CertificateFault) -> KeyHandle {
        guard let pointer = sluice_ec_p256_keygen() else {
            throw .library("make an EC P-256 key", path)
        }
        return KeyHandle(adopting: pointer)
    }
}

/// The owner of a `BIO` over memory.
struct MemoryBIO: ~Copyable {
    let pointer: OpaquePointer

    deinit { BIO_free(pointer) }

    private init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    static func empty() -> MemoryBIO? {
        BIO_new(BIO_s_mem()).map(MemoryBIO.init(adopting:))
    }

    /// What was written into it; only for one over memory.
    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var start: UnsafeMutablePointer<CChar>?
        let count = sluice_bio_get_mem_data(pointer, &start)
        return try body(UnsafeRawBufferPointer(start: start, count: max(0, count)))
    }
}

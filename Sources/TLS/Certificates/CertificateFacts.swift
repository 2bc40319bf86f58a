// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What a certificate says, copied out of it: to print, to compare, to warn about.
public struct CertificateFacts: Sendable, Equatable {
    /// The DNS names (lowercase) and IP addresses it is for.
    public let names: [String]
    /// Seconds since 1970 from which it is valid.
    public let notBefore: Int64
    /// Seconds since 1970 until which it is valid.
    public let notAfter: Int64
    /// Who signed it, as `CN=…,O=…`.
    public let issuer: String
    /// Whom it is for, as `CN=…,O=…`.
    public let subject: String
    /// Whether it may sign other certificates.
    public let isCA: Bool
    /// Whether it may sign for some DNS names and addresses only (RFC 5280 §4.2.1.10).
    public var isConstrained: Bool { !permittedNames.isEmpty }
    /// The DNS names for which it may sign alone, each with all below it; empty where it may for any.
    public let permittedNames: [String]
    /// The addresses for which it may sign alone, as `10.0.0.0/8`; empty where it may for any.
    public let permittedAddresses: [String]
    /// Whether what it signs can be believed of servers only: not of clients, for mail or for code.
    public let isForServersOnly: Bool
    /// SHA-256 of the whole certificate, in hexadecimal digits.
    public let fingerprint: String
    /// Kind and size of its key: `EC P-256`, `RSA 2048`.
    public let keyKind: String

    /// From when until when it is valid.
    public var term: CertificateTerm {
        CertificateTerm(notBefore: notBefore, notAfter: notAfter)
    }

    /// Reads the first certificate of a PEM file.
    public static func read(pemFile path: String) throws(CertificateFault) -> CertificateFacts {
        CertificateFacts(try CertificateHandle.read(pemFile: path))
    }

    /// Reads the certificate of a chain that a server would present: the first that signed no other.
    public static func readLeaf(chain path: String) throws(CertificateFault) -> CertificateFacts {
        do throws(IdentityProblem) {
            let all = try PEMFile(reading: path).certificates()
            let leaf = all.first { candidate in
                !all.contains { !$0.isSame(as: candidate) && candidate.hasSigned($0) }
            }
            return (leaf ?? all[0]).withHandle { CertificateFacts($0) }
        } catch {
            throw error.fault
        }
    }

    /// Reads all certificates of a PEM file, in the order in which they stand, or the one of a file in DER form.
    public static func readAll(file path: String) throws(CertificateFault) -> [CertificateFacts] {
        do throws(IdentityProblem) {
            return try PEMFile.certificates(inFile: path)
                .map { $0.withHandle { CertificateFacts($0) } }
        } catch {
            throw error.fault
        }
    }

    /// Whether others than the owner may read the file, which a private key's must not allow.
    ///
    /// False also for a file that cannot be looked at: reading it is going to say why.
    public static func isReadableByOthers(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & (S_IRGRP | S_IROTH) != 0
    }

    init(_ certificate: borrowing CertificateHandle) {
        names = certificate.names.map(\.text)
        notBefore = certificate.notBefore
        notAfter = certificate.notAfter
        issuer = certificate.issuer
        subject = certificate.subject
        isCA = certificate.isAuthority
        permittedNames = certificate.permitted(GEN_DNS).map {
            String(decoding: $0, as: UTF8.self).lowercased()
        }
        permittedAddresses = certificate.permitted(GEN_IPADD).compactMap(Self.block)
        isForServersOnly =
            X509_get_extended_key_usage(certificate.pointer) == UInt32(XKU_SSL_SERVER)
            && !certificate.permitted(GEN_EMAIL).isEmpty && !certificate.permitted(GEN_URI).isEmpty
        fingerprint = Self.fingerprint(certificate)
        keyKind = Self.kind(of: X509_get0_pubkey(certificate.pointer))
    }

    /// An address and its mask, one behind the other (RFC 5280 §4.2.1.10), as people write them.
    private static func block(_ bytes: [UInt8]) -> String? {
        let half = bytes.count / 2
        guard let address = CertificateName.spell(bytes[..<half]) else { return nil }
        let bits = bytes[half...].reduce(0) { $0 + $1.nonzeroBitCount }
        return "\(address)/\(bits)"
    }

    private static func fingerprint(_ certificate: borrowing CertificateHandle) -> String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate.pointer, EVP_sha256(), &digest, &count) == 1 else {
            return ""
        }
        return digest.prefix(Int(count)).map { byte in
            let text = String(byte, radix: 16)
            return text.count < 2 ? "0" + text : text
        }.joined()
    }

    static func kind(of key: OpaquePointer?) -> String {
        guard let key, let name = EVP_PKEY_get0_type_name(key) else { return "unknown" }
        guard EVP_PKEY_is_a(key, "EC") == 1 else {
            let text = String(cString: name)
            return text.hasPrefix("RSA") ? "\(text) \(EVP_PKEY_get_bits(key))" : text
        }
        var group = [CChar](repeating: 0, count: 64)
        var length = 0
        guard EVP_PKEY_get_group_name(key, &group, group.count, &length) == 1 else { return "EC" }
        let curve = String(
            decoding: group.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
        return "EC " + (nistNames[curve] ?? curve)
    }

    /// OpenSSL answers with its own name of a curve; people know the other one.
    private static let nistNames = [
        "prime256v1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521",
    ]
}

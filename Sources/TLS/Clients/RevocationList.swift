// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// A list of certificates that their authority has revoked (RFC 5280 §5).
final class RevocationList {
    let pointer: OpaquePointer
    /// The whole list in DER.
    let der: [UInt8]

    /// Bytes of a file with such lists: large authorities have long ones.
    private static let fileBytesMax = 32 << 20

    private init?(_ der: UnsafeRawBufferPointer) {
        var start = der.bindMemory(to: UInt8.self).baseAddress
        guard let pointer = d2i_X509_CRL(nil, &start, der.count) else {
            ERR_clear_error()
            return nil
        }
        self.pointer = pointer
        self.der = Array(der)
    }

    deinit { X509_CRL_free(pointer) }

    /// Reads all lists of a file in PEM form, or the one of a file in DER form.
    static func read(_ path: String) throws(IdentityProblem) -> [RevocationList] {
        let file: PEMFile
        do throws(IdentityProblem) {
            file = try PEMFile(reading: path, bytesMax: fileBytesMax)
        } catch {
            if error.cause == .tooLarge { throw IdentityProblem(path, .revocationListTooLong) }
            guard error.cause == .notPEM else { throw error }
            let content = try WipedBytes.read(path, bytesMax: fileBytesMax)
            guard let list = RevocationList(content.bytes) else { throw error }
            return [list]
        }
        var lists: [RevocationList] = []
        for (index, block) in file.blocks.enumerated() where block.label == "X509 CRL" {
            guard let body = block.body, let der = file.decoded(body),
                let list = RevocationList(der.bytes)
            else { throw IdentityProblem(path, .damaged(block: index + 1, label: block.label)) }
            lists.append(list)
        }
        if lists.isEmpty { throw IdentityProblem(path, .noRevocationList(file.blocks[0].label)) }
        return lists
    }

    /// Who has revoked, as `CN=…,O=…`.
    var issuer: String { CertificateHandle.text(X509_CRL_get_issuer(pointer)) }

    /// From when until when it says what holds; nil where it names no end.
    var term: CertificateTerm? {
        guard let end = X509_CRL_get0_nextUpdate(pointer) else { return nil }
        return CertificateTerm(
            notBefore: CertificateHandle.unixSeconds(X509_CRL_get0_lastUpdate(pointer)),
            notAfter: CertificateHandle.unixSeconds(end))
    }

    /// Whether it is the list of an authority.
    func isIssued(by authority: CertificateReference) -> Bool {
        X509_NAME_cmp(
            X509_CRL_get_issuer(pointer), X509_get_subject_name(authority.pointer)) == 0
    }
}

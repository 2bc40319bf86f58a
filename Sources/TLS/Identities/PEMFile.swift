// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// A file with certificates or keys in PEM form (RFC 7468), taken apart.
///
/// It takes what people's tools leave behind: a byte order mark in front of any block, CRLF or CR as
/// line ends, blanks in front of lines, text around the blocks, and two files joined without a line end
/// between them. OpenSSL's own reader passes over a block that does not begin at the start of a line,
/// which drops a certificate without a word.
struct PEMFile {
    /// What stands between a BEGIN and its END.
    struct Block {
        /// The words behind BEGIN: `CERTIFICATE`, `EC PRIVATE KEY`.
        let label: String
        /// Where its body is; nil where it has no END.
        let body: Range<Int>?

        var isCertificate: Bool {
            ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"].contains(label)
        }
        var isPrivateKey: Bool { label.hasSuffix("PRIVATE KEY") }
    }

    let path: String
    let blocks: [Block]
    private let content: WipedBytes

    /// Reads the file and says what it is where it is no PEM at all.
    init(
        reading path: String, bytesMax: Int = WipedBytes.fileBytesMax
    ) throws(IdentityProblem) {
        self.path = path
        content = try WipedBytes.read(path, bytesMax: bytesMax)
        let bytes = content.bytes
        blocks = Self.blocks(in: bytes)
        if blocks.isEmpty { throw IdentityProblem(path, Self.kind(of: bytes)) }
    }

    // MARK: Certificates

    /// All certificates of the file, in their order.
    func certificates() throws(IdentityProblem) -> [CertificateReference] {
        var found: [CertificateReference] = []
        for (index, block) in blocks.enumerated() where block.isCertificate {
            guard let body = block.body, let der = decoded(body),
                let pointer = Self.certificate(der, isTrusted: block.label.hasPrefix("TRUSTED"))
            else { throw IdentityProblem(path, .damaged(block: index + 1, label: block.label)) }
            found.append(CertificateReference(adopting: pointer))
        }
        if found.isEmpty {
            let cause: IdentityProblem.Cause =
                blocks.contains(where: \.isPrivateKey)
                ? .keyInsteadOfCertificate : .otherContent(blocks[0].label, wanted: "certificate")
            throw IdentityProblem(path, cause)
        }
        return found
    }

    /// The certificates of a file in PEM form, in their order, or the one of a file in DER form.
    static func certificates(
        inFile path: String
    ) throws(IdentityProblem) -> [CertificateReference] {
        let problem: IdentityProblem
        do throws(IdentityProblem) {
            return try PEMFile(reading: path).certificates()
        } catch {
            problem = error
        }
        guard problem.cause == .der(.certificate),
            let pointer = certificate(try WipedBytes.read(path), isTrusted: false)
        else { throw problem }
        return [CertificateReference(adopting: pointer)]
    }

    private static func certificate(_ der: WipedBytes, isTrusted: Bool) -> OpaquePointer? {
        defer { ERR_clear_error() }
        var start = der.bytes.bindMemory(to: UInt8.self).baseAddress
        let count = der.count
        return isTrusted ? d2i_X509_AUX(nil, &start, count) : d2i_X509(nil, &start, count)
    }

    // MARK: The key

    /// The private key of the file, the first where there are several.
    func privateKey() throws(IdentityProblem) -> KeyHandle {
        guard let index = blocks.firstIndex(where: \.isPrivateKey) else {
            let cause: IdentityProblem.Cause =
                blocks.contains(where: \.isCertificate)
                ? .certificateInsteadOfKey : .otherContent(blocks[0].label, wanted: "private key")
            throw IdentityProblem(path, cause)
        }
        let block = blocks[index]
        if block.label == "OPENSSH PRIVATE KEY" {
            throw IdentityProblem(path, .otherContent(block.label, wanted: "private key"))
        }
        let damaged = IdentityProblem(path, .damaged(block: index + 1, label: block.label))
        guard let body = block.body else { throw damaged }
        if block.label == "ENCRYPTED PRIVATE KEY" || isEncrypted(body) {
            throw IdentityProblem(path, .passphrase)
        }
        guard let der = decoded(body) else { throw damaged }
        defer { ERR_clear_error() }
        var start = der.bytes.bindMemory(to: UInt8.self).baseAddress
        guard let pointer = d2i_AutoPrivateKey(nil, &start, der.count) else { throw damaged }
        return KeyHandle(adopting: pointer)
    }

    /// Whether a key of the old form has the header `Proc-Type: 4,ENCRYPTED` (RFC 1421 §4.6.1.1); no
    /// other header is in use, and none of them can be read as base64.
    private func isEncrypted(_ body: Range<Int>) -> Bool {
        Self.find("Proc-Type:", in: content.bytes, from: body.lowerBound, to: body.upperBound)
            != nil
    }

    // MARK: Taking apart

    private static let begin = "-----BEGIN "
    private static let dashes = "-----"

    private static func blocks(in bytes: UnsafeRawBufferPointer) -> [Block] {
        var blocks: [Block] = []
        var offset = 0
        while let start = find(begin, in: bytes, from: offset) {
            let labelStart = start + begin.utf8.count
            // A label is a few words in one line.
            guard let labelEnd = find(dashes, in: bytes, from: labelStart, to: labelStart + 64)
            else {
                offset = labelStart
                continue
            }
            let label = String(decoding: bytes[labelStart..<labelEnd], as: UTF8.self)
            let bodyStart = labelEnd + dashes.utf8.count
            let next = find(begin, in: bytes, from: bodyStart) ?? bytes.count
            guard let end = find("-----END \(label)-----", in: bytes, from: bodyStart, to: next)
            else {
                blocks.append(Block(label: label, body: nil))
                offset = bodyStart
                continue
            }
            blocks.append(Block(label: label, body: bodyStart..<end))
            // The dashes of an END may be those of the BEGIN behind it as well, so it is not skipped.
            offset = end + 1
        }
        return blocks
    }

    private static func find(
        _ text: String, in bytes: UnsafeRawBufferPointer, from start: Int, to end: Int? = nil
    ) -> Int? {
        let wanted = Array(text.utf8)
        let last = min(end ?? bytes.count, bytes.count) - wanted.count
        var offset = start
        while offset <= last {
            if bytes[offset] == wanted[0],
                bytes[offset..<offset + wanted.count].elementsEqual(wanted)
            {
                return offset
            }
            offset += 1
        }
        return nil
    }

    /// The bytes of a body in base64 (RFC 4648 §4), whatever blanks stand in it; nil where there is
    /// anything else.
    func decoded(_ body: Range<Int>) -> WipedBytes? {
        let out = WipedBytes(capacity: body.count)
        var collected: UInt32 = 0
        var digits = 0
        var padding = 0
        for byte in content.bytes[body] {
            let value: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(byte - 65)
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(byte - 97 + 26)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(byte - 48 + 52)
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="):
                padding += 1
                continue
            case UInt8(ascii: " "), 0x09, 0x0A, 0x0B, 0x0C, 0x0D: continue
            default: return nil
            }
            if padding > 0 { return nil }
            collected = collected << 6 | value
            digits += 1
            guard digits % 4 == 0 else { continue }
            out.append(UInt8(truncatingIfNeeded: collected >> 16))
            out.append(UInt8(truncatingIfNeeded: collected >> 8))
            out.append(UInt8(truncatingIfNeeded: collected))
            collected = 0
        }
        switch (digits % 4, padding) {
        case (0, 0): break
        case (2, 2): out.append(UInt8(truncatingIfNeeded: collected >> 4))
        case (3, 1):
            out.append(UInt8(truncatingIfNeeded: collected >> 10))
            out.append(UInt8(truncatingIfNeeded: collected >> 2))
        default: return nil
        }
        return out.count > 0 ? out : nil
    }

    // MARK: What is no PEM

    /// What a file without a PEM block is.
    private static func kind(of bytes: UnsafeRawBufferPointer) -> IdentityProblem.Cause {
        if bytes.allSatisfy({ $0 <= 0x20 }) { return .empty }
        let isMarked = bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF])
        // Without a mark: every other byte of plain text is null.
        let isWide =
            bytes.count >= 8 && (0..<4).allSatisfy { bytes[2 * $0] == 0 }
            || bytes.count >= 8 && (0..<4).allSatisfy { bytes[2 * $0 + 1] == 0 }
        if isMarked || isWide { return .utf16 }
        if bytes.starts(with: [0xFE, 0xED, 0xFE, 0xED]) { return .javaKeystore }
        return binaryKind(of: bytes) ?? .notPEM
    }

    /// What it is in DER (X.690), where OpenSSL can read it as something.
    private static func binaryKind(of bytes: UnsafeRawBufferPointer) -> IdentityProblem.Cause? {
        guard bytes.first == 0x30 else { return nil }
        defer { ERR_clear_error() }
        let first = bytes.bindMemory(to: UInt8.self).baseAddress
        var start = first
        if let found = d2i_X509(nil, &start, bytes.count) {
            X509_free(found)
            return .der(.certificate)
        }
        start = first
        if let found = d2i_PKCS12(nil, &start, bytes.count) {
            PKCS12_free(found)
            return .der(.pkcs12)
        }
        start = first
        if let found = d2i_PKCS7(nil, &start, bytes.count) {
            PKCS7_free(found)
            return .der(.pkcs7)
        }
        start = first
        if let found = d2i_AutoPrivateKey(nil, &start, bytes.count) {
            EVP_PKEY_free(found)
            return .der(.key)
        }
        return nil
    }
}

/// A certificate that several hold.
final class CertificateReference {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { X509_free(pointer) }

    /// Whom it is for, as `CN=…,O=…`.
    var subject: String { withHandle { $0.subject } }

    /// Runs `body` with it in the form that knows how to read its fields.
    func withHandle<Result>(_ body: (borrowing CertificateHandle) -> Result) -> Result {
        X509_up_ref(pointer)
        let handle = CertificateHandle(adopting: pointer)
        return body(handle)
    }

    /// Whether it is the same certificate, byte for byte.
    func isSame(as other: CertificateReference) -> Bool {
        X509_cmp(pointer, other.pointer) == 0
    }

    /// Whether its issuer's name and its subject's are one.
    var isSelfIssued: Bool {
        X509_NAME_cmp(X509_get_subject_name(pointer), X509_get_issuer_name(pointer)) == 0
    }

    /// Whether it signed `other`.
    func hasSigned(_ other: CertificateReference) -> Bool {
        defer { ERR_clear_error() }
        return X509_check_issued(pointer, other.pointer) == X509_V_OK
            && X509_verify(other.pointer, X509_get0_pubkey(pointer)) == 1
    }
}

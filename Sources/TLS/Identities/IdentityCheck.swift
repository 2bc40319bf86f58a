// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Judges a chain with its key: whether it can be served, and what clients are going to say of it.
struct IdentityCheck {
    private let files: IdentityFiles
    private let chain: ServerChain
    private let key: OpaquePointer
    /// The extended key usages of which it needs one.
    private let usages: Int32

    private var leaf: OpaquePointer { chain.path[0].pointer }
    private var publicKey: OpaquePointer? { X509_get0_pubkey(leaf) }
    private var keyText: String { CertificateFacts.kind(of: publicKey) }

    init(
        _ files: IdentityFiles, _ chain: ServerChain, key: OpaquePointer, ofClient: Bool = false
    ) {
        self.files = files
        self.chain = chain
        self.key = key
        // Many an authority gives one certificate for both.
        usages = XKU_SSL_SERVER | XKU_ANYEKU | (ofClient ? XKU_SSL_CLIENT : 0)
    }

    private func isKey(_ kind: String) -> Bool {
        publicKey.map { EVP_PKEY_is_a($0, kind) == 1 } ?? false
    }

    // MARK: What can't be served

    /// Refuses what OpenSSL would not serve, or would serve in vain.
    func refuse() throws(IdentityProblem) {
        defer { ERR_clear_error() }
        if let cause = unfitKey() ?? unfitPurpose() ?? refusal() ?? failedSignature() {
            throw IdentityProblem(files.chain, cause)
        }
    }

    private func unfitKey() -> IdentityProblem.Cause? {
        if isKey("EC") {
            var isExplicit: Int32 = 0
            if let publicKey,
                EVP_PKEY_get_int_param(
                    publicKey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &isExplicit) == 1,
                isExplicit != 0
            {
                return .explicitParameters
            }
            // RFC 8446 §4.2.3 has a signature for each of these, and for no other.
            let isKnown = ["EC P-256", "EC P-384", "EC P-521"].contains(keyText)
            return isKnown ? nil : .curve(String(keyText.dropFirst(3)))
        }
        let isSigning = ["RSA", "RSA-PSS", "ED25519", "ED448"].contains(where: isKey)
        return isSigning ? nil : .keyKind(keyText)
    }

    /// Why it is no certificate for servers, by its key usage and extended key usage.
    private func unfitPurpose() -> IdentityProblem.Cause? {
        // OpenSSL serves such a one over TLS 1.3 only, and hardly a client believes it.
        if X509_get_key_usage(leaf) & UInt32(X509v3_KU_DIGITAL_SIGNATURE) == 0 {
            return .noDigitalSignature
        }
        let usage = X509_get_extended_key_usage(leaf)
        if usage & UInt32(usages) != 0 { return nil }
        let names: [(Int32, String)] = [
            (XKU_SSL_CLIENT, "clientAuth"), (XKU_SMIME, "emailProtection"),
            (XKU_CODE_SIGN, "codeSigning"), (XKU_OCSP_SIGN, "OCSPSigning"),
            (XKU_TIMESTAMP, "timeStamping"),
        ]
        let found = names.filter { usage & UInt32($0.0) != 0 }.map(\.1)
        return .purpose(found.isEmpty ? ["something else"] : found)
    }

    /// What a context of OpenSSL says of them.
    private func refusal() -> IdentityProblem.Cause? {
        guard let context = SSL_CTX_new(TLS_server_method()) else { return nil }
        defer { SSL_CTX_free(context) }
        ERR_clear_error()
        guard SSL_CTX_use_certificate(context, leaf) == 1,
            SSL_CTX_use_PrivateKey(context, key) == 1
        else { return refusal(of: .leaf, publicKey) }
        for certificate in chain.behind
        where sluice_ctx_add1_chain_cert(context, certificate.pointer) != 1 {
            return refusal(
                of: .intermediate(certificate.subject), X509_get0_pubkey(certificate.pointer))
        }
        return nil
    }

    private func refusal(
        of member: IdentityProblem.Member, _ key: OpaquePointer?
    ) -> IdentityProblem.Cause {
        let reason = Int32(truncatingIfNeeded: sluice_err_reason(ERR_peek_last_error()))
        switch reason {
        case SSL_R_EE_KEY_TOO_SMALL, SSL_R_CA_KEY_TOO_SMALL:
            return .keyTooSmall(CertificateFacts.kind(of: key), member)
        case SSL_R_CA_MD_TOO_WEAK: return .weakSignature(member)
        default: return .refused(TLSError.drainingQueue("").reasons)
        }
    }

    /// Signs and verifies something as a handshake does (RFC 8446 §4.4.3).
    private func failedSignature() -> IdentityProblem.Cause? {
        if isKey("ED25519") || isKey("ED448") {
            return hasSigned(digest: nil) ? nil : .cannotSign
        }
        // A key for RSA-PSS may be held to one digest (RFC 4055 §3.1).
        let digests = [EVP_sha256(), EVP_sha384(), EVP_sha512()]
        return digests.contains { hasSigned(digest: $0) } ? nil : .cannotSign
    }

    private func hasSigned(digest: OpaquePointer?) -> Bool {
        let text = Array("sluice".utf8)
        var signature = [UInt8](repeating: 0, count: Int(max(0, EVP_PKEY_get_size(key))))
        var count = signature.count
        defer { ERR_clear_error() }
        let isSigned = withContext { context in
            var parameters: OpaquePointer?
            return EVP_DigestSignInit(context, &parameters, digest, nil, key) == 1
                && prepare(parameters)
                && EVP_DigestSign(context, &signature, &count, text, text.count) == 1
        }
        return isSigned
            && withContext { context in
                var parameters: OpaquePointer?
                return EVP_DigestVerifyInit(context, &parameters, digest, nil, publicKey) == 1
                    && prepare(parameters)
                    && EVP_DigestVerify(context, signature, count, text, text.count) == 1
            }
    }

    private func withContext(_ body: (OpaquePointer) -> Bool) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        return body(context)
    }

    /// As TLS 1.3 signs with RSA: PSS with a salt as long as the digest.
    private func prepare(_ parameters: OpaquePointer?) -> Bool {
        guard isKey("RSA") || isKey("RSA-PSS") else { return true }
        return EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1
    }

    // MARK: What clients are going to say

    /// All there is to say of one that can be served; `found` is the file's order.
    func warnings(chainOrder found: [CertificateReference]) -> [IdentityProblem] {
        defer { ERR_clear_error() }
        let now = Int64(time(nil))
        let causes = nameWarnings() + keyWarnings() + orderWarnings(found)
        var warnings =
            terms.compactMap { $0.problem(at: now) }
            + causes.map { IdentityProblem(files.chain, $0) }
        if CertificateFacts.isReadableByOthers(files.key) {
            warnings.append(IdentityProblem(files.key, .readableByOthers))
        }
        return warnings
    }

    /// From when until when each certificate of the chain is valid.
    var terms: [IdentityTerm] {
        chain.path.enumerated().map { index, certificate in
            let (start, end) = certificate.withHandle { ($0.notBefore, $0.notAfter) }
            return IdentityTerm(
                file: files.chain, member: index == 0 ? .leaf : .intermediate(certificate.subject),
                term: CertificateTerm(notBefore: start, notAfter: end))
        }
    }

    private func nameWarnings() -> [IdentityProblem.Cause] {
        let hasNames = chain.path[0].withHandle { !$0.names.isEmpty }
        if hasNames { return [] }
        return [.noAlternativeName(commonName: ServerIdentity.names(of: leaf).first)]
    }

    private func keyWarnings() -> [IdentityProblem.Cause] {
        var causes: [IdentityProblem.Cause] = []
        if X509_check_ca(leaf) == 1 { causes.append(.authority) }
        let isUnusual = isKey("RSA-PSS") || isKey("ED25519") || isKey("ED448")
        if isUnusual { causes.append(.browsersRefuse(keyText)) }
        return causes
    }

    private func orderWarnings(_ found: [CertificateReference]) -> [IdentityProblem.Cause] {
        var causes: [IdentityProblem.Cause] = []
        if chain.leafPlace > 0 { causes.append(.leafNotFirst(chain.leafPlace + 1)) }
        causes += chain.repeated.map { .repeated($0.subject) }
        if !chain.isInOrder(found) { causes.append(.outOfOrder) }
        let last = chain.path[chain.path.count - 1]
        // Authorities that browsers know name a place where their certificate is (RFC 5280 §4.2.2.1);
        // one of one's own, whose root signs the server's certificate itself, does not.
        let isAlone = chain.path.count == 1 && !last.isSelfIssued
        if isAlone,
            !chain.rest.isEmpty
                || X509_get_ext_by_NID(last.pointer, NID_info_access, -1) >= 0
        {
            causes.append(.intermediateMissing(last.withHandle { $0.issuer }))
        }
        // One that has the name of an issuer in the path is another way to another root.
        for certificate in chain.rest
        where !chain.path.contains(where: {
            X509_check_issued(certificate.pointer, $0.pointer) == X509_V_OK
        }) {
            causes.append(.stray(certificate.subject))
        }
        return causes
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// A local certificate authority in a directory: `ca.pem`, which clients are told to trust, and
/// `ca-key.pem`, which never leaves it.
///
/// The key is read when something is to be signed, not kept.
public struct CertificateAuthority: Sendable {
    /// Where the authority's certificate is: what clients need to trust.
    public let certificatePath: String
    /// Where the authority's private key is.
    public let keyPath: String
    /// Whether this call to `loadOrMake` made the authority, so that nobody trusts it yet.
    public let isNew: Bool

    /// How the common name of every authority of Sluice begins.
    public static let namePrefix = CertificateMaking.authorityPrefix
    /// Leaves with less than that are renewed.
    static let renewalSeconds = 30 * CertificateMaking.daySeconds

    /// Takes the authority in `directory`, or makes one there (with the directory, if missing).
    ///
    /// One that is made may sign for the names of `scope` only; one that is there stays as it is.
    ///
    /// - Parameters:
    ///   - directory: where it is, or is to be.
    ///   - scope: which names one that is made may sign for.
    ///   - names: what it is wanted for: where one would have to be made that may not sign for them, nothing is.
    /// - Returns: the authority.
    /// - Throws: `CertificateFault` where it can't be read or made.
    public static func loadOrMake(
        in directory: String, scope: NameScope = .local(more: []), for names: [String] = []
    ) throws(CertificateFault) -> CertificateAuthority {
        if try !isPresent(CertificateAuthority(directory: directory, isNew: false)) {
            try require(names, within: scope, in: directory)
        }
        try CertificateFiles.makeDirectory(directory)
        try requireSafe(in: directory)
        return try CertificateFiles.locked(directory) { () throws(CertificateFault) in
            let isNew = try !isPresent(
                CertificateAuthority(directory: directory, isNew: false))
            let authority = CertificateAuthority(directory: directory, isNew: isNew)
            if isNew { try authority.make(scope) }
            _ = try authority.load()
            return authority
        }
    }

    /// Refuses a directory that others can write to, and an authority of others or whose key others can
    /// read.
    public static func requireSafe(in directory: String) throws(CertificateFault) {
        let authority = CertificateAuthority(directory: directory, isNew: false)
        try AuthoritySafety.check(
            directory: directory, certificate: authority.certificatePath, key: authority.keyPath)
    }

    /// Sees to a certificate for `names` at `chainPath` and its key at `keyPath`.
    ///
    /// One that is there is kept if it covers the names, was signed by this authority, belongs to
    /// the key and lasts for 30 days more. A certificate from elsewhere is never overwritten.
    ///
    /// - Parameters:
    ///   - names: DNS names, wildcards and addresses that it has to be for.
    ///   - others: what becomes of other names that it has.
    ///   - chainPath: where the certificate is, or is to be.
    ///   - keyPath: the same of its key.
    /// - Returns: what was done.
    /// - Throws: `CertificateFault` where it can't be read or made.
    public func ensureLeaf(
        for names: [String], others: OtherNames = .stay, chainPath: String, keyPath: String
    ) throws(CertificateFault) -> LeafOutcome {
        var wanted: [CertificateName] = []
        for name in names {
            let parsed = try CertificateName(parsing: name)
            if !wanted.contains(parsed) { wanted.append(parsed) }
        }
        guard !wanted.isEmpty else {
            throw CertificateFault(
                chainPath, found: "no name was given for it", remedy: "give at least one name")
        }
        let directory = CertificateFiles.parent(of: chainPath)
        try CertificateFiles.makeDirectory(directory)
        try CertificateFiles.makeDirectory(CertificateFiles.parent(of: keyPath))
        let asked = wanted
        return try CertificateFiles.locked(directory) { () throws(CertificateFault) in
            let authority = try load()
            var outcome = try judge(chainPath, keyPath, covers: asked, authority)
            var more: [CertificateName] = []
            if outcome != .made {
                let present = try CertificateHandle.read(pemFile: chainPath).names
                more = present.filter { !asked.contains($0) && others.keeps($0) }
                if case .go = others, outcome == .kept,
                    present.contains(where: { !asked.contains($0) })
                {
                    let surplus = present.filter { !asked.contains($0) }
                    outcome = .renewed(.namesTooMany(surplus.map(\.text)))
                }
            }
            if outcome == .kept { return outcome }
            do throws(CertificateFault) {
                try makeLeaf(asked + more, chainPath, keyPath, authority)
            } catch {
                // Another authority before this one may have signed for what this one may not.
                if more.isEmpty { throw error }
                try makeLeaf(asked, chainPath, keyPath, authority)
            }
            return outcome
        }
    }

    /// What `ensureLeaf` would do for the names that the certificate at `chainPath` is for now.
    public func condition(
        chainPath: String, keyPath: String
    ) throws(CertificateFault) -> LeafOutcome {
        let names = try CertificateHandle.read(pemFile: chainPath).names
        return try judge(chainPath, keyPath, covers: names, try load())
    }

    /// Refuses what no certificate can be for: what is no DNS name, wildcard or address.
    public static func requireName(_ text: String) throws(CertificateFault) {
        _ = try CertificateName(parsing: text)
    }

    init(directory: String, isNew: Bool) {
        certificatePath = directory + "/ca.pem"
        keyPath = directory + "/ca-key.pem"
        self.isNew = isNew
    }

    static func isPresent(_ authority: Self) throws(CertificateFault) -> Bool {
        let hasCertificate = CertificateFiles.hasContent(authority.certificatePath)
        if hasCertificate, !CertificateFiles.hasContent(authority.keyPath) {
            throw CertificateFault(
                authority.keyPath, found: "\(authority.certificatePath) is there but not its key",
                remedy: "put the key back, or move ca.pem away to have a new authority made")
        }
        return hasCertificate
    }

    /// Key first: if this is cut short, the key alone is taken up by the next call.
    private func make(_ scope: NameScope) throws(CertificateFault) {
        if !CertificateFiles.hasContent(keyPath) {
            try Self.write(try KeyHandle.make(for: keyPath), to: keyPath)
        }
        let key = try KeyHandle.read(pemFile: keyPath)
        let certificate = try CertificateMaking.authority(
            key: key, owner: Self.owner(), scope: scope, file: certificatePath)
        try Self.write(certificate, to: certificatePath)
    }

    /// The authority's certificate, after making sure that leaves signed with it will be believed.
    func load() throws(CertificateFault) -> CertificateHandle {
        let certificate = try CertificateHandle.read(pemFile: certificatePath)
        let key = try KeyHandle.read(pemFile: keyPath)
        let remedy = "move ca.pem and ca-key.pem away to have new ones made, then trust the new one"
        guard X509_check_private_key(certificate.pointer, key.pointer) == 1 else {
            ERR_clear_error()
            throw CertificateFault(
                keyPath, found: "it is not the key of \(certificatePath)", remedy: remedy)
        }
        guard certificate.isAuthority else {
            throw CertificateFault(
                certificatePath, found: "it is not an authority's certificate (CA:TRUE)",
                remedy: remedy)
        }
        guard certificate.notAfter > Int64(time(nil)) else {
            throw CertificateFault(certificatePath, found: "it has expired", remedy: remedy)
        }
        return certificate
    }

    private func judge(
        _ chainPath: String, _ keyPath: String, covers wanted: [CertificateName],
        _ authority: borrowing CertificateHandle
    ) throws(CertificateFault) -> LeafOutcome {
        guard CertificateFiles.hasContent(chainPath) else {
            // The chain is always written first, so a lonely key is not from here.
            guard !CertificateFiles.hasContent(keyPath) else {
                let isEmpty = access(chainPath, F_OK) == 0
                throw CertificateFault(
                    keyPath,
                    found: "a key whose certificate \(chainPath) is "
                        + (isEmpty ? "empty" : "not there"),
                    remedy:
                        "delete that key\(isEmpty ? " and that file" : "") if nobody needs it, and both are made"
                        + " anew; nothing is overwritten")
            }
            return .made
        }
        let leaf = try CertificateHandle.read(pemFile: chainPath)
        guard leaf.issuerCommonName.hasPrefix(CertificateMaking.authorityPrefix) else {
            throw CertificateFault(
                chainPath, found: "a certificate issued by \(leaf.issuer)",
                remedy: "move it away or choose another directory; it is not overwritten")
        }
        guard !leaf.isAuthority else {
            throw CertificateFault(
                chainPath, found: "an authority's certificate", remedy: "choose another file name")
        }
        guard X509_verify(leaf.pointer, X509_get0_pubkey(authority.pointer)) == 1 else {
            ERR_clear_error()
            return .renewed(.signedByAnotherAuthority)
        }
        guard CertificateFiles.hasContent(keyPath) else { return .renewed(.keyMissing) }
        let key = try KeyHandle.read(pemFile: keyPath)
        guard X509_check_private_key(authority.pointer, key.pointer) != 1 else {
            throw CertificateFault(
                keyPath, found: "the authority's own key", remedy: "choose another file name")
        }
        ERR_clear_error()
        guard X509_check_private_key(leaf.pointer, key.pointer) == 1 else {
            ERR_clear_error()
            return .renewed(.keyOfAnotherCertificate)
        }
        let present = leaf.names
        let missing = wanted.filter { name in !present.contains { $0.covers(name) } }
        guard missing.isEmpty else { return .renewed(.namesMissing(missing.map(\.text))) }
        let secondsLeft = leaf.notAfter - Int64(time(nil))
        guard secondsLeft > Self.renewalSeconds else {
            let day = CertificateMaking.daySeconds
            return .renewed(.nearExpiry(days: Int((max(0, secondsLeft) + day - 1) / day)))
        }
        return .kept
    }

    /// Chain first: cut short, the pair does not match and is made anew by the next call.
    private func makeLeaf(
        _ names: [CertificateName], _ chainPath: String, _ keyPath: String,
        _ authority: borrowing CertificateHandle
    ) throws(CertificateFault) {
        let key = try KeyHandle.make(for: keyPath)
        let leaf = try CertificateMaking.leaf(
            for: names, key: key, authority: authority,
            authorityKey: try KeyHandle.read(pemFile: self.keyPath),
            in: String(certificatePath.dropLast("/ca.pem".count)), file: chainPath)
        // The root does not go in: a client that trusts it has it (RFC 8446 §4.4.2).
        try Self.write(leaf, to: chainPath)
        try Self.write(key, to: keyPath)
    }

    private static func write(
        _ certificate: borrowing CertificateHandle, to path: String
    ) throws(CertificateFault) {
        guard let output = MemoryBIO.empty(),
            PEM_write_bio_X509(output.pointer, certificate.pointer) == 1
        else { throw .library("write the certificate as PEM", path) }
        try output.withBytes { bytes throws(CertificateFault) in
            try CertificateFiles.replace(path, mode: CertificateFiles.certificateMode, with: bytes)
        }
    }

    private static func write(
        _ key: borrowing KeyHandle, to path: String
    ) throws(CertificateFault) {
        guard let output = MemoryBIO.empty(),
            PEM_write_bio_PrivateKey(output.pointer, key.pointer, nil, nil, 0, nil, nil) == 1
        else { throw .library("write the key as PEM", path) }
        try output.withBytes { bytes throws(CertificateFault) in
            try CertificateFiles.replace(path, mode: CertificateFiles.keyMode, with: bytes)
        }
    }

    /// `user@host`, so that a list of trusted authorities says whose this one is.
    private static func owner() -> String {
        let user = getpwuid(geteuid()).flatMap { $0.pointee.pw_name }.map { String(cString: $0) }
        var host = [CChar](repeating: 0, count: 256)
        gethostname(&host, host.count - 1)
        let name = String(
            decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "\(user ?? String(geteuid()))@\(name)"
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Which names an authority may sign for, found out before anything is written: by a certificate for them that is
/// made in memory and judged as a client would judge it.
extension CertificateAuthority {
    /// The authority that is in `directory`; nil where there is none.
    ///
    /// - Throws: `CertificateFault` where one is there that can't be used.
    public static func present(
        in directory: String
    ) throws(CertificateFault) -> CertificateAuthority? {
        let authority = CertificateAuthority(directory: directory, isNew: false)
        guard try isPresent(authority) else { return nil }
        try requireSafe(in: directory)
        _ = try authority.load()
        return authority
    }

    /// Whether it may sign for a name.
    ///
    /// - Throws: `CertificateFault` for what is no name, and where the authority can't be read.
    public func permits(_ name: String) throws(CertificateFault) -> Bool {
        let key = try KeyHandle.make(for: certificatePath)
        return try CertificateMaking.isPermitted(
            try CertificateName(parsing: name), authority: try load(), key: key)
    }

    /// Refuses names that an authority which is made for `scope` could not sign for; writes nothing.
    ///
    /// - Parameters:
    ///   - names: DNS names, wildcards and addresses.
    ///   - scope: what the authority would be made for.
    ///   - directory: where it would be, for the remedy.
    /// - Throws: `CertificateFault` with the names that it may not sign for.
    static func require(
        _ names: [String], within scope: NameScope, in directory: String
    ) throws(CertificateFault) {
        let refused = try scope.refused(names)
        guard !refused.isEmpty else { return }
        throw CertificateFault(
            refused.joined(separator: ", "),
            found:
                "the authority that would be made now may sign for local names and private addresses"
                + " only, and what it is made to permit; nothing was made",
            remedy: "take a name such as app.test or app.localhost, or have it permit that",
            wanted: names, directory: directory)
    }
}

extension NameScope {
    /// Refuses names to permit that are none, or that are no DNS names.
    public func requireNames() throws(CertificateFault) { _ = try extensionValue() }

    /// Those of the names that an authority made for this scope could not sign for.
    ///
    /// - Throws: `CertificateFault` for what is no name.
    public func refused(_ names: [String]) throws(CertificateFault) -> [String] {
        if names.isEmpty { return [] }
        let file = "the authority"
        let key = try KeyHandle.make(for: file)
        let authority = try CertificateMaking.authority(
            key: key, owner: "", scope: self, file: file)
        var refused: [String] = []
        for name in names {
            let parsed = try CertificateName(parsing: name)
            let isPermitted = try CertificateMaking.isPermitted(
                parsed, authority: authority, key: key)
            if !isPermitted { refused.append(name) }
        }
        return refused
    }
}

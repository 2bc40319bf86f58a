// SPDX-License-Identifier: Apache-2.0
public import TLS

/// An authority as the stores know it.
struct Authority {
    /// Authorities of ours begin with it, whichever machine made them.
    static let nicknamePrefix = "Sluice development CA"

    let certificatePath: String
    /// The name in a browser's database, unlike that of any other authority.
    let nickname: String

    init(_ facts: CertificateFacts, path: String) {
        certificatePath = path
        nickname = "\(Self.nicknamePrefix) \(facts.fingerprint.prefix(16))"
    }
}

/// All the places of this machine where an authority may be trusted.
public struct TrustStores {
    /// PEM file with the authority's certificate; nil where none was given.
    public var authorityPath: String? { authority?.certificatePath }

    private let authority: Authority?
    private let system: SystemStore?
    private let browsers: [BrowserStore]

    /// Looks for the stores.
    ///
    /// - Parameters:
    ///   - authorityPath: PEM file with the authority's certificate; nil where there is none any more,
    ///     so that those that are trusted can only be forgotten.
    ///   - home: the home folder whose browsers are meant; nil for none.
    ///   - root: the folder that stands for `/`, for the system's store; nil for none of it.
    /// - Throws: `CertificateFault` when the certificate can't be read.
    public init(
        authorityPath: String?, home: String?, root: String?
    ) throws(CertificateFault) {
        if let authorityPath {
            authority = Authority(
                try CertificateFacts.read(pemFile: authorityPath), path: authorityPath)
        } else {
            authority = nil
        }
        system = root.map { SystemStore(root: $0 == "/" ? "" : $0, authorityPath: authorityPath) }
        browsers = home.map { BrowserStore.all(home: $0) } ?? []
    }

    /// The file with all authorities that the system trusts, for programs with a list of their own; nil
    /// where none is known.
    public var systemBundle: String? { system?.bundlePath }

    /// Where the authority is trusted.
    public func status() -> [StoreReport] {
        (system.map { [$0.status()] } ?? []) + browsers.map { $0.status(authority) }
    }

    /// Has it trusted everywhere; where it is already, nothing is done.
    public func trust() -> [StoreReport] {
        guard let authority else { return status() }
        return (system.map { [$0.trust()] } ?? []) + browsers.map { $0.trust(authority) }
    }

    /// Has it forgotten everywhere.
    public func untrust() -> [StoreReport] {
        (system.map { [$0.untrust()] } ?? []) + browsers.map { $0.untrust(authority) }
    }
}

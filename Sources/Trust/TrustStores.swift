// SPDX-License-Identifier: Apache-2.0
import Glibc
public import TLS

/// An authority as the stores know it.
struct Authority {
    /// Authorities of ours begin with it, whichever machine made them.
    static let nicknamePrefix = CertificateAuthority.namePrefix

    let certificatePath: String
    /// What tells it from every other, in a file's name.
    let mark: String
    /// The name in a browser's database, unlike that of any other authority.
    let nickname: String

    init(_ facts: CertificateFacts, path: String) {
        certificatePath = path
        mark = String(facts.fingerprint.prefix(16))
        nickname = "\(Self.nicknamePrefix) \(mark)"
    }

    /// Whether a nickname was made here, for this authority or another one.
    static func isOwn(nickname: String) -> Bool {
        guard nickname.hasPrefix(nicknamePrefix + " ") else { return false }
        let mark = nickname.dropFirst(nicknamePrefix.count + 1)
        return mark.count == 16 && mark.allSatisfy { $0.isHexDigit }
    }

    /// What is said where several are there and none was named.
    static func several(_ names: [String]) -> String {
        "several authorities of Sluice's are there (\(names.joined(separator: ", "))): name the folder"
            + " of one with --directory, or take all of them out with --all"
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
        let named = authority
        system = root.map {
            SystemStore(
                root: RootFolder(
                    path: TrustStores.resolved($0) == "/" ? "" : Self.absolute($0)),
                authority: named)
        }
        browsers = home.map { BrowserStore.all(home: $0) } ?? []
    }

    /// The file with all authorities that the system trusts, for programs with a list of their own; nil
    /// where none is known.
    public var systemBundle: String? { system?.bundlePath }

    /// The files of the system's store in an image as programs name them that run in it.
    ///
    /// They are the authority's own, and the one with all that the system trusts; nil for this machine, and where the
    /// authority is not there.
    public var pathsInImage: (authority: String, bundle: String)? { system?.pathsInImage }

    /// Where the authority is trusted.
    public func status() -> [StoreReport] {
        (system.map { [$0.status()] } ?? []) + browsers.map { $0.status(authority) }
    }

    /// Has it trusted everywhere; where it is already, nothing is done.
    public func trust() -> [StoreReport] {
        guard let authority else { return status() }
        return (system.map { [$0.trust()] } ?? []) + browsers.map { $0.trust(authority) }
    }

    /// Has it forgotten everywhere, and no other authority.
    ///
    /// - Parameter all: whether every authority of Sluice's is meant. Without it, and where the
    ///   authority's file is gone, the only one that is found is.
    /// - Returns: what was done in each store.
    public func untrust(all: Bool = false) -> [StoreReport] {
        (system.map { [$0.untrust(all: all)] } ?? [])
            + browsers.map { $0.untrust(authority, all: all) }
    }

    /// A path from `/` on, for programs that change their working folder; links in it stay.
    private static func absolute(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        if path.hasPrefix("/") { return path }
        return (resolved(".") ?? "") + "/" + path
    }

    /// A path without links and `..`; nil where there is nothing.
    public static func resolved(_ path: String) -> String? {
        guard !path.isEmpty, let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}

// SPDX-License-Identifier: Apache-2.0

/// What became of a certificate that was asked for.
public enum LeafOutcome: Sendable, Equatable {
    /// There was none, now there is.
    case made
    /// There was one that would not do, and a new one took its place.
    case renewed(RenewalReason)
    /// The one that is there does.
    case kept
}

/// What becomes of names that a certificate has and that are not asked for.
public enum OtherNames: Sendable {
    /// The certificate keeps all of them.
    case stay
    /// They stay, but for addresses other than loopback: a machine that moves from network to network would
    /// collect them.
    case stayUnlessOfNetwork
    /// The certificate is made anew without them.
    case go

    func keeps(_ name: CertificateName) -> Bool {
        switch (self, name) {
        case (.stay, _), (.stayUnlessOfNetwork, .dns): true
        case (.stayUnlessOfNetwork, .address(let text)): text == "::1" || text.hasPrefix("127.")
        case (.go, _): false
        }
    }
}

/// Why a certificate was renewed.
public enum RenewalReason: Sendable, Equatable, CustomStringConvertible {
    /// The names that were asked for and that it did not cover.
    case namesMissing([String])
    /// Names that it covered and that were not to be in it any more.
    case namesTooMany([String])
    /// The authority has been made anew since.
    case signedByAnotherAuthority
    /// The file of its key was not there.
    case keyMissing
    /// The key beside it belongs to another certificate.
    case keyOfAnotherCertificate
    /// So few days, rounded up, were left; none when it had expired.
    case nearExpiry(days: Int)

    /// A clause for "renewed, since …".
    public var description: String {
        switch self {
        case .namesMissing(let names): "it did not cover \(names.joined(separator: ", "))"
        case .namesTooMany(let names): "it also covered \(names.joined(separator: ", "))"
        case .signedByAnotherAuthority: "another authority had signed it"
        case .keyMissing: "its key was missing"
        case .keyOfAnotherCertificate: "the key beside it was another's"
        case .nearExpiry(let days):
            days == 0 ? "it had expired" : "it had only \(days) day\(days == 1 ? "" : "s") left"
        }
    }
}

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

/// Why a certificate was renewed.
public enum RenewalReason: Sendable, Equatable, CustomStringConvertible {
    /// The names that were asked for and that it did not cover.
    case namesMissing([String])
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
        case .signedByAnotherAuthority: "another authority had signed it"
        case .keyMissing: "its key was missing"
        case .keyOfAnotherCertificate: "the key beside it was another's"
        case .nearExpiry(let days): days == 0 ? "it had expired" : "it ended within \(days) days"
        }
    }
}

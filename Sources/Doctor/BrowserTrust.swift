// SPDX-License-Identifier: Apache-2.0

/// Which browsers of this user trust an authority.
public struct BrowserTrust: Sendable, Equatable {
    /// Those that do, by name and place.
    public var trusting: [String]
    /// Those that do not.
    public var refusing: [String]

    /// Browsers that trust it, and those that do not; those of which nothing is known are in neither.
    public init(trusting: [String] = [], refusing: [String] = []) {
        self.trusting = trusting
        self.refusing = refusing
    }
}

extension Doctor {
    /// What this user's browsers say of a certificate that was believed here thanks to the local authority.
    mutating func askBrowsers() {
        let trust = options.browserTrust?() ?? BrowserTrust()
        browserTrust = trust
        guard !trust.refusing.isEmpty else {
            diagnosis.notes.append(
                "It is signed by Sluice's local authority; "
                    + (trust.trusting.isEmpty
                        ? "browsers believe it after `sluice cert trust` (`sluice cert status` says"
                            + " which do)."
                        : "this user's browsers trust that: \(trust.trusting.joined(separator: ", ")).")
            )
            return
        }
        let refusing = trust.refusing.joined(separator: ", ")
        if trust.trusting.isEmpty {
            reserve(
                .untrustedByBrowsers,
                "The socket works for programs that are told Sluice's local authority, but no browser of"
                    + " this user trusts that (\(refusing)): pages fail with ERR_CERT_AUTHORITY_INVALID"
                    + " or SEC_ERROR_UNKNOWN_ISSUER.",
                "sluice cert trust, then restart the browsers.")
        } else {
            diagnosis.notes.append(
                "It is signed by Sluice's local authority, and not all of this user's browsers trust"
                    + " that: \(refusing) will refuse it until `sluice cert trust`.")
        }
    }
}

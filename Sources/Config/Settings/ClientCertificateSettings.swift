// SPDX-License-Identifier: Apache-2.0

/// Whose clients a listener lets in by their certificates.
public struct ClientCertificateSettings: Sendable, Equatable {
    /// Whether clients have to show a certificate.
    public enum Mode: String, Sendable, CaseIterable {
        /// They may; routes say where one is needed.
        case optional
        /// A handshake without one fails.
        case required
    }

    /// A file with certificates of authorities.
    public var authorities: String
    /// Whether a certificate has to be shown.
    public var mode = Mode.optional
    /// A file with lists of revoked certificates; nil where none are looked at.
    public var revoked: String?
    /// Where it was written.
    public var place = SourcePlace.commandLine

    /// The authorities of this file.
    public init(authorities: String) { self.authorities = authorities }
}

/// Which certificates of clients a route is for: each list that is there has to have the client's.
public struct CertificateRuleSettings: Sendable, Equatable {
    /// What the upstream is told of a certificate.
    public enum Telling: String, Sendable, CaseIterable {
        /// Nothing.
        case nothing
        /// The certificate.
        case certificate
        /// Also what stands between it and the authority.
        case chain
    }

    /// Names of which it has to have one; any where it is empty.
    public var names: [String] = []
    /// Subjects of which its has to be one; any where it is empty.
    public var subjects: [String] = []
    /// SHA-256 in hexadecimal digits, of which it has to be one; any where it is empty.
    public var fingerprints: [String] = []
    /// What the upstream is told of it.
    public var tell = Telling.certificate
    /// Where it was written.
    public var place = SourcePlace.commandLine

    /// Any certificate that a listener has verified.
    public init() {}
}

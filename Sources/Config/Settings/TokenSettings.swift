// SPDX-License-Identifier: Apache-2.0

/// A signed token that is asked for (RFC 7519).
public struct TokenSettings: Sendable, Hashable {
    /// Where the issuer's keys are.
    public enum Keys: Sendable, Hashable {
        /// A JWK Set in a file.
        case file(String)
        /// A JWK Set at a URL.
        case url(String)
    }

    /// Where a request may have its token.
    public enum Place: Sendable, Hashable {
        /// `Authorization: Bearer`.
        case header
        /// The cookie of this name.
        case cookie(String)
        /// The parameter of the query of this name.
        case query(String)
        /// A subprotocol with this in front of the token.
        case subprotocol(String)
    }

    /// A claim and the values of which it has to have one.
    public struct Claim: Sendable, Hashable {
        /// The claim's name.
        public var name: String
        /// As text.
        public var values: [String]

        /// A claim with the values of which it has to have one.
        public init(name: String, values: [String]) {
            self.name = name
            self.values = values
        }
    }

    /// A field that tells the app a claim.
    public struct Told: Sendable, Hashable {
        /// The field's name.
        public var field: String
        /// The claim's.
        public var claim: String

        /// A field that tells the app a claim.
        public init(field: String, claim: String) {
            self.field = field
            self.claim = claim
        }
    }

    /// How a WebSocket ends with its token.
    public struct End: Sendable, Hashable {
        /// The code of the Close.
        public var code: UInt16 = 4401
        /// How long before the token.
        public var before = Duration.zero

        /// With the usual code, when the token ends.
        public init() {}
    }

    /// Where the keys are.
    public var keys: Keys
    /// Where the keys were named.
    public var keysPlace = SourcePlace.commandLine
    /// The file of certificate authorities (PEM) that a URL of keys is checked by; nil for the system's.
    public var authorities: String?
    /// Where that file was named.
    public var authoritiesPlace = SourcePlace.commandLine
    /// Who may have made the token; whoever has a key where it is empty.
    public var issuers: [String] = []
    /// Whom it has to be for; anybody where it is empty.
    public var audiences: [String] = []
    /// Where it may be.
    public var from: [Place] = [.header]
    /// What else it has to claim.
    public var claims: [Claim] = []
    /// What of it the app is told.
    public var forward: [Told] = []
    /// Where that was written.
    public var forwardPlace = SourcePlace.commandLine
    /// How far the issuer's clock may be from this one.
    public var leeway = Duration.seconds(10)
    /// How a WebSocket ends with its token; nil for not at all.
    public var end: End?

    /// Tokens that keys of this file or URL have signed.
    public init(keys: Keys) { self.keys = keys }

    /// The same, wherever it was written.
    public var withoutPlaces: TokenSettings {
        var same = self
        same.keysPlace = .commandLine
        same.authoritiesPlace = .commandLine
        same.forwardPlace = .commandLine
        return same
    }

    /// The file, where the keys are in one.
    public var file: String? {
        if case .file(let path) = keys { return path }
        return nil
    }
}

// SPDX-License-Identifier: Apache-2.0
import Synchronization
import TLS

/// What a route asks of a token.
public struct TokenDemands: Sendable, Hashable {
    /// A claim with the values of which it has to have one.
    public struct Match: Sendable, Hashable {
        /// The claim's name, or names with '.' between for one within others.
        public let claim: String
        /// As text; numbers and truth as JSON writes them.
        public let values: [String]

        /// A claim with the values of which it has to have one.
        public init(claim: String, values: [String]) {
            self.claim = claim
            self.values = values
        }
    }

    /// Who may have made it (`iss`); anybody whose key is there where it is empty.
    public var issuers: [String] = []
    /// Whom it has to be for (`aud`); whoever it is for where it is empty.
    public var audiences: [String] = []
    /// What else it has to claim.
    public var matches: [Match] = []
    /// Claims whose values are told to the app, by their index.
    public var told: [String] = []
    /// How far the issuer's clock may be from this one, in milliseconds.
    public var leewayMilliseconds: UInt64 = 0
    /// Whether it has to say when it ends (`exp`).
    public var needsEnd = false

    /// Asks for a good signature and nothing else.
    public init() {}
}

/// What a token has proven.
public final class ProvenToken: Sendable {
    /// Who has it (`sub`); empty where it does not say.
    public let subject: String
    /// When it ends (`exp`), in milliseconds since 1970; nil for never.
    public let endMilliseconds: UInt64?
    /// The values of the claims that are told, by the index of the rule's; nil where there is none.
    public let told: [[UInt8]?]

    init(subject: String, endMilliseconds: UInt64?, told: [[UInt8]?]) {
        self.subject = subject
        self.endMilliseconds = endMilliseconds
        self.told = told
    }

    /// About how many bytes it takes.
    var byteCount: Int { 200 + subject.utf8.count + told.reduce(0) { $0 + 40 + ($1?.count ?? 0) } }
}

/// Judges tokens for a route.
///
/// A token that was good is known again by a keyed digest of it, for as long as it lasts and until the keys change, so
/// that its signature is checked once. Those that were not good are not kept: whoever sends them could have any number.
public final class TokenRule: Sendable {
    /// What is to be done with a token.
    public enum Verdict: Sendable {
        case proven(ProvenToken)
        case refused(TokenFault)
        /// There are no keys yet; why, where that is known.
        case noKeys(String?)
    }

    /// Keys that a token without `kid` is tried with.
    static let triesMax = 8
    private static let subjectBytesMax = 256

    /// What a token has to be.
    public let demands: TokenDemands
    /// Whose keys it is checked by.
    public let keyring: TokenKeyring
    private let digests = DigestKey()
    private let known = Mutex(KnownTokens())

    /// A rule that goes by these keys.
    public init(_ demands: TokenDemands, keyring: TokenKeyring) {
        self.demands = demands
        self.keyring = keyring
    }

    /// Judges a token at a time, in milliseconds since 1970.
    public func judge(_ token: [UInt8], wallMilliseconds now: UInt64) -> Verdict {
        guard let (keys, version) = keyring.current else { return .noKeys(keyring.report.problem) }
        // What is longer is judged without being known again.
        guard token.count <= SignedToken.bytesMax else { return refusal(of: token, keys, now) }
        let digest = digests.digest(of: token, [])
        if let proven = known.withLock({ $0.find(digest, version, now) }) { return .proven(proven) }
        do throws(TokenFault) {
            let proven = try prove(token, keys, now)
            // From then on it has to be judged again, and is refused.
            let end = proven.endMilliseconds.map { $0.saturatingAdd(demands.leewayMilliseconds) }
            known.withLock { $0.insert(proven, as: digest, version, until: end ?? .max) }
            return .proven(proven)
        } catch {
            return .refused(error)
        }
    }

    /// How many tokens are known, for the tests.
    var knownCount: Int { known.withLock { $0.count } }

    private func refusal(of token: [UInt8], _ keys: TokenKeys, _ now: UInt64) -> Verdict {
        do throws(TokenFault) {
            return .proven(try prove(token, keys, now))
        } catch {
            return .refused(error)
        }
    }

    private func prove(
        _ bytes: [UInt8], _ keys: TokenKeys, _ now: UInt64
    ) throws(TokenFault) -> ProvenToken {
        let token = try SignedToken(bytes)
        try checkSignature(of: token, bytes, keys)
        let claims = try token.claims()
        let end = try Self.time(claims, "exp")
        if let end, now >= end.saturatingAdd(demands.leewayMilliseconds) {
            throw .invalid("The token has expired ('exp').")
        }
        guard end != nil || !demands.needsEnd else {
            throw .invalid("The token does not say when it ends ('exp').")
        }
        if let start = try Self.time(claims, "nbf"),
            now.saturatingAdd(demands.leewayMilliseconds) < start
        {
            throw .invalid("The token is not valid yet ('nbf').")
        }
        _ = try Self.time(claims, "iat")
        try checkParties(claims)
        for match in demands.matches {
            guard let value = Self.value(of: match.claim, in: claims),
                Self.has(value, oneOf: match.values, isScope: Self.scopes.contains(match.claim))
            else {
                throw TokenFault(
                    kind: .insufficient,
                    sentence: "The token's claim '\(match.claim)' is not what the route asks for.")
            }
        }
        return ProvenToken(
            subject: try Self.subject(claims), endMilliseconds: end,
            told: try demands.told.map { (name) throws(TokenFault) in try Self.told(name, claims) })
    }

    private func checkSignature(
        of token: SignedToken, _ bytes: [UInt8], _ keys: TokenKeys
    ) throws(TokenFault) {
        let fitting = keys.fitting(token.identifier, token.algorithm)
        guard !fitting.isEmpty else {
            guard let identifier = token.identifier else {
                throw .invalid("No key is there for the token's algorithm.")
            }
            if keys.has(identifier) {
                throw .invalid("The token's key ('kid') is not for the token's algorithm ('alg').")
            }
            guard keyring.want() else { throw .invalid("The token's key ('kid') is not known.") }
            throw TokenFault(
                kind: .early,
                sentence: "The token's key ('kid') is not known yet, and its issuer is being asked."
            )
        }
        guard fitting.count <= Self.triesMax else {
            throw .invalid("The token does not name its key ('kid'), and there are many.")
        }
        let isRight = bytes.withUnsafeBytes { bytes in
            let signed = UnsafeRawBufferPointer(rebasing: bytes[..<token.signedCount])
            return fitting.contains {
                $0.key.verifies(token.signature, of: signed, by: token.algorithm)
            }
        }
        guard isRight else { throw .invalid("The token's signature is wrong.") }
    }

    private func checkParties(_ claims: JSONValue) throws(TokenFault) {
        if !demands.issuers.isEmpty {
            guard let issuer = claims["iss"]?.string, demands.issuers.contains(issuer) else {
                throw .invalid("The token is of another issuer ('iss').")
            }
        }
        guard !demands.audiences.isEmpty else { return }
        let isMeant =
            switch claims["aud"] {
            case .text(let text)?: demands.audiences.contains(text)
            case .list(let values)?:
                values.contains { $0.string.map(demands.audiences.contains) ?? false }
            default: false
            }
        guard isMeant else { throw .invalid("The token is for another audience ('aud').") }
    }

    // MARK: Claims

    /// Claims that are lists of words in one text (RFC 8693 §4.2).
    private static let scopes: Set<String> = ["scope", "scp"]

    /// A moment in milliseconds since 1970; nil where there is none.
    private static func time(_ claims: JSONValue, _ name: String) throws(TokenFault) -> UInt64? {
        guard let value = claims[name] else { return nil }
        guard case .number(_, let seconds) = value, seconds >= 0 else {
            throw .invalid("The token's '\(name)' is no time: a number of seconds since 1970.")
        }
        // Beyond that nobody asks.
        return UInt64(min(seconds, 1e12) * 1_000)
    }

    /// The claim of a name; where there is none, the one that names with '.' between lead to.
    private static func value(of name: String, in claims: JSONValue) -> JSONValue? {
        if let value = claims[name] { return value }
        guard name.contains(".") else { return nil }
        var value: JSONValue? = claims
        for part in name.split(separator: ".", omittingEmptySubsequences: false) {
            value = value?[String(part)]
        }
        return value
    }

    private static func has(_ value: JSONValue, oneOf wanted: [String], isScope: Bool) -> Bool {
        switch value {
        case .text(let text):
            wanted.contains(text)
                || isScope && text.split(separator: " ").contains { wanted.contains(String($0)) }
        case .number, .truth: wanted.contains(value.compact)
        case .list(let values):
            values.contains { has($0, oneOf: wanted, isScope: false, isInList: true) }
        case .null, .object: false
        }
    }

    private static func has(
        _ value: JSONValue, oneOf wanted: [String], isScope: Bool, isInList: Bool
    ) -> Bool {
        if case .list = value { return false }
        return has(value, oneOf: wanted, isScope: isScope)
    }

    private static func subject(_ claims: JSONValue) throws(TokenFault) -> String {
        guard let value = claims["sub"] else { return "" }
        guard let text = value.string, text.utf8.count <= subjectBytesMax, !hasControl(text) else {
            throw .invalid(
                "The token's 'sub' is no text of at most \(subjectBytesMax) bytes without control"
                    + " characters.")
        }
        return text
    }

    /// The value of a claim as a field has it: a text as it is, anything else as JSON.
    private static func told(_ name: String, _ claims: JSONValue) throws(TokenFault) -> [UInt8]? {
        guard let value = value(of: name, in: claims), value != .null else { return nil }
        guard let text = value.string else { return Array(value.compact.utf8) }
        guard !hasControl(text) else {
            throw .invalid(
                "The token's claim '\(name)' has a control character, and is to be told to the app."
            )
        }
        return text.isEmpty ? nil : Array(text.utf8)
    }

    /// Whether a text could become another line, or is read differently by different programs.
    private static func hasControl(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0.value < 0x20 || 0x7F...0x9F ~= $0.value }
    }
}

/// Tokens that were good, a bounded number of bytes of them.
struct KnownTokens {
    private static let countMax = 16_384
    private static let bytesMax = 16 * 1_048_576

    private struct Entry {
        let token: ProvenToken
        let end: UInt64
    }

    private var version: UInt64 = 0
    private var young: [KeyedDigest: Entry] = [:]
    /// Those that were young before, and were not asked for since.
    private var old: [KeyedDigest: Entry] = [:]
    private var youngBytes = 0

    var count: Int { young.count + old.count }

    /// A token that was proven by keys of this version, and that has not ended.
    mutating func find(_ digest: KeyedDigest, _ version: UInt64, _ now: UInt64) -> ProvenToken? {
        guard version == self.version else { return nil }
        if let entry = young[digest] {
            if now < entry.end { return entry.token }
            young[digest] = nil
            return nil
        }
        guard let entry = old.removeValue(forKey: digest), now < entry.end else { return nil }
        insert(entry, as: digest)
        return entry.token
    }

    mutating func insert(
        _ token: ProvenToken, as digest: KeyedDigest, _ version: UInt64, until end: UInt64
    ) {
        if version != self.version {
            // One that was judged by keys which have gone since is not kept.
            guard version > self.version else { return }
            self = KnownTokens()
            self.version = version
        }
        insert(Entry(token: token, end: end), as: digest)
    }

    private mutating func insert(_ entry: Entry, as digest: KeyedDigest) {
        young[digest] = entry
        youngBytes += entry.token.byteCount
        guard young.count * 2 >= Self.countMax || youngBytes * 2 >= Self.bytesMax else { return }
        old = young
        young = [:]
        youngBytes = 0
    }
}

extension UInt64 {
    /// The sum, or the largest number.
    fileprivate func saturatingAdd(_ other: UInt64) -> UInt64 {
        let (sum, isOver) = addingReportingOverflow(other)
        return isOver ? .max : sum
    }
}

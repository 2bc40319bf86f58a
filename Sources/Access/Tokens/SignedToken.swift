// SPDX-License-Identifier: Apache-2.0
import TLS

/// Why a token lets nobody in.
public struct TokenFault: Error, Sendable, Equatable {
    /// What kind of fault it is, which decides the answer.
    public enum Kind: Sendable, Equatable {
        /// It is no token that could be judged, or is not valid (RFC 6750 §3.1, `invalid_token`).
        case invalid
        /// It is valid, and not for this (`insufficient_scope`).
        case insufficient
        /// It may be valid: its issuer is being asked for the key.
        case early
    }

    /// What kind of fault it is.
    public let kind: Kind
    /// What is wrong, as a sentence; it tells nothing that the token holds but names.
    public let sentence: String

    static func invalid(_ sentence: String) -> TokenFault {
        TokenFault(kind: .invalid, sentence: sentence)
    }
}

/// A signed token in its compact form (RFC 7515 §7.1), taken apart; its signature is not checked yet.
struct SignedToken {
    /// Bytes of a token; more fit no head of the usual size.
    static let bytesMax = 16 * 1_024
    private static let identifierBytesMax = 256
    /// What a token may say that it is; those that mean something else are no tokens for access (RFC 8725 §3.11).
    private static let types: Set<String> = ["jwt", "at+jwt", "jose"]

    let algorithm: SignatureAlgorithm
    let identifier: String?
    let signature: [UInt8]
    /// What is signed: header and payload as they came.
    let signedCount: Int
    private let payload: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) throws(TokenFault) {
        guard bytes.count <= Self.bytesMax else {
            throw .invalid("The token is longer than \(Self.bytesMax / 1_024) KiB.")
        }
        let parts = bytes.split(
            separator: UInt8(ascii: "."), maxSplits: 5, omittingEmptySubsequences: false)
        if parts.count == 5 {
            throw .invalid("The token is encrypted, and a signed one is wanted.")
        }
        guard parts.count == 3 else {
            throw .invalid("The token is no JWT: it has not three parts with '.' between.")
        }
        guard let header = Base64URL.decoded(parts[0]), let signature = Base64URL.decoded(parts[2])
        else { throw Self.badCharacters }
        self.signature = signature
        payload = parts[1]
        signedCount = parts[0].count + 1 + parts[1].count
        let fields = try Self.object(header, "header")
        guard fields["crit"] == nil else {
            throw .invalid(
                "The token's header has 'crit', and nothing that it could ask for is known.")
        }
        if let type = fields["typ"] {
            var name = type.string?.lowercased() ?? ""
            if name.hasPrefix("application/") { name.removeFirst(12) }
            guard Self.types.contains(name) else {
                throw .invalid("The token's 'typ' is not JWT or at+jwt: it is for something else.")
            }
        }
        guard let name = fields["alg"]?.string else {
            throw .invalid("The token's header names no algorithm ('alg').")
        }
        guard let algorithm = SignatureAlgorithm(rawValue: name) else {
            throw .invalid(
                name.lowercased() == "none"
                    ? "The token is not signed: its 'alg' is none."
                    : "The token's 'alg' is none that is known here.")
        }
        self.algorithm = algorithm
        if let kid = fields["kid"] {
            guard let text = kid.string, text.utf8.count <= Self.identifierBytesMax else {
                throw .invalid(
                    "The token's 'kid' is no text of at most \(Self.identifierBytesMax) bytes.")
            }
            identifier = text
        } else {
            identifier = nil
        }
    }

    private static let badCharacters = TokenFault.invalid(
        "The token is no JWT: a part of it is not base64url without padding.")

    private static func object(_ bytes: [UInt8], _ what: String) throws(TokenFault) -> JSONValue {
        let value: JSONValue
        do throws(JSONValue.Fault) {
            value = try JSONValue(bytes)
        } catch {
            throw .invalid("The token's \(what) can't be read: \(error.clause).")
        }
        guard case .object = value else {
            throw .invalid("The token's \(what) is \(value.words), where an object should be.")
        }
        return value
    }

    /// What it claims, which nobody believes before the signature was checked.
    func claims() throws(TokenFault) -> JSONValue {
        guard let bytes = Base64URL.decoded(payload) else { throw Self.badCharacters }
        return try Self.object(bytes, "payload")
    }
}

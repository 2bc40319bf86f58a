// SPDX-License-Identifier: Apache-2.0
import TLS

/// The keys of an issuer, as a JWK Set has them (RFC 7517 §5).
public struct TokenKeys: Sendable {
    /// Bytes of a document; issuers' have a few thousand.
    public static let bytesMax = 512 * 1_024
    static let keysMax = 256

    /// Where a document comes from, which decides what it may hold.
    public enum Source: Sendable, Equatable {
        /// A file of the operator's: every key in it has to be good, and secrets may be among them.
        case file
        /// An issuer's public document: keys that are not good are left out, and so are secrets, since others read it too.
        case issuer
    }

    /// Why a document can't be used, as a clause.
    public struct Fault: Error, Sendable, Equatable {
        /// What was found, and what is allowed.
        public let clause: String
    }

    struct Key: Sendable {
        let identifier: String?
        let algorithms: Set<SignatureAlgorithm>
        let key: SignatureKey
    }

    let keys: [Key]
    /// What of the document is not used, a clause each.
    public let remarks: [String]
    /// The document, by which two are compared.
    public let bytes: [UInt8]

    /// How many keys there are.
    public var count: Int { keys.count }

    /// Reads a document.
    public init(_ bytes: [UInt8], from source: Source) throws(Fault) {
        guard bytes.count <= Self.bytesMax else {
            throw Fault(clause: "it has more than \(Self.bytesMax / 1_024) KiB")
        }
        let document: JSONValue
        do throws(JSONValue.Fault) {
            document = try JSONValue(bytes)
        } catch {
            throw Fault(
                clause:
                    "it is no JWK Set: \(Self.kind(of: bytes) ?? error.clause), allowed: JSON as"
                    + " {\"keys\": [...]}")
        }
        guard case .list(let items)? = document["keys"] else {
            if document["keys"] == nil, document["kty"] != nil {
                throw Fault(
                    clause:
                        "it is no JWK Set but one key, allowed: {\"keys\": [...]} with it within")
            }
            throw Fault(
                clause:
                    "it is no JWK Set: it has no list 'keys', allowed: JSON as {\"keys\": [...]}")
        }
        guard items.count <= Self.keysMax else {
            throw Fault(clause: "it has more than \(Self.keysMax) keys")
        }
        var keys: [Key] = []
        var remarks: [String] = []
        for (index, item) in items.enumerated() {
            do throws(KeyFault) {
                if let key = try Self.key(item, source) { keys.append(key) }
            } catch {
                let kid = item["kid"]?.string.map { " (kid '\(Self.shown($0))')" } ?? ""
                let clause = "key \(index + 1)\(kid) is \(error.clause)"
                if source == .file { throw Fault(clause: clause) }
                if remarks.count < 8 { remarks.append(clause) }
            }
        }
        guard !keys.isEmpty else {
            throw Fault(
                clause: "it has no key to check signatures with"
                    + (remarks.first.map { ": \($0)" } ?? ""))
        }
        self.keys = keys
        self.remarks = remarks
        self.bytes = bytes
    }

    /// What a document is that is no JSON, as a clause; nil where that is not to be seen.
    private static func kind(of bytes: [UInt8]) -> String? {
        let start = bytes.prefix(256).drop { $0 <= 0x20 }
        if start.first == UInt8(ascii: "<") { return "it is HTML or XML" }
        return start.starts(with: "-----BEGIN".utf8)
            ? "it is PEM, of which a JWK has to be made first" : nil
    }

    /// Whether another document has the same bytes.
    public func isSame(as other: TokenKeys) -> Bool { bytes == other.bytes }

    /// The keys that a token may have been signed with, by its header: a key of its `kid` where it has one, of its
    /// algorithm always.
    func fitting(_ identifier: String?, _ algorithm: SignatureAlgorithm) -> [Key] {
        keys.filter { key in
            key.algorithms.contains(algorithm)
                && (identifier == nil || key.identifier == identifier)
        }
    }

    /// Whether there is a key of this `kid`, of whatever algorithm.
    func has(_ identifier: String) -> Bool { keys.contains { $0.identifier == identifier } }

    // MARK: One key

    private struct KeyFault: Error {
        let clause: String
        init(_ clause: String) { self.clause = clause }
    }

    /// A key; nil for one that is for something else than signatures, or of a kind that is not known (RFC 7517 §5).
    private static func key(_ item: JSONValue, _ source: Source) throws(KeyFault) -> Key? {
        guard case .object = item else { throw KeyFault("\(item.words), allowed: an object") }
        guard let type = item["kty"]?.string else { throw KeyFault("without a text 'kty'") }
        if let use = item["use"], use != .text("sig") { return nil }
        if let operations = item["key_ops"] {
            guard case .list(let names) = operations, names.contains(.text("verify")) else {
                return nil
            }
        }
        let identifier = item["kid"]
        guard identifier == nil || identifier?.string != nil else {
            throw KeyFault("one whose 'kid' is no text")
        }
        guard let key = try signatureKey(item, type, source) else { return nil }
        var algorithms = key.algorithms
        if let named = item["alg"] {
            guard let text = named.string, let algorithm = SignatureAlgorithm(rawValue: text) else {
                // One for encryption, or one that is not known here.
                return nil
            }
            guard algorithms.contains(algorithm) else {
                throw KeyFault("one that \(text) can't be used with")
            }
            algorithms = [algorithm]
        }
        return Key(identifier: identifier?.string, algorithms: algorithms, key: key)
    }

    private static func signatureKey(
        _ item: JSONValue, _ type: String, _ source: Source
    ) throws(KeyFault) -> SignatureKey? {
        switch type {
        case "RSA":
            guard let n = number(item, "n"), let e = number(item, "e") else {
                throw KeyFault("an RSA key without 'n' and 'e' in base64url")
            }
            return try made { () throws(SignatureKey.Fault) in
                try SignatureKey(rsaModulus: n, exponent: e)
            }
        case "EC":
            guard let curve = item["crv"]?.string else {
                throw KeyFault("an EC key without 'crv'")
            }
            guard let known = SignatureKey.Curve(rawValue: curve) else { return nil }
            guard let x = number(item, "x"), let y = number(item, "y") else {
                throw KeyFault("an EC key without 'x' and 'y' in base64url")
            }
            return try made { () throws(SignatureKey.Fault) in try SignatureKey(known, x: x, y: y) }
        case "OKP":
            let curve = item["crv"]?.string
            guard let known = curve.flatMap(SignatureKey.EdwardsCurve.init) else { return nil }
            guard let x = number(item, "x") else {
                throw KeyFault("an OKP key without 'x' in base64url")
            }
            return try made { () throws(SignatureKey.Fault) in try SignatureKey(known, x: x) }
        case "oct":
            guard source == .file else {
                throw KeyFault(
                    "a secret (kty 'oct'), which whoever reads the document could sign with,"
                        + " allowed: public keys; a secret belongs into a file")
            }
            guard let k = number(item, "k") else {
                throw KeyFault("a secret without 'k' in base64url")
            }
            return try made { () throws(SignatureKey.Fault) in try SignatureKey(secret: k) }
        default: return nil
        }
    }

    private static func made(
        _ make: () throws(SignatureKey.Fault) -> SignatureKey
    ) throws(KeyFault) -> SignatureKey {
        do throws(SignatureKey.Fault) {
            return try make()
        } catch {
            throw KeyFault(error.clause)
        }
    }

    private static func number(_ item: JSONValue, _ name: String) -> [UInt8]? {
        guard let bytes = (item[name]?.string).flatMap({ Base64URL.decoded($0.utf8) }),
            !bytes.isEmpty
        else { return nil }
        return bytes
    }

    /// A text of a peer's that may stand in a sentence.
    static func shown(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(64).map { 0x20..<0x7F ~= $0.value ? $0 : "?" }))
    }
}

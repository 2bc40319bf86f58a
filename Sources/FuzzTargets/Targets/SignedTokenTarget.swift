// SPDX-License-Identifier: Apache-2.0
import Access

extension FuzzTarget {
    /// Nothing is let in but what the holder of the key has signed (RFC 7515 §5.2), and any document is a JWK Set or is told
    /// what it is instead (RFC 7517 §5).
    ///
    /// The first line of an input is a token, the rest a document of keys.
    static let signedToken = FuzzTarget(
        name: "signed-token", inputBytesMax: 2_048,
        words: [
            "eyJ", ".", "..", "\n", "=", "-", "_", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9",
            "{\"keys\":[", "\"kty\":\"EC\"", "\"kty\":\"RSA\"", "\"kty\":\"oct\"",
            "\"kty\":\"OKP\"", "\"crv\":\"P-256\"", "\"crv\":\"Ed25519\"", "\"alg\":\"ES256\"",
            "\"use\":\"sig\"", "\"use\":\"enc\"", "\"key_ops\":[\"verify\"]", "\"kid\":\"p256\"",
            "\"n\":\"", "\"e\":\"AQAB\"", "\"k\":\"", "\\u0000", "1e400", "[[[[[[[[", "]}",
        ].map { Array($0.utf8) },
        seeds: [
            signed + "\n" + document, "eyJhbGciOiJub25lIn0." + payload + ".\n{\"keys\":[]}",
            "eyJhbGciOiJIUzI1NiJ9." + payload
                + ".AAAA\n{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
            head + "." + payload + "\n<!doctype html>", "..\n{\"kty\":\"RSA\"}",
            "\n-----BEGIN PUBLIC KEY-----",
        ].map { Array($0.utf8) }
    ) { bytes throws(BrokenProperty) in
        let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
        let token = Array(bytes[..<end])
        try requireSigned(token)
        let rest = Array(bytes[end...].dropFirst())
        let strict = try? TokenKeys(rest, from: .file)
        let lenient = try? TokenKeys(rest, from: .issuer)
        if let strict {
            // An issuer's secrets are left out, since others read them too, and one that has nothing else is refused.
            try require(
                (lenient?.count ?? 0) <= strict.count, "An issuer's document has no more keys.")
            for keys in [strict, lenient].compactMap(\.self) { judge(token, by: keys) }
        }
    }

    /// By a key of which one token was signed, that one is let in and no other.
    private static func requireSigned(_ token: [UInt8]) throws(BrokenProperty) {
        guard let keys = try? TokenKeys(Array(document.utf8), from: .issuer) else {
            throw BrokenProperty("The issuer's key is read.")
        }
        var demands = TokenDemands()
        demands.audiences = ["app"]
        let rule = TokenRule(demands, keyring: TokenKeyring(.file("keys"), keys: keys))
        let isWhole = token == Array(signed.utf8)
        switch rule.judge(token, wallMilliseconds: moment) {
        case .proven(let proven):
            let part = Array("\(head).\(payload).".utf8)
            try require(token.starts(with: part), "What is let in has the signed head and claims.")
            try requireEqual(proven.subject, "ann", "Its subject is the signed one.")
        case .refused(let fault):
            try require(!isWhole, "The signed token is let in.")
            try require(fault.sentence.hasSuffix("."), "A refusal is a sentence.")
        case .noKeys: throw BrokenProperty("There is a key.")
        }
    }

    /// Any keys and any token: there is an answer.
    private static func judge(_ token: [UInt8], by keys: TokenKeys) {
        let rule = TokenRule(TokenDemands(), keyring: TokenKeyring(.file("keys"), keys: keys))
        _ = rule.judge(token, wallMilliseconds: moment)
    }

    /// In 2027; the token ends in 2100.
    private static let moment: UInt64 = 1_800_000_000_000

    /// A key and a token of it that joserfc 1.8 of PyPI has made.
    private static let document = """
        {"keys":[{"crv":"P-256","x":"Ztyhbey4XUM_cWVmnipeXtYMCnDCrg_SGD2EkbKV5uw",\
        "y":"2uFXjqvxq3BCjdnAju3y7LV7u-Ou0AtuGnpvwX5b2Mo","kid":"p256","kty":"EC"}]}
        """
    private static let head = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6InAyNTYifQ"
    private static let payload =
        "eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ"
    private static let signed =
        "\(head).\(payload).R0aNAflN25DZngU8WI2wXFq80rZkZ8y0WDI1DbWJBs1CEo3CngfRCOsafNVMh6CQZM9zxHVEGynZWZW7UQV-wA"
}

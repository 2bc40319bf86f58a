// SPDX-License-Identifier: Apache-2.0
import Synchronization
import TLS
import Testing

@testable import Access

/// Documents of keys, and what can't be used of them.
@Suite struct TokenKeysTests {
    private func fault(_ text: String, _ source: TokenKeys.Source = .file) -> String {
        do throws(TokenKeys.Fault) {
            _ = try TokenKeys(Array(text.utf8), from: source)
            return ""
        } catch {
            return error.clause
        }
    }

    @Test(arguments: [
        ("<!doctype html><html></html>", "it is HTML or XML"), ("", "it is no JSON"),
        ("-----BEGIN PUBLIC KEY-----\nMCow", "it is no JWK Set: it is PEM, of which a JWK has"),
        (#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "it is no JWK Set but one key, allowed"),
        ("{}", "no list 'keys'"), ("[]", "no list 'keys'"), (#"{"keys":{}}"#, "no list 'keys'"),
        (#"{"keys":[]}"#, "no key to check signatures with"),
        (#"{"keys":[1]}"#, "key 1 is a number"),
        (#"{"keys":[],"keys":[]}"#, "'keys' twice"),
        (#"{"keys":[{"kid":"a"}]}"#, "without a text 'kty'"),
        (#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#, "a secret of 5 bytes"),
        (#"{"keys":[{"kty":"oct","k":"c2hvcnQ="}]}"#, "without 'k' in base64url"),
        (#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, "an RSA key of 17 bits"),
        (#"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}"#, "not on P-256"),
        (#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#, "no key of Ed25519"),
        (#"{"keys":[{"kty":"RSA","use":"enc"}]}"#, "no key to check"),
        (#"{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAA"},{"kty":"new"}]}"#, "no key to check"),
    ])
    func `documents without good keys are refused`(text: String, words: String) {
        let found = fault(text)
        #expect(found.contains(words), "\(found)")
    }

    @Test func `weak keys and secrets of an issuer are left out, and a file has none`() throws {
        #expect(
            fault(TokenVectors.weakKey).contains("key 1 (kid 'weak') is an RSA key of 1024 bits"))
        #expect(fault(TokenVectors.weakKey, .issuer).contains("an RSA key of 1024 bits"))
        let keys = try TokenKeys(Array(TokenVectors.keys.utf8), from: .issuer)
        #expect(keys.count == 6)
        #expect(keys.remarks.count == 1 && keys.remarks[0].contains("a secret"), "\(keys.remarks)")
        #expect(keys.fitting("oct", .hs256).isEmpty)
        #expect(keys.fitting(nil, .rs256).count == 1 && keys.fitting("rsa", .hs256).isEmpty)
    }

    @Test func `a key that names its algorithm has that alone`() throws {
        let text = TokenVectors.keys.replacing(#""kid":"rsa""#, with: #""kid":"rsa","alg":"PS256""#)
        let keys = try TokenKeys(Array(text.utf8), from: .file)
        #expect(keys.fitting("rsa", .ps256).count == 1)
        #expect(keys.fitting("rsa", .rs256).isEmpty)
        let wrong = TokenVectors.keys.replacing(
            #""kid":"rsa""#, with: #""kid":"rsa","alg":"ES256""#)
        #expect(fault(wrong).contains("ES256 can't be used with"))
    }

    @Test func `a document is bounded`() {
        #expect(
            fault(String(repeating: " ", count: TokenKeys.bytesMax + 1)).contains(
                "more than 512 KiB"))
        let many = Array(repeating: #"{"kty":"new"}"#, count: 257).joined(separator: ",")
        #expect(fault(#"{"keys":[\#(many)]}"#).contains("more than 256 keys"))
        // A million brackets end at the first levels.
        #expect(fault(String(repeating: "[", count: 500_000)).contains("levels"))
    }
}

/// Digests that all differ.
enum KnownTokensTestDigest {
    private static let key = DigestKey()
    private static let number = Mutex<UInt64>(0)

    static func next() -> KeyedDigest {
        let value = number.withLock { number in
            number += 1
            return number
        }
        return key.digest(of: withUnsafeBytes(of: value) { Array($0) }, [])
    }
}

/// How often something was asked for.
final class Asked: Sendable {
    private let times = Mutex(0)
    var count: Int { times.withLock { $0 } }
    func note() { times.withLock { $0 += 1 } }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Foundation
import Testing

@testable import Access

/// Tokens that are good, and all that is wrong with others.
@Suite struct TokenRuleTests {
    private static let secret = Array(
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".utf8)
    private static let now: UInt64 = 1_800_000_000_000

    private static func ring(_ text: String = TokenVectors.keys) throws -> TokenKeyring {
        TokenKeyring(
            .file("keys"), keys: try TokenKeys(Array(text.utf8), from: .file))
    }

    private static func encoded(_ text: String) -> String { encoded(Array(text.utf8)) }

    private static func encoded(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }

    /// A token that the secret has signed.
    private static func token(
        _ payload: String, header: String = #"{"alg":"HS256","kid":"oct"}"#
    ) -> String {
        let signed = encoded(header) + "." + encoded(payload)
        let message = Array(signed.utf8)
        var code = [UInt8](repeating: 0, count: 32)
        _ = HMAC(
            EVP_sha256(), secret, Int32(secret.count), message, message.count, &code, nil)
        return signed + "." + encoded(code)
    }

    /// What is wrong with a token; empty where nothing is.
    private func fault(
        _ token: String, _ demands: TokenDemands = TokenDemands(), at now: UInt64 = now
    ) throws -> String {
        let rule = TokenRule(demands, keyring: try Self.ring())
        switch rule.judge(Array(token.utf8), wallMilliseconds: now) {
        case .proven: return ""
        case .refused(let fault):
            #expect(rule.knownCount == 0)
            return fault.sentence
        case .noKeys: return "no keys"
        }
    }

    @Test func `each algorithm's token is good, and none with another signature`() throws {
        let rule = TokenRule(TokenDemands(), keyring: try Self.ring())
        #expect(TokenVectors.tokens.count == 15)
        for (algorithm, token) in TokenVectors.tokens {
            guard
                case .proven(let proven) = rule.judge(Array(token.utf8), wallMilliseconds: Self.now)
            else {
                Issue.record("\(algorithm) is not good")
                continue
            }
            #expect(proven.subject == "ann")
            #expect(proven.endMilliseconds == 4_102_444_800_000)
            let parts = token.split(separator: ".")
            var signature = try #require(Base64URL.decoded(parts[2].utf8))
            signature[signature.count / 2] ^= 1
            let other = "\(parts[0]).\(parts[1]).\(Self.encoded(signature))"
            #expect(try fault(other) == "The token's signature is wrong.", "\(algorithm)")
            let short = "\(parts[0]).\(parts[1]).\(Self.encoded(Array(signature.dropLast())))"
            #expect(try fault(short) == "The token's signature is wrong.", "\(algorithm)")
            #expect(try fault("\(parts[0]).\(parts[1]).") == "The token's signature is wrong.")
        }
        #expect(rule.knownCount == 15)
    }

    @Test func `a public key is nobody's secret, and no token goes by another algorithm`() throws {
        #expect(
            try fault(TokenVectors.confused)
                == "The token's key ('kid') is not for the token's algorithm ('alg').")
        for (header, words) in [
            (#"{"alg":"none"}"#, "is not signed"),
            (#"{"alg":"NonE","kid":"oct"}"#, "is not signed"),
            (#"{"alg":"HS1","kid":"oct"}"#, "'alg' is none that is known"),
            (#"{"kid":"oct"}"#, "names no algorithm"), (#"{"alg":1}"#, "names no algorithm"),
            (#"{"alg":"RS256","kid":"oct"}"#, "is not for the token's algorithm"),
            (#"{"alg":"HS256","kid":"other"}"#, "is not known"),
            (#"{"alg":"HS256","kid":7}"#, "'kid' is no text"),
            (#"{"alg":"HS256","kid":"oct","crit":["exp"]}"#, "'crit'"),
            (#"{"alg":"HS256","kid":"oct","crit":[]}"#, "'crit'"),
            (#"{"alg":"HS256","kid":"oct","typ":"logout+jwt"}"#, "'typ'"),
            (#"{"alg":"HS256","kid":"oct","typ":5}"#, "'typ'"),
            (#"{"alg":"HS256","alg":"none","kid":"oct"}"#, "'alg' twice"),
            (#"{"alg":"HS256","\u0061lg":"none","kid":"oct"}"#, "'alg' twice"),
            (#"["HS256"]"#, "is a list, where an object should be"),
        ] {
            let found = try fault(Self.token(#"{"sub":"ann"}"#, header: header))
            #expect(found.contains(words), "\(header): \(found)")
        }
        for header in [
            #"{"alg":"HS256"}"#, #"{"alg":"HS256","typ":"JWT"}"#,
            #"{"alg":"HS256","typ":"application/at+jwt"}"#,
            #"{"alg":"HS256","kid":"oct","jku":"https://evil.test/","jwk":{}}"#,
        ] {
            #expect(try fault(Self.token("{}", header: header)) == "", "\(header)")
        }
    }

    @Test(arguments: [
        (#"{"exp":1800000000}"#, "expired"), (#"{"exp":1799999999.5}"#, "expired"),
        (#"{"exp":"1900000000"}"#, "'exp' is no time"), (#"{"exp":null}"#, "'exp' is no time"),
        (#"{"exp":-1}"#, "'exp' is no time"), (#"{"exp":1e400}"#, "a number that is none"),
        (#"{"nbf":1800000001}"#, "not valid yet"), (#"{"nbf":"0"}"#, "'nbf' is no time"),
        (#"{"iat":"now"}"#, "'iat' is no time"), (#"{"sub":1}"#, "'sub' is no text"),
        (#"{"sub":"a\u0000b"}"#, "'sub' is no text"), (#"{"sub":"a\nb"}"#, "'sub' is no text"),
        (#"{"sub":"ann","sub":"bob"}"#, "'sub' twice"), ("{\"a\":1,}", "it is no JSON"),
        (#"{"a":{"b":{"c":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}}}"#, "levels"),
        (#"{"a":01}"#, "it is no JSON"), (#"{"a":"\ud800"}"#, "escape"),
        ("{} {}", "behind its end"),
        ("[]", "is a list"), ("\"text\"", "is a text"), ("", "it is no JSON"),
        ("{\"a\":\"\u{1}\"}", "control character"),
    ])
    func `claims that are wrong let nobody in`(payload: String, words: String) throws {
        let found = try fault(Self.token(payload))
        #expect(found.contains(words), "\(found)")
    }

    @Test func `times have their leeway`() throws {
        var demands = TokenDemands()
        demands.leewayMilliseconds = 10_000
        #expect(try fault(Self.token(#"{"exp":1799999995}"#), demands) == "")
        #expect(try fault(Self.token(#"{"exp":1799999990}"#), demands).contains("expired"))
        #expect(try fault(Self.token(#"{"nbf":1800000010}"#), demands) == "")
        #expect(try fault(Self.token(#"{"nbf":1800000011}"#), demands).contains("not valid yet"))
        #expect(try fault(Self.token(#"{"exp":1e300}"#), demands) == "")
        #expect(try fault(Self.token("{}"), demands) == "")
        demands.needsEnd = true
        #expect(try fault(Self.token("{}"), demands).contains("does not say when it ends"))
    }

    @Test func `issuer, audience and claims have to be those that are asked for`() throws {
        var demands = TokenDemands()
        demands.issuers = ["one", "two"]
        demands.audiences = ["app"]
        #expect(try fault(Self.token(#"{"iss":"two","aud":"app"}"#), demands) == "")
        #expect(try fault(Self.token(#"{"iss":"two","aud":["other","app"]}"#), demands) == "")
        for payload in [
            #"{"iss":"three","aud":"app"}"#, #"{"aud":"app"}"#, #"{"iss":["one"],"aud":"app"}"#,
        ] {
            #expect(try fault(Self.token(payload), demands).contains("another issuer"))
        }
        for payload in [
            #"{"iss":"one"}"#, #"{"iss":"one","aud":"apple"}"#, #"{"iss":"one","aud":[]}"#,
            #"{"iss":"one","aud":{"app":1}}"#, #"{"iss":"one","aud":[["app"]]}"#,
        ] {
            #expect(try fault(Self.token(payload), demands).contains("another audience"))
        }
        for (claim, values, payload, isGood) in [
            ("role", ["admin"], #"{"role":"admin"}"#, true),
            ("role", ["admin"], #"{"role":"Admin"}"#, false),
            ("role", ["admin"], #"{"role":["user","admin"]}"#, true),
            ("role", ["admin"], #"{"role":"user admin"}"#, false),
            ("role", ["a", "b"], #"{"role":"b"}"#, true),
            ("scope", ["chat"], #"{"scope":"read chat"}"#, true),
            ("scope", ["chat"], #"{"scope":"chatter"}"#, false),
            ("level", ["3"], #"{"level":3}"#, true),
            ("level", ["3"], #"{"level":3.0}"#, false), ("ok", ["true"], #"{"ok":true}"#, true),
            ("ok", ["true"], #"{"ok":false}"#, false), ("role", ["admin"], "{}", false),
            ("realm.roles", ["x"], #"{"realm":{"roles":["x"]}}"#, true),
            ("realm.roles", ["x"], #"{"realm.roles":"y","realm":{"roles":["x"]}}"#, false),
            ("https://a.test/r", ["x"], #"{"https://a.test/r":"x"}"#, true),
            ("role", ["null"], #"{"role":null}"#, false),
            ("role", ["a"], #"{"role":[["a"]]}"#, false),
        ] {
            var demands = TokenDemands()
            demands.matches = [TokenDemands.Match(claim: claim, values: values)]
            let found = try fault(Self.token(payload), demands)
            #expect(found.isEmpty == isGood, "\(payload): \(found)")
        }
    }

    @Test func `what the app is told is text, or JSON in one line`() throws {
        var demands = TokenDemands()
        demands.told = ["sub", "roles", "n", "gone", "deep.er", "empty"]
        let rule = TokenRule(demands, keyring: try Self.ring())
        let token = Self.token(
            #"{"sub":"änn","roles":["a,b", "c\n"] , "n": 1.50,"deep":{"er":{ "x" : true }},"empty":""}"#
        )
        guard case .proven(let proven) = rule.judge(Array(token.utf8), wallMilliseconds: Self.now)
        else {
            Issue.record("it is not good")
            return
        }
        let told = proven.told.map { $0.map { String(decoding: $0, as: UTF8.self) } }
        #expect(told == ["änn", #"["a,b","c\u000a"]"#, "1.50", nil, #"{"x":true}"#, nil])
        demands.told = ["name"]
        #expect(
            try fault(Self.token(#"{"name":"a\r\nX-Admin: 1"}"#), demands).contains(
                "control character"))
    }

    @Test func `texts that are no tokens are refused`() throws {
        let good = Self.token(#"{"sub":"ann"}"#)
        let parts = good.split(separator: ".").map(String.init)
        for (text, words) in [
            ("", "three parts"), ("a.b", "three parts"), (good + ".", "three parts"),
            (good + ".x.y", "is encrypted"), ("..", "can't be read"), (good + "=", "base64url"),
            (good + "\n", "base64url"), (good.replacing(".", with: "%2E"), "three parts"),
            (parts[0] + "=." + parts[1] + "." + parts[2], "base64url"),
            (String(repeating: "a", count: 16_385), "longer than 16 KiB"),
        ] {
            let found = try fault(text)
            #expect(found.contains(words), "\(text.prefix(40)): \(found)")
        }
        let long = Self.token(
            "{\"sub\":\"ann\",\"x\":\"\(String(repeating: "x", count: 12_000))\"}")
        #expect(try fault(long) == "")
    }

    @Test func `a token is known until it ends, and until the keys change`() throws {
        let ring = try Self.ring()
        let rule = TokenRule(TokenDemands(), keyring: ring)
        let token = Array(Self.token(#"{"exp":1800000100}"#).utf8)
        func judge(_ now: UInt64) -> String {
            switch rule.judge(token, wallMilliseconds: now) {
            case .proven: "good"
            case .refused(let fault): fault.sentence
            case .noKeys: "no keys"
            }
        }
        #expect(judge(Self.now) == "good")
        #expect(rule.knownCount == 1)
        #expect(judge(Self.now + 99_999) == "good")
        #expect(judge(Self.now + 100_000) == "The token has expired ('exp').")
        // The same document changes nothing; another one has all tokens judged again.
        #expect(judge(Self.now) == "good")
        ring.use(try TokenKeys(Array(TokenVectors.keys.utf8), from: .file))
        #expect(judge(Self.now) == "good")
        let others =
            #"{"keys":[{"kty":"oct","kid":"oct","k":"\#(Self.encoded([UInt8](repeating: 7, count: 32)))"}]}"#
        ring.use(try TokenKeys(Array(others.utf8), from: .file))
        #expect(judge(Self.now) == "The token's signature is wrong.")
        ring.use(try TokenKeys(Array(TokenVectors.keys.utf8), from: .file))
        #expect(judge(Self.now) == "good")
        #expect(rule.knownCount == 1)
    }

    @Test func `what is known of tokens is bounded, in number and in bytes`() {
        var known = KnownTokens()
        let digests = (0..<40_000).map { _ in KnownTokensTestDigest.next() }
        for digest in digests {
            known.insert(
                ProvenToken(subject: "", endMilliseconds: nil, told: []), as: digest, 1, until: .max
            )
        }
        #expect(known.count <= 16_384)
        #expect(known.find(digests[39_999], 1, 0) != nil)
        #expect(known.find(digests[0], 1, 0) == nil)
        let large = ProvenToken(
            subject: "", endMilliseconds: nil, told: [[UInt8](repeating: 0, count: 12_000)])
        known = KnownTokens()
        for digest in digests.prefix(5_000) { known.insert(large, as: digest, 1, until: .max) }
        #expect(known.count * 12_000 <= 17 * 1_048_576)
    }

    @Test func `an unknown key asks for others once in a while`() throws {
        let ring = try Self.ring()
        let asked = Asked()
        ring.onWanted { asked.note() }
        let rule = TokenRule(TokenDemands(), keyring: ring)
        let token = Self.token("{}", header: #"{"alg":"HS256","kid":"new"}"#)
        for _ in 0..<100 { _ = rule.judge(Array(token.utf8), wallMilliseconds: Self.now) }
        #expect(asked.count == 1)
        let empty = TokenRule(TokenDemands(), keyring: TokenKeyring(.url("u", authorities: nil)))
        guard case .noKeys = empty.judge(Array(token.utf8), wallMilliseconds: Self.now) else {
            Issue.record("somebody is judged without keys")
            return
        }
    }
}

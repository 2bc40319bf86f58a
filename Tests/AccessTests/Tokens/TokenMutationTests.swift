// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import Access

/// Bytes of a peer's never trap, and no token but the one that was signed is good.
@Suite struct TokenMutationTests {
    private static let bytes =
        Array(#".-_=+/{}[]":,\u0000eE019aAzZ"#.utf8) + [0, 0x0A, 0x20, 0x7F, 0xC3, 0xFF]

    private static func mutated(_ original: [UInt8], _ random: inout SplitMix) -> [UInt8] {
        var bytes = original
        for _ in 0...Int(random.next() % 3) where !bytes.isEmpty {
            let place = Int(random.next() % UInt64(bytes.count))
            let byte = Self.bytes[Int(random.next() % UInt64(Self.bytes.count))]
            switch random.next() % 4 {
            case 0: bytes[place] = byte
            case 1: bytes.insert(byte, at: place)
            case 2: bytes.remove(at: place)
            default:
                let end = min(bytes.count, place + Int(random.next() % 40))
                bytes.insert(contentsOf: bytes[place..<end], at: end)
            }
        }
        return bytes
    }

    @Test(arguments: ["HS256", "EdDSA", "RS256"])
    func `a token that was changed is not good`(algorithm: String) throws {
        let keys = try TokenKeys(Array(TokenVectors.keys.utf8), from: .file)
        let rule = TokenRule(TokenDemands(), keyring: TokenKeyring(.file("keys"), keys: keys))
        let token = Array(try #require(TokenVectors.tokens[algorithm]).utf8)
        var random = SplitMix(seed: 7)
        for _ in 0..<2_000 {
            let other = Self.mutated(token, &random)
            guard case .proven = rule.judge(other, wallMilliseconds: 1_800_000_000_000) else {
                continue
            }
            #expect(other == token, "\(String(decoding: other, as: UTF8.self))")
        }
    }

    @Test func `a JSON text that was changed is read the same when it is written again`() throws {
        let text = #"{"a":[1,-0.5e+3,true,false,null,"x\u00e9\n\ud83d\ude00"],"b":{"c":{}}}"#
        var random = SplitMix(seed: 8)
        for _ in 0..<20_000 {
            let bytes = Self.mutated(Array(text.utf8), &random)
            guard let value = try? JSONValue(bytes) else { continue }
            #expect(try JSONValue(Array(value.compact.utf8)) == value)
        }
    }

    @Test func `a document of keys that was changed never traps`() throws {
        var random = SplitMix(seed: 9)
        let text = Array(
            #"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","kid":"1","use":"sig"},{"kty":"oct","k":"AAAA"}]}"#
                .utf8)
        for _ in 0..<5_000 {
            _ = try? TokenKeys(Self.mutated(text, &random), from: .issuer)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import TLS
import Testing

struct WebSocketAcceptTests {
    @Test func `the example of RFC 6455 §1.3 comes out`() {
        let value = WebSocketAccept.value(forKey: Array("dGhlIHNhbXBsZSBub25jZQ==".utf8))
        #expect(String(decoding: value, as: UTF8.self) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func `made keys are 16 bytes of base64, and no two are the same`() {
        let keys = (0..<100).map { _ in String(decoding: WebSocketAccept.makeKey(), as: UTF8.self) }
        #expect(Set(keys).count == 100)
        for key in keys {
            #expect(key.count == 24)
            #expect(key.hasSuffix("==") && !key.dropLast(2).contains("="))
        }
    }

    @Test func `of several keys that are drawn at once each is used once`() {
        var keys = WebSocketKeys()
        let texts = (0..<100).map { _ in keys.withNext { String(decoding: $0, as: UTF8.self) } }
        #expect(Set(texts).count == 100)
        for text in texts { #expect(text.count == 24 && text.hasSuffix("==")) }
    }
}

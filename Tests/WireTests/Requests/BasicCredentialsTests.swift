// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Wire

/// Users and passwords in `Authorization` (RFC 7617 §2).
struct BasicCredentialsTests {
    private func read(_ value: String) -> BasicCredentials? {
        BasicCredentials(value: Array(value.utf8)[...])
    }

    private func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    @Test(arguments: [
        ("Aladdin", "open sesame"), ("a", ""), ("a", ":b:"), ("ü", "Grüße"), ("test", "123\u{A3}"),
    ])
    func `what is well formed is read`(user: String, password: String) {
        for scheme in ["Basic ", "basic ", "BASIC   "] {
            let found = read(scheme + encoded("\(user):\(password)"))
            #expect(found?.user == Array(user.utf8))
            #expect(found?.password == Array(password.utf8))
        }
    }

    @Test(arguments: [
        "", "Basic", "Basic ", "Basic:QTpC", "Basic\tQTpC", "Bearer QTpC", "Basics QTpC",
        "Basi QTpC",
        "Basic QTpC ", "Basic QTpC=", "Basic QTp", "Basic QT pC", "Basic ====", "Basic QTpCRA=",
        // No colon; no user; control characters; bits that belong to no byte; the alphabet of URLs.
        "Basic QUI=", "Basic OkI=", "Basic QTpCAA==", "Basic QTp/", "Basic QQo6Qg==",
        "Basic QTpCRB==",
        "Basic QTo_Pw==",
    ])
    func `what is not is nobody's`(value: String) {
        #expect(read(value) == nil, "\(read(value).map { "\($0)" } ?? "")")
    }

    @Test func `long ones are nobody's`() {
        let most = BasicCredentials.bytesMax / 4 * 3
        let longest = "a:" + String(repeating: "b", count: most - 2)
        #expect(read("Basic " + encoded(longest))?.password.count == most - 2)
        #expect(read("Basic " + encoded(longest + "b")) == nil)
    }

    @Test func `every text of base64 is read as Foundation reads it`() {
        for count in 1..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            let text = Array(Data(bytes).base64EncodedString().utf8)
            #expect(BasicCredentials.decoded(text[...]) == bytes)
        }
    }

    @Test func `the field stands there once`() throws {
        func fields(_ lines: String...) throws -> FieldList {
            var parser = RequestHeadParser(limits: HeadLimits())
            let text = "GET / HTTP/1.1\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
            let progress = Array(text.utf8).withUnsafeBytes { parser.append($0) }
            guard case .complete(let head, _) = progress else {
                throw HeadFault(status: 500, sentence: "not a head")
            }
            return head.fields
        }
        let one = "Authorization: Basic QTpC"
        #expect(BasicCredentials(try fields(one))?.user == Array("A".utf8))
        #expect(BasicCredentials(try fields("X: y")) == nil)
        #expect(BasicCredentials(try fields(one, one)) == nil)
        #expect(BasicCredentials(try fields("Proxy-Authorization: Basic QTpC")) == nil)
        #expect(BasicCredentials(try fields("X_Authorization: Basic QTpC")) == nil)
    }
}

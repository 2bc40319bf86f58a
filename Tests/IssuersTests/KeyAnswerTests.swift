// SPDX-License-Identifier: Apache-2.0
import Access
import Testing

@testable import Issuers

/// What an issuer's answer says of how long its keys may be used.
struct KeyAnswerTests {
    @Test(arguments: [
        ("Cache-Control: max-age=600\r\n", UInt64?(600)),
        ("cache-control: public, MAX-AGE = \"90\" , must-revalidate\r\n", 90),
        ("Cache-Control: no-store, max-age=600\r\n", 0),
        ("Cache-Control: max-age=99999999999999999999999\r\n", .max),
        ("Cache-Control: max-age=-5\r\n", nil),
        ("Cache-Control: max-age=\r\n", nil),
        ("Cache-Control: s-maxage=5\r\n", nil),
        ("Age: 600\r\n", nil),
    ])
    func readsTheAge(_ line: String, _ seconds: UInt64?) {
        var answer = KeyAnswer()
        for line in ["HTTP/1.1 200 OK\r\n", line, "\r\n"] {
            Array(line.utf8).withUnsafeBytes { answer.takeLine($0) }
        }
        #expect(answer.maxAgeSeconds == seconds)
    }

    @Test func takesNoMoreThanItsBound() {
        var answer = KeyAnswer()
        let piece = [UInt8](repeating: 0x20, count: 65_536)
        var taken = 0
        while piece.withUnsafeBytes({ answer.take($0) }) { taken += piece.count }
        #expect(taken == TokenKeys.bytesMax)
        #expect(answer.isTooLong)
        #expect(answer.bytes.count == TokenKeys.bytesMax)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct HeadWriterTests {
    @Test func `a request is written and reads as written`() throws {
        var writer = HeadWriter()
        writer.requestLine("GET", target: Array("/a?b".utf8))
        writer.field("Host", "a.example")
        writer.field("X-Bytes", Array("v".utf8)[...])
        writer.field(Array("X-Name".utf8)[...], Array("w".utf8)[...])
        writer.end()
        let text = "GET /a?b HTTP/1.1\r\nHost: a.example\r\nX-Bytes: v\r\nX-Name: w\r\n\r\n"
        #expect(String(decoding: writer.bytes, as: UTF8.self) == text)
        #expect(try HeadBytes.parse(writer.bytes).fields.string("x-name") == "w")
    }

    @Test func `a response is written with the usual reason or the upstream's`() throws {
        var writer = HeadWriter()
        writer.statusLine(426)
        writer.end()
        #expect(writer.bytes == Array("HTTP/1.1 426 Upgrade Required\r\n\r\n".utf8))
        var other = HeadWriter()
        other.statusLine(200, reason: Array("Fine by me".utf8))
        other.end()
        #expect(other.bytes == Array("HTTP/1.1 200 Fine by me\r\n\r\n".utf8))
        #expect(try HeadBytes.parseResponse(other.bytes).status == 200)
    }

    @Test func `every status has a phrase`() {
        for status in 100...599 {
            #expect(!StatusReason.phrase(status).isEmpty)
        }
        #expect(StatusReason.phrase(101) == "Switching Protocols")
        #expect(StatusReason.phrase(431) == "Request Header Fields Too Large")
        #expect(StatusReason.phrase(499) == "Client Error")
    }
}

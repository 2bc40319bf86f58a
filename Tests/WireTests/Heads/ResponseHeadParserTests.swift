// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct ResponseHeadParserTests {
    static let validHeads: [[UInt8]] = [
        HeadBytes.switching,
        HeadBytes.lines(["HTTP/1.1 200 OK", "Content-Length: 5"]),
        HeadBytes.lines(["HTTP/1.0 404 Not  Found \u{E9}\t", "A:", "A: b"]),
        HeadBytes.lines(["HTTP/1.1 502 "]),
        HeadBytes.lines(["HTTP/1.1 999"]),
        // RFC 9112 §5.1 and RFC 9110 §5.5.
        HeadBytes.lines(["HTTP/1.1 600 a\u{1}b", "A : b", "Long-Name\t :c\u{7}\u{7F}\u{1F}", "B:"]),
    ]

    @Test func `a 101 is read field by field`() throws {
        let head = try HeadBytes.parseResponse(HeadBytes.switching)
        #expect(head.status == 101)
        #expect(head.reason == Array("Switching Protocols".utf8))
        #expect(head.isHTTP11)
        #expect(head.fields.string("connection") == "Upgrade")
    }

    @Test(arguments: validHeads)
    func `a head split at any byte is read alike and leaves what is behind it`(
        bytes: [UInt8]
    ) throws {
        let whole = try HeadBytes.parseResponse(bytes)
        for cut in 0..<bytes.count {
            var parser = ResponseHeadParser()
            #expect(parser.take(bytes[..<cut]).isWaiting)
            #expect(parser.byteCount == cut)
            guard case .complete(let head, let consumed) = parser.take(bytes[cut...] + [1, 13, 10])
            else {
                Issue.record("not complete when cut at \(cut)")
                continue
            }
            #expect(consumed == bytes.count - cut)
            #expect(head.status == whole.status)
            #expect(head.reason == whole.reason)
            #expect(head.isHTTP11 == whole.isHTTP11)
            #expect(head.fields.texts == whole.fields.texts)
        }
    }

    @Test func `the reason and its space may be missing`() throws {
        #expect(try HeadBytes.parseResponse(Self.validHeads[3]).reason.isEmpty)
        #expect(try HeadBytes.parseResponse(Self.validHeads[4]).reason.isEmpty)
        #expect(try HeadBytes.parseResponse(Self.validHeads[4]).status == 999)
        #expect(try HeadBytes.parseResponse(Self.validHeads[2]).isHTTP11 == false)
    }

    @Test func `white space in front of a colon is no part of the name`() throws {
        let head = try HeadBytes.parseResponse(Self.validHeads[5])
        #expect(head.status == 600 && head.reason == Array("a\u{1}b".utf8))
        #expect(head.fields.texts == ["A=b", "Long-Name=c\u{7}\u{7F}\u{1F}", "B="])
        let chunked = try HeadBytes.parseResponse(
            HeadBytes.lines(["HTTP/1.1 200 OK", "Transfer-Encoding : chunked"]))
        #expect(try BodyFraming(response: chunked) == .chunked)
    }

    @Test func `behind an interim response the next head is read`() throws {
        var parser = ResponseHeadParser()
        let interim = HeadBytes.lines(["HTTP/1.1 103 Early Hints", "Link: </a>"])
        guard case .complete(let first, let consumed) = parser.take(interim + HeadBytes.switching)
        else {
            Issue.record("the interim head is not complete")
            return
        }
        #expect(first.status == 103)
        let rest = (interim + HeadBytes.switching).dropFirst(consumed)
        #expect(try #require(parser.take(rest).head).status == 101)
    }

    static let start = "The response does not begin with HTTP/1.1 and one space."
    static let digits = "The response's status is not three digits."

    static let refusals: [(String, String)] = [
        ("SSH-2.0-OpenSSH", "The response does not begin with HTTP/1."),
        ("\u{15}\u{3}\u{1}", "The response does not begin with HTTP/1."),
        (" HTTP/1.1 200 OK\r\n", "The response does not begin with HTTP/1."),
        ("HTTP/2.0 200 OK\r\n", start),
        ("HTTP/1.2 200 OK\r\n", start),
        ("HTTP/1.1\r\n", start),
        ("HTTP/1.1\t200 OK\r\n", start),
        ("HTTP/1.1  200 OK\r\n", digits),
        ("HTTP/1.1 20 OK\r\n", digits),
        ("HTTP/1.1 2000 OK\r\n", digits),
        ("HTTP/1.1 +20 OK\r\n", digits),
        ("HTTP/1.1 \r\n", digits),
        ("HTTP/1.1 200\tOK\r\n", digits),
        ("HTTP/1.1 099 X\r\n", "The response's status 99 is below 100."),
        ("HTTP/1.1 000 X\r\n", "The response's status 0 is below 100."),
        ("HTTP/1.1 200 O\u{0}K\r\n", "The response's reason holds a control character."),
        ("HTTP/1.1 200 OK\r\r\n", "The response's reason holds a control character."),
        ("HTTP/1.1 200 OK\n", "A line of the head ends with LF instead of CRLF."),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n",
            "A line of the head begins with white space (a folded field)."
        ),
        (
            "HTTP/1.1 200 OK\r\nA B: b\r\n",
            "A field's name holds a character that is not allowed."
        ),
        ("HTTP/1.1 200 OK\r\nA \t\r\n", "A field line has no colon."),
        (
            "HTTP/1.1 200 OK\r\n : b\r\n",
            "A line of the head begins with white space (a folded field)."
        ),
        ("HTTP/1.1 200 OK\r\nA: 12345678\rb\r\n", "A field's value holds a control character."),
        ("HTTP/1.1 200 OK\r\nA: b\u{0}\r\n", "A field's value holds a control character."),
    ]

    @Test(arguments: refusals)
    func `it is refused as a bad gateway, however it is cut`(text: String, sentence: String) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var parser = ResponseHeadParser()
            let fault = parser.take(bytes[..<cut]).fault ?? parser.take(bytes[cut...]).fault
            #expect(fault == HeadFault(status: 502, sentence: sentence))
            #expect(parser.take(HeadBytes.switching).fault == fault)
        }
    }

    @Test func `a head that never ends is refused at its bound`() {
        var parser = ResponseHeadParser(limits: HeadLimits(bytesMax: 500))
        #expect(parser.take(Array("HTTP/1.1 200 OK\r\nA: ".utf8)).isWaiting)
        var fault: HeadFault?
        while fault == nil {
            fault = parser.take(Array(repeating: UInt8(ascii: "x"), count: 7)).fault
            #expect(parser.byteCount <= 500)
        }
        #expect(
            fault
                == HeadFault(
                    status: 502, sentence: "The head is longer than 500 bytes.", limit: .bytes))
    }
}

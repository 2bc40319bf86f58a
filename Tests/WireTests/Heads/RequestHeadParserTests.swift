// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct RequestHeadParserTests {
    @Test func `a browser's head is read field by field`() throws {
        let head = try HeadBytes.parse(HeadBytes.browser)
        #expect(head.method == "GET")
        #expect(head.target.elementsEqual("/chat/room%201?token=a%2Fb".utf8))
        #expect(head.isHTTP11)
        #expect(head.fields.fields.count == 14)
        #expect(head.fields.string("host") == "localhost:8443")
        #expect(head.fields.string("cookie") == "session=0123456789abcdef; theme=dark")
        #expect(head.fields.bytes == HeadBytes.browser)
    }

    static let validHeads: [[UInt8]] = [
        HeadBytes.browser,
        HeadBytes.lines(["GET / HTTP/1.0"]),
        HeadBytes.lines(["OPTIONS * HTTP/1.1", "Host: a"]),
        HeadBytes.lines(["POST /x HTTP/1.1", "Host:a", "Content-Length: 12"]),
        HeadBytes.lines(["POST /x HTTP/1.1", "Transfer-Encoding: Chunked", "Host: a"]),
        HeadBytes.lines(["M-SEARCH http://a/b?c HTTP/1.1", "Host: a", "X:", "Y: \t \t"]),
        HeadBytes.lines(["GET / HTTP/1.1", "!#$%&'*+-.^_`|~09azAZ: \u{E9}\t\"x\"  y \t"]),
    ]

    @Test(arguments: validHeads)
    func `a head split at any byte is read alike and leaves what is behind it`(
        bytes: [UInt8]
    ) throws {
        let whole = try HeadBytes.parse(bytes)
        let behind: [UInt8] = [0x81, 0x80, 0x0D, 0x0A]
        for cut in 0..<bytes.count {
            var parser = RequestHeadParser()
            #expect(parser.take(bytes[..<cut]).isWaiting)
            #expect(parser.byteCount == cut)
            let progress = parser.take(bytes[cut...] + behind)
            guard case .complete(let head, let consumed) = progress else {
                Issue.record("not complete when cut at \(cut)")
                continue
            }
            #expect(consumed == bytes.count - cut)
            #expect(head.method == whole.method)
            #expect(head.target == whole.target)
            #expect(head.isHTTP11 == whole.isHTTP11)
            #expect(head.fields.texts == whole.fields.texts)
            #expect(head.fields.bytes == bytes)
        }
    }

    @Test(arguments: validHeads)
    func `a head that comes byte by byte is read alike`(bytes: [UInt8]) throws {
        var parser = RequestHeadParser()
        for byte in bytes.dropLast() { #expect(parser.take([byte]).isWaiting) }
        let head = try #require(parser.take(bytes.suffix(1)).head)
        #expect(head.fields.texts == (try HeadBytes.parse(bytes)).fields.texts)
    }

    @Test func `no bytes are no progress`() {
        var parser = RequestHeadParser()
        #expect(parser.take([]).isWaiting)
        #expect(parser.byteCount == 0)
    }

    @Test func `after a head the parser stands ready for the next`() throws {
        var parser = RequestHeadParser()
        let first = HeadBytes.request("GET /1 HTTP/1.1")
        let second = HeadBytes.request("GET /2 HTTP/1.0", "A: b")
        guard case .complete(_, let consumed) = parser.take(first + second) else {
            Issue.record("the first head is not complete")
            return
        }
        #expect(consumed == first.count)
        #expect(parser.byteCount == 0)
        let head = try #require(parser.take(second).head)
        #expect(head.target.elementsEqual("/2".utf8))
        #expect(!head.isHTTP11)
        #expect(head.fields.texts == ["Host=a.example", "A=b"])
    }

    @Test func `a failure is said again and takes no more bytes`() {
        var parser = RequestHeadParser()
        let fault = parser.take(HeadBytes.request("GET  / HTTP/1.1")).fault
        #expect(fault != nil)
        let count = parser.byteCount
        #expect(parser.take(HeadBytes.browser).fault == fault)
        #expect(parser.byteCount == count)
    }

    @Test func `a failure of the last check is said again too`() {
        var parser = RequestHeadParser()
        let fault = parser.take(HeadBytes.request("GET / HTTP/1.1", "Content-Length: x")).fault
        #expect(fault?.status == 400)
        #expect(parser.take(HeadBytes.browser).fault == fault)
    }

    @Test func `white space around a value is no part of it`() throws {
        let head = try HeadBytes.parse(
            HeadBytes.request("GET / HTTP/1.1", "A: \t b \t c\t ", "B:", "C:d"))
        #expect(head.fields.texts.dropFirst() == ["A=b \t c", "B=", "C=d"])
    }

    @Test func `bytes outside ASCII may stand in a value`() throws {
        let head = try HeadBytes.parse(
            Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [0xFF, 0x80, 0x0D, 0x0A, 0x0D, 0x0A])
        #expect(head.fields.first("x").map { Array($0) } == [0xFF, 0x80])
    }

    @Test func `limits are reached before they are passed`() throws {
        let bytes = HeadBytes.request("GET /12345678 HTTP/1.1", "A: 1", "B: 2")
        let exact = HeadLimits(bytesMax: bytes.count, fieldsMax: 3, targetBytesMax: 9)
        _ = try HeadBytes.parse(bytes, limits: exact)
        var limits = exact
        limits.bytesMax -= 1
        var fault = HeadFault(
            status: 431, sentence: "The head is longer than 54 bytes.", limit: .bytes)
        #expect(throws: fault) {
            try HeadBytes.parse(bytes, limits: limits)
        }
        limits = exact
        limits.fieldsMax -= 1
        fault = HeadFault(
            status: 431, sentence: "The head has more than 2 fields.", limit: .fields)
        #expect(throws: fault) {
            try HeadBytes.parse(bytes, limits: limits)
        }
        limits = exact
        limits.targetBytesMax -= 1
        fault = HeadFault(
            status: 414, sentence: "The target is longer than 8 bytes.", limit: .targetBytes)
        #expect(throws: fault) {
            try HeadBytes.parse(bytes, limits: limits)
        }
    }

    @Test func `a head that never ends is refused at its bound`() {
        for (line, status) in [("GET /", 414), ("GET / HTTP/1.1\r\nA: ", 431)] {
            var parser = RequestHeadParser(limits: HeadLimits(bytesMax: 1000))
            #expect(parser.take(Array(line.utf8)).isWaiting)
            var fault: HeadFault?
            while fault == nil {
                fault = parser.take(Array(repeating: UInt8(ascii: "x"), count: 7)).fault
                #expect(parser.byteCount <= 1000)
            }
            #expect(fault?.status == status)
        }
    }

    @Test func `one field too many is refused although the bytes would fit`() {
        let fields = (0..<101).map { "A\($0): b" }
        let bytes = HeadBytes.lines(["GET / HTTP/1.1"] + fields)
        var parser = RequestHeadParser()
        #expect(parser.take(bytes).fault?.status == 431)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

/// Every request head that is refused: with which status and which sentence.
@Suite struct RequestHeadRefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var bytes: [UInt8]
        var status: Int
        var sentence: String
        var limit: HeadLimits.Kind?
        var testDescription: String {
            String(decoding: bytes.prefix(60), as: UTF8.self).debugDescription
        }

        init(_ text: String, _ sentence: String) {
            self.init(text, 400, sentence)
        }

        init(_ text: String, _ status: Int, _ sentence: String) {
            bytes = Array(text.utf8)
            self.status = status
            self.sentence = sentence
        }

        init(_ text: String, _ status: Int, _ sentence: String, _ limit: HeadLimits.Kind) {
            self.init(text, status, sentence)
            self.limit = limit
        }

        /// A field line in an otherwise lawful head.
        static func field(_ line: String, _ sentence: String) -> Case {
            Case("GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n", sentence)
        }
    }

    static let shape = "The request line is not METHOD SP TARGET SP HTTP/1.1."
    static let end = "The request line does not end with one space and HTTP/1.1."
    static let method = "The request does not begin with a method."
    static let target = "The target holds a character that must be percent-encoded."
    static let control = "A field's value holds a control character."
    static let lineFeed = "A line of the head ends with LF instead of CRLF."
    static let folded = "A line of the head begins with white space (a folded field)."
    static let spaced = "A field's name is followed by white space instead of a colon."
    static let name = "A field's name holds a character that is not allowed."
    static let length = "The Content-Length is not a plain number."
    static let coding = "The Transfer-Encoding is not exactly 'chunked'."

    static let requestLines: [Case] = [
        Case("\rGET / HTTP/1.1\r\n", method),
        Case("\r\n\nGET / HTTP/1.1\r\n", method),
        Case("\r\n GET / HTTP/1.1\r\n", method),
        Case(
            String(repeating: "\r\n", count: 17),
            "There are more than 16 empty lines in front of the request."),
        Case("\nGET / HTTP/1.1\r\n", method),
        Case(" GET / HTTP/1.1\r\n", method),
        Case("\u{16}\u{3}\u{1}\u{2}", method),
        Case("\0", method),
        Case(": / HTTP/1.1\r\n", method),
        Case("GET\r\n", shape),
        Case("GET /\r\n", shape),
        Case("G(T / HTTP/1.1\r\n", shape),
        Case("GET\t/ HTTP/1.1\r\n", shape),
        Case("GET  / HTTP/1.1\r\n", "The request line has no target."),
        Case("GET  HTTP/1.1\r\n", "The request line has no target."),
        Case(
            "\(String(repeating: "M", count: 33)) / HTTP/1.1\r\n",
            "The method is longer than 32 bytes."),
        Case("GET /  HTTP/1.1\r\n", end),
        Case("GET / HTTP/1.1 \r\n", end),
        Case("GET / x HTTP/1.1\r\n", end),
        Case("GET / http/1.1\r\n", end),
        Case("GET / HTTP/1\r\n", end),
        Case("GET / HTTP/1.10\r\n", end),
        Case("GET / HTTP/11.1\r\n", end),
        Case("GET / HTTP/1,1\r\n", end),
        Case("GET / HTTPS/1.1\r\n", end),
        Case("GET / HTTP/1.1\r\r\n", end),
        Case("GET / \r\n", end),
        Case("GET / HTTP/2.0\r\n", 505, "The request is HTTP/2.0; this is HTTP/1.1."),
        Case("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "The request is HTTP/2.0; this is HTTP/1.1."),
        Case("GET / HTTP/1.2\r\n", 505, "The request is HTTP/1.2; this is HTTP/1.1."),
        Case("GET / HTTP/0.9\r\n", 505, "The request is HTTP/0.9; this is HTTP/1.1."),
        Case(
            "GET /a#b HTTP/1.1\r\n", "The target holds a '#', which belongs to the browser alone."),
        Case("GET /a\tb HTTP/1.1\r\n", target),
        Case("GET /a\u{0}b HTTP/1.1\r\n", target),
        Case("GET /a\rb HTTP/1.1\r\n", target),
        Case("GET /a\u{7F}b HTTP/1.1\r\n", target),
        Case("GET /\u{E9}\u{7F} HTTP/1.1\r\n", target),
        Case("GET /\u{E9} \r\n", end),
        Case("GET / HTTP/1.1\n", lineFeed),
        Case("GET / HTTP/1.1\r\n\n", lineFeed),
        Case("GET / HTTP/1.1\r\nHost: a\n\r\n", lineFeed),
        Case(
            "GET /\(String(repeating: "x", count: 8192)) HTTP/1.1\r\n", 414,
            "The target is longer than 8192 bytes.", .targetBytes),
        Case(
            "GET /\(String(repeating: "x", count: 16384))", 414,
            "The first line is longer than 16384 bytes.", .bytes),
        Case(
            "GET / HTTP/1.1\r\nA: \(String(repeating: "x", count: 16384))", 431,
            "The head is longer than 16384 bytes.", .bytes),
        Case(
            "GET / HTTP/1.1\r\n\(String(repeating: "A:b\r\n", count: 101))", 431,
            "The head has more than 100 fields.", .fields),
    ]

    static let fieldLines: [Case] = [
        .field(" folded", folded),
        .field("\tfolded", folded),
        .field("A: b\r\n c", folded),
        .field("A : b", spaced),
        .field("A\t: b", spaced),
        .field("A b: c", spaced),
        .field(": b", "A field has an empty name."),
        .field("A", "A field line has no colon."),
        .field("\u{0}: b", name),
        .field("A\u{0}B: b", name),
        .field("A\rB: b", name),
        .field("A(: b", name),
        .field("\"A\": b", name),
        .field("\u{E9}: b", name),
        .field("A\u{7F}: b", name),
        .field("A: b\u{0}c", control),
        .field("A: b\rc", control),
        .field("A: b\r", control),
        .field("A: \rb", control),
        .field("A: b\u{1}", control),
        .field("A: b\u{B}", control),
        .field("A: b\u{1F}c", control),
        .field("A: b\u{7F}", control),
    ]

    static let framings: [Case] = [
        .field(
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "The request has both Content-Length and Transfer-Encoding."),
        .field(
            "Transfer-Encoding: chunked\r\ncontent-length: 0",
            "The request has both Content-Length and Transfer-Encoding."),
        .field(
            "Content-Length: 1\r\nContent-Length: 2", "There is more than one Content-Length."),
        .field(
            "Content-Length: 1\r\nContent-Length: 1", "There is more than one Content-Length."),
        .field("Content-Length: +1", length),
        .field("Content-Length: -1", length),
        .field("Content-Length: 1, 1", length),
        .field("Content-Length: 1,", length),
        .field("Content-Length: 0x1", length),
        .field("Content-Length: 1.0", length),
        .field("Content-Length: 1 1", length),
        .field("Content-Length:", length),
        .field("Content-Length: 1234567890123456789", length),
        .field("Content-Length: \u{661}", length),
        .field("Transfer-Encoding:", coding),
        .field("Transfer-Encoding: gzip", coding),
        .field("Transfer-Encoding: gzip, chunked", coding),
        .field("Transfer-Encoding: chunked, chunked", coding),
        .field("Transfer-Encoding: identity", coding),
        .field("Transfer-Encoding: xchunked", coding),
        .field("Transfer-Encoding: \"chunked\"", coding),
        .field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", coding),
        .field("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", coding),
        Case(
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "An HTTP/1.0 request has a Transfer-Encoding."),
    ]

    @Test(arguments: requestLines + fieldLines + framings)
    func `it is refused with its status and sentence, however it is cut`(refusal: Case) {
        let expected = HeadFault(
            status: refusal.status, sentence: refusal.sentence, limit: refusal.limit)
        let bytes = refusal.bytes
        var cuts = Array(0...min(bytes.count, 200))
        cuts += [bytes.count - 1, bytes.count / 2]
        for cut in cuts {
            var parser = RequestHeadParser()
            let fault = parser.take(pieces: [bytes[..<cut], bytes[cut...]]).fault
            #expect(fault == expected, "cut at \(cut)")
            #expect(parser.byteCount <= 16_384)
        }
        var parser = RequestHeadParser()
        #expect(parser.take(pieces: bytes.indices.map { bytes[$0...$0] }).fault == expected)
    }
}

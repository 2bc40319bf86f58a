// SPDX-License-Identifier: Apache-2.0
//
// Goal: an upstream's answer that two readers could read differently never reaches the client: 502
// instead, or, where its head went out already, an answer that is visibly not whole.
// Method: a table; each entry is what a scripted upstream answers to the real program.

import TestKit
import Testing

@Suite struct MalformedAnswerTests {
    static let lines = [
        "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 2", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 abc OK",
        "HTTP/1.1 099 Low", "HTTP/1.1 000 Lower", "HTTP/1.1  200 OK", "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK", "http/1.1 200 OK", "XTTP/1.1 200 OK", " HTTP/1.1 200 OK", "200 OK",
        "HTTP/1.1\t200 OK", "HTTP/1.1 200 O\rK", "HTTP/1.1 -20 OK", "SSH-2.0-OpenSSH", "",
        "HTTP/1.1 200\u{0}OK", "HTTP/11 200 OK", "{\"status\": 200}",
    ]

    static let fields = [
        "Content-Length: 1\r\nContent-Length: 1", "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: +1", "Content-Length: -1", "Content-Length: 1,1", "Content-Length: 0x1",
        "Content-Length: 1 1", "Content-Length: ", "Content-Length: 99999999999999999999",
        "Content-Length: one", "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: ",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked",
        " Folded: a", "A: b\r\n folded", "A B : b", " : b", ": b", "no colon", "A B: c", "A(: b",
        "A: b\u{0}", "A: b\rc", "A: b\nB: c", "A\u{7F}: b", "\u{E4}: b",
        "A: \(String(repeating: "b", count: 17_000))",
        String(repeating: "A: b\r\n", count: 101) + "A: b",
    ]

    static let whole = [
        ("chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("101 unasked", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
        ("LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        ("LF at the end", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
        ("an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("nothing", ""), ("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("an interim answer alone", "HTTP/1.1 102 Processing\r\n\r\n"),
    ]

    @Test func `each malformed head becomes a 502 and nothing of it reaches the client`() throws {
        let answers =
            Self.lines.map { ($0, "\($0)\r\nContent-Length: 0\r\n\r\n") }
            + Self.fields.map { ($0, "HTTP/1.1 200 OK\r\nX-Evil: evil\r\n\($0)\r\n\r\nevil") }
            + Self.whole
        #expect(answers.count >= 60)
        #expect(Set(answers.map(\.1)).count == answers.count)
        for (name, answer) in answers {
            let backend = try ScriptedBackend.answering(answer)
            let proxy = try ProxyFixture(to: backend.address, workers: 1)
            let client = try proxy.connect()
            try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if name == "an interim answer alone" { #expect(try client.readHead().status == 102) }
            let response = try client.readResponse()
            #expect(response.status == 502, "\(name): \(response.head)")
            #expect(response.head["Proxy-Status"]?.hasPrefix("sluice; error=") == true, "\(name)")
            #expect(!"\(response.head)\(response.text)".contains("evil"), "\(name)")
            #expect(try client.expectEnd() == .orderly, "\(name)")
        }
    }

    static let bodies: [(String, String)] = [
        ("x\r\n", ""), ("5 \r\nhello\r\n", ""), ("-1\r\n", ""), ("0x5\r\nhello", ""), ("\r\n", ""),
        ("5\nhello\r\n", ""), ("2\r\nhix\r\n", "2\r\nhi\r\n"),
        ("2\r\nhi\n0\r\n\r\n", "2\r\nhi\r\n"),
        ("FFFFFFFFFFFFFFFFF\r\nhello", ""), ("0\r\n A: b\r\n\r\n", ""), ("0\r\nA B: b\r\n\r\n", ""),
        ("2\r\nhi\r\n0\r\nno colon\r\n\r\n", "2\r\nhi\r\n"), ("0\r\nA: b\u{0}\r\n\r\n", ""),
        ("2\r\nhi\r\n0\r\n", "2\r\nhi\r\n"), ("2\r\nh", "1\r\nh\r\n"), ("2", ""),
    ]

    @Test func `each broken body leaves the client with one that is visibly not whole`() throws {
        for (body, passed) in Self.bodies {
            let backend = try ScriptedBackend.answering(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            let proxy = try ProxyFixture(to: backend.address, workers: 1)
            let client = try proxy.connect()
            try client.send("GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try client.readHead().status == 200)
            let (bytes, ending) = try client.readUntilEnd()
            #expect(String(decoding: bytes, as: UTF8.self) == passed, "\(body)")
            #expect(ending == .truncated, "\(body)")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goal: a request that two servers could read differently, or that breaks RFC 9112 in any way, is
// refused, its connection closed, and not one byte of it reaches the upstream.
// Method: a table; each entry goes to the real program on a connection of its own, by TLS and plain.

import Foundation
import TestKit
import Testing

@Suite struct MalformedRequestTests {
    @Test(arguments: [0, 1])
    func `each malformed request is refused and nothing of it goes on`(listener: Int) throws {
        let backend = try ScriptedBackend { peer in _ = try peer.readUntilEnd() }
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"], listeners: [.tls(), .plain])
        #expect(MalformedRequest.all.count >= 150)
        #expect(Set(MalformedRequest.all.map(\.bytes)).count == MalformedRequest.all.count)
        for request in MalformedRequest.all {
            let client = try proxy.connect(listener: listener)
            try client.send(request.bytes)
            let response = try client.readResponse()
            #expect(response.status == request.status, "\(request.name): \(response.head)")
            #expect(
                response.head["Proxy-Status"]?.hasPrefix("sluice; error=http_request_error")
                    == true,
                "\(request.name)")
            #expect(response.head["Connection"]?.contains("close") == true, "\(request.name)")
            #expect(try client.expectEnd() == .orderly, "\(request.name)")
        }
        #expect(backend.receivedCount == 0)
        #expect(backend.connectionCount == 0)
    }

    @Test func `each broken body ends its request, and what was sound of it is all that went on`()
        throws
    {
        for body in MalformedRequest.brokenBodies {
            let backend = try ScriptedBackend { peer in _ = try peer.readUntilEnd() }
            let proxy = try ProxyFixture(to: backend.address)
            let client = try proxy.connect()
            try client.send(
                "POST /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + body)
            let response = try client.readResponse()
            #expect(response.status == 400, "\(body): \(response.head)")
            #expect(try client.expectEnd() == .orderly, "\(body)")
            // Head and body came together, so the upstream was not even asked; unless they take two
            // records, which may come one after the other: then it has the head and nothing more.
            let asked = String(decoding: backend.received(), as: UTF8.self)
            if body.utf8.count < 16_000 || !asked.hasPrefix("POST /Esv/ocp HTTP/1.1\r\n") {
                #expect(asked == "", "\(body)")
            } else {
                let parts = asked.components(separatedBy: "\r\n\r\n")
                #expect(parts.count == 2 && parts.last == "", "\(asked)")
            }
        }
    }
}

struct MalformedRequest {
    let name: String
    let bytes: [UInt8]
    let status: Int

    init(_ name: String, _ text: String, _ status: Int = 400) {
        self.name = name
        bytes = Array(text.utf8)
        self.status = status
    }

    /// A request with these lines behind `Host`.
    private static func with(_ lines: String, _ status: Int = 400, method: String = "POST")
        -> MalformedRequest
    {
        MalformedRequest(
            lines, "\(method) / HTTP/1.1\r\nHost: localhost\r\n\(lines)\r\n\r\n", status)
    }

    /// A request with this first line.
    private static func line(_ line: String, _ status: Int = 400) -> MalformedRequest {
        MalformedRequest(line, "\(line)\r\nHost: localhost\r\n\r\n", status)
    }

    private static func host(_ lines: String) -> MalformedRequest {
        MalformedRequest(lines, "GET / HTTP/1.1\r\n\(lines)\r\n\r\n")
    }

    static let all: [MalformedRequest] =
        lengths.map { with("Content-Length: \($0)") } + framings.map { with($0) }
        + codings.map { with("Transfer-Encoding: \($0)") } + fields.map { with($0, method: "GET") }
        + firstLines.map { line($0) } + targets.map { line("GET \($0) HTTP/1.1") }
        + hosts.map(host) + upgrades.map { with($0, method: "GET") } + others

    private static let lengths = [
        "+5", "-5", "5 5", "5,5", "5, 5", "5;5", "0x5", "5.0", "5e1", "", "\"5\"", "five", "٥",
        "1234567890123456789", "99999999999999999999", "5\t5", "5_0", "5 ", "5\u{A0}",
    ].filter { $0 != "5 " }

    private static let framings = [
        "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Content-Length: 0\r\nContent-Length: 5", "content-length: 1\r\nCONTENT-LENGTH: 1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nTransfer-Encoding: identity",
    ]

    private static let codings = [
        "xchunked", "chunkedx", "chunked, chunked", "chunked, identity", "identity, chunked",
        "gzip, chunked", "gzip", "identity", "chunked,", ",chunked", "\"chunked\"", "'chunked'",
        "chunked;q=1", "chunk", "", "chunked chunked", "x", "deflate, gzip", "cHuNkEd, x",
        "chunked\u{B}", "\u{C}chunked", "\\chunked", "compress",
    ]

    private static let fields = [
        " Folded: first", "A: b\r\n folded", "A: b\r\n\tfolded", "A : b", "A\t: b", ": no name",
        "no colon", "A B: c", "A(: b", "A): b", "A<: b", "A>: b", "A@: b", "A,: b", "A;: b",
        "A\\: b", "A\": b", "A/: b", "A[: b", "A]: b", "A?: b", "A=: b", "A{: b", "A}: b",
        "\u{E4}: b", "A: b\u{0}", "A: \u{1}", "A: b\u{7F}", "A: \u{8}b", "A: b\rc", "A\u{0}: b",
        "A: b\nB: c", "\u{0}: b", "A\r: b", "A: \u{1B}[31m", "A\u{B}: b",
    ]

    private static let firstLines = [
        "GET / HTTP/1.1 ", "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1", "GET /", "GET", "GET HTTP/1.1", "/ HTTP/1.1", "GET / http/1.1",
        "GET / HTTP/1", "GET / HTTP/1.", "GET / HTTP/.1", "GET / HTTP/11", "GET / HTTP/1.10",
        "GET / HTTP/1.1x", "GET / HTTPS/1.1", "GET / XTTP/1.1", "G(T / HTTP/1.1",
        "G\u{E4}T / HTTP/1.1",
        "G\u{0}T / HTTP/1.1", "GET / HTTP/1.1\u{0}", "GET / HTTP /1.1", "GET / HTTP/ 1.1",
        "GET / a HTTP/1.1", "\u{1}GET / HTTP/1.1", "GET / HTTP/-1.1",
        "METHODTHATISMUCHLONGERTHANANYMETHODIS / HTTP/1.1", "{\"json\": true}",
    ]

    private static let targets = [
        "a", "*", "//user@host:x", "http://", "http:///a", "ftp://localhost/", "http://other/",
        "https://localhost:99999/", "http://local host/", "/%", "/%2", "/%zz", "/a%00b", "/a%2f%",
        "/a%2F..\\b", "/..", "/../a", "/a/../../b", "/%2e%2e/a", "/a#b", "/\\a", "/%5c\\b",
        "/\u{E4}\u{7F}",
        "/a\u{7F}", "/a\"b\u{1}", "localhost:80", "?a=b", "http://user@localhost/",
    ].filter { $0 != "//user@host:x" }

    private static let hosts = [
        "A: b", "Host: localhost\r\nHost: localhost", "Host: a\r\nhost: b", "Host: \r\nHost: ",
        "Host: a b",
        "Host: a,b", "Host: user@a", "Host: a:", "Host: a:x", "Host: a:0", "Host: a:65536",
        "Host: a:80:80", "Host: [::1", "Host: ::1", "Host: [1.2.3.4]", "Host: [::g]", "Host: a/b",
        "Host: a%41", "Host: http://a", "Host: .", "Host: a..b", "Host: -\u{E4}", "Host: [::1]x",
        "Host: :80",
    ]

    private static let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    private static let upgrades = [
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\(key)",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\(key)\r\n\(key)",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\(key)\r\nContent-Length: 4",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\(key)\r\nTransfer-Encoding: chunked",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\(key)\r\nOrigin: a\r\nOrigin: b",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\(key)\r\nExpect: 200-maybe\r\nContent-Length: 1",
    ]

    private static let others = [
        MalformedRequest("bare LF", "GET / HTTP/1.1\nHost: localhost\n\n"),
        MalformedRequest("LF behind a field", "GET / HTTP/1.1\r\nHost: localhost\n\r\n"),
        MalformedRequest("LF at the end", "GET / HTTP/1.1\r\nHost: localhost\r\n\n"),
        MalformedRequest("bare LF first", "\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        MalformedRequest("bare CR first", "\rGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        MalformedRequest(
            "too many empty lines first",
            String(repeating: "\r\n", count: 17) + "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        MalformedRequest(
            "chunked on 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        MalformedRequest("two hosts on 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        MalformedRequest("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        MalformedRequest("HTTP/0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        MalformedRequest("HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        MalformedRequest("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        MalformedRequest("CONNECT to a path", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        MalformedRequest(
            "TRACE with a body", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
        MalformedRequest("magic", "GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417),
        MalformedRequest(
            "two expectations", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", 417),
        MalformedRequest(
            "a target too long",
            "GET /\(String(repeating: "a", count: 8_200)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        MalformedRequest(
            "a first line without end", "GET /\(String(repeating: "a", count: 17_000))", 414),
        MalformedRequest(
            "a field too long",
            "GET / HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "b", count: 17_000))", 431),
        MalformedRequest(
            "too many fields",
            "GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "A: b\r\n", count: 101))\r\n", 431),
        MalformedRequest(
            "a wrong version of WebSocket",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\(key)\r\nSec-WebSocket-Version: 12\r\n\r\n",
            426),
        MalformedRequest(
            "a WebSocket by POST",
            "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\(key)\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ),
        MalformedRequest(
            "a WebSocket in 1.0",
            "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\(key)\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ),
        MalformedRequest("a second request that is broken", "\u{0}GET / HTTP/1.1\r\n\r\n"),
    ]

    static let brokenBodies = [
        "x\r\n", "-1\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n", "\r\n", ";a=b\r\n", "5;a\u{0}\r\nhello\r\n", "FFFFFFFFFFFFFFFFF\r\n",
        "5\r\nhello0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhellox\r\n", "0\r\n\n",
        "0\r\n A: b\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\n: b\r\n\r\n", "0\r\nno colon\r\n\r\n",
        "0\r\nA: b\u{0}\r\n\r\n", "0\r\nA: b\n\r\n", "5,5\r\nhello\r\n",
        "5;\(String(repeating: "e", count: 300))\r\nhello\r\n",
        "0\r\n\(String(repeating: "A: b\r\n", count: 101))\r\n",
        "0\r\nA: \(String(repeating: "b", count: 17_000))\r\n\r\n",
    ]
}

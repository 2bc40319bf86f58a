// SPDX-License-Identifier: Apache-2.0
//
// Goal: an answer in HTTP/2 is the upstream's, without what belongs to a connection of HTTP/1.1 (RFC 9113
// §8.2.2), whatever its framing was; and a client that does not wait for it has the upstream let go.
// Method: an app that answers by hand, a client that prints what came.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2AnswerTests {
    private let authority: String

    init() throws { authority = try TestCertificates.shared().authority }

    private func proxy(_ backend: PeerAddress) throws -> ProxyFixture {
        try ProxyFixture(
            routes: [
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
                "{ path: \"/*\", to: \"\(backend)\" }",
            ], listeners: [.http2()])
    }

    private static let hops =
        "Connection: x-hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        + "Proxy-Connection: close\r\nUpgrade: h2c\r\n"

    /// What the app says, and what the client is to print of it.
    private static let answers: [(asked: String, said: String, seen: String)] = [
        (
            "GET/hops", "200 OK\r\n\(hops)X-App: yes\r\nContent-Length: 2\r\n\r\nok",
            "200 x-app=yes content-length=2 | ok"
        ),
        (
            "GET/chunks",
            "200 OK\r\nTransfer-Encoding: chunked\r\nX-App: a\r\nX-App: b\r\n\r\n"
                + "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "200 x-app=a x-app=b | abcde"
        ),
        (
            "GET/trailers",
            "200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                + "3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n", "200 trailer=X-Sum | abc | x-sum=9"
        ),
        ("GET/close", "200 OK\r\nConnection: close\r\n\r\nuntil the end", "200 | until the end"),
        ("GET/old", "200 OK\r\n\r\nuntil the end", "200 | until the end"),
        (
            "HEAD/head", "200 OK\r\nContent-Length: 1234\r\nX-App: yes\r\n\r\n",
            "200 x-app=yes content-length=1234 | "
        ),
        ("GET/none", "204 No Content\r\nX-App: yes\r\n\r\n", "204 x-app=yes | "),
        ("GET/same", "304 Not Modified\r\nETag: \"a\"\r\n\r\n", "304 etag=\"a\" | "),
        ("GET/empty", "200 OK\r\nContent-Length: 0\r\n\r\n", "200 content-length=0 | "),
        (
            "GET/empty/chunks", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 | "
        ),
        (
            "GET/hints",
            "103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "103 200 content-length=1 | x"
        ),
        (
            "GET/cookies",
            "200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nX-Empty:\r\n"
                + "X-Space:   in the middle  \r\nContent-Length: 0\r\n\r\n",
            "200 set-cookie=a=1; Path=/ set-cookie=b=2 x-empty= x-space=in the middle "
                + "content-length=0 | "
        ),
        ("GET/odd", "299 Odd\r\nContent-Length: 0\r\n\r\n", "299 content-length=0 | "),
    ]

    @Test func `an answer has the upstream's status, fields, body and trailers`() throws {
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            guard let answer = Self.answers.first(where: { $0.asked.hasSuffix(head.target) }) else {
                throw PeerError("nobody asks for \(head.target)")
            }
            try peer.send("HTTP/1.1 " + answer.said)
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address)
        let said = try PythonPeer.run(
            "h2_faults.py",
            ["\(proxy.port())", authority, "answers"] + Self.answers.map(\.asked))
        #expect(said.count == Self.answers.count)
        for (line, answer) in zip(said, Self.answers) {
            #expect(line == "\(answer.asked) \(answer.seen)")
        }
        #expect(backend.failures.isEmpty)
    }

    @Test func `an upload that is refused midway is answered whole, and the connection goes on`()
        throws
    {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(
                "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\n"
                    + "too large")
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address)
        let said = try PythonPeer.run(
            "h2_faults.py", ["\(proxy.port())", authority, "early_answer", "30"])
        #expect(said == ["refused 30"])
        let lines = try proxy.process.waitForLine(containing: " 413 POST ", count: 30)
        #expect(lines.allSatisfy { $0.contains(" protocol=h2 ") }, "\(lines)")
    }

    @Test func `a client that does not wait for its answer has the upstream let go`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend.address)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let client = try PythonPeer.start(
            "h2_faults.py", ["\(proxy.port())", authority, "gives_up", "\(folder)/go"])
        let upstream = try backend.next(by: .after(.seconds(120)))
        #expect(try upstream.readHead().startLine == "GET /silent HTTP/1.1")
        try Scratch.write("", to: "\(folder)/go")
        #expect(try upstream.readUntilEnd().bytes.isEmpty)
        try client.waitForLine(containing: "gone on")
        #expect(try client.waitForExit() == 0)
        let line = try proxy.process.waitForLine(containing: "localhost/silent")
        #expect(line[0].contains("the client left"), "\(line)")
    }
}

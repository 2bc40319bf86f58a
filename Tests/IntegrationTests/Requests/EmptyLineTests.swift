// SPDX-License-Identifier: Apache-2.0
//
// Goal: empty lines in front of a request line are ignored (RFC 9112 §2.2), and an idle connection on
// which nothing else comes ends as an idle one; an empty Host is lawful where the route is for any host
// (RFC 9110 §7.2).
// Method: raw requests to the real program, in one piece and in several, and Python's http.client with
// a body that it did not announce.

import Foundation
import TestKit
import Testing

@Suite struct EmptyLineTests {
    static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    private func started(_ settings: [String] = []) throws -> ProxyFixture {
        try ProxyFixture(routes: ["{ path: /*, respond: { body: fine } }"], settings: settings)
    }

    @Test(arguments: [
        ["\r\n" + get], ["\r\n\r\n\r\n" + get], ["\r\n", get], ["\r", "\n\r", "\n" + get],
        [get + "\r\n" + get], [get + "\r\n\r\n", "\r\n" + get],
        // As old browsers sent it: a CRLF behind the body that Content-Length does not count.
        ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\r\n", get],
    ])
    func `an empty line in front of a request is no request`(pieces: [String]) throws {
        let client = try started().connect()
        for piece in pieces { try client.send(piece) }
        let requests = pieces.joined().components(separatedBy: "HTTP/1.1").count - 1
        for _ in 0..<requests {
            let answer = try client.readResponse()
            #expect(answer.status == 200 && answer.text == "fine")
        }
        // The next answer is the next request's, and no other's.
        try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        #expect(try client.readResponse().status == 200)
        #expect(try client.expectEnd() == .orderly)
    }

    @Test(arguments: ["\n", "\r\r\n", " \r\n", "\r\n\n", "\r\n \r\n"])
    func `what only resembles an empty line is refused`(line: String) throws {
        let client = try started().connect()
        try client.send(line + Self.get)
        try expectRefusal(try client.readResponse(), 400, on: client)
    }

    @Test func `empty lines are bounded, for each request anew`() throws {
        let proxy = try started()
        let client = try proxy.connect()
        for _ in 0..<20 {
            try client.send("\r\n\r\n")
            try client.send(Self.get)
            #expect(try client.readResponse().status == 200)
        }
        try client.send(String(repeating: "\r\n", count: 17))
        try expectRefusal(try client.readResponse(), 400, on: client)
    }

    @Test func `an idle connection on which only empty lines came ends silently`() throws {
        let proxy = try started(["timeouts: { head: 1h, keepAlive: 300ms }"])
        for rest in ["\r\n", "\r\n\r", ""] {
            let client = try proxy.connect()
            try client.send(Self.get + rest)
            #expect(try client.readResponse().status == 200)
            // The time of keepAlive goes on; that of a head would be an hour.
            #expect(try client.expectEnd() == .orderly)
            let other = try proxy.connect()
            try other.send(Self.get)
            #expect(try other.readResponse().status == 200)
            try other.send("\r\n")
            try other.stream.halfClose()
            #expect(try other.expectEnd() == .orderly)
        }
        #expect(try proxy.terminate() == 0)
        let log = proxy.process.output.filter { $0.contains(" route=") || $0.contains("error=") }
        #expect(log.count == 6 && log.allSatisfy { $0.contains(" 200 ") }, "\(log)")
    }

    @Test func `http client with a CRLF behind its body reads its own next answer`() throws {
        let backend = try ScriptedBackend { peer in
            while true {
                let head = try peer.readHead()
                _ = try peer.read(Int(head["Content-Length"] ?? "0") ?? 0)
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        let proxy = try ProxyFixture(routes: ["{ path: /*, to: \"\(backend.address)\" }"])
        let heard = try PythonPeer.run(
            "stray_line.py", ["\(proxy.port())", try TestCertificates.shared().authority])
        #expect(heard == ["200 ok", "200 ok", "200 ok"])
    }

    @Test func `an empty Host is for the routes of any host`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /any, to: \"\(backend.address)\" }",
                "{ path: /own, respond: { body: fine } }",
                "{ path: /named, host: a.example, respond: {} }",
            ])
        for (target, status) in [("/own", 200), ("/named", 404)] {
            let client = try proxy.connect()
            try client.send("GET \(target) HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
            let answer = try client.readResponse()
            #expect(answer.status == status, "\(target): \(answer.text)")
        }
        let socket = try proxy.connect()
        try socket.open(Opening("/any", host: ""))
        let page = try proxy.connect()
        let refused = try page.refusal(
            of: Opening("/any", host: "", extra: [("Origin", "https://a.example")]))
        try expectRefusal(refused, 403, on: page)
        // HTTP/1.1 without the field, and with two, stays refused (RFC 9112 §3.2).
        for request in [
            "GET /own HTTP/1.1\r\n\r\n",
            "GET /own HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n",
        ] {
            let client = try proxy.connect()
            try client.send(request)
            try expectRefusal(try client.readResponse(), 400, on: client)
        }
    }
}

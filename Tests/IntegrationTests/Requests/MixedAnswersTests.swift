// SPDX-License-Identifier: Apache-2.0
//
// Goal: what is said to one peer never reaches another, though all heads of a reactor are written in one
// place.
// Method: while one client's answer is on its way, others do each thing that has a head written (or fail
// to); then the rest of the answer comes, and every byte that the first client got is compared.

import TestKit
import Testing

@Suite struct MixedAnswersTests {
    /// What the others do meanwhile.
    enum Other: String, CaseIterable {
        case get, post, halfAPost, upgrade, refusedUpgrade, ownAnswer, unreachable, interim, reused
    }

    /// How the first client's answer ends.
    enum Rest: String, CaseIterable { case length, chunked, untilClose }

    @Test(arguments: Other.allCases, Rest.allCases)
    func `an answer holds nothing of what others ask meanwhile`(other: Other, rest: Rest) throws {
        let slow = try ManualBackend()
        let app = try ManualBackend()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /slow, to: \"http://127.0.0.1:\(slow.address.port)\" }",
                "{ path: /app, to: \"http://127.0.0.1:\(app.address.port)\" }",
                "{ path: /socket, to: \"ws://127.0.0.1:\(app.address.port)\" }",
                "{ path: /gone, to: \"http://127.0.0.1:\(try PeerAddress.refusing().port)\" }",
                "{ path: /said, respond: { status: 200, body: said } }",
            ], workers: 1)
        let first = try proxy.connect()
        try first.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let origin = try slow.next()
        _ = try origin.readHead()
        try origin.send("HTTP/1.1 200 OK\r\n" + Self.begin(rest))
        _ = try first.readHead()
        #expect(try Self.piece(of: rest, first) == "xxxxxxxxxx")
        let others = try ask(other, app, proxy)
        try origin.send(rest == .chunked ? "a\r\nyyyyyyyyyy\r\n" : "yyyyyyyyyy")
        #expect(try Self.piece(of: rest, first) == "yyyyyyyyyy")
        withExtendedLifetime(others) {}
    }

    private static func begin(_ rest: Rest) -> String {
        switch rest {
        case .length: "Content-Length: 20\r\n\r\nxxxxxxxxxx"
        case .chunked: "Transfer-Encoding: chunked\r\n\r\na\r\nxxxxxxxxxx\r\n"
        case .untilClose: "\r\nxxxxxxxxxx"
        }
    }

    /// Ten bytes of the body, and of its framing what belongs to them: where the length is not known, a
    /// client of HTTP/1.1 gets chunks.
    private static func piece(of rest: Rest, _ client: WebSocketPeer) throws -> String {
        if rest == .length { return String(decoding: try client.read(10), as: UTF8.self) }
        var size: [UInt8] = []
        while !size.isEnded(by: "\r\n") { size += try client.read(1) }
        #expect(Int(String(decoding: size.dropLast(2), as: UTF8.self), radix: 16) == 10)
        let piece = try client.read(12)
        #expect(piece.isEnded(by: "\r\n"))
        return String(decoding: piece.dropLast(2), as: UTF8.self)
    }

    /// Has another client ask, and waits until its request has come where it goes.
    private func ask(_ other: Other, _ app: ManualBackend, _ proxy: ProxyFixture) throws
        -> [AnyObject]
    {
        let client = try proxy.connect()
        let secret = "Host: localhost\r\nCookie: session=SECRET\r\n"
        switch other {
        case .get, .reused, .interim:
            try client.send("GET /app HTTP/1.1\r\n\(secret)\r\n")
            let upstream = try app.next()
            _ = try upstream.readHead()
            if other == .interim {
                try upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                #expect(try client.readHead().status == 103)
            }
            if other == .reused {
                try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                #expect(try client.readResponse().text == "ok")
                try client.send("GET /app HTTP/1.1\r\n\(secret)\r\n")
                _ = try upstream.readHead()
            }
            return [client, upstream]
        case .post, .halfAPost:
            let body = other == .post ? "SECRET" : "SEC"
            try client.send("POST /app HTTP/1.1\r\n\(secret)Content-Length: 6\r\n\r\n\(body)")
            let upstream = try app.next()
            _ = try upstream.readHead()
            #expect(try upstream.read(body.utf8.count) == Array(body.utf8))
            return [client, upstream]
        case .upgrade, .refusedUpgrade:
            var opening = Opening().with(target: "/socket").with("Cookie", "session=SECRET")
            if other == .refusedUpgrade { opening = opening.with("Origin", "https://evil.test") }
            try client.send(opening.bytes)
            if other == .refusedUpgrade {
                #expect(try client.readHead().status == 403)
                return [client]
            }
            let upstream = try app.next()
            _ = try upstream.readHead()
            return [client, upstream]
        case .ownAnswer, .unreachable:
            let path = other == .ownAnswer ? "/said" : "/gone"
            try client.send("GET \(path) HTTP/1.1\r\n\(secret)\r\n")
            #expect(try client.readResponse().status == (other == .ownAnswer ? 200 : 502))
            return [client]
        }
    }
}

extension [UInt8] {
    /// Whether they end with this text.
    fileprivate func isEnded(by text: String) -> Bool {
        suffix(text.utf8.count).elementsEqual(text.utf8)
    }
}

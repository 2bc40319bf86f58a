// SPDX-License-Identifier: Apache-2.0
//
// Goal: ordinary requests on the routes of a WebSocket reach the same app, and their answers come
// back, whatever way either is framed.
// Method: both ends in the test's hand, so that each byte that went on can be compared.

import TestKit
import Testing

@Suite struct ProxyingTests {
    static let listeners: [ProxyListener] = [.tls(), .plain]

    /// A proxy in front of one app, with connections to both of its listeners.
    private func proxy(
        _ backend: ManualBackend, options: String = "", settings: [String] = [], workers: Int = 1
    ) throws -> ProxyFixture {
        try ProxyFixture(
            routes: ["{ path: /*, to: \"http\("\(backend.address)".dropFirst(2))\"\(options) }"],
            listeners: Self.listeners, settings: settings, workers: workers)
    }

    private static func get(_ target: String = "/", _ fields: String...) -> String {
        let lines = ["GET \(target) HTTP/1.1", "Host: localhost"] + fields
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    @Test(arguments: [0, 1])
    func `requests follow each other on both connections`(listener: Int) throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect(listener: listener)
        try client.send(Self.get("/a?b=c", "X-Own: 1", "Connection: x-hop", "X-Hop: 2"))
        let upstream = try backend.next()
        let request = try upstream.readHead()
        #expect(request.startLine == "GET /a?b=c HTTP/1.1")
        #expect(request["Host"] == "localhost" && request["X-Own"] == "1")
        #expect(request["X-Hop"] == nil && request["Connection"] == nil)
        #expect(request["X-Forwarded-Proto"] == (listener == 0 ? "https" : "http"))
        #expect(request["Via"] == "1.1 sluice")
        try upstream.send(
            "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: x-y\r\nX-Y: 1\r\n\r\nhi")
        let answer = try client.readResponse()
        #expect(answer.head.startLine == "HTTP/1.1 200 Fine" && answer.text == "hi")
        #expect(answer.head["Connection"] == nil && answer.head["X-Y"] == nil)
        for index in 0..<5 {
            try client.send(Self.get("/\(index)"))
            #expect(try upstream.readHead().target == "/\(index)")
            try upstream.send("HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n\(index)")
            #expect(try client.readResponse().text == "\(index)")
        }
        #expect(try !backend.hasPendingConnection(by: .after(.milliseconds(1))))
    }

    @Test func `bodies go up in both framings, at any split, and the next request is found`() throws
    {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let chunked =
            "POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            + "5;ext=1\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\nX-Sum: 9\r\nHost: evil\r\n\r\n"
        let counted = "POST /l HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
        let bytes = Array((chunked + counted + Self.get("/end")).utf8)
        for cut in stride(from: 1, to: bytes.count, by: 7) {
            let client = try proxy.connect(listener: 1)
            try client.send(bytes, splitAt: [cut])
            let upstream = try backend.next()
            let first = try upstream.readHead()
            #expect(first["Transfer-Encoding"] == "chunked" && first["Content-Length"] == nil)
            #expect(first["Trailer"] == "X-Sum")
            var body = ""
            while !body.hasSuffix("0\r\nX-Sum: 9\r\n\r\n") {
                body += String(decoding: try upstream.read(1), as: UTF8.self)
            }
            #expect(!body.contains("ext") && !body.contains("evil"))
            let data = body.split(separator: "\r\n").enumerated().filter { $0.offset % 2 == 1 }
            #expect(data.map { String($0.element) }.joined().hasPrefix("hello, world"), "\(body)")
            try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            #expect(try client.readResponse().status == 200)
            #expect(try upstream.readHead()["Content-Length"] == "5")
            #expect(try upstream.read(5) == Array("hello".utf8))
            try upstream.send("HTTP/1.1 204 Done\r\n\r\n")
            #expect(try client.readHead().status == 204)
            #expect(try upstream.readHead().target == "/end")
            try upstream.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend")
            #expect(try client.readResponse().text == "end")
            _ = try upstream.expectEnd()
        }
    }

    static let answers: [(String, String, String?)] = [
        ("Content-Length: 5\r\n\r\nhello", "hello", "5"),
        ("Content-Length: 0\r\n\r\n", "", "0"),
        (
            "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2;e\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
            "hello", nil
        ),
        ("\r\nhello", "hello", nil),
    ]

    @Test(arguments: answers, ["HTTP/1.1", "HTTP/1.0"])
    func `answers come down in every framing, to old clients too`(
        answer: (text: String, body: String, length: String?), version: String
    ) throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\n" + answer.text)
            if answer.text.hasPrefix("\r\n") { try peer.stream.halfClose() }
            _ = try peer.readUntilEnd()
        }
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send("GET /Esv/ocp \(version)\r\nHost: localhost\r\n\r\n")
        let response = try client.readResponse()
        #expect(response.text == answer.body)
        #expect(response.head["Content-Length"] == answer.length)
        let isChunked = response.head["Transfer-Encoding"] == "chunked"
        #expect(isChunked == (version == "HTTP/1.1" && answer.length == nil))
        // It goes where trailers go.
        let hasTrailer = isChunked && answer.text.contains("Trailer")
        #expect(response.head["Trailer"] == (hasTrailer ? "X-T" : nil))
        if version == "HTTP/1.0" {
            #expect(response.head["Connection"] == "close")
            #expect(try client.expectEnd() == .orderly)
        } else {
            #expect(response.head["Connection"] == nil)
        }
    }

    @Test func `HEAD, 304 and interim answers have no body`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send("HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let upstream = try backend.next()
        #expect(try upstream.readHead().startLine.hasPrefix("HEAD /a "))
        try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        #expect(try client.readHead()["Content-Length"] == "100")
        try client.send(Self.get("/b"))
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n")
        let early = try client.readHead()
        #expect(early.status == 103 && early["Link"] == "</s>")
        try upstream.send("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n")
        #expect(try client.readHead().status == 304)
        try client.send(Self.get("/c"))
        #expect(try upstream.readHead().target == "/c")
    }

    @Test func `a client that waits for 100 gets it from the upstream`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send(
            "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        let upstream = try backend.next()
        #expect(try upstream.readHead()["Expect"] == "100-continue")
        try upstream.send("HTTP/1.1 100 Continue\r\n\r\n")
        #expect(try client.readHead().status == 100)
        try client.send("body")
        #expect(try upstream.read(4) == Array("body".utf8))
        try upstream.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.readResponse().status == 201)
    }

    @Test func `an answer before the body has come is passed on, and the connections end`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nsome")
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        let answer = try client.readResponse()
        #expect(answer.status == 403 && answer.text == "no")
        #expect(answer.head["Connection"] == "close")
        #expect(try client.expectEnd() == .orderly)
        _ = try upstream.readUntilEnd()
    }

    @Test func `an idle connection that was closed is noticed, or the request sent once more`()
        throws
    {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        for round in 0..<20 {
            try client.send(Self.get("/\(round)"))
            let upstream = try backend.next()
            #expect(try upstream.readHead().target == "/\(round)")
            try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            #expect(try client.readResponse().status == 200)
            // Closed between two requests, or as the next one arrives: the client never knows.
            if round % 2 == 0 {
                try upstream.stream.halfClose()
                _ = try upstream.readUntilEnd()
            } else {
                try client.send(Self.get("/again"))
                #expect(try upstream.readHead().target == "/again")
                upstream.stream.reset()
                let fresh = try backend.next()
                #expect(try fresh.readHead().target == "/again")
                try fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                #expect(try client.readResponse().status == 200)
                // The connection that took its place is as good as any.
                try client.send(Self.get("/next"))
                #expect(try fresh.readHead().target == "/next")
                try fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                #expect(try client.readResponse().status == 200)
            }
        }
    }

    @Test func `what is not safe to repeat is not sent again`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send(Self.get())
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        _ = try client.readResponse()
        try client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
        _ = try upstream.readHead()
        upstream.stream.reset()
        let answer = try client.readResponse()
        #expect(answer.status == 502)
        #expect(answer.head["Proxy-Status"]?.contains("http_response_incomplete") == true)
        #expect(try !backend.hasPendingConnection(by: .after(.milliseconds(50))))
    }

    static let surplus = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ]

    @Test(arguments: surplus)
    func `a connection with more on it than an answer carries no other request`(
        answer: String
    ) throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send(Self.get())
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send(answer)
        #expect(try client.readResponse().text == "hi")
        _ = try upstream.readUntilEnd()
        try client.send(Self.get("/next"))
        let fresh = try backend.next()
        #expect(try fresh.readHead().target == "/next")
        try fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
        #expect(try client.readResponse().text == "good")
    }

    static let cutAnswers: [(String, String)] = [
        ("Content-Length: 10\r\n\r\nhello", "hello"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", "5\r\nhello\r\n"),
    ]

    @Test(arguments: cutAnswers)
    func `an answer cut short is cut short for the client too`(
        answer: String, body: String
    ) throws {
        let backend = try ScriptedBackend.answering("HTTP/1.1 200 OK\r\n" + answer)
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect()
        try client.send(Self.get("/Esv/ocp"))
        #expect(try client.readHead().status == 200)
        let (rest, ending) = try client.readUntilEnd()
        #expect(String(decoding: rest, as: UTF8.self) == body)
        #expect(ending == .truncated)
    }

    @Test func `a WebSocket opens behind ordinary requests on the same connection`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send(Self.get("/page"))
        let first = try backend.next()
        _ = try first.readHead()
        try first.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.readResponse().status == 200)
        let early = Frame.text("early").masked().bytes
        try client.send(Opening("/socket").bytes + early)
        let second = try backend.next()
        _ = try second.accept()
        #expect(try client.readHead().status == 101)
        #expect(try second.readFrame().bytes == early)
        try second.send(Frame.text("late"))
        #expect(try client.readFrame() == Frame.text("late"))
    }

    @Test func `a pipeline is answered in its order`() throws {
        let backend = try ScriptedBackend { peer in
            while true {
                let target = try peer.readHead().target
                try peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: \(target.utf8.count)\r\n\r\n\(target)")
            }
        }
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /*, to: \"\(backend.address)\" }",
                "{ path: /own/*, respond: { status: 404, body: nothing } }",
            ], workers: 1)
        let client = try proxy.connect()
        let targets = (0..<300).map { $0 % 3 == 0 ? "/own/\($0)" : "/app/\($0)" }
        try client.send(targets.map { Self.get($0) }.joined())
        for target in targets {
            let answer = try client.readResponse()
            #expect(answer.text == (target.hasPrefix("/own") ? "nothing" : target))
        }
        #expect(backend.connectionCount == 1)
    }

    @Test func `an upgrade that is refused frees nothing for other requests`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend)
        let client = try proxy.connect()
        try client.send(Opening("/a").bytes)
        let upstream = try backend.next()
        _ = try upstream.readHead()
        try upstream.send("HTTP/1.1 401 Who\r\nContent-Length: 2\r\n\r\nno")
        let answer = try client.readResponse()
        #expect(answer.status == 401 && answer.text == "no")
        _ = try upstream.expectEnd()
        #expect(try client.expectEnd() == .orderly)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct UpgradeRequestTests {
    /// A lawful request; a test leaves lines out or puts others in.
    static let lawful = [
        "GET /chat HTTP/1.1", "Host: a.example", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ]

    static func judge(_ lines: [String]) throws -> UpgradeRequest {
        try UpgradeRequest.judge(HeadBytes.parse(HeadBytes.lines(lines)))
    }

    /// The lawful lines with the one that begins like `old` replaced by others.
    static func replacing(_ old: String, _ new: String...) -> [String] {
        lawful.flatMap { $0.hasPrefix(old) ? new : [$0] }
    }

    @Test func `a browser's handshake is read into a value`() throws {
        let request = try UpgradeRequest.judge(HeadBytes.parse(HeadBytes.browser))
        #expect(request.host.name == "localhost")
        #expect(request.host.port == 8443)
        #expect(request.authority == Array("localhost:8443".utf8))
        #expect(request.target.path == Array("/chat/room%201".utf8))
        #expect(request.target.query == Array("token=a%2Fb".utf8))
        #expect(request.key == Array("dGhlIHNhbXBsZSBub25jZQ==".utf8))
        #expect(request.origin == Array("https://localhost:8443".utf8))
        #expect(request.offersDeflate)
        #expect(request.head.method == "GET")
    }

    @Test(arguments: [
        lawful,
        replacing("Upgrade", "upgrade: WebSocket"),
        replacing("Upgrade", "Upgrade: h2c, websocket"),
        replacing("Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
        replacing("Connection", "Connection: keep-alive", "Connection: HTTP2-Settings, UPGRADE"),
        lawful + ["Content-Length: 0"],
        lawful + ["Sec-WebSocket-Extensions:"],
        lawful + ["Sec-WebSocket-Extensions: a, ,b;c;d=\"e,\\\"f\" ; g=h"],
        replacing("GET", "GET http://A.example/chat HTTP/1.1"),
        // The target's host takes the place of an empty field (RFC 9112 §3.2.2).
        replacing("GET", "GET http://A.example/chat HTTP/1.1").map {
            $0.hasPrefix("Host") ? "Host:" : $0
        },
    ])
    func `what RFC 6455 allows is allowed`(lines: [String]) throws {
        let request = try Self.judge(lines)
        #expect(request.host.name == "a.example")
        #expect(String(decoding: request.authority, as: UTF8.self).lowercased() == "a.example")
        #expect(request.target.path == Array("/chat".utf8))
        #expect(request.origin == nil)
        #expect(!request.offersDeflate)
    }

    struct Case: Sendable {
        var lines: [String]
        var status = 400
        var kind = UpgradeFault.Kind.malformed
        var sentence: String
    }

    static let version = "Sec-WebSocket-Version is not 13, the only one supported."
    static let none = "This address speaks WebSocket; the request asks for none."
    static let key = "The Sec-WebSocket-Key is not 16 bytes in base64."
    static let oneKey = "There is not exactly one Sec-WebSocket-Key."
    static let body = "A request for a WebSocket has no body."
    static let connection = "The Connection field does not contain 'upgrade'."
    static let noConnection = "There is no Connection field, which has to contain 'upgrade'."

    private static func key(_ value: String) -> Case {
        Case(
            lines: replacing("Sec-WebSocket-Key", "Sec-WebSocket-Key: \(value)"), sentence: key)
    }

    private static func versions(_ lines: [String]) -> Case {
        Case(
            lines: lawful.filter { !$0.hasPrefix("Sec-WebSocket-Version") } + lines, status: 426,
            kind: .wrongVersion, sentence: version)
    }

    static let cases: [Case] = [
        Case(lines: replacing("Host"), sentence: "There is no Host field."),
        Case(lines: ["GET / HTTP/1.0"], sentence: "There is no Host field."),
        Case(
            lines: lawful + ["host: a.example"], sentence: "There is more than one Host field."),
        Case(
            lines: replacing("GET", "GET http://u@a.example/chat HTTP/1.1").map {
                $0.hasPrefix("Host") ? "Host:" : $0
            }, sentence: "The host is not a name or address."),
        Case(
            lines: replacing("Host", "Host: a, b"), sentence: "The host is not a name or address."),
        Case(
            lines: ["GET / HTTP/1.1", "Host: a b"], sentence: "The host is not a name or address."),
        Case(
            lines: replacing("GET", "GET /../a HTTP/1.1"),
            sentence: "The path climbs above the root with '..'."),
        Case(
            lines: replacing("GET", "GET * HTTP/1.1"),
            sentence: "The target is neither a path that begins with '/' nor a URL."),
        Case(
            lines: replacing("GET", "GET http://b.example/ HTTP/1.1"),
            sentence: "The URL in the request line names another host than Host does."),
        Case(
            lines: replacing("GET", "GET http://a.example:81/ HTTP/1.1"),
            sentence: "The URL in the request line names another host than Host does."),
        Case(
            lines: replacing("GET", "GET http://u@a.example/ HTTP/1.1"),
            sentence: "The host is not a name or address."),
        Case(lines: replacing("Upgrade"), status: 426, kind: .notAnUpgrade, sentence: none),
        Case(
            lines: replacing("Upgrade", "Upgrade: h2c"), status: 426, kind: .notAnUpgrade,
            sentence: none),
        Case(
            lines: replacing("Upgrade", "Upgrade: websockets"), status: 426, kind: .notAnUpgrade,
            sentence: none),
        Case(
            lines: ["POST / HTTP/1.1", "Host: a", "Content-Length: 5"], status: 426,
            kind: .notAnUpgrade, sentence: none),
        Case(
            lines: replacing("GET", "POST /chat HTTP/1.1"), kind: .badMethod,
            sentence: "A WebSocket is asked for with GET only."),
        Case(
            lines: replacing("GET", "get /chat HTTP/1.1"), kind: .badMethod,
            sentence: "A WebSocket is asked for with GET only."),
        Case(
            lines: replacing("GET", "GET /chat HTTP/1.0"),
            sentence: "A WebSocket is asked for in HTTP/1.1, not HTTP/1.0."),
        Case(lines: lawful + ["Content-Length: 1"], sentence: body),
        Case(lines: lawful + ["Transfer-Encoding: chunked"], sentence: body),
        Case(lines: replacing("Connection"), sentence: noConnection),
        Case(lines: replacing("Connection", "Connection: keep-alive"), sentence: connection),
        Case(lines: replacing("Sec-WebSocket-Key"), sentence: oneKey),
        Case(
            lines: lawful + ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], sentence: oneKey),
        key(""), key("dGhlIHNhbXBsZSBub25jZQ="), key("dGhlIHNhbXBsZSBub25jZQ==="),
        key("dGhlIHNhbXBsZSBub25jZQAA"), key("SGVsbG8sIHdvcmxkIQ=="),
        key("dGhlIHNhbXBsZSBub25j-Q=="), key("dGhlIHNhbXBsZSBub25j Q=="),
        key("=GhlIHNhbXBsZSBub25jZQ=="),
        versions([]),
        versions(["Sec-WebSocket-Version: 8"]),
        versions(["Sec-WebSocket-Version: 13, 8"]),
        versions(["Sec-WebSocket-Version: 013"]),
        versions(["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]),
        Case(
            lines: lawful + ["Origin: https://a", "Origin: https://b"],
            sentence: "There is more than one Origin."),
    ]

    @Test(arguments: cases)
    func `what is no handshake is refused with its status and sentence`(refusal: Case) {
        let expected = UpgradeFault(
            status: refusal.status, sentence: refusal.sentence, kind: refusal.kind)
        #expect(throws: expected) { try Self.judge(refusal.lines) }
    }

    /// Offers, and which of them are sound.
    static let offers: [(String, [String])] = [
        ("a b", []), ("a;", []), ("a=b", []), ("a; b=", []), ("a; b=\"c", []), ("a; b=\"c\\", []),
        ("(a)", []), ("a;;b", []), ("a; b=\"c, d", []),
        ("a, b c, d;e=\"f,g\" ,", ["a", "d;e=\"f,g\""]),
        ("a \"b, c\", d", ["d"]), ("\"a", []), ("a,\"", ["a"]),
    ]

    @Test(arguments: offers)
    func `an offer that breaks RFC 6455 §9.1 is left out`(value: String, sound: [String]) throws {
        let request = try Self.judge(Self.lawful + ["Sec-WebSocket-Extensions: \(value)"])
        #expect(!request.unsound.isEmpty)
        #expect(
            String(decoding: request.soundOffers, as: UTF8.self) == sound.joined(separator: ", "))
    }

    @Test func `what devices leave out is noted where the caller decides later`() throws {
        let short = Self.replacing("Sec-WebSocket-Key", "Sec-WebSocket-Key: MTIzNDU2Nzg=")
        let neither = short.filter { !$0.hasPrefix("Connection") }
        let all: UpgradeRequest.Departures = [.missingConnection, .anyKeyLength]
        func noted(_ lines: [String]) throws -> UpgradeRequest {
            try UpgradeRequest.judge(HeadBytes.parse(HeadBytes.lines(lines)), noting: all)
        }
        #expect(try noted(Self.lawful).departures == [])
        #expect(try noted(short).departures == .anyKeyLength)
        #expect(try noted(Self.replacing("Connection")).departures == .missingConnection)
        let request = try noted(neither)
        #expect(request.departures == all)
        #expect(request.fault(accepting: all) == nil)
        #expect(request.fault(accepting: .anyKeyLength)?.sentence == Self.noConnection)
        #expect(request.fault(accepting: .missingConnection)?.sentence == Self.key)
        #expect(throws: UpgradeFault.self) {
            try noted(Self.replacing("Connection", "Connection:"))
        }
    }

    @Test func `without a version it is no device's handshake, with another it is told which`()
        throws
    {
        func noted(_ lines: [String]) throws -> UpgradeRequest {
            try UpgradeRequest.judge(
                HeadBytes.parse(HeadBytes.lines(lines)),
                noting: [.missingConnection, .anyKeyLength])
        }
        let bare = Array(Self.lawful.prefix(3))
        #expect(throws: UpgradeFault(status: 400, sentence: Self.noConnection, kind: .malformed)) {
            try noted(bare)
        }
        #expect(throws: UpgradeFault(status: 426, sentence: Self.version, kind: .wrongVersion)) {
            try noted(bare + ["Sec-WebSocket-Version: 8"])
        }
    }

    @Test func `a 426 says what to upgrade to`() {
        func names(_ kind: UpgradeFault.Kind) -> [String] {
            UpgradeFault(status: 426, sentence: "", kind: kind).extraFields.map { "\($0): \($1)" }
        }
        #expect(names(.notAnUpgrade) == ["Upgrade: websocket"])
        #expect(names(.wrongVersion) == ["Upgrade: websocket", "Sec-WebSocket-Version: 13"])
        #expect(names(.malformed).isEmpty)
        #expect(names(.badMethod).isEmpty)
    }

    @Test func `permessage-deflate is seen wherever it is offered`() throws {
        for value in ["PerMessage-Deflate", "x; a=\"permessage-deflate\", permessage-deflate; y"] {
            #expect(
                try Self.judge(Self.lawful + ["Sec-WebSocket-Extensions: \(value)"]).offersDeflate)
        }
        for value in ["x; a=\"y, permessage-deflate\"", "permessage-deflate2"] {
            #expect(
                try !Self.judge(Self.lawful + ["Sec-WebSocket-Extensions: \(value)"]).offersDeflate)
        }
    }
}

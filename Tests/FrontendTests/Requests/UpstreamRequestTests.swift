// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import TLS
import Testing
import Wire

@testable import Frontend

/// The heads that go on: what is kept, what is dropped, what is added.
struct UpstreamRequestTests {
    private static let handshake = [
        "Host: a.example:8443", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]

    private func forwarded(
        _ extra: [String] = [], target: String = "/b", path: String? = nil,
        handshake: [String] = handshake, client: Address = .ipv4(192, 0, 2, 7, port: 5_000),
        isSecure: Bool = true, edits: FieldEdits = FieldEdits(), host: HostChoice = .keep,
        tls: TLSFacts? = nil
    ) throws -> RequestHead {
        let endpoint = Endpoint(
            label: "ws://127.0.0.1:3000", address: .ipv4(127, 0, 0, 1, port: 3_000))
        var route = Route(
            name: "/*",
            upstream: EndpointGroup(name: "app", endpoints: [endpoint], balance: .roundRobin))
        route.requestFields = edits
        route.upstreamHost = host
        let text = (["GET \(target) HTTP/1.1"] + handshake + extra).joined(separator: "\r\n")
        var parser = RequestHeadParser()
        let bytes = Array((text + "\r\n\r\n").utf8)
        guard case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) else {
            throw HeadFault(status: 0, sentence: "no whole request")
        }
        let request = try UpgradeRequest.judge(head)
        var writer = HeadWriter()
        UpstreamRequest.write(
            UpgradeAsked(
                request, path: path.map { Array($0.utf8) } ?? request.target.sentPath,
                nowMilliseconds: 0), plan: RoutePlan(route),
            endpoint: endpoint,
            hop: Hop(
                client: client, isSecure: isSecure, strictTransportSecurity: nil, tls: tls),
            into: &writer)
        let made = writer.bytes
        var again = RequestHeadParser()
        guard case .complete(let result, made.count) = made.withUnsafeBytes({ again.append($0) })
        else { throw HeadFault(status: 0, sentence: "no whole head was made") }
        return result
    }

    @Test func `the handshake goes on whole, and we say who asked`() throws {
        let head = try forwarded(["Cookie: a=b", "Sec-WebSocket-Protocol: chat"])
        #expect(head.method == "GET")
        #expect(head.fields.string("host") == "a.example:8443")
        #expect(head.fields.string("upgrade") == "websocket")
        #expect(head.fields.string("connection") == "Upgrade")
        #expect(head.fields.string("sec-websocket-version") == "13")
        #expect(head.fields.string("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ==")
        #expect(head.fields.string("sec-websocket-protocol") == "chat")
        #expect(head.fields.string("cookie") == "a=b")
        #expect(head.fields.string("x-forwarded-for") == "192.0.2.7")
        #expect(head.fields.string("x-forwarded-proto") == "https")
        #expect(head.fields.string("x-forwarded-host") == "a.example:8443")
        #expect(head.fields.string("x-forwarded-port") == "8443")
        #expect(
            head.fields.string("forwarded")
                == "for=192.0.2.7;host=\"a.example:8443\";proto=https")
        #expect(try UpgradeRequest.judge(head).key == Array("dGhlIHNhbXBsZSBub25jZQ==".utf8))
    }

    @Test func `plain ws is http, never ws`() throws {
        let head = try forwarded(isSecure: false)
        #expect(head.fields.string("x-forwarded-proto") == "http")
        #expect(head.fields.string("forwarded")?.hasSuffix("proto=http") == true)
    }

    @Test func `the port is the one in Host, else the usual one of the scheme`() throws {
        let handshake = Self.handshake.map { $0.hasPrefix("Host") ? "Host: a.example:99" : $0 }
        #expect(
            try forwarded(handshake: handshake).fields.string("x-forwarded-port") == "99")
        let without = Self.handshake.map { $0.hasPrefix("Host") ? "Host: a.example" : $0 }
        for (isSecure, port) in [(true, "443"), (false, "80")] {
            let head = try forwarded(handshake: without, isSecure: isSecure)
            #expect(head.fields.string("x-forwarded-port") == port)
        }
    }

    @Test func `an IPv6 client stands in brackets and quotes where RFC 7239 §6 says so`() throws {
        let client = try Address(parsing: "[2001:db8::7]:5000")
        let head = try forwarded(client: client)
        #expect(head.fields.string("x-forwarded-for") == "2001:db8::7")
        #expect(
            head.fields.string("forwarded")
                == "for=\"[2001:db8::7]\";host=\"a.example:8443\";proto=https")
    }

    @Test func `a client at a socket file has no address`() throws {
        let head = try forwarded(client: try Address(parsing: "unix:/run/a.sock"))
        #expect(head.fields.string("x-forwarded-for") == "unix:")
        #expect(head.fields.string("forwarded")?.hasPrefix("for=_unix;") == true)
    }

    @Test(arguments: [
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
        "X-Forwarded-Port", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Real-IP",
        // What an application may fold onto one of them.
        "X_Forwarded_For", "x-forwarded_for", "X.Forwarded.For", "x_real_ip", "X_FORWARDED-PROTO",
        "Content_Length", "Transfer.Encoding",
    ])
    func `what is ours to say, a client can't`(name: String) throws {
        let head = try forwarded(["\(name): forged"])
        #expect(!String(decoding: head.fields.bytes, as: UTF8.self).contains("forged"))
    }

    @Test(arguments: [
        "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers",
        "Trailer: Expires", "HTTP2-Settings: AAMAAABk", "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: Basic",
    ])
    func `what is for one hop stays on it`(field: String) throws {
        let name = field.prefix { $0 != ":" }.lowercased()
        #expect(try forwarded([field]).fields.count(of: name) == 0)
    }

    @Test func `fields that Connection names are dropped, whatever their case`() throws {
        let handshake = Self.handshake.map {
            $0.hasPrefix("Connection") ? "Connection: keep-alive, Upgrade, X-Secret ,x-other" : $0
        }
        let head = try forwarded(
            ["X-Secret: 1", "x-SECRET: 2", "X-Other: 3", "X-Kept: 4"], handshake: handshake)
        #expect(head.fields.count(of: "x-secret") == 0)
        #expect(head.fields.count(of: "x-other") == 0)
        #expect(head.fields.string("x-kept") == "4")
        #expect(head.fields.string("connection") == "Upgrade")
    }

    @Test func `even a field named close is dropped where Connection names it`() throws {
        for (options, count) in [("Upgrade, close", 0), ("Upgrade, keep-alive", 1)] {
            let handshake = Self.handshake.map {
                $0.hasPrefix("Connection") ? "Connection: \(options)" : $0
            }
            #expect(
                try forwarded(["Close: 1"], handshake: handshake).fields.count(of: "close") == count
            )
        }
    }

    @Test func `only websocket is asked for, never h2c`() throws {
        let handshake = Self.handshake.map {
            $0.hasPrefix("Upgrade") ? "Upgrade: h2c, websocket" : $0
        }
        let head = try forwarded(["HTTP2-Settings: AAMAAABk"], handshake: handshake)
        #expect(
            head.fields.all("upgrade").map { String(decoding: $0, as: UTF8.self) } == ["websocket"])
    }

    @Test func `a field that comes several times goes on as often, in its order`() throws {
        let head = try forwarded([
            "Sec-WebSocket-Extensions: a", "Cookie: 1", "Sec-WebSocket-Extensions: b",
        ])
        #expect(
            head.fields.all("sec-websocket-extensions").map { String(decoding: $0, as: UTF8.self) }
                == ["a", "b"])
    }

    @Test func `the query goes on as it came, also behind a rewritten path`() throws {
        let target = "/a/./b?token=a%2Fb&x=?y%zz"
        #expect(try text(forwarded(target: target).target) == "/a/b?token=a%2Fb&x=?y%zz")
        #expect(
            try text(forwarded(target: target, path: "/socket").target)
                == "/socket?token=a%2Fb&x=?y%zz")
        #expect(try text(forwarded(target: "/b?").target) == "/b?")
        #expect(try text(forwarded(target: "/%41%2D%c3%a4").target) == "/%41%2D%c3%a4")
    }

    @Test func `a route removes, sets and adds fields, and chooses the host`() throws {
        let edits = FieldEdits(
            removed: ["cookie"], set: [.init(name: "X-App", value: "ours")],
            added: [.init(name: "x-more", value: "2")])
        let head = try forwarded(
            ["Cookie: a", "x-app: theirs", "X-APP: theirs", "X-More: 1"], edits: edits,
            host: .upstream)
        #expect(head.fields.count(of: "cookie") == 0)
        #expect(head.fields.all("x-app").map { text($0) } == ["ours"])
        #expect(head.fields.all("x-more").map { text($0) } == ["1", "2"])
        #expect(head.fields.string("host") == "127.0.0.1:3000")
        #expect(head.fields.string("x-forwarded-host") == "a.example:8443")
        let named = try forwarded(host: .name("app.internal"))
        #expect(named.fields.string("host") == "app.internal")
    }

    @Test
    func `a field tells of the connection what is known, and nothing else stands in its place`()
        throws
    {
        let edits = FieldEdits(
            set: [
                .init(name: "X-A", value: "1"),
                .init(name: "X-Version", value: [.fact(.tlsVersion)]),
                .init(name: "X-B", value: "2"),
                .init(
                    name: "X-All",
                    value: [
                        .fact(.tlsCipher), .text(" over "), .fact(.tlsGroup), .text(", "),
                        .fact(.alpn),
                    ]),
            ], added: [.init(name: "X-B", value: [.fact(.alpn)]), .init(name: "X-B", value: "3")])
        func forwarded(_ tls: TLSFacts?) throws -> FieldList {
            try self.forwarded(
                ["x-version: forged", "X_Version: forged", "X-All: forged"], edits: edits, tls: tls
            ).fields
        }
        func facts(group: UInt16, alpn: String?) -> TLSFacts {
            TLSFacts(
                version: .tls13, cipher: 0x1302, group: group, serverName: nil,
                applicationProtocol: alpn, isResumed: false)
        }
        let whole = try forwarded(facts(group: 0x11EC, alpn: "http/1.1"))
        #expect(whole.all("x-version").map { text($0) } == ["TLSv1.3"])
        #expect(whole.string("x-all") == "TLS_AES_256_GCM_SHA384 over X25519MLKEM768, http/1.1")
        // In the order in which they were set and added.
        #expect(whole.all("x-b").map { text($0) } == ["2", "http/1.1", "3"])
        #expect(whole.string("x-a") == "1")
        for tls in [nil, facts(group: 0, alpn: "http/1.1"), facts(group: 0x1D, alpn: nil)] {
            let part = try forwarded(tls)
            #expect(part.count(of: "x-all") == 0)
            #expect(part.all("x-version").map { text($0) } == (tls == nil ? [] : ["TLSv1.3"]))
            #expect(part.count(of: "x_version") == 0)
            #expect(part.string("x-a") == "1")
        }
    }

    private func text(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: Array(bytes), as: UTF8.self)
    }
}

/// The upstream's answer as the client gets it.
struct UpstreamAnswerTests {
    private func parse(_ bytes: [UInt8]) throws -> ResponseHead {
        var parser = ResponseHeadParser()
        guard case .complete(let head, bytes.count) = bytes.withUnsafeBytes({ parser.append($0) })
        else { throw HeadFault(status: 0, sentence: "no whole head") }
        return head
    }

    private func answer(_ lines: String...) throws -> ResponseHead {
        try parse(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
    }

    private func final(
        _ answer: ResponseHead, _ framing: ClientAnswer.Framing,
        _ persistence: ClientAnswer.Persistence = .closes, edits: FieldEdits = FieldEdits(),
        policy: String? = nil
    ) throws -> ResponseHead {
        let hop = Hop(
            client: .ipv4(192, 0, 2, 7, port: 5_000), isSecure: true,
            strictTransportSecurity: policy)
        var route = Route(name: "/*", action: .redirect(RedirectRule(status: 301, origin: "")))
        route.answerFields = edits
        var writer = HeadWriter(capacity: 0)
        ClientAnswer.writeFinal(
            answer, answer.fields.connectionOptions, plan: RoutePlan(route),
            policyLine: Passage(hop).policyLine, framing: framing, persistence: persistence,
            into: &writer)
        return try parse(writer.bytes)
    }

    @Test func `a 101 keeps what was agreed on and drops what is for one hop`() throws {
        let head = try parse(
            ClientAnswer.switching(
                try answer(
                    "HTTP/1.1 101 OK", "Upgrade: WebSocket, h2c", "Connection: upgrade, X-Hop",
                    "X-Hop: 1", "Keep-Alive: 5", "Content-Length: 0", "Transfer-Encoding: chunked",
                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                    "Sec-WebSocket-Protocol: chat", "Set-Cookie: a=1", "Set-Cookie: b=2"),
                subprotocol: "chat", extensions: nil,
                plan: FieldPlan(FieldEdits())))
        #expect(head.status == 101)
        #expect(head.fields.string("upgrade") == "websocket")
        #expect(head.fields.string("connection") == "Upgrade")
        for name in ["x-hop", "keep-alive", "content-length", "transfer-encoding"] {
            #expect(head.fields.count(of: name) == 0, "\(name)")
        }
        #expect(head.fields.string("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(head.fields.string("sec-websocket-protocol") == "chat")
        #expect(head.fields.count(of: "set-cookie") == 2)
    }

    @Test func `an ordinary answer keeps its status, reason and length`() throws {
        let head = try final(
            try answer(
                "HTTP/1.1 401 Say Who You Are", "Content-Length: 5", "WWW-Authenticate: Basic",
                "Connection: keep-alive, content-length", "Keep-Alive: 5"), .length(5))
        #expect(head.status == 401)
        #expect(head.reason == Array("Say Who You Are".utf8))
        #expect(head.fields.string("content-length") == "5")
        #expect(head.fields.string("www-authenticate") == "Basic")
        #expect(head.fields.string("connection") == "close")
        #expect(head.fields.string("via") == "1.1 sluice")
        #expect(head.fields.count(of: "keep-alive") == 0)
    }

    @Test func `what has no length goes on in chunks, and the connection stays`() throws {
        let head = try final(
            try answer("HTTP/1.0 200 OK", "Transfer-Encoding: x"), .chunked, .usual)
        #expect(head.fields.string("transfer-encoding") == "chunked")
        #expect(head.fields.count(of: "connection") == 0)
        #expect(head.fields.string("via") == "1.0 sluice")
        let old = try final(try answer("HTTP/1.1 200 OK"), .length(3), .stated)
        #expect(old.fields.string("connection") == "keep-alive")
    }

    @Test func `an upstream's 426 says to what`() throws {
        let given = try answer(
            "HTTP/1.1 426 Upgrade Required", "Upgrade: other", "Content-Length: 0")
        for persistence in [ClientAnswer.Persistence.closes, .usual, .stated] {
            let head = try final(given, .length(0), persistence)
            #expect(head.fields.string("upgrade") == "websocket")
            #expect(head.fields.listContains("connection", token: "upgrade"))
        }
    }

    @Test func `a route's changes and our transport policy take the place of what came`() throws {
        let edits = FieldEdits(
            removed: ["server"], set: [.init(name: "X-Frame-Options", value: "DENY")])
        let given = try answer(
            "HTTP/1.1 200 OK", "Server: app", "x-frame-options: ALLOW",
            "Strict-Transport-Security: max-age=1")
        let head = try final(given, .length(0), edits: edits, policy: "max-age=60")
        #expect(head.fields.count(of: "server") == 0)
        #expect(head.fields.count(of: "x-frame-options") == 1)
        #expect(head.fields.string("x-frame-options") == "DENY")
        #expect(head.fields.count(of: "strict-transport-security") == 1)
        #expect(head.fields.string("strict-transport-security") == "max-age=60")
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK", ["Content-Length: 7"], "7"), ("HTTP/1.1 200 OK", [], nil),
        ("HTTP/1.1 200 OK", ["Content-Length: 0"], "0"),
        ("HTTP/1.1 304 Not Modified", ["Content-Length: 7"], nil),
        ("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"], nil),
    ])
    func `the answer to HEAD says how long a body would be, where it is known`(
        line: String, fields: [String], length: String?
    ) throws {
        let text = ([line] + fields).joined(separator: "\r\n") + "\r\n\r\n"
        let given = try parse(Array(text.utf8))
        let framing = ClientAnswer.Framing(.none, of: given, writesChunks: true, isToHead: true)
        #expect(try final(given, framing).fields.string("content-length") == length)
    }
}

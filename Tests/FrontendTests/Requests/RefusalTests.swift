// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Reactor
import Router
import TLS
import Testing
import Wire

@testable import Frontend

/// Refusals as a client reads them.
struct RefusalTests {
    private static let date = HTTPDate.text(secondsSince1970: 784_111_777)

    private static let nothing: Routing = {
        guard let table = try? RouteTable([]) else { preconditionFailure("no table of nothing") }
        return Routing(table: table, routes: [])
    }()

    static let all: [Refusal] = [
        .noRoute(host: "a.example", path: "/b", in: nothing), forbidden(.same), forbidden(.any),
        forbidden(.list(same: true, origins: ["null"])), forbidden(.list(same: false, origins: [])),
        .escapedSlash(rejectedBy: "/a/*"), .escapedSlash(leaving: "/a/*"),
        .otherReading(leaving: "/*"), .noHost,
        .noRoute(host: "", path: "/b", in: nothing), .answerStalled, .requestTimeout, .bodyTimeout,
        .badBody,
        .clientHasTooMany, .clientComesTooOften(1_500), .routeFull("/a"), .endpointsFull("app"),
        .tooLarge(10),
        Refusal(HeadFault(status: 414, sentence: "The target is too long.", limit: .targetBytes)),
        .headTimeout, .draining, .noAnswer, .answerTimeout, .connectTimeout,
        .unresolved("ws://app:1"), .handshakeTimeout("wss://app:1"), .noTLS("wss://app:1", .ended),
        .unreachable("ws://app:1", code: ECONNREFUSED),
        .unreachable("ws://app:1", code: EHOSTUNREACH),
        .badAnswer("It is no HTTP."), .badUpgrade("No Sec-WebSocket-Accept."),
        .shortage(.ports, "ws://app:1"), .shortage(.descriptors, "ws://app:1"),
        Refusal(HeadFault(status: 431, sentence: "The head is too long.")),
        Refusal(UpgradeFault(status: 426, sentence: "Use a WebSocket.", kind: .notAnUpgrade)),
        Refusal(UpgradeFault(status: 426, sentence: "Use version 13.", kind: .wrongVersion)),
    ]

    @Test(arguments: [
        ("/api", " A route serves what is below /api/."),
        ("/page", " A route serves it with a slash at its end."),
        ("/chat/", " A route serves it without the slash at its end."), ("/other", ""), ("/", ""),
    ])
    func `where a slash at the end makes the difference, that is said`(path: String, hint: String)
        throws
    {
        let group = EndpointGroup(
            name: "app", endpoints: [Endpoint(label: "ws://app", address: .loopback(port: 1))],
            rules: UpstreamRules(balance: .roundRobin))
        let paths = ["/api/*", "/chat", "/page/"]
        let entries = try paths.map {
            RouteEntry(
                host: try HostPattern(parsing: nil), path: try PathPattern(parsing: $0),
                place: "test")
        }
        let routing = Routing(
            table: try RouteTable(entries), routes: paths.map { Route(name: $0, upstream: group) })
        let refusal = Refusal.noRoute(host: "a.test", path: path, in: routing)
        #expect(refusal.sentence == "No route serves \(path) on host a.test.\(hint)")
    }

    private static func forbidden(_ rule: OriginRule) -> Refusal {
        var route = Route(
            name: "/a", action: .respond(FixedAnswer(status: 200, type: "", body: [])))
        route.origins = rule
        guard let host = try? HostName(parsing: Array("a.example:1".utf8)[...]) else {
            return .noHost
        }
        return .forbiddenOrigin(Array("https://evil.example".utf8), host: host, route)
    }

    @Test func `a page is told what its origin was compared with, and where more is let in`() throws
    {
        let host = try HostName(parsing: Array("a.example:1".utf8)[...])
        var route = Route(
            name: "/a", action: .respond(FixedAnswer(status: 200, type: "", body: [])))
        func sentence(_ rule: OriginRule, isFromCommandLine: Bool = false) -> String {
            route.origins = rule
            route.isFromCommandLine = isFromCommandLine
            return Refusal.forbiddenOrigin(Array("null".utf8), host: host, route).sentence
        }
        let start =
            "A page of origin null (a file that was opened in a browser, or a sandboxed frame of any site) may"
            + " not open this socket: "
        let same = start + "its host is not the one asked for (a.example)"
        #expect(sentence(.same) == same + ". To let it in, list it in 'origins' of the route /a.")
        #expect(
            sentence(.same, isFromCommandLine: true)
                == same + ". To let it in, start sluice with --origin null.")
        #expect(
            sentence(.list(same: true, origins: ["https://b"]))
                == same
                + ", and 'origins' of the route /a does not list it (https://b). To let it in,"
                + " add it there.")
        #expect(
            sentence(.list(same: false, origins: ["a://1", "a://2", "a://3", "a://4", "a://5"]))
                == start + "'origins' of the route /a does not list it (a://1, a://2, a://3 and 2"
                + " more). To let it in, add it there.")
    }

    @Test(arguments: [
        ("null", true), ("https://a.example", true), ("http://[::1]:3000", true), ("file://", true),
        ("https://a.example/library", true), ("garbage", false), ("https://", false),
        ("https://a.example/", false), ("1://a", false), ("://a", false), ("a://b c", false),
        ("https://a.example?x", false),
    ])
    func `a list of origins is advised only for what it may have`(
        origin: String, isListable: Bool
    ) throws {
        let host = try HostName(parsing: Array("b.example".utf8)[...])
        var route = Route(
            name: "/a", action: .respond(FixedAnswer(status: 200, type: "", body: [])))
        for isFromCommandLine in [true, false] {
            route.isFromCommandLine = isFromCommandLine
            let sentence = Refusal.forbiddenOrigin(Array(origin.utf8), host: host, route).sentence
            let any = isFromCommandLine ? "--origin any, " : "set 'origins: any' of the route /a, "
            #expect(sentence.contains(any) == !isListable, "\(sentence)")
        }
    }

    @Test(arguments: all)
    func `a refusal is a whole answer that closes the connection`(refusal: Refusal) throws {
        let (head, body) = try parse(refusal.bytes(date: Self.date))
        #expect(head.status == refusal.status)
        #expect(head.reason == Array(StatusReason.phrase(refusal.status).utf8))
        #expect(head.isHTTP11)
        #expect(String(decoding: body, as: UTF8.self) == refusal.sentence + "\n")
        #expect(head.fields.string("content-length") == String(body.count))
        #expect(head.fields.string("content-type") == "text/plain; charset=utf-8")
        #expect(head.fields.string("cache-control") == "no-store")
        #expect(head.fields.string("date") == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(head.fields.listContains("connection", token: "close"))
        #expect(head.fields.count(of: "proxy-status") == 1)
        #expect(
            head.fields.string("proxy-status")
                == "sluice; error=\(refusal.proxyError.rawValue); details=\"\(refusal.sentence)\"")
        #expect(refusal.sentence.hasSuffix("."))
    }

    @Test func `quotes and backslashes in details are escaped, the rest is made ASCII`() throws {
        let refusal = Refusal(
            status: 403, proxyError: .httpRequestDenied,
            sentence: "\"a\\b\" ä \u{1F600} \r\nSet-Cookie: x\tend\u{7F}.")
        let (head, body) = try parse(refusal.bytes(date: Self.date))
        #expect(
            head.fields.string("proxy-status")
                == "sluice; error=http_request_denied;"
                + " details=\"\\\"a\\\\b\\\" ? ? ??Set-Cookie: x?end?.\"")
        #expect(head.fields.count(of: "set-cookie") == 0)
        #expect(body == Array(refusal.sentence.utf8) + [0x0A])
    }

    @Test func `426 says what to upgrade to`() throws {
        let (plain, _) = try parse(
            Refusal(UpgradeFault(status: 426, sentence: "S.", kind: .notAnUpgrade)).bytes(
                date: Self.date))
        #expect(plain.fields.string("upgrade") == "websocket")
        #expect(plain.fields.listContains("connection", token: "upgrade"))
        let (version, _) = try parse(
            Refusal(UpgradeFault(status: 426, sentence: "S.", kind: .wrongVersion)).bytes(
                date: Self.date))
        #expect(version.fields.string("sec-websocket-version") == "13")
        #expect(version.fields.listContains("connection", token: "upgrade"))
    }

    @Test func `who is draining says when to come back`() throws {
        let (head, _) = try parse(Refusal.draining.bytes(date: Self.date))
        #expect(head.status == 503)
        #expect(head.fields.string("retry-after") == "1")
    }

    @Test func `refusals are equal when the client would see the same`() {
        #expect(Refusal.noAnswer == .noAnswer)
        #expect(Refusal.noAnswer != .answerTimeout)
        var other = Refusal.noAnswer
        other.extraFields = [("Retry-After", "1")]
        #expect(other != .noAnswer)
    }

    private func parse(_ bytes: [UInt8]) throws -> (ResponseHead, body: [UInt8]) {
        var parser = ResponseHeadParser()
        switch bytes.withUnsafeBytes({ parser.append($0) }) {
        case .complete(let head, let consumed): return (head, Array(bytes[consumed...]))
        case .failed(let fault): throw fault
        case .needsMore: throw HeadFault(status: 0, sentence: "incomplete")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing
import Wire

@testable import Frontend

/// Refusals as a client reads them.
struct RefusalTests {
    private static let date = HTTPDate.text(secondsSince1970: 784_111_777)

    static let all: [Refusal] = [
        .noRoute(host: "a.example", path: "/b"), .forbiddenOrigin("https://evil.example"),
        .headTimeout, .draining, .noAnswer, .answerTimeout, .connectTimeout,
        .unresolved("ws://app:1"),
        .unreachable("ws://app:1", reason: "Connection refused", isRefused: true),
        .unreachable("ws://app:1", reason: "No route to host", isRefused: false),
        .badAnswer("It is no HTTP."), .badUpgrade("No Sec-WebSocket-Accept."),
        .shortage(.ports, "ws://app:1"), .shortage(.descriptors, "ws://app:1"), .noSlot,
        Refusal(HeadFault(status: 431, sentence: "The head is too long.")),
        Refusal(UpgradeFault(status: 426, sentence: "Use a WebSocket.", kind: .notAnUpgrade)),
        Refusal(UpgradeFault(status: 426, sentence: "Use version 13.", kind: .wrongVersion)),
    ]

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
                == "sluice; error=\(refusal.proxyError); details=\"\(refusal.sentence)\"")
        #expect(refusal.sentence.hasSuffix("."))
    }

    @Test func `errors are of the types that RFC 9209 §2.3 knows`() {
        let known: Set = [
            "dns_error", "connection_refused", "destination_unavailable", "connection_timeout",
            "http_request_error", "http_request_denied", "http_response_incomplete",
            "http_response_timeout", "http_protocol_error", "http_upgrade_failed",
            "destination_not_found", "connection_limit_reached",
        ]
        for refusal in Self.all { #expect(known.contains(refusal.proxyError), "\(refusal)") }
    }

    @Test func `quotes and backslashes in details are escaped, the rest is made ASCII`() throws {
        let refusal = Refusal(
            status: 403, proxyError: "http_request_denied",
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

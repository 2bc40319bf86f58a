// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct UpgradeAnswerTests {
    static let lawful = [
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ]

    static func judge(_ lines: [String], offering: [String] = []) throws -> UpgradeAnswer.Verdict {
        UpgradeAnswer.judge(
            try HeadBytes.parseResponse(HeadBytes.lines(lines)),
            expectedAccept: HeadBytes.accept,
            offered: try UpgradeRequestTests.judge(UpgradeRequestTests.lawful + offering))
    }

    static func replacing(_ old: String, _ new: String...) -> [String] {
        lawful.flatMap { $0.hasPrefix(old) ? new : [$0] }
    }

    @Test(arguments: [
        lawful,
        replacing("Upgrade", "upgrade: WebSocket"),
        replacing("Connection", "connection: keep-alive, UPGRADE"),
        lawful + ["Content-Length: 0", "Date: now"],
        // RFC 9110 §7.6.1: Connection is a list, and the tunnel has an end of its own.
        replacing("Connection", "Connection: Upgrade, close"),
        replacing("Connection", "Connection: close", "Connection: upgrade"),
        // RFC 9110 §5.3: what comes twice is one list.
        replacing("Upgrade", "Upgrade: websocket", "Upgrade: WebSocket"),
        replacing("Upgrade", "Upgrade: websocket, ,websocket"),
        // RFC 9112 §6.3: a 1xx ends at its empty line whatever its fields say.
        lawful + ["Content-Length: 3"], lawful + ["Content-Length: x", "Content-Length: 1"],
        lawful + ["Transfer-Encoding: chunked"],
        lawful + ["Transfer-Encoding: gzip", "Content-Length: 1"],
    ])
    func `a 101 with its proof switches`(lines: [String]) throws {
        #expect(
            try Self.judge(lines)
                == .switching(reservedBits: 0, subprotocol: nil, extensions: nil))
    }

    @Test func `what the 101 grants decides the bits`() throws {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-new"
        for (granted, bits) in [
            ("permessage-deflate", 0x40), ("Permessage-Deflate; server_max_window_bits=10", 0x40),
            ("x-new", 0x70), ("permessage-deflate, x-new", 0x70),
        ] as [(String, UInt8)] {
            let verdict = try Self.judge(
                Self.lawful + ["Sec-WebSocket-Extensions: \(granted)"], offering: [offer])
            #expect(
                verdict
                    == .switching(reservedBits: bits, subprotocol: nil, extensions: granted))
        }
    }

    @Test func `an empty list of extensions grants nothing`() throws {
        let verdict = try Self.judge(Self.lawful + ["Sec-WebSocket-Extensions:"])
        #expect(verdict == .switching(reservedBits: 0, subprotocol: nil, extensions: nil))
    }

    @Test func `a subprotocol is one of those offered`() throws {
        let offers = ["Sec-WebSocket-Protocol: a, chat", "Sec-WebSocket-Protocol: b"]
        for granted in ["a", "chat", "b"] {
            let verdict = try Self.judge(
                Self.lawful + ["Sec-WebSocket-Protocol: \(granted)"], offering: offers)
            #expect(
                verdict == .switching(reservedBits: 0, subprotocol: granted, extensions: nil))
        }
        for (granted, shown) in [
            ("c", "c"), ("Chat", "Chat"), ("a, chat", "a??chat"), ("a\u{1}", "a?"),
        ] {
            let verdict = try Self.judge(
                Self.lawful + ["Sec-WebSocket-Protocol: \(granted)"], offering: offers)
            let remark =
                "its 101 chooses the subprotocol '\(shown)', which the client did not offer"
            #expect(verdict == Self.without(remark), "\(granted)")
        }
        #expect(
            try Self.judge(Self.lawful + ["Sec-WebSocket-Protocol:"], offering: offers)
                == Self.without("the Sec-WebSocket-Protocol of its 101 is empty"))
        #expect(
            try Self.judge(Self.lawful + ["Sec-WebSocket-Protocol: chat"])
                == Self.without(
                    "its 101 chooses the subprotocol 'chat', though the client offered none"))
    }

    /// The tunnel opens without a subprotocol, and this is said of it.
    static func without(_ remark: String) -> UpgradeAnswer.Verdict {
        .switching(reservedBits: 0, subprotocol: nil, extensions: nil, remark: remark)
    }

    static let upgrade = "The 101 does not have exactly 'Upgrade: websocket'."
    static let connection = "The 101 does not have 'Connection: Upgrade'."
    static let accept = "The 101 does not have the Sec-WebSocket-Accept that belongs to the key."
    static let extensions = "The 101 grants an extension that was not offered."
    static let list = "The 101's Sec-WebSocket-Extensions is not a list of extensions."
    static let deflate = "Sec-WebSocket-Extensions: permessage-deflate"

    static let unproven: [([String], String)] = [
        (replacing("HTTP", "HTTP/1.0 101 Switching"), "The 101 is not HTTP/1.1."),
        (replacing("Upgrade"), upgrade),
        (replacing("Upgrade", "Upgrade: h2c"), upgrade),
        (replacing("Upgrade", "Upgrade: websocket, h2c"), upgrade),
        (replacing("Upgrade", "Upgrade: websocket", "Upgrade: h2c"), upgrade),
        (replacing("Upgrade", "Upgrade: ,"), upgrade),
        (replacing("Connection"), connection),
        (replacing("Connection", "Connection: close"), connection),
        (replacing("Sec-WebSocket-Accept"), accept),
        (replacing("Sec-WebSocket-Accept", "Sec-WebSocket-Accept:"), accept),
        (lawful + ["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], accept),
        (
            replacing("Sec-WebSocket-Accept", "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            accept
        ),
        (lawful + [deflate], extensions),
        (lawful + ["Sec-WebSocket-Extensions: x-own; a"], extensions),
        (lawful + ["Sec-WebSocket-Extensions: ;"], list),
    ]

    @Test(arguments: unproven)
    func `a 101 without its proof is refused`(lines: [String], sentence: String) throws {
        let offering = ["Sec-WebSocket-Extensions: x-other"]
        #expect(try Self.judge(lines, offering: offering) == .unproven(sentence))
    }

    @Test func `an extension granted twice is refused, a subprotocol left out`() throws {
        let twice = Self.lawful + [Self.deflate, Self.deflate]
        #expect(try Self.judge(twice, offering: [Self.deflate]) == .unproven(Self.extensions))
        let chat = "Sec-WebSocket-Protocol: chat"
        #expect(
            try Self.judge(Self.lawful + [chat, chat], offering: [chat])
                == Self.without("its 101 has more than one Sec-WebSocket-Protocol"))
    }

    @Test func `interim responses are skipped`() throws {
        for status in [100, 102, 103, 199] {
            #expect(try Self.judge(["HTTP/1.1 \(status) X"]) == .informational)
        }
    }

    @Test func `any other answer is an ordinary response`() throws {
        #expect(
            try Self.judge(["HTTP/1.1 403 Forbidden", "Content-Length: 4"])
                == .ordinary(.length(4)))
        #expect(try Self.judge(["HTTP/1.0 200 OK"]) == .ordinary(.untilClose))
    }
}

@Suite struct BodyFramingTests {
    @Test(
        arguments: [
            (["HTTP/1.1 200 OK"], .untilClose),
            (["HTTP/1.1 200 OK", "Content-Length: 0"], .none),
            (["HTTP/1.1 200 OK", "Content-Length: 007"], .length(7)),
            (
                ["HTTP/1.1 200 OK", "Content-Length: 999999999999999999"],
                .length(999_999_999_999_999_999)
            ),
            (["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"], .chunked),
            (["HTTP/1.1 204 No Content"], .none),
            (["HTTP/1.1 304 Not Modified", "Content-Length: 9"], .none),
            (["HTTP/1.1 304 Not Modified", "Transfer-Encoding: chunked"], .none),
            // RFC 9112 §6.3: whatever the fields say.
            (["HTTP/1.1 100 Go", "Transfer-Encoding: gzip", "Content-Length: x"], .none),
            (["HTTP/1.1 204 No", "Content-Length: 1", "Content-Length: 2"], .none),
            (["HTTP/1.0 304 No", "Transfer-Encoding: chunked", "Content-Length: 2"], .none),
        ] as [([String], BodyFraming)])
    func `a body ends where RFC 9112 says`(lines: [String], framing: BodyFraming) throws {
        let head = try HeadBytes.parseResponse(HeadBytes.lines(lines))
        #expect(try BodyFraming(response: head) == framing)
    }

    static let coding = "The response's Transfer-Encoding is not exactly 'chunked'."

    static let doubtful: [([String], String)] = [
        (["Content-Length: 1", "Content-Length: 2"], "There is more than one Content-Length."),
        (["Content-Length: 1, 1"], "The Content-Length is not a plain number."),
        (
            ["Content-Length: 1", "Transfer-Encoding: chunked"],
            "The response has both Content-Length and Transfer-Encoding."
        ),
        (["Transfer-Encoding: identity"], coding),
        (["Transfer-Encoding:"], coding),
        (["Transfer-Encoding: gzip, chunked"], coding),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], coding),
        (["Transfer-Encoding: chunked, gzip"], coding),
        (["Transfer-Encoding: chunked, chunked"], coding),
    ]

    @Test(arguments: doubtful)
    func `a body with two ends is refused`(fields: [String], sentence: String) throws {
        #expect(
            try UpgradeAnswerTests.judge(["HTTP/1.1 200 OK"] + fields) == .invalid(sentence))
    }

    @Test func `chunks in HTTP 1.0 are refused`() throws {
        #expect(
            try UpgradeAnswerTests.judge(["HTTP/1.0 200 OK", "Transfer-Encoding: chunked"])
                == .invalid("An HTTP/1.0 response has a Transfer-Encoding."))
    }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// Malformed requests are errors of their stream, and the connection goes on (RFC 9113 §8.1.1).
struct MalformedTests {
    private static func without(_ name: String) -> [(String, String)] {
        RawFrame.get.filter { $0.0 != name }
    }

    private static func with(_ name: String, _ value: String) -> [(String, String)] {
        RawFrame.get.map { $0.0 == name ? (name, value) : $0 }
    }

    /// Requests that must not be told.
    private static let heads: [String: [(String, String)]] = [
        "no method": without(":method"), "no scheme": without(":scheme"),
        "no path": without(":path"), "no authority": without(":authority"),
        "empty path": with(":path", ""), "path without a slash": with(":path", "a"),
        "asterisk with GET": with(":path", "*"),
        "method twice": RawFrame.get + [(":method", "GET")],
        "path twice": RawFrame.get + [(":path", "/")],
        "pseudo field behind a field": without(":path") + [("x", "y"), (":path", "/")],
        "unknown pseudo field": RawFrame.get + [(":x", "y")],
        "pseudo field of answers": RawFrame.get + [(":status", "200")],
        "name in capitals": RawFrame.get + [("X-A", "b")],
        "name with a space": RawFrame.get + [("x a", "b")],
        "name with a colon": RawFrame.get + [("x:a", "b")],
        "empty name": RawFrame.get + [("", "b")],
        "value with CR LF": RawFrame.get + [("x", "a\r\nb: c")],
        "value with NUL": RawFrame.get + [("x", "a\0b")],
        "value with white space in front": RawFrame.get + [("x", " a")],
        "value with white space behind": RawFrame.get + [("x", "a\t")],
        "path with CR LF": with(":path", "/a\r\nb"), "path with a space": with(":path", "/a b"),
        "path with NUL": with(":path", "/\0"),
        "method with a space": with(":method", "GET /"),
        "authority with a space": with(":authority", "a b"),
        "authority with a slash": with(":authority", "a/b"),
        "scheme with a slash": with(":scheme", "ht/tp"),
        "connection": RawFrame.get + [("connection", "close")],
        "keep-alive": RawFrame.get + [("keep-alive", "1")],
        "proxy-connection": RawFrame.get + [("proxy-connection", "close")],
        "transfer-encoding": RawFrame.get + [("transfer-encoding", "chunked")],
        "upgrade": RawFrame.get + [("upgrade", "websocket")],
        "te": RawFrame.get + [("te", "gzip")],
        "host beside another authority": RawFrame.get + [("host", "other.example")],
        "host twice": without(":authority") + [("host", "a"), ("host", "a")],
        "content-length without a body": RawFrame.get + [("content-length", "5")],
        "content-length twice": RawFrame.get + [("content-length", "0"), ("content-length", "0")],
        "content-length that is no number": RawFrame.get + [("content-length", "+0")],
        "content-length too large": RawFrame.get + [("content-length", "99999999999999999999")],
        ":protocol with GET": RawFrame.get + [(":protocol", "websocket")],
        "plain CONNECT with a path": [
            (":method", "CONNECT"), (":authority", "a"), (":path", "/"), (":scheme", "https"),
        ],
        "plain CONNECT without authority": [(":method", "CONNECT")],
        "extended CONNECT without path": RawFrame.webSocket.filter { $0.0 != ":path" },
        "extended CONNECT without scheme": RawFrame.webSocket.filter { $0.0 != ":scheme" },
        "extended CONNECT without authority": RawFrame.webSocket.filter { $0.0 != ":authority" }
            + [("host", "a")],
    ]

    @Test(arguments: heads.keys.sorted())
    func `a malformed head resets its stream, and is told as that only`(name: String) throws {
        let rig = Rig()
        let fields = try #require(Self.heads[name])
        rig.receive(.headers(1, fields, ends: true))
        #expect(rig.kinds() == [])
        #expect(rig.frames().on(1) == [.reset(1, 1)])
        #expect(rig.connection.openStreams == 0)
        #expect(rig.kinds() == [.malformed(.protocolError)])
        let next = rig.open(.headers(3, RawFrame.get))
        #expect(next.id == 3 && rig.connection.end == nil)
        #expect(try rig.connection.head(next).pairs == [])
    }

    /// Requests that must pass.
    private static let lawful: [String: [(String, String)]] = [
        "te: trailers": RawFrame.get + [("te", "trailers")],
        "OPTIONS *": with(":path", "*").map { $0.0 == ":method" ? ($0.0, "OPTIONS") : $0 },
        "content-length of nothing": RawFrame.get + [("content-length", "0")],
        "high bytes in a value": RawFrame.get + [("x", "é")],
        "method of its own": with(":method", "BREW"),
        "IPv6 authority": with(":authority", "[::1]:8443"),
        "priority that is nonsense": RawFrame.get + [("priority", "u=99")],
        "empty value": RawFrame.get + [("x", "")],
        "tab within a value": RawFrame.get + [("x", "a\tb")],
        "host the same": RawFrame.get + [("host", "example.com")],
    ]

    @Test(arguments: lawful.keys.sorted())
    func `an unusual head that is well-formed is told`(name: String) throws {
        let rig = Rig()
        let fields = try #require(Self.lawful[name])
        #expect(rig.open(.headers(1, fields)).id == 1)
    }

    @Test func `:protocol is malformed if the setting is off`() {
        let rig = Rig { $0.allowsExtendedConnect = false }
        rig.receive(.headers(1, RawFrame.webSocket, ends: false))
        #expect(rig.kinds() == [])
        #expect(rig.frames().on(1) == [.reset(1, 1)])
    }

    @Test(arguments: [
        ("too short", [RawFrame.data(1, [1, 2, 3, 4], ends: true)]),
        ("too long", [RawFrame.data(1, [1, 2, 3, 4, 5, 6])]),
        (
            "too long in two",
            [RawFrame.data(1, [1, 2, 3]), RawFrame.data(1, [4, 5, 6], ends: true)]
        ),
        ("cut by trailers", [RawFrame.data(1, [1]), RawFrame.headers(1, [("x", "y")])]),
        ("cut by padding", [RawFrame.padded(1, [1, 2, 3, 4], padding: 1, ends: true)]),
    ])
    func `a body that is not as long as it says resets its stream`(
        name: String, frames: [RawFrame]
    ) {
        let rig = Rig()
        let stream = rig.open(
            .headers(1, RawFrame.post + [("content-length", "5")], ends: false))
        rig.receive(frames.bytes)
        #expect(!rig.kinds().contains(.end))
        #expect(rig.frames().on(1) == [.reset(1, 1)])
        #expect(rig.kinds() == [.closed(.resetHere(.protocolError))])
        #expect(!rig.connection.isOpen(stream) && rig.connection.end == nil)
    }

    @Test(arguments: [
        ("pseudo field", RawFrame.headers(1, [(":path", "/")])),
        ("without an end", RawFrame.headers(1, [("x", "y")], ends: false)),
        ("connection", RawFrame.headers(1, [("connection", "close")])),
    ])
    func `malformed trailers reset their stream`(name: String, trailers: RawFrame) {
        let rig = Rig()
        _ = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(trailers)
        #expect(rig.kinds() == [])
        #expect(rig.frames().on(1) == [.reset(1, 1)])
        #expect(rig.kinds() == [.closed(.resetHere(.protocolError))])
    }

    /// What breaks the protocol for the whole connection.
    private static let violations: [String: (frames: [RawFrame], code: UInt32)] = [
        "DATA on stream 0": ([.data(0, [1])], 1),
        "DATA on an idle stream": ([.data(9, [1])], 1),
        "HEADERS on stream 0": ([.headers(0, RawFrame.get)], 1),
        "HEADERS on an even stream": ([.headers(2, RawFrame.get)], 1),
        "HEADERS that depend on themselves": (
            [
                RawFrame(
                    type: 1, flags: 0x25, stream: 1,
                    payload: [0, 0, 0, 1, 0] + RawFrame.block(RawFrame.get))
            ], 1
        ),
        "DATA behind the end": ([.headers(1, RawFrame.get), .data(1, [1])], 5),
        "HEADERS behind the end": ([.headers(1, RawFrame.get), .headers(1, [("x", "y")])], 5),
        "RST_STREAM on an idle stream": ([.reset(5)], 1),
        "RST_STREAM too long": ([RawFrame(type: 3, stream: 1, payload: [0, 0, 0, 0, 0])], 6),
        "SETTINGS on a stream": ([RawFrame(type: 4, stream: 1)], 1),
        "SETTINGS of five bytes": ([RawFrame(type: 4, payload: [0, 0, 0, 0, 0])], 6),
        "SETTINGS acknowledged with a payload": (
            [RawFrame(type: 4, flags: 1, payload: [0, 0, 0, 0, 0, 0])], 6
        ),
        "SETTINGS acknowledged twice": ([.settingsAcknowledged], 1),
        "SETTINGS with a window of 2^31": ([.settings([(4, 0x8000_0000)])], 3),
        "SETTINGS with frames of 1 byte": ([.settings([(5, 1)])], 1),
        "SETTINGS with push 2": ([.settings([(2, 2)])], 1),
        "PING on a stream": ([RawFrame(type: 6, stream: 1, payload: RawFrame.ping().payload)], 1),
        "PING of seven bytes": ([.ping("1234567")], 6),
        "GOAWAY of four bytes": ([RawFrame(type: 7, payload: [0, 0, 0, 0])], 6),
        "WINDOW_UPDATE of nothing": ([.windowUpdate(0, 0)], 1),
        "WINDOW_UPDATE on an idle stream": ([.windowUpdate(7, 1)], 1),
        "WINDOW_UPDATE beyond 2^31": ([.windowUpdate(0, 0x7FFF_FFFF)], 3),
        "CONTINUATION out of nowhere": ([RawFrame(type: 9, flags: 4, stream: 1)], 1),
        "a frame within a header block": (
            [.headers(1, RawFrame.get, whole: false), .ping()], 1
        ),
        "CONTINUATION of another stream": (
            [.headers(1, RawFrame.get, whole: false), RawFrame(type: 9, flags: 4, stream: 3)], 1
        ),
        "PUSH_PROMISE": (
            [RawFrame(type: 5, flags: 4, stream: 1, payload: [0, 0, 0, 2])], 1
        ),
        "padding longer than the frame": (
            [
                .headers(1, RawFrame.post, ends: false),
                RawFrame(type: 0, flags: 8, stream: 1, payload: [9, 1]),
            ], 1
        ),
        "a frame of more than 16 KiB": (
            [
                .headers(1, RawFrame.post, ends: false),
                .data(1, [UInt8](repeating: 0, count: 16_385)),
            ], 6
        ),
        "a header block that can't be decoded": (
            [
                RawFrame(
                    type: 1, flags: 5, stream: 1, payload: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
            ],
            9
        ),
        "a header block that is cut short": (
            [RawFrame(type: 1, flags: 5, stream: 1, payload: [0, 9, 1])], 9
        ),
    ]

    @Test(arguments: violations.keys.sorted())
    func `a broken protocol ends the connection with its code`(name: String) throws {
        let (frames, code) = try #require(Self.violations[name])
        let rig = Rig()
        rig.receive(frames.bytes)
        let sent = rig.frames()
        let goAway = try #require(sent.of(RawFrame.Kind.goAway).first)
        #expect(goAway.goAwayCode == code)
        #expect(rig.kinds().last == .over && rig.connection.isOver)
        guard case .violation(let ended, _) = rig.connection.end else {
            Issue.record("\(String(describing: rig.connection.end))")
            return
        }
        #expect(ended.rawValue == code)
        rig.receive(.headers(21, RawFrame.get))
        #expect(rig.kinds() == [] && rig.output() == [])
    }

    @Test(arguments: [
        Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
        Array("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".utf8), [0],
        [0x16, 3, 1],
    ])
    func `what is not HTTP/2 is told as that, and gets nothing`(bytes: [UInt8]) {
        let rig = Rig(greets: false)
        rig.receive(bytes)
        #expect(rig.kinds() == [.over] && rig.connection.end == .notHTTP2)
        #expect(rig.output() == [] && rig.connection.isOver)
    }

    @Test func `a preface without settings ends the connection`() {
        let rig = Rig(greets: false)
        rig.receive(RawFrame.preface + RawFrame.ping().bytes)
        #expect(rig.frames().last?.goAwayCode == 1)
        #expect(rig.kinds() == [.over])
    }
}

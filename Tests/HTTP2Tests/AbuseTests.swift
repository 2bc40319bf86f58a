// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// What a peer can do too much of: the budget is served, one more ends the connection, time refills.
struct AbuseTests {
    private struct Flood: Sendable {
        let abuse: HTTP2Abuse
        /// Frames that the flood needs first.
        var first: [RawFrame] = []
        /// The frames of one time.
        let frames: @Sendable (UInt32) -> [RawFrame]
        /// Whether the answers are to be produced after each.
        var reads = true
    }

    private static let floods: [String: Flood] = [
        "rapid reset": Flood(
            abuse: .resetsReceived,
            frames: { [.headers($0 * 2 + 1, RawFrame.get, ends: false), .reset($0 * 2 + 1)] }),
        "resets of one closed stream": Flood(
            abuse: .resetsReceived, first: [.headers(1, RawFrame.get)], frames: { _ in [.reset(1)] }
        ),
        "malformed requests": Flood(
            abuse: .resetsProvoked,
            frames: { [.headers($0 * 2 + 1, RawFrame.get + [("upgrade", "x")])] }),
        "host beside another authority": Flood(
            abuse: .resetsProvoked,
            frames: { [.headers($0 * 2 + 1, RawFrame.get + [("host", "x")])] }),
        "windows that overflow (MadeYouReset)": Flood(
            abuse: .resetsProvoked,
            frames: {
                [
                    .headers($0 * 2 + 1, RawFrame.post, ends: false),
                    .windowUpdate($0 * 2 + 1, 0x7FFF_FFFF),
                ]
            }),
        "bodies longer than they say (MadeYouReset)": Flood(
            abuse: .resetsProvoked,
            frames: {
                [
                    .headers($0 * 2 + 1, RawFrame.post + [("content-length", "1")], ends: false),
                    .data($0 * 2 + 1, [1, 2]),
                ]
            }),
        "bodies shorter than they say": Flood(
            abuse: .resetsProvoked,
            frames: {
                [
                    .headers($0 * 2 + 1, RawFrame.post + [("content-length", "9")], ends: false),
                    .data($0 * 2 + 1, [1, 2], ends: true),
                ]
            }),
        "pings": Flood(abuse: .pings, frames: { _ in [.ping()] }),
        "answers to pings that nobody sent": Flood(
            abuse: .pings, frames: { _ in [.ping(answers: true)] }),
        "settings": Flood(abuse: .settings, frames: { _ in [.settings([(4, 70_000)])] }),
        "empty settings": Flood(abuse: .settings, frames: { _ in [.settings()] }),
        "priorities": Flood(abuse: .priorities, frames: { [.priority($0 * 2 + 1)] }),
        "priority updates": Flood(
            abuse: .priorities,
            frames: { _ in [RawFrame(type: 0x10, payload: [0, 0, 0, 1] + Array("u=1".utf8))] }),
        "empty DATA": Flood(
            abuse: .emptyData, first: [.headers(1, RawFrame.post, ends: false)],
            frames: { _ in [.data(1, [])] }),
        "DATA of padding": Flood(
            abuse: .emptyData, first: [.headers(1, RawFrame.post, ends: false)],
            frames: { _ in [.padded(1, [], padding: 2)] }),
        "DATA of one byte": Flood(
            abuse: .tinyData, first: [.headers(1, RawFrame.post, ends: false)],
            frames: { _ in [.data(1, [7])] }),
        "DATA of one byte and padding": Flood(
            abuse: .tinyData, first: [.headers(1, RawFrame.post, ends: false)],
            frames: { _ in [.padded(1, [7], padding: 2)] }),
        "DATA of one byte on a WebSocket": Flood(
            abuse: .tinyData, first: [.headers(1, RawFrame.webSocket, ends: false)],
            frames: { _ in [.data(1, [7])] }),
        "DATA of less than a frame on a WebSocket": Flood(
            abuse: .tinyData, first: [.headers(1, RawFrame.webSocket, ends: false)],
            frames: { _ in [.data(1, [1, 2, 3, 4, 5])] }),
        "windows of one byte": Flood(
            abuse: .smallWindowUpdates, frames: { _ in [.windowUpdate(0, 1)] }),
        "windows of one byte on a closed stream": Flood(
            abuse: .smallWindowUpdates, first: [.headers(1, RawFrame.get), .reset(1)],
            frames: { _ in [.windowUpdate(1, 1)] }),
        "DATA on a closed stream": Flood(
            abuse: .strayFrames,
            first: [.headers(1, RawFrame.post, ends: false), .reset(1)],
            frames: { _ in [.data(1, [1])] }),
        "HEADERS on a closed stream": Flood(
            abuse: .strayFrames,
            first: [.headers(1, RawFrame.post, ends: false), .reset(1)],
            frames: { _ in [.headers(1, [("a", "b")])] }),
        "frames of unknown types": Flood(
            abuse: .otherFrames, frames: { _ in [RawFrame(type: 0xFA, payload: [1, 2, 3])] }),
        "GOAWAY": Flood(
            abuse: .otherFrames, first: [.headers(1, RawFrame.post, ends: false)],
            frames: { _ in [.goAway()] }),
    ]

    private static func rig() -> Rig {
        Rig { limits in
            let small = HTTP2Budget(burst: 30, perSecond: 5)
            limits.resetsReceived = small
            limits.resetsProvoked = small
            limits.pings = small
            limits.settings = small
            limits.priorities = small
            limits.emptyData = small
            limits.tinyData = small
            limits.smallWindowUpdates = small
            limits.strayFrames = small
            limits.otherFrames = small
        }
    }

    @Test(arguments: floods.keys.sorted())
    func `a flood ends the connection, by its own name and not before`(name: String) throws {
        let flood = try #require(Self.floods[name])
        let rig = Self.rig()
        rig.now += 60_000
        rig.receive(flood.first.bytes)
        _ = rig.output()
        rig.now += 60_000
        for number in 0..<30 {
            rig.receive(flood.frames(UInt32(number) + 2).bytes)
            _ = rig.output()
            try #require(rig.connection.end == nil, "after \(number)")
        }
        // A second pays for five more.
        rig.now += 1_000
        for number in 30..<35 {
            rig.receive(flood.frames(UInt32(number) + 2).bytes)
            _ = rig.output()
            try #require(rig.connection.end == nil, "after \(number)")
        }
        rig.receive(flood.frames(99).bytes)
        let goAway = rig.frames().of(RawFrame.Kind.goAway)
        #expect(goAway.map(\.goAwayCode) == [11])
        #expect(rig.connection.end == .abuse(flood.abuse))
        #expect(rig.kinds().last == .over && rig.connection.isOver)
    }

    @Test(arguments: floods.keys.sorted())
    func `a flood in one piece, by a client that reads nothing, ends too`(name: String) throws {
        let flood = try #require(Self.floods[name])
        let rig = Self.rig()
        rig.receive(flood.first.bytes)
        if !flood.first.isEmpty { _ = rig.output() }
        rig.receive((0..<2_000).flatMap { flood.frames(UInt32($0) + 2) }.bytes)
        let before = rig.connection.memoryBytes
        _ = rig.output()
        #expect(rig.connection.end == .abuse(flood.abuse))
        #expect(before < 200_000, "\(before)")
    }

    @Test func `counting goes on behind a GOAWAY`() {
        let rig = Self.rig()
        _ = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.connection.shutDown()
        #expect(rig.frames().of(RawFrame.Kind.goAway).map(\.goAwayCode) == [0])
        for number in 0..<30 {
            rig.receive(.headers(UInt32(number) * 2 + 3, RawFrame.get))
            #expect(rig.kinds() == [] && rig.connection.end == nil)
        }
        rig.receive(.headers(99, RawFrame.get))
        #expect(rig.connection.end == .abuse(.strayFrames))
        #expect(rig.frames().of(RawFrame.Kind.goAway).map(\.goAwayCode) == [11])
    }

    @Test func `a client that cancels 200 requests in ten seconds is served on`() {
        let rig = Rig()
        for number in 0..<2_000 {
            let id = UInt32(number) * 2 + 1
            let stream = rig.open(.headers(id, RawFrame.get))
            #expect(stream.id == Int32(id))
            rig.answer(stream, 200, hasBody: true)
            rig.send(stream, RawFrame.bytes(100))
            _ = rig.output()
            rig.receive(.reset(id))
            #expect(rig.kinds().last == .closed(.resetByPeer(.cancel)))
            rig.connection.forget(stream)
            rig.now += 50
        }
        #expect(rig.connection.end == nil)
        let atOnce = Rig()
        for number in 0..<200 {
            let id = UInt32(number) * 2 + 1
            atOnce.receive(.headers(id, RawFrame.get), .reset(id))
        }
        #expect(atOnce.connection.end == nil)
    }

    /// A terminal sends a message for each key: a frame of seven bytes, which some clients send in two.
    @Test(arguments: [[7], [6, 1], [6], [6, 2], [8, 5]])
    func `short messages are no flood`(sizes: [Int]) {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.webSocket, ends: false))
        for _ in 0..<20_000 {
            for size in sizes { rig.receive(.data(1, [UInt8](repeating: 7, count: size))) }
            _ = rig.events()
            rig.connection.consume(stream, rig.arrived(stream).count)
            _ = rig.output()
        }
        #expect(rig.connection.end == nil)
    }

    @Test
    func `pieces of a few bytes are no flood in an upload, nor are single bytes at 100 a second`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        for number in 0..<10_000 {
            rig.receive(.data(1, [UInt8](repeating: 7, count: number & 1 == 0 ? 2 : 1)))
            rig.connection.consume(stream, rig.arrived(stream).count)
            if number & 1 == 1 { rig.now += 10 }
            _ = rig.events()
            _ = rig.output()
        }
        #expect(rig.connection.end == nil)
    }

    @Test func `acknowledging each small message is no flood`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.webSocket, ends: false))
        rig.answer(stream, 200, hasBody: true)
        for _ in 0..<5_000 {
            rig.send(stream, [1, 2, 3])
            #expect(rig.frames().of(0).count == 1)
            rig.receive(.windowUpdate(0, 3), .windowUpdate(1, 3))
        }
        #expect(rig.connection.end == nil)
    }

    @Test func `drawing a body byte by byte is one`() {
        let rig = Rig(settings: [(4, 0)])
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200, hasBody: true)
        rig.send(stream, RawFrame.bytes(5_000))
        var count = 0
        while rig.connection.end == nil, count < 5_000 {
            rig.receive(.windowUpdate(1, 1))
            _ = rig.output()
            count += 1
        }
        #expect(rig.connection.end == .abuse(.smallWindowUpdates) && count == 1_001)
    }

    @Test
    func `more streams than are allowed are refused, or end the connection once that was read`() {
        let unread = Rig(greets: false) { $0.streamsMax = 3 }
        unread.receive(RawFrame.preface + RawFrame.settings().bytes)
        for id in [1, 3, 5, 7] as [UInt32] {
            unread.receive(.headers(id, RawFrame.post, ends: false))
        }
        #expect(unread.kinds().count == 3)
        #expect(unread.frames().of(RawFrame.Kind.reset) == [.reset(7, 7)])
        let read = Rig { $0.streamsMax = 3 }
        for id in [1, 3, 5, 7] as [UInt32] {
            read.receive(.headers(id, RawFrame.post, ends: false))
        }
        #expect(read.kinds().count == 3)
        #expect(read.frames().of(RawFrame.Kind.goAway).map(\.goAwayCode) == [1])
    }

    @Test func `streams over the limit by a client that never reads are a flood`() {
        let rig = Rig(greets: false)
        rig.receive(RawFrame.preface + RawFrame.settings().bytes)
        var sent = 0
        while rig.connection.end == nil, sent < 5_000 {
            rig.receive(.headers(UInt32(sent) * 2 + 1, RawFrame.post, ends: false))
            sent += 1
        }
        #expect(rig.connection.end == .abuse(.resetsProvoked) && sent == 128 + 101)
    }

    @Test func `a client that asks for answers and reads none of them is cut off`() {
        let rig = Rig {
            $0.pings = HTTP2Budget(burst: 100_000, perSecond: 0)
        }
        var count = 0
        while rig.connection.end == nil, count < 5_000 {
            rig.receive(.ping())
            count += 1
        }
        #expect(rig.connection.end == .abuse(.unreadAnswers) && count < 1_100)
        #expect(rig.frames().last?.goAwayCode == 11)
        #expect(rig.kinds().last == .over)
    }

    @Test func `a reset for the peer's fault counts, and one of the caller's does not`() {
        for isPeersFault in [false, true] {
            let rig = Rig { $0.resetsProvoked = HTTP2Budget(burst: 5, perSecond: 0) }
            for number in 0..<6 {
                let stream = rig.open(.headers(UInt32(number) * 2 + 1, RawFrame.post, ends: false))
                rig.connection.reset(stream, .cancel, isPeersFault: isPeersFault)
                _ = rig.output()
            }
            #expect(rig.connection.end == (isPeersFault ? .abuse(.resetsProvoked) : nil))
        }
    }

    @Test func `each kind says what the peer did`() {
        let words = HTTP2Abuse.allCases.map(\.words)
        #expect(Set(words).count == HTTP2Abuse.allCases.count)
        #expect(HTTP2ErrorCode.enhanceYourCalm.description == "ENHANCE_YOUR_CALM")
        #expect(HTTP2ErrorCode(rawValue: 0x99).description == "0x99")
    }
}

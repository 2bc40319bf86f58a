// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import Testing

@testable import HTTP2

/// Heads that are too large can be answered; those that are meant to harm end the connection.
struct HeadLimitTests {
    /// A header block cut into a HEADERS frame and CONTINUATION frames of so many bytes.
    private func cut(_ stream: UInt32, _ block: [UInt8], by count: Int) -> [RawFrame] {
        var frames: [RawFrame] = []
        for start in stride(from: 0, to: block.count, by: count) {
            let payload = Array(block[start..<min(block.count, start + count)])
            let flags: UInt8 = start + count >= block.count ? 4 : 0
            frames.append(
                frames.isEmpty
                    ? RawFrame(type: 1, flags: flags | 1, stream: stream, payload: payload)
                    : RawFrame(type: 9, flags: flags, stream: stream, payload: payload))
        }
        return frames
    }

    @Test func `5,000 fields are answered, and the next request is served`() throws {
        let rig = Rig()
        let fields = RawFrame.get + (0..<5_000).map { ("x-\($0)", "v") }
        rig.receive(cut(1, RawFrame.block(fields), by: 16_384).bytes)
        let event = try #require(rig.events().first)
        #expect(event.kind == .request(isLast: true))
        let head = try rig.connection.head(event.stream)
        #expect(head.fault == .tooManyFields && head.fields.count == 256)
        #expect(head.text(of: head.path) == "/a?b" && head.text(of: head.method) == "GET")
        rig.answer(event.stream, 431)
        #expect(rig.frames().on(1).map(\.type) == [RawFrame.Kind.headers])
        #expect(rig.open(.headers(3, RawFrame.get)).id == 3 && rig.connection.end == nil)
    }

    @Test func `a head may have its limit in bytes, and not one more`() throws {
        // As HTTP/1.1 has it: name, colon, space, value, CR, LF.
        let base = RawFrame.get.map { $0.0.utf8.count + $0.1.utf8.count + 4 }.reduce(0, +)
        for (extra, fault) in [(0, nil), (1, HTTP2Head.Fault.tooManyBytes)] {
            let rig = Rig { $0.headBytesMax = 1_000 }
            let value = String(repeating: "v", count: 1_000 - base - 5 + extra)
            let stream = rig.open(.headers(1, RawFrame.get + [("x", value)]))
            let head = try rig.connection.head(stream)
            #expect(head.fault == fault)
            #expect(head.fields.count == (extra == 0 ? 1 : 0))
        }
    }

    @Test func `a target that is too long is told as a head that is too large`() throws {
        let rig = Rig { $0.headBytesMax = 1_000 }
        let long = "/" + String(repeating: "a", count: 5_000)
        let stream = rig.open(
            .headers(1, RawFrame.get.map { $0.0 == ":path" ? ($0.0, long) : $0 }))
        let head = try rig.connection.head(stream)
        #expect(head.fault == .tooManyBytes && head.path.isEmpty)
        #expect(head.text(of: head.authority) == "example.com")
    }

    @Test func `fields have a limit by number, and parts of a cookie count as one`() throws {
        let rig = Rig { $0.headFieldsMax = 3 }
        let crumbs = (0..<9).map { ("cookie", "a\($0)=b") }
        var stream = rig.open(.headers(1, RawFrame.get + [("a", "b")] + crumbs + [("c", "d")]))
        var head = try rig.connection.head(stream)
        #expect(head.fault == nil || head.fault == .tooManyFields)
        stream = rig.open(.headers(3, RawFrame.get + [("a", "b"), ("c", "d")] + crumbs))
        head = try rig.connection.head(stream)
        #expect(head.fault == nil && head.fields.count == 3)
        stream = rig.open(.headers(5, RawFrame.get + (0..<4).map { ("x", "\($0)") }))
        head = try rig.connection.head(stream)
        #expect(head.fault == .tooManyFields)
    }

    @Test func `a head that is too large may have a body, which is held to the window`() throws {
        let rig = Rig {
            $0.headBytesMax = 500
            $0.streamWindowBytes = 2_000
        }
        let long = String(repeating: "v", count: 1_000)
        let stream = rig.open(.headers(1, RawFrame.post + [("x", long)], ends: false))
        rig.receive(.data(1, RawFrame.bytes(2_000)))
        #expect(rig.arrived(stream).count == 2_000)
        rig.answer(stream, 431)
        _ = rig.output()
        rig.connection.reset(stream, .noError)
        #expect(rig.frames() == [.reset(1, 0)])
        #expect(rig.connection.end == nil)
    }

    @Test func `trailers that are too large reset their stream`() {
        let rig = Rig { $0.headBytesMax = 500 }
        _ = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.headers(1, [("x", String(repeating: "v", count: 1_000))]))
        #expect(rig.frames() == [.reset(1, 11)])
        #expect(rig.kinds() == [.closed(.resetHere(.enhanceYourCalm))])
    }

    @Test func `a header block may have its limit in frames, and not one more`() {
        for (frames, isAllowed) in [(32, true), (33, false)] {
            let rig = Rig()
            let block = RawFrame.block(RawFrame.get)
            let rest = [RawFrame](
                repeating: RawFrame(type: 9, stream: 1), count: frames - 2)
            let last = RawFrame(type: 9, flags: 4, stream: 1)
            rig.receive(
                ([RawFrame(type: 1, flags: 1, stream: 1, payload: block)] + rest + [last]).bytes)
            #expect(rig.kinds() == (isAllowed ? [.request(isLast: true)] : []))
            #expect(rig.connection.end == (isAllowed ? nil : .abuse(.headFrames)))
            _ = rig.output()
            #expect(rig.connection.isOver == !isAllowed)
        }
    }

    @Test func `an endless header block on a stream that is ignored ends too`() {
        let rig = Rig()
        _ = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.reset(1))
        rig.receive(.headers(1, [("a", "b")], whole: false))
        for _ in 0..<40 {
            rig.receive(RawFrame(type: 9, stream: 1, payload: RawFrame.block([("c", "d")])))
        }
        #expect(rig.connection.end == .abuse(.headFrames))
    }

    @Test func `an HPACK bomb ends the connection before all of it is decoded`() {
        let rig = Rig()
        // One entry of 4,000 bytes goes into the table, and one byte each asks for it again.
        let entry: [UInt8] =
            [0x40] + RawFrame.string([0x78])
            + RawFrame.string([UInt8](repeating: 0x76, count: 4_000))
        let bomb = [UInt8](repeating: 0x80 | 62, count: 12_000)
        rig.receive(
            RawFrame(
                type: 1, flags: 5, stream: 1, payload: RawFrame.block(RawFrame.get) + entry + bomb))
        #expect(rig.kinds() == [])
        #expect(rig.connection.end == .abuse(.headBytes))
        #expect(rig.frames().of(RawFrame.Kind.goAway).map(\.goAwayCode) == [11])
        #expect(rig.connection.isOver && rig.memory.usedBytes == 0)
    }

    @Test func `a table that was filled by a head that is too large serves the next one`() throws {
        let rig = Rig { $0.headBytesMax = 200 }
        let learned: [UInt8] =
            [0x40] + RawFrame.string(Array("x-long".utf8))
            + RawFrame.string([UInt8](repeating: 0x76, count: 300))
        let taught: [UInt8] = [0x40] + RawFrame.string(Array("x-b".utf8)) + RawFrame.string([0x62])
        let first = RawFrame.block(RawFrame.get) + learned + taught
        #expect(rig.open(RawFrame(type: 1, flags: 5, stream: 1, payload: first)).id == 1)
        let second = RawFrame.block(RawFrame.get) + [0x80 | 62]
        let stream = rig.open(RawFrame(type: 1, flags: 5, stream: 3, payload: second))
        let head = try rig.connection.head(stream)
        #expect(head.fault == nil && head.pairs == [["x-b", "b"]])
    }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// How a connection is drained, ended and watched.
struct EndingTests {
    @Test func `a shutdown is announced, then names the last stream, and ends with it`() {
        let rig = Rig()
        let first = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.connection.announceShutdown()
        let notice = rig.frames()
        #expect(
            notice.map(\.type) == [7] && notice[0].word == 0x7FFF_FFFF && notice[0].goAwayCode == 0)
        let second = rig.open(.headers(3, RawFrame.get))
        #expect(second.id == 3, "what was under way is served")
        rig.connection.shutDown()
        rig.connection.shutDown()
        let last = rig.frames()
        #expect(last.map(\.type) == [7] && last[0].word == 3 && last[0].goAwayCode == 0)
        rig.receive(.headers(5, RawFrame.get))
        #expect(rig.kinds() == [] && rig.frames() == [] && rig.connection.openStreams == 2)
        rig.answer(second)
        rig.answer(first)
        _ = rig.output()
        #expect(!rig.connection.isOver)
        rig.receive(.data(1, [1], ends: true))
        _ = rig.output()
        #expect(rig.kinds().last == .over && rig.connection.end == .complete)
        #expect(rig.connection.isOver && !rig.connection.wantsToProduce)
    }

    @Test func `an idle connection that is shut down is over at once`() {
        let rig = Rig()
        rig.connection.shutDown()
        #expect(!rig.connection.isOver, "the GOAWAY is to be sent")
        #expect(rig.frames().map(\.type) == [7])
        #expect(rig.kinds() == [.over] && rig.connection.end == .complete)
        #expect(rig.connection.lastStreamID == 0)
    }

    @Test func `a client that says GOAWAY has its open streams served`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.receive(.goAway(last: 0, 0))
        #expect(rig.kinds() == [.goAway(.noError)])
        rig.answer(stream, 200, hasBody: true)
        rig.send(stream, [1])
        rig.connection.finish(stream)
        #expect(rig.frames().last == .data(1, [1], ends: true))
        #expect(rig.kinds() == [.sent, .closed(.complete), .over])
        #expect(rig.connection.end == .complete)
    }

    @Test func `a termination cuts streams and says its code`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.connection.terminate(.inadequateSecurity)
        rig.connection.terminate(.noError)
        #expect(rig.connection.end == .terminated(.inadequateSecurity))
        let frames = rig.frames()
        #expect(frames.map(\.type) == [7] && frames[0].goAwayCode == 12)
        #expect(rig.kinds() == [.over])
        #expect(!rig.answer(stream) || rig.output() == [])
        rig.receive(.headers(3, RawFrame.get))
        #expect(rig.kinds() == [])
    }

    @Test func `a termination without an error ends too`() {
        let rig = Rig()
        rig.connection.terminate(.noError)
        #expect(rig.frames().map(\.goAwayCode) == [0])
        #expect(rig.kinds() == [.over] && rig.connection.end == .terminated(.noError))
    }

    @Test func `a ping is answered with its bytes`() {
        let rig = Rig()
        rig.receive(.ping("abcdefgh"))
        #expect(rig.frames() == [.ping("abcdefgh", answers: true)])
    }

    @Test func `a ping of ours is awaited until its own answer comes`() throws {
        let rig = Rig()
        #expect(rig.connection.unansweredPing(milliseconds: rig.now) == nil)
        rig.connection.ping(milliseconds: rig.now)
        rig.connection.ping(milliseconds: rig.now + 5)
        let frames = rig.frames()
        let sent = try #require(frames.first)
        #expect(frames.count == 1 && sent.type == 6 && sent.flags == 0)
        rig.now += 250
        #expect(rig.connection.unansweredPing(milliseconds: rig.now) == 250)
        rig.receive(.ping("12345678", answers: true))
        #expect(rig.kinds() == [] && rig.connection.unansweredPing(milliseconds: rig.now) == 250)
        rig.receive(RawFrame(type: 6, flags: 1, payload: sent.payload))
        #expect(rig.kinds() == [.pong(milliseconds: 250)])
        #expect(rig.connection.unansweredPing(milliseconds: rig.now) == nil)
        rig.receive(RawFrame(type: 6, flags: 1, payload: sent.payload))
        #expect(rig.kinds() == [], "a second answer is none")
        rig.connection.ping(milliseconds: rig.now)
        let next = try #require(rig.frames().first)
        #expect(next.payload != sent.payload)
    }

    @Test func `a connection that ends amid everything frees everything`() {
        let memory = HTTP2Memory()
        do {
            let rig = Rig(memory: memory)
            let stream = rig.open(
                .headers(1, RawFrame.post, ends: false), .data(1, RawFrame.bytes(5_000)))
            rig.answer(stream, 200, hasBody: true)
            rig.send(stream, RawFrame.bytes(100_000))
            rig.receive(.headers(3, RawFrame.get, whole: false), .init(type: 9, stream: 3))
            rig.receive(Array(RawFrame.data(1, [1, 2, 3]).bytes.prefix(11)))
            #expect(memory.usedBytes > 0)
        }
        #expect(memory.usedBytes == 0)
    }
}

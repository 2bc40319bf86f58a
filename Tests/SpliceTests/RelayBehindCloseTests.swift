// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Goal: what a peer sends behind its Close is read, dropped, and neither judged nor passed nor
/// counted, while the other goes on until its own Close (RFC 6455 §1.4, §5.5.1).
///
/// Method: each kind of frame and of bytes that are no frame, in the Close's segment and later, of
/// both sides.
struct RelayBehindCloseTests {
    /// What may stand behind a Close of that side.
    static func kinds(_ side: Side) -> [[UInt8]] {
        let mask: UInt8 = side == .client ? 0x80 : 0
        let key: [UInt8] = side == .client ? [1, 2, 3, 4] : []
        let text = Frames.from(side, .text, Array("late".utf8))
        return [
            Frames.close(from: side, 1000), Frames.close(from: side, nil),
            Frames.close(from: side, 1005), [0x88, mask | 1] + key + [3],
            text, text + text + text + text,
            Frames.from(side, .ping, [1]), Frames.from(side, .pong, [1]),
            // A message in two pieces, one that never ends, and the rest of none.
            [0x01, mask | 1] + key + [97, 0x80, mask | 1] + key + [98], [0x01, mask] + key,
            [0x80, mask] + key,
            // Compressed, with the other's mask, too long, with a length that no frame has.
            [0xC1, mask | 1] + key + [97], Frames.from(side.other, .text, [97]),
            Frames.from(side, .binary, [UInt8](repeating: 0, count: 101)),
            [0x82, mask | 127, 0xFF] + [UInt8](repeating: 0xFF, count: 7) + key,
            // Half a header, a header, half a frame, no frame at all.
            [0x82], [0x82, mask | 126], [0x82, mask | 50] + key, Array(text.dropLast(2)),
            [UInt8](repeating: 0xFF, count: 300), [UInt8](repeating: 0, count: 300),
            Array("GET / HTTP/1.1\r\n\r\n".utf8),
        ]
    }

    private static func open(_ end: ClientEnd, reservedBits: UInt8 = 0) throws -> RelayRig {
        var limits = RelayLimits(messageBytesMax: 100)
        limits.fragmentsMax = 3
        limits.messagesPerSecond = 3
        return try RelayRig.open(end, reservedBits: reservedBits, limits: limits)
    }

    /// The relay has ended by a Close of `side`, as if nothing had come behind it.
    private static func expectClose(
        of rig: RelayRig, from side: Side, _ close: [UInt8], code: UInt16,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let counts = side == .client ? rig.upCounts : rig.downCounts
        #expect(counts.bytes == UInt64(close.count), sourceLocation: sourceLocation)
        #expect(counts.frames == 1 && counts.messages == 0, sourceLocation: sourceLocation)
        #expect(counts.payloadBytes == 0, sourceLocation: sourceLocation)
        #expect(rig.ending.reason == .close, sourceLocation: sourceLocation)
        #expect(rig.ending.violation == .none, sourceLocation: sourceLocation)
        #expect(rig.ending.code == code, sourceLocation: sourceLocation)
        #expect(
            rig.ending.initiator == (side == .client ? .client : .upstream),
            sourceLocation: sourceLocation)
    }

    /// Both peers go; the relay has ended and owns nothing.
    private static func expectEnd(
        of rig: RelayRig, _ sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(rig.ending.isOver, sourceLocation: sourceLocation)
        rig.client.vanish()
        rig.backend.vanish()
        rig.settle()
        #expect(rig.isEnded && rig.lentCount == 0, sourceLocation: sourceLocation)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `it is dropped, and the other's messages arrive`(side: Side, end: ClientEnd) throws {
        let close = Frames.from(side, .close, [0x0F, 0xA0] + Array("done".utf8))
        let still =
            Frames.from(side.other, .ping, [7]) + Frames.from(side.other, .text, [8])
            + Frames.from(side.other, .binary, [UInt8](repeating: 9, count: 90))
        let answer = Frames.close(from: side.other, 4001)
        for kind in Self.kinds(side) {
            for isLater in [false, true] {
                let rig = try Self.open(end)
                rig.exchange(side, isLater ? close : close + kind)
                if isLater { rig.exchange(side, kind) }
                #expect(rig.peer(side.other).takeReceived() == close)
                #expect(rig.peer(side).received == [], "\(kind.prefix(8))")
                rig.exchange(side.other, still)
                rig.exchange(side, kind)
                rig.exchange(side.other, answer)
                #expect(rig.peer(side).received == still + answer, "\(kind.prefix(8))")
                #expect(rig.peer(side.other).takeReceived() == [])
                Self.expectClose(of: rig, from: side, close, code: 4000)
                #expect(rig.client.hasEnded && rig.client.wasClosedByNotify == (end == .tls))
                Self.expectEnd(of: rig)
            }
        }
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `Closes that cross both arrive, whatever stands behind them`(
        side: Side, end: ClientEnd
    ) throws {
        let first = Frames.close(from: side, 4000)
        let second = Frames.close(from: side.other, 4001)
        for (kind, other) in zip(Self.kinds(side), Self.kinds(side.other).reversed()) {
            let rig = try Self.open(end)
            rig.peer(side).enqueue(first + kind)
            rig.peer(side.other).enqueue(second + other)
            rig.exchange()
            #expect(rig.peer(side.other).received == first)
            #expect(rig.peer(side).received == second)
            #expect(rig.ending.reason == .close && rig.ending.violation == .none)
            Self.expectEnd(of: rig)
        }
    }

    @Test(arguments: [Side.client, .backend])
    func `a Close ends a compressed message in the middle, and its rest is dropped`(
        side: Side
    ) throws {
        let rig = try Self.open(.tls, reservedBits: 0x40)
        let mask: UInt8 = side == .client ? 0x80 : 0
        let key: [UInt8] = side == .client ? [1, 2, 3, 4] : []
        let start = [0x41, mask | 1] + key + [0xCA]
        let close = Frames.close(from: side, 1000)
        rig.exchange(side, start + close + [0x80, mask | 1] + key + [0])
        rig.exchange(side, [0xC1, mask | 1] + key + [0xCA])
        #expect(rig.peer(side.other).received == start + close)
        #expect(rig.peer(side).received == [])
        rig.exchange(side.other, Frames.close(from: side.other, 1000))
        #expect((side == .client ? rig.upCounts : rig.downCounts).messages == 0)
        Self.expectEnd(of: rig)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `it is dropped wherever the stream is cut`(side: Side, end: ClientEnd) throws {
        let text = Frames.from(side, .text, [1, 2, 3])
        let close = Frames.close(from: side, 4000)
        let stream =
            text + close + Frames.from(side, .pong, [1, 2, 3, 4, 5, 6, 7, 8]) + close + text
        for cut in 0...stream.count {
            let rig = try Self.open(end)
            rig.exchange(side, Array(stream[..<cut]))
            rig.exchange(side, Array(stream[cut...]))
            #expect(rig.peer(side.other).received == text + close, "cut at \(cut)")
            rig.exchange(side.other, Frames.close(from: side.other, 4001))
            #expect(rig.peer(side).received == Frames.close(from: side.other, 4001))
            Self.expectEnd(of: rig)
        }
    }

    @Test(arguments: [Side.client, .backend])
    func `a Close of ours to who has closed is not held up by it`(side: Side) throws {
        for kind in Self.kinds(side) {
            let close = Frames.close(from: side, 4000)
            // By a drain, by the other's loss, by the other's violation.
            let drained = try Self.open(.plain)
            drained.exchange(side, close + kind)
            drained.drain(code: 1012)
            drained.exchange()
            #expect(Frames.parse(drained.peer(side).received)?.map(\.code) == [1012])
            drained.exchange(side.other, Frames.close(from: side.other, 4000))
            #expect(drained.peer(side.other).received == close)
            Self.expectClose(of: drained, from: side, close, code: 4000)
            Self.expectEnd(of: drained)

            let lost = try Self.open(.plain)
            lost.exchange(side, close + kind)
            lost.peer(side.other).vanish()
            lost.exchange()
            let code: UInt16 = side == .client ? 1014 : 1001
            #expect(Frames.parse(lost.peer(side).received)?.map(\.code) == [code])
            Self.expectClose(of: lost, from: side, close, code: 4000)
            Self.expectEnd(of: lost)

            let broken = try Self.open(.plain)
            broken.exchange(side, close + kind)
            broken.exchange(side.other, [0x83, 0x80])
            #expect(Frames.parse(broken.peer(side).received)?.map(\.code) == [code])
            #expect(broken.peer(side.other).received == close)
            Self.expectClose(of: broken, from: side, close, code: 4000)
            Self.expectEnd(of: broken)
        }
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a Pong that was provoked before the Close may follow it`(side: Side, end: ClientEnd)
        throws
    {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: side == .client,
            pingsUpstream: side == .backend)
        let close = Frames.close(from: side, 1000)
        for cut in 0...14 {
            let rig = try RelayRig.open(end, rules: rules)
            rig.passDeadline()
            rig.exchange()
            let ping = try #require(Frames.parse(rig.peer(side).takeReceived()))
            #expect(ping.map(\.opcode) == [.ping])
            // The Close was under way when our Ping came.
            let stream = close + Frames.from(side, .pong, ping[0].payload)
            rig.exchange(side, Array(stream[..<cut]))
            rig.exchange(side, Array(stream[cut...]))
            let last = Frames.from(side.other, .text, Array("last message".utf8))
            let answer = Frames.close(from: side.other, 4001)
            rig.exchange(side.other, last)
            rig.exchange(side.other, answer)
            #expect(rig.peer(side).received == last + answer, "cut at \(cut)")
            #expect(rig.peer(side.other).received == close)
            Self.expectClose(of: rig, from: side, close, code: 1000)
            Self.expectEnd(of: rig)
        }
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `no Ping of ours follows the Close of the one it was for`(side: Side, end: ClientEnd)
        throws
    {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: side == .client,
            pingsUpstream: side == .backend)
        let frame = Frames.from(side.other, .binary, [UInt8](repeating: 5, count: 300))
        let answer = Frames.close(from: side.other, 4001)
        let rig = try RelayRig.open(end, rules: rules)
        rig.exchange(side.other, Array(frame[..<100]))
        // It waits for the border of the frame, and meanwhile a Close comes.
        rig.passDeadline()
        rig.exchange(side, Frames.close(from: side, 1000))
        rig.exchange(side.other, Array(frame[100...]) + frame)
        rig.exchange(side.other, answer)
        #expect(rig.peer(side).received == frame + frame + answer)
        Self.expectEnd(of: rig)
    }
}

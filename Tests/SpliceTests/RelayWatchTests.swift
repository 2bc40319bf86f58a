// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing

@testable import Splice
@testable import Wire

/// Goal: peers that are gone are found, silence and age end a relay, and nobody else notices anything.
///
/// Method: the test is the clock.
struct RelayWatchTests {
    private static func rules(_ side: Side) -> RelayRules {
        RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: side == .client,
            pingsUpstream: side == .backend)
    }

    /// The payload of the one Ping that a peer has received.
    private func ping(_ rig: RelayRig, _ side: Side) throws -> [UInt8] {
        let frames = try #require(Frames.parse(rig.peer(side).takeReceived()))
        #expect(frames.map(\.opcode) == [.ping])
        let frame = try #require(frames.first)
        #expect(frame.isMasked == (side == .backend))
        #expect(frame.payload.count == 8)
        return frame.payload
    }

    private func roundTrip(_ rig: RelayRig, _ side: Side) -> RoundTrip {
        side == .client ? rig.clientRoundTrip : rig.upstreamRoundTrip
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `the answer to a ping is taken out wherever it is cut`(side: Side, end: ClientEnd) throws {
        let before = Frames.from(side, .text, Array("before".utf8))
        let behind =
            Frames.from(side, .pong, [1, 2, 3, 4, 5, 6, 7, 8])
            + Frames.from(side, .binary, [UInt8](repeating: 9, count: 200))
        let length = before.count + behind.count + (side == .client ? 14 : 10)
        for cut in 0...length {
            let rig = try RelayRig.open(end, rules: Self.rules(side))
            rig.passDeadline()
            let pong = Frames.from(side, .pong, try ping(rig, side))
            let stream = before + pong + behind
            #expect(stream.count == length)
            rig.exchange(side, Array(stream[..<cut]))
            rig.exchange(side, Array(stream[cut...]))
            #expect(rig.peer(side.other).takeReceived() == before + behind, "cut at \(cut)")
            #expect(roundTrip(rig, side).count == 1)
            // The timer that waited for the answer finds nothing to do but wait on.
            rig.passDeadline()
            #expect(!rig.ending.hasBegun)
            #expect(rig.peer(side).takeReceived() == [])
        }
    }

    @Test(arguments: [Side.client, .backend])
    func `byte by byte too, and inside a fragmented message`(side: Side) throws {
        let rig = try RelayRig.open(side == .client ? .tls : .plain, rules: Self.rules(side))
        rig.passDeadline()
        let pong = Frames.from(side, .pong, try ping(rig, side))
        let first =
            side == .client
            ? Frames.client(.text, [97], isFinal: false)
            : Frames.server(.text, [97], isFinal: false)
        let last = Frames.from(side, .continuation, [98])
        for byte in first + pong + last { rig.exchange(side, [byte]) }
        #expect(rig.peer(side.other).takeReceived() == first + last)
        #expect(roundTrip(rig, side).count == 1)
    }

    @Test(arguments: [Side.client, .backend])
    func `pings and pongs of the peers pass`(side: Side) throws {
        let rig = try RelayRig.open(rules: Self.rules(side))
        rig.passDeadline()
        let payload = try ping(rig, side)
        var other = payload
        other[7] ^= 1
        let stream =
            Frames.from(side, .ping, [1, 2, 3, 4, 5, 6, 7, 8]) + Frames.from(side, .pong, other)
            + Frames.from(side, .pong, []) + Frames.from(side, .pong, payload + [0])
        rig.exchange(side, stream)
        #expect(rig.peer(side.other).takeReceived() == stream)
        #expect(roundTrip(rig, side).count == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a peer that says nothing is given up, and the other told`(side: Side, end: ClientEnd)
        throws
    {
        let rig = try RelayRig.open(end, rules: Self.rules(side))
        let began = rig.space.pointee.nowMilliseconds
        rig.passDeadline()
        _ = try ping(rig, side)
        rig.passDeadline()
        #expect(rig.space.pointee.nowMilliseconds - began == 1_300)
        #expect(rig.ending.reason == .unresponsive)
        #expect(rig.ending.initiator == (side == .client ? .client : .upstream))
        rig.exchange()
        let told = try #require(Frames.parse(rig.peer(side.other).takeReceived()))
        #expect(told.map(\.code) == [side == .client ? 1001 : 1014])
        rig.exchange(side.other, Frames.close(from: side.other, 1001))
        rig.peer(side.other).shutdown()
        rig.exchange()
        #expect(rig.isEnded)
    }

    @Test(arguments: [Side.client, .backend])
    func `a peer that sends is there, however late its pong`(side: Side) throws {
        let rig = try RelayRig.open(rules: Self.rules(side))
        rig.passDeadline()
        let payload = try ping(rig, side)
        for _ in 0..<5 {
            rig.exchange(side, Frames.from(side, .text, [1]))
            rig.passDeadline()
            #expect(!rig.ending.hasBegun)
        }
        rig.exchange(side, Frames.from(side, .pong, payload))
        #expect(roundTrip(rig, side).count == 1)
        rig.passDeadline()
        _ = try ping(rig, side)
        rig.passDeadline()
        #expect(rig.ending.reason == .unresponsive)
    }

    @Test func `a peer that can't be heard is not given up`() throws {
        let rig = try RelayRig.open(smallBuffers: true, rules: Self.rules(.client))
        rig.backend.isDeaf = true
        rig.exchange(
            .client, Frames.from(.client, .binary, [UInt8](repeating: 1, count: 1_000_000)))
        #expect(rig.heldForBackend > 0)
        for _ in 0..<5 {
            rig.passDeadline()
            #expect(!rig.ending.hasBegun)
        }
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a ping waits for the border of a frame`(side: Side, end: ClientEnd) throws {
        let rig = try RelayRig.open(end, rules: Self.rules(side))
        let frame = Frames.from(side.other, .binary, [UInt8](repeating: 5, count: 300))
        let next = Frames.from(side.other, .text, [6])
        rig.exchange(side.other, Array(frame[..<100]))
        rig.passDeadline()
        rig.exchange()
        #expect(rig.peer(side).received == Array(frame[..<100]))
        // Nobody is blamed for what was not asked.
        rig.passDeadline()
        #expect(!rig.ending.hasBegun)
        rig.exchange(side.other, Array(frame[100...]) + next)
        let received = rig.peer(side).takeReceived()
        let pingBytes = side == .client ? 10 : 14
        #expect(received.starts(with: frame))
        #expect(Array(received.dropFirst(frame.count + pingBytes)) == next)
        let ping = try #require(
            Frames.parse(Array(received.dropFirst(frame.count).prefix(pingBytes))))
        #expect(ping.map(\.opcode) == [.ping])
        rig.exchange(side, Frames.from(side, .pong, ping[0].payload))
        #expect(roundTrip(rig, side).count == 1)
        #expect(rig.peer(side.other).takeReceived() == [])
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `who answers is asked again when it is due, however long the answer may take`(
        side: Side, end: ClientEnd
    ) throws {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 2_500, pingsClient: side == .client,
            pingsUpstream: side == .backend)
        let rig = try RelayRig.open(end, rules: rules)
        let began = rig.space.pointee.nowMilliseconds
        for round in 1...20 {
            rig.passDeadline()
            #expect(rig.space.pointee.nowMilliseconds == began + UInt64(round) * 1_000)
            rig.exchange(side, Frames.from(side, .pong, try ping(rig, side)))
            #expect(roundTrip(rig, side).count == UInt32(round))
            #expect(rig.peer(side.other).takeReceived() == [])
        }
        // Who does not answer is not asked twice, and has its time.
        rig.passDeadline()
        _ = try ping(rig, side)
        while !rig.ending.hasBegun {
            rig.passDeadline()
            if !rig.ending.hasBegun { #expect(rig.peer(side).takeReceived() == []) }
        }
        #expect(rig.ending.reason == .unresponsive)
        #expect(rig.space.pointee.nowMilliseconds == began + 23_500)
    }

    @Test func `both are asked at once, each for itself`() throws {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: true, pingsUpstream: true)
        let rig = try RelayRig.open(rules: rules)
        for round in 1...3 {
            rig.passDeadline()
            let payloads = (try ping(rig, .client), try ping(rig, .backend))
            #expect(payloads.0 != payloads.1)
            // The answer to the other's ping is no answer.
            rig.exchange(.client, Frames.from(.client, .pong, payloads.1))
            rig.exchange(.client, Frames.from(.client, .pong, payloads.0))
            rig.exchange(.backend, Frames.from(.backend, .pong, payloads.1))
            #expect(
                rig.backend.takeReceived().count == 14, "the foreign pong passed, and only that")
            #expect(rig.client.takeReceived() == [])
            #expect(rig.clientRoundTrip.count == UInt32(round))
            #expect(rig.upstreamRoundTrip.count == UInt32(round))
            rig.passDeadline()
        }
        #expect(!rig.ending.hasBegun)
    }

    @Test(arguments: ClientEnd.allCases)
    func `silence ends a relay, and data puts that off`(end: ClientEnd) throws {
        let rig = try RelayRig.open(end, rules: RelayRules(idleMilliseconds: 8_000))
        let began = rig.space.pointee.nowMilliseconds
        while rig.space.pointee.nowMilliseconds < began + 20_000 {
            rig.exchange(.client, Frames.from(.client, .text, [1]))
            rig.passDeadline()
            #expect(!rig.ending.hasBegun)
        }
        // Pings of the peers are no data.
        let silent = rig.space.pointee.nowMilliseconds
        while !rig.ending.hasBegun {
            rig.exchange(.backend, Frames.from(.backend, .ping, []))
            rig.passDeadline()
        }
        let waited = rig.space.pointee.nowMilliseconds - silent
        #expect((8_000...9_000).contains(waited), "\(waited)")
        #expect(rig.ending.reason == .idle)
        rig.exchange()
        for side in [Side.client, .backend] {
            let frames = try #require(Frames.closes(in: rig.peer(side).takeReceived()))
            #expect(frames.map(\.code) == [1001])
            #expect(
                frames.map { Array($0.payload.dropFirst(2)) } == [Array("idle for too long".utf8)])
        }
    }

    @Test func `a relay lives its time, less up to a tenth`() throws {
        var lived: Set<UInt64> = []
        for _ in 0..<20 {
            let rig = try RelayRig.open(rules: RelayRules(lifetimeMilliseconds: 100_000))
            let began = rig.space.pointee.nowMilliseconds
            rig.passDeadline()
            #expect(rig.ending.reason == .lifetime)
            #expect(rig.ending.code == 1001)
            let time = rig.space.pointee.nowMilliseconds - began
            #expect((90_000...100_000).contains(time))
            lived.insert(time)
        }
        #expect(lived.count > 1, "not all at once")
    }

    @Test func `what a relay without rules remembers of them is a pointer`() throws {
        let rig = try RelayRig.open()
        #expect(rig.deadlineMilliseconds == 0)
        #expect(rig.clientRoundTrip == RoundTrip())
        #expect(MemoryLayout<Relay>.size <= 640, "\(MemoryLayout<Relay>.size)")
    }

    @Test func `what a short message touches lies in few cache lines`() throws {
        let line = 64
        #expect(try #require(MemoryLayout<FrameScanner>.offset(of: \.messageBytesMax)) == line)
        #expect(try #require(MemoryLayout<Flow>.offset(of: \.tail)) <= 2 * line)
        // The first line of a leg has the session up to its credit, behind which stand 72 bytes for OpenSSL and streams.
        #expect(MemoryLayout<Leg>.size <= 104, "\(MemoryLayout<Leg>.size)")
        #expect(MemoryLayout<Relay>.size <= 9 * line, "\(MemoryLayout<Relay>.size)")
    }

    @Test func `a drain takes the place of a ping that was due`() throws {
        let rig = try RelayRig.open(rules: Self.rules(.client))
        let frame = Frames.from(.backend, .binary, [UInt8](repeating: 5, count: 300))
        rig.exchange(.backend, Array(frame[..<100]))
        rig.passDeadline()
        rig.drain(code: 1012)
        rig.exchange(.backend, Array(frame[100...]))
        let received = rig.client.takeReceived()
        #expect(received.starts(with: frame))
        let behind = try #require(Frames.parse(Array(received.dropFirst(frame.count))))
        #expect(behind.map(\.code) == [1012])
    }
}

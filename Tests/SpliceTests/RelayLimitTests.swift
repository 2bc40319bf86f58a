// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Rates of one relay, on a clock that the test moves.
struct RelayLimitTests {
    private static let text = Frames.client(.text, [97])

    private static func limited(messages: UInt64) -> RelayLimits {
        var limits = RelayLimits()
        limits.messagesPerSecond = messages
        return limits
    }

    @Test(arguments: ClientEnd.allCases)
    func `a second's worth passes at once, and then what the time brings`(end: ClientEnd) throws {
        let rig = try RelayRig.open(end, limits: Self.limited(messages: 8))
        for _ in 0..<8 { rig.exchange(.client, Self.text) }
        // An eighth of a second brings one, and no sooner.
        for _ in 0..<20 {
            rig.passTime(100)
            rig.exchange(.client, Array(Self.text.prefix(1)))
            rig.passTime(25)
            rig.exchange(.client, Array(Self.text.dropFirst(1)))
        }
        #expect(!rig.ending.hasBegun)
        #expect(rig.upCounts.messages == 28)
        rig.passTime(124)
        rig.exchange(.client, Self.text)
        #expect(rig.ending.violation == .tooManyMessages)
        #expect(rig.ending.code == 1008)
        #expect(rig.upCounts.messages == 28)
    }

    @Test func `silence saves no more than a second's worth`() throws {
        let rig = try RelayRig.open(limits: Self.limited(messages: 5))
        rig.passTime(3_600_000)
        rig.exchange(.client, [UInt8]((0..<6).map { _ in Self.text }.joined()))
        #expect(rig.ending.violation == .tooManyMessages)
        #expect(rig.upCounts.messages == 5)
    }

    @Test func `rates below and above one for each millisecond add up`() throws {
        for rate: UInt64 in [1, 3, 7, 1_000, 7_001] {
            let rig = try RelayRig.open(limits: Self.limited(messages: rate))
            let batch =
                [UInt8](repeatElement(Self.text, count: Int(rate) - 1).joined())
                + Frames.client(.text, [UInt8](repeating: 98, count: 20))
            for _ in 0..<4 {
                rig.exchange(.client, Array(batch.dropLast(5)))
                // A second in unequal pieces, in each of which something is received.
                for (piece, byte) in zip([1, 2, 300, 7, 690] as [UInt64], batch.suffix(5)) {
                    rig.passTime(piece)
                    rig.exchange(.client, [byte])
                }
            }
            #expect(!rig.ending.hasBegun, "at \(rate) in a second")
            #expect(rig.upCounts.messages == 4 * rate)
        }
    }

    @Test func `pings and pongs count, fragments do not, and a Close may always come`() throws {
        let rig = try RelayRig.open(limits: Self.limited(messages: 3))
        let fragments =
            Frames.client(.text, [1], isFinal: false) + Frames.client(.ping, [])
            + Frames.client(.continuation, [2], isFinal: false)
            + Frames.client(.continuation, [3], isFinal: false) + Frames.client(.pong, [])
            + Frames.client(.continuation, [4])
        rig.exchange(.client, fragments + Frames.close(from: .client, 1000))
        #expect(rig.ending.reason == .close)
        #expect(rig.backend.takeReceived() == fragments + Frames.close(from: .client, 1000))
    }

    @Test func `what the upstream sends is not counted`() throws {
        let rig = try RelayRig.open(limits: Self.limited(messages: 1))
        for _ in 0..<50 { rig.exchange(.backend, Frames.server(.text, [1])) }
        #expect(!rig.ending.hasBegun)
        #expect(rig.downCounts.messages == 50)
    }

    @Test func `beyond the limit nothing passes, and a client in a drain still finds its Close`()
        throws
    {
        let rig = try RelayRig.open(limits: Self.limited(messages: 2))
        rig.drain(code: 1012)
        for _ in 0..<10 { rig.exchange(.client, Self.text) }
        rig.exchange(.client, Frames.close(from: .client, 1012))
        rig.exchange(.backend, Frames.close(from: .backend, 1012))
        #expect(rig.ending.isOver)
        #expect(rig.ending.reason == .drain)
    }

    @Test func `the client is told at the border of the frame it is being sent`() throws {
        let rig = try RelayRig.open(limits: Self.limited(messages: 1))
        let frame = Frames.server(.binary, [UInt8](repeating: 7, count: 300))
        rig.exchange(.backend, Array(frame[..<100]))
        rig.exchange(.client, Self.text + Self.text)
        #expect(rig.client.received == Array(frame[..<100]))
        #expect(rig.backend.takeReceived().count == Self.text.count + 6 + 2 + 17)
        rig.exchange(.backend, Array(frame[100...]) + frame)
        let received = rig.client.takeReceived()
        #expect(received.starts(with: frame))
        let behind = try #require(Frames.parse(Array(received.dropFirst(frame.count))))
        #expect(behind.map(\.code) == [1008])
    }

    @Test(arguments: [Side.client, .backend])
    func `a message may have so many fragments, and each message anew`(side: Side) throws {
        var limits = RelayLimits()
        limits.fragmentsMax = 3
        let rig = try RelayRig.open(limits: limits)
        func fragment(_ opcode: Opcode, isFinal: Bool = false) -> [UInt8] {
            side == .client
                ? Frames.client(opcode, [5], isFinal: isFinal)
                : Frames.server(opcode, [5], isFinal: isFinal)
        }
        let message =
            fragment(.binary) + Frames.from(side, .ping, []) + fragment(.continuation)
            + Frames.from(side, .pong, []) + fragment(.continuation, isFinal: true)
        rig.exchange(side, message + message + Frames.from(side, .text, [6]) + message)
        #expect(!rig.ending.hasBegun)
        let begun = fragment(.text) + fragment(.continuation) + fragment(.continuation)
        rig.exchange(side, begun + fragment(.continuation, isFinal: true))
        #expect(rig.ending.violation == .tooManyFragments)
        let told = try #require(Frames.closes(in: rig.peer(side).takeReceived()))
        #expect(told.map(\.code) == [1008])
        let other = try #require(Frames.closes(in: rig.peer(side.other).takeReceived()))
        #expect(other.map(\.code) == [side == .client ? 1001 : 1014])
    }
}

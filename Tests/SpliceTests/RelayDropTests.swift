// SPDX-License-Identifier: Apache-2.0
import Ledger
import TestKit
import Testing
import Wire

@testable import Splice

/// Goal: what nobody can get any more is read within a bound, so that who loses a slow reader, or
/// writes behind the end, does not take the time of the others.
///
/// Method: a peer that sends as long as the relay reads; the bytes that it got rid of are counted,
/// and the room of its socket is allowed for.
struct RelayDropTests {
    /// What a peer that never stops would send.
    private static let most = 8 << 20
    /// What is read for nobody, and what the sockets between hold.
    private static let bound = Int(Flow.droppableBytes) + (1 << 20)

    /// Sends as long as somebody reads.
    ///
    /// - Returns: how many bytes left.
    private func flood(
        _ rig: RelayRig, _ side: Side, _ piece: [UInt8], most: Int = most
    ) -> Int {
        var sent = 0
        while sent < most && rig.peer(side).unsentCount == 0 && !rig.isEnded {
            rig.exchange(side, piece)
            sent += piece.count
        }
        return sent - rig.peer(side).unsentCount
    }

    private static func frame(_ side: Side) -> [UInt8] {
        Frames.from(side, .binary, [UInt8](repeating: 7, count: 100_000))
    }

    /// A relay whose `side` reads nothing, and the other has filled all room towards it.
    private func stalled(_ side: Side, _ end: ClientEnd) throws -> RelayRig {
        let rig = try RelayRig.open(end, smallBuffers: true)
        rig.peer(side).isDeaf = true
        let frame = Self.frame(side.other)
        while rig.peer(side.other).unsentCount == 0 { rig.exchange(side.other, frame) }
        #expect((side == .client ? rig.heldForClient : rig.heldForBackend) > 0)
        return rig
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `who streams to a slow reader that is lost is read within a bound`(
        side: Side, end: ClientEnd
    ) throws {
        let rig = try stalled(side, end)
        let other = rig.peer(side.other)
        rig.peer(side).vanish()
        rig.exchange()
        let sent = flood(rig, side.other, Self.frame(side.other))
        #expect(sent < Self.bound, "\(sent)")
        // On a busy machine the kernel brings the end a moment later.
        let deadline = Deadline.after()
        while !other.hasEnded && !deadline.hasPassed { rig.exchange() }
        // The Close left at once, and the end of the stream when the bound was passed.
        let told = try #require(Frames.parse(other.received))
        #expect(told.map(\.code) == [side == .client ? 1001 : 1014])
        #expect(other.hasEnded)
        #expect(rig.ending.reason == .vanished)
        #expect(!rig.isEnded, "it has the time to read that")
        rig.passDeadline()
        #expect(rig.isEnded && rig.lentCount == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `the answer of who streamed is found within the bound`(side: Side, end: ClientEnd) throws {
        let rig = try stalled(side, end)
        let other = rig.peer(side.other)
        let counts = side == .client ? rig.downCounts : rig.upCounts
        rig.peer(side).vanish()
        rig.exchange()
        rig.exchange(side.other, Self.frame(side.other))
        #expect(!rig.ending.isOver)
        rig.exchange(side.other, Frames.close(from: side.other, 1001))
        #expect(rig.ending.isOver)
        // What went nowhere is not counted, but for what was on its way to the kernel, and what the
        // owner of a stream had taken.
        let after = side == .client ? rig.downCounts : rig.upCounts
        #expect(after.messages <= counts.messages + (end == .stream ? 2 : 1))
        other.shutdown()
        rig.exchange()
        #expect(rig.isEnded && rig.lentCount == 0, "nothing is waited for")
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `who streams on after a drain is read within a bound`(side: Side, end: ClientEnd) throws {
        let rig = try RelayRig.open(end)
        rig.exchange(side, Frames.from(side, .text, [1]))
        let counts = side == .client ? rig.upCounts : rig.downCounts
        rig.drain(code: 1012)
        rig.exchange(side.other, Frames.close(from: side.other, 1012))
        let sent = flood(rig, side, Self.frame(side))
        #expect(sent < Self.bound, "\(sent)")
        #expect(Frames.parse(rig.peer(side).received)?.map(\.code) == [1012])
        #expect(rig.peer(side).hasEnded)
        #expect(rig.ending.isOver)
        #expect((side == .client ? rig.upCounts : rig.downCounts) == counts, "nothing passed")
        rig.passDeadline()
        #expect(rig.isEnded && rig.lentCount == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `who floods behind its Close is read within a bound, and still gets the other's messages`(
        side: Side, end: ClientEnd
    ) throws {
        let rig = try RelayRig.open(end)
        rig.exchange(side, Frames.close(from: side, 1000))
        let sent = flood(rig, side, [UInt8](repeating: 0xFF, count: 100_000))
        #expect(sent < Self.bound, "\(sent)")
        let last = Frames.from(side.other, .text, Array("last message".utf8))
        let answer = Frames.close(from: side.other, 4001)
        rig.exchange(side.other, last + answer)
        #expect(rig.peer(side).received == last + answer)
        #expect(rig.ending.isOver)
        rig.passDeadline()
        #expect(rig.isEnded && rig.lentCount == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `who floods behind a violation is read within a bound`(side: Side, end: ClientEnd) throws {
        let rig = try RelayRig.open(end)
        rig.exchange(side, [0x83, side == .client ? 0x80 : 0])
        let sent = flood(rig, side, Self.frame(side))
        #expect(sent < Self.bound, "\(sent)")
        #expect(Frames.closes(in: rig.peer(side).received)?.map(\.code) == [1002])
    }

    @Test(arguments: [Side.client, .backend])
    func `who floods when all is said is read within a bound`(side: Side) throws {
        let rig = try RelayRig.open()
        rig.exchange(side, Frames.close(from: side, 1000))
        rig.exchange(side.other, Frames.close(from: side.other, 1000))
        #expect(rig.ending.isOver)
        let sent = flood(rig, side, Self.frame(side))
        #expect(sent < Self.bound, "\(sent)")
        rig.passDeadline()
        #expect(rig.isEnded)
    }

    @Test(arguments: [Side.client, .backend])
    func `who streams to a peer that was given up is read within a bound`(side: Side) throws {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: side == .client,
            pingsUpstream: side == .backend)
        let rig = try RelayRig.open(rules: rules)
        rig.passDeadline()
        rig.passDeadline()
        #expect(rig.ending.reason == .unresponsive)
        let sent = flood(rig, side.other, Self.frame(side.other))
        #expect(sent < Self.bound, "\(sent)")
    }

    @Test func `in one turn no more is read for nobody than a piece`() throws {
        let rig = try RelayRig.open(receiveCapacity: 16 * 1024)
        rig.client.vanish()
        // The loss shows in sending.
        rig.exchange(.backend, Frames.server(.text, [1]))
        rig.backend.enqueue(Self.frame(.backend))
        let before = rig.droppable.down
        rig.turn()
        let most = Int32(Relay.dropBytesPerTurn + 16 * 1024)
        #expect(before - rig.droppable.down < most)
        #expect(rig.verdict.contains(.again), "the rest has its turn")
        rig.resume()
        #expect(before - rig.droppable.down > 90_000)
    }

    @Test func `garbage where a Close is awaited ends the wait`() throws {
        let rig = try RelayRig.open()
        rig.drain(code: 1001)
        rig.exchange(.backend, Frames.close(from: .backend, 1001))
        rig.exchange(.client, [UInt8](repeating: 0xFF, count: 100))
        #expect(rig.ending.isOver)
        #expect(rig.client.hasEnded)
        #expect(rig.ending.reason == .drain)
    }
}

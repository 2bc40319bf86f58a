// SPDX-License-Identifier: Apache-2.0
//
// Goal: a peer that reads slowly is there, wherever what it has to read waits; and a time that was given for
// a reader is nobody else's to lengthen.
// Method: rigs whose sockets are read in small pieces while deadlines pass.

import Ledger
import Reactor
import Testing
import Wire

@testable import Splice

@Suite struct RelaySlowReaderTests {
    private static func rules(_ side: Side) -> RelayRules {
        RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: side == .client,
            pingsUpstream: side == .backend)
    }

    /// So many messages of a thousand bytes.
    private static func messages(from side: Side, _ count: Int) -> [UInt8] {
        let message = Frames.from(side, .binary, [UInt8](repeating: 7, count: 1_000))
        return Array(repeatElement(message, count: count).joined())
    }

    /// It waits in the system, which tells nobody that some of it was taken; the rest here, or it does not.
    @Test(arguments: [Side.client, .backend], [60, 600])
    func `a peer that still takes what was sent before the Ping is not given up`(
        side: Side, count: Int
    ) throws {
        let rig = try RelayRig.open(receiveCapacity: 2_048, rules: Self.rules(side))
        let peer = rig.peer(side)
        peer.isDeaf = true
        rig.exchange(side.other, Self.messages(from: side.other, count))
        let held = side == .client ? rig.heldForClient : rig.heldForBackend
        try #require((held > 0) == (count == 600))
        rig.passDeadline()
        for round in 0..<5 where !rig.ending.hasBegun {
            peer.read(atMost: 8_192)
            rig.settle()
            rig.passDeadline()
            #expect(!rig.ending.hasBegun, "round \(round)")
        }
        // From now on it takes nothing.
        for _ in 0..<3 where !rig.ending.hasBegun { rig.passDeadline() }
        #expect(rig.ending.reason == .unresponsive)
    }

    /// What the other streams of its connection have sent is in front of a Ping on a stream.
    @Test func `a client whose connection takes what was sent before is not given up`() throws {
        let rig = try RelayRig.open(.stream, rules: Self.rules(.client))
        rig.carriage = Carriage(sentBytes: 1_000_000, takenBytes: 0)
        rig.passDeadline()
        for round in 1...5 where !rig.ending.hasBegun {
            // Others go on sending.
            rig.carriage.sentBytes += 100_000
            rig.carriage.takenBytes += 100_000
            rig.passDeadline()
            #expect(!rig.ending.hasBegun, "round \(round)")
        }
        // It takes all that was in front of the Ping, and more, and does not answer.
        for _ in 0..<3 where !rig.ending.hasBegun {
            rig.carriage.sentBytes += 600_000
            rig.carriage.takenBytes += 600_000
            rig.passDeadline()
        }
        #expect(rig.ending.reason == .unresponsive)
    }

    /// Its Ping stands behind what its window holds back, and others of its connection go on.
    @Test func `a client that opens its stream's window by little is not given up`() throws {
        let rig = try RelayRig.open(.stream, rules: Self.rules(.client))
        rig.client.isDeaf = true
        rig.exchange(.backend, Self.messages(from: .backend, 600))
        try #require(rig.heldForClient > 30_000)
        rig.passDeadline()
        for round in 1...5 where !rig.ending.hasBegun {
            rig.carriage.sentBytes += 1_000_000
            rig.carriage.takenBytes += 1_000_000
            rig.takeHeld(1_000)
            rig.passDeadline()
            #expect(!rig.ending.hasBegun, "round \(round)")
        }
        for _ in 0..<4 where !rig.ending.hasBegun {
            rig.carriage.sentBytes += 1_000_000
            rig.carriage.takenBytes += 1_000_000
            rig.passDeadline()
        }
        #expect(rig.ending.reason == .unresponsive)
    }

    @Test func `what an app has left goes on for as long as its client opens the stream's window`()
        throws
    {
        let rig = try RelayRig.open(.stream)
        rig.client.isDeaf = true
        rig.exchange(.backend, Self.messages(from: .backend, 400))
        try #require(rig.heldForClient > 20_000 && rig.backend.unsentCount == 0)
        rig.backend.shutdown()
        rig.settle()
        for round in 1...6 where !rig.isEnded {
            rig.takeHeld(1_000)
            rig.passDeadline()
            #expect(!rig.isEnded, "round \(round)")
        }
        for _ in 0..<2 where !rig.isEnded { rig.passDeadline() }
        #expect(rig.isEnded)
    }

    @Test func `a client whose connection takes nothing is given up at once`() throws {
        let rig = try RelayRig.open(.stream, rules: Self.rules(.client))
        rig.carriage = Carriage(sentBytes: 1_000_000, takenBytes: 0)
        rig.passDeadline()
        rig.passDeadline()
        #expect(rig.ending.reason == .unresponsive)
    }

    @Test func `a peer that got the next piece of a frame just now is not given up`() throws {
        let rig = try RelayRig.open(rules: Self.rules(.client))
        let frame = Frames.server(.binary, [UInt8](repeating: 5, count: 300))
        rig.exchange(.backend, Array(frame[..<100]))
        rig.passDeadline()
        rig.exchange()
        // It has taken all that there was until now.
        rig.client.isDeaf = true
        rig.exchange(.backend, Array(frame[100..<200]))
        rig.passDeadline()
        #expect(!rig.ending.hasBegun)
        rig.passDeadline()
        #expect(rig.ending.reason == .unresponsive, "it has taken nothing of that")
    }

    @Test func `what a client sends gives no time to the one that does not read`() throws {
        let rig = try RelayRig.open(smallBuffers: true)
        rig.client.isDeaf = true
        rig.backend.enqueue(Self.messages(from: .backend, 120))
        rig.backend.shutdown()
        rig.settle()
        try #require(rig.heldForClient > 0)
        let due = rig.deadlineMilliseconds
        let closing = Patience.tests.closingMilliseconds
        #expect(due == rig.space.pointee.nowMilliseconds + closing)
        for _ in 0..<3 where !rig.isEnded {
            rig.passTime(closing / 4)
            rig.exchange(.client, Frames.client(.text, [97]))
            #expect(rig.deadlineMilliseconds == due)
        }
        rig.passDeadline()
        #expect(rig.isEnded)
    }

    @Test func `a client that reads what is left has time for it`() throws {
        let rig = try RelayRig.open(receiveCapacity: 2_048)
        rig.client.isDeaf = true
        let sent = Self.messages(from: .backend, 250)
        rig.exchange(.backend, sent)
        try #require(rig.heldForClient > 0 && rig.backend.unsentCount == 0)
        rig.backend.shutdown()
        rig.settle()
        // Little enough at a time that the system has not reported room by the deadline.
        for _ in 0..<5 where !rig.isEnded {
            rig.client.read(atMost: 8_192)
            rig.passDeadline()
            #expect(!rig.isEnded)
        }
        rig.client.isDeaf = false
        rig.exchange()
        let isWhole = rig.client.received.starts(with: sent)
        #expect(isWhole)
    }

    @Test func `a drain gives no more time to a relay that is closing`() throws {
        let rig = try RelayRig.open()
        rig.exchange(.client, Frames.close(from: .client, 1000))
        let due = rig.deadlineMilliseconds
        #expect(due == rig.space.pointee.nowMilliseconds + Patience.tests.closingMilliseconds)
        rig.drain(code: 1001, deadline: due + 600_000)
        #expect(rig.deadlineMilliseconds == due)
        rig.drain(code: 1001, deadline: due - 1)
        #expect(rig.deadlineMilliseconds == due - 1)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Bytes in a second, on a clock that the test moves: nothing is lost, and nobody is hurried.
struct RelayPaceTests {
    private static let rate: UInt64 = 64 * 1024

    private static func limits(_ rate: UInt64 = rate) -> RelayLimits {
        var limits = RelayLimits()
        limits.bytesPerSecond = rate
        return limits
    }

    /// A message of many frames' worth of bytes.
    private static func message(from side: Side, _ count: Int) -> [UInt8] {
        Frames.from(side, .binary, (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    }

    private func bytes(_ rig: RelayRig, _ side: Side) -> UInt64 {
        side == .client ? rig.upCounts.bytes : rig.downCounts.bytes
    }

    @Test(arguments: [Side.client, .backend], [(false, false), (true, false), (true, true)])
    func `a source is read at its rate, and all of it arrives`(
        side: Side, security: (tls: Bool, released: Bool)
    ) throws {
        let rig = try RelayRig.open(
            security.tls ? .tls : .plain, released: security.released, limits: Self.limits())
        let message = Self.message(from: side, 400_000)
        rig.exchange(side, message)
        let began = rig.space.pointee.nowMilliseconds
        var steps = 0
        while bytes(rig, side) < message.count {
            let passed = rig.space.pointee.nowMilliseconds - began
            // A second's worth at once, and a record that came whole.
            let most = Self.rate + Self.rate * passed / 1_000 + 17_000
            #expect(bytes(rig, side) <= most)
            try #require(rig.isPaused && steps < 1_000)
            let next = rig.resumeMilliseconds
            try #require(next > rig.space.pointee.nowMilliseconds)
            // Before its time an event changes nothing.
            let before = bytes(rig, side)
            rig.exchange()
            #expect(bytes(rig, side) == before)
            rig.passTime(next - rig.space.pointee.nowMilliseconds)
            rig.resume()
            rig.exchange()
            steps += 1
        }
        let took = rig.space.pointee.nowMilliseconds - began
        #expect((4_500...6_000).contains(took), "\(took) ms for 400 kB at 64 KiB in a second")
        #expect(rig.peer(side.other).takeReceived() == message)
        #expect(!rig.ending.hasBegun && !rig.isPaused)
        #expect(rig.lentCountMax == 0, "it waits in the kernel")
    }

    @Test func `the directions do not share a rate`() throws {
        let rig = try RelayRig.open(limits: Self.limits())
        rig.exchange(.client, Self.message(from: .client, 300_000))
        #expect(rig.isPaused)
        let down = Self.message(from: .backend, 60_000)
        rig.exchange(.backend, down)
        #expect(rig.client.takeReceived() == down)
    }

    @Test func `a low rate is not read in crumbs`() throws {
        let rig = try RelayRig.open(limits: Self.limits(1_024))
        rig.exchange(.client, Self.message(from: .client, 3_000))
        var pieces = 0
        while rig.isPaused {
            rig.passTime(rig.resumeMilliseconds - rig.space.pointee.nowMilliseconds)
            rig.resume()
            rig.exchange()
            pieces += 1
        }
        #expect((16...40).contains(pieces), "\(pieces)")
        #expect(rig.upCounts.messages == 1)
    }

    @Test func `small messages below the rate are never delayed`() throws {
        let rig = try RelayRig.open(limits: Self.limits())
        for _ in 0..<500 {
            rig.exchange(.client, Self.message(from: .client, 1_000))
            #expect(!rig.isPaused)
            rig.passTime(16)
        }
        #expect(rig.upCounts.messages == 500)
    }

    @Test func `who waits for its rate is not taken for silent`() throws {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: true,
            idleMilliseconds: 2_000)
        // A record of 16 KiB at once is sixteen seconds' worth.
        let rig = try RelayRig.open(.tls, limits: Self.limits(1_024), rules: rules)
        rig.exchange(.client, Self.message(from: .client, 40_000))
        #expect(rig.isPaused)
        for _ in 0..<12 {
            rig.passDeadline()
            #expect(!rig.ending.hasBegun)
        }
    }

    @Test func `an end does not wait for the rate`() throws {
        let rig = try RelayRig.open(limits: Self.limits(1_024))
        let message = Self.message(from: .client, 100_000)
        rig.exchange(.client, message)
        #expect(rig.isPaused)
        rig.drain(code: 1012)
        rig.passTime(100)
        rig.resume()
        rig.exchange()
        let received = rig.backend.takeReceived()
        #expect(received.starts(with: message), "the frame in progress is finished")
        let behind = try #require(Frames.parse(Array(received.dropFirst(message.count))))
        #expect(behind.map(\.code) == [1012])
    }

    /// Once its client has room again, a relay whose upstream has gone waits for nothing but its rate.
    @Test(arguments: [Side.client, .backend], [false, true])
    func `a source that is gone is read to its end at its rate, though the reader was slow once`(
        side: Side, watched: Bool
    ) throws {
        let rules = RelayRules(idleMilliseconds: 3_600_000)
        let rig = try RelayRig.open(
            limits: Self.limits(8 * 1024), smallBuffers: true, rules: watched ? rules : nil)
        let message = Self.message(from: side, 120_000) + Frames.close(from: side, 1000)
        rig.peer(side.other).isDeaf = true
        rig.peer(side).enqueue(message)
        rig.peer(side).shutdown()
        rig.settle()
        try #require((side == .client ? rig.heldForBackend : rig.heldForClient) > 0)
        let stalled = rig.deadlineMilliseconds
        #expect(stalled == rig.space.pointee.nowMilliseconds + Patience.tests.closingMilliseconds)
        rig.peer(side.other).isDeaf = false
        rig.exchange()
        var steps = 0
        var received = rig.peer(side.other).takeReceived()
        while received.count < message.count && !rig.isEnded {
            try #require(rig.isPaused && steps < 1_000)
            let next = rig.resumeMilliseconds
            let now = rig.space.pointee.nowMilliseconds
            rig.passTime(next - now)
            let due = rig.deadlineMilliseconds
            if due > 0 && due <= next { rig.deadlinePassed() }
            rig.resume()
            rig.exchange()
            received += rig.peer(side.other).takeReceived()
            steps += 1
        }
        #expect(received == message)
        #expect(rig.space.pointee.nowMilliseconds > stalled, "it took longer than a stall may")
    }

    @Test func `a reader that stalls is given up though its source has time by the rules`() throws {
        let rig = try RelayRig.open(
            smallBuffers: true,
            rules: RelayRules(
                pingMilliseconds: 1_000, pongMilliseconds: 900_000, pingsClient: true))
        rig.client.isDeaf = true
        rig.backend.enqueue(Self.message(from: .backend, 120_000))
        rig.backend.shutdown()
        rig.settle()
        let began = rig.space.pointee.nowMilliseconds
        // Pings come due meanwhile: a timer gives no time anew.
        var steps = 0
        while !rig.isEnded && steps < 100 {
            rig.passDeadline()
            steps += 1
        }
        #expect(rig.isEnded)
        let took = rig.space.pointee.nowMilliseconds - began
        #expect(took == Patience.tests.closingMilliseconds)
    }

    @Test func `a client that is reset while it waits is seen to be gone`() throws {
        let rig = try RelayRig.open(limits: Self.limits())
        rig.exchange(.client, Self.message(from: .client, 150_000))
        #expect(rig.isPaused)
        rig.client.vanish()
        for _ in 0..<100 where !rig.ending.hasBegun {
            if rig.isPaused {
                rig.passTime(rig.resumeMilliseconds - rig.space.pointee.nowMilliseconds)
            }
            rig.resume()
            rig.exchange()
        }
        #expect(rig.ending.reason == .vanished)
        #expect(rig.ending.initiator == .client)
    }

    @Test func `a relay without a rate asks for no time`() throws {
        let rig = try RelayRig.open()
        rig.exchange(.client, Self.message(from: .client, 1_000_000))
        #expect(!rig.verdict.contains(.paused))
        #expect(rig.upCounts.messages == 1)
    }
}

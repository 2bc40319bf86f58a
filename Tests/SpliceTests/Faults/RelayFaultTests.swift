// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Faults that are done on purpose, on a clock that the test moves: what is late arrives whole and in order, and what is
/// cut is cut where it was to be.
struct RelayFaultTests {
    private static func rules(_ change: (inout FaultRules) -> Void) -> FaultRules {
        var rules = FaultRules()
        change(&rules)
        return rules
    }

    private static func messages(from side: Side, _ sizes: [Int]) -> [UInt8] {
        sizes.enumerated().flatMap { number, size in
            Frames.from(
                side, .binary, (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) })
        }
    }

    /// Lets time go on until nothing waits any more; how long that took.
    private func run(_ rig: RelayRig, most: Int = 100_000) throws -> UInt64 {
        let began = rig.space.pointee.nowMilliseconds
        var steps = 0
        while rig.isDelaying || rig.isPaused {
            steps += 1
            try #require(steps < most)
            let next = rig.resumeMilliseconds
            try #require(next < .max)
            rig.passTime(max(1, next - min(next, rig.space.pointee.nowMilliseconds)))
            rig.resume()
            rig.exchange()
        }
        return rig.space.pointee.nowMilliseconds - began
    }

    @Test(
        arguments: [Side.client, .backend],
        [(ClientEnd.plain, false), (.tls, false), (.tls, true), (.stream, false)])
    func `nothing arrives before the latency, and then all of it`(
        side: Side, end: (end: ClientEnd, released: Bool)
    ) throws {
        for level in [FaultRules.Level.frames, .bytes] {
            let rig = try RelayRig.open(end.end, released: end.released)
            _ = rig.begin(Self.rules { ($0.latencyMilliseconds, $0.level) = (200, level) })
            let bytes = Self.messages(from: side, [0, 1, 125, 126, 40_000, 3])
            rig.exchange(side, bytes)
            rig.passTime(199)
            rig.resume()
            rig.exchange()
            #expect(rig.peer(side.other).received.isEmpty)
            #expect(rig.isDelaying)
            _ = try run(rig)
            #expect(rig.peer(side.other).takeReceived() == bytes)
            #expect(rig.actedFaults == FaultKinds(.latency))
            let counted = rig.talliedFaults(.latency)
            #expect(level == .frames ? counted == 6 : counted > 600, "\(counted)")
            #expect(!rig.ending.hasBegun)
        }
    }

    @Test(arguments: [FaultRules.Level.frames, .bytes])
    func `jitter leaves the order as it is`(level: FaultRules.Level) throws {
        let rig = try RelayRig.open(.tls)
        _ = rig.begin(
            Self.rules {
                ($0.latencyMilliseconds, $0.jitterMilliseconds, $0.level) = (50, 50, level)
            })
        var sent: [UInt8] = []
        for number in 0..<200 {
            let bytes = Self.messages(from: .client, [number])
            sent += bytes
            rig.exchange(.client, bytes)
            rig.passTime(UInt64(number % 7))
            rig.resume()
        }
        _ = try run(rig)
        #expect(rig.backend.takeReceived() == sent)
    }

    @Test func `a Close comes behind what is late, and the relay ends in order`() throws {
        let rig = try RelayRig.open(.tls)
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 100 })
        let bytes = Self.messages(from: .client, [10, 20]) + Frames.close(from: .client, 1_000)
        rig.exchange(.client, bytes)
        #expect(rig.backend.received.isEmpty && !rig.isEnded)
        _ = try run(rig)
        #expect(rig.backend.takeReceived() == bytes)
        rig.exchange(.backend, Frames.close(from: .backend, 1_000))
        #expect(rig.client.received.isEmpty)
        _ = try run(rig)
        #expect(rig.client.takeReceived() == Frames.close(from: .backend, 1_000))
        #expect(rig.ending.isOver && rig.ending.reason == .close)
    }

    @Test func `a Close of Sluice's own waits behind what is late`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 100 })
        let bytes = Self.messages(from: .backend, [300])
        rig.exchange(.backend, bytes)
        rig.drain(code: 1_012, deadline: rig.space.pointee.nowMilliseconds + 60_000)
        #expect(rig.client.received.isEmpty)
        _ = try run(rig)
        #expect(rig.client.takeReceived().starts(with: bytes))
    }

    @Test func `what passes in a second is no more than the bandwidth`() throws {
        let rig = try RelayRig.open(.tls)
        let rate = 64 * 1_024
        _ = rig.begin(Self.rules { $0.bytesPerSecond = UInt64(rate) })
        let bytes = Self.messages(from: .backend, [100_000, 100_000])
        rig.exchange(.backend, bytes)
        let began = rig.space.pointee.nowMilliseconds
        var steps = 0
        while rig.isDelaying || rig.isPaused {
            steps += 1
            try #require(steps < 10_000)
            rig.passTime(
                max(1, rig.resumeMilliseconds - rig.space.pointee.nowMilliseconds))
            rig.resume()
            rig.exchange()
            let passed = Int(rig.space.pointee.nowMilliseconds - began)
            #expect(rig.client.received.count <= rate * passed / 1_000 + rate / 20)
        }
        let took = rig.space.pointee.nowMilliseconds - began
        #expect((2_900...3_300).contains(took), "\(took) ms for 200 kB at 64 KiB in a second")
        #expect(rig.client.takeReceived() == bytes)
        #expect(rig.talliedFaults(.bandwidth) > 0)
    }

    @Test func `so much waits, and no more is read of the source`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(Self.rules { $0.stallMilliseconds = 60_000 })
        let bytes = Self.messages(from: .client, Array(repeating: 50_000, count: 40))
        rig.exchange(.client, bytes)
        #expect(rig.isPaused && rig.client.unsentCount > 0)
        let most = UInt64(FaultLine.heldBytesMax + 64 * 1_024 + 16)
        #expect(rig.upCounts.bytes <= most)
        #expect(rig.backend.received.isEmpty)
        _ = try run(rig)
        #expect(rig.backend.takeReceived() == bytes)
        #expect(rig.talliedFaults(.stall) == 1)
    }

    @Test func `stalls come again, and in between all passes`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(
            Self.rules { ($0.stallMilliseconds, $0.stallEveryMilliseconds) = (200, 1_000) })
        let bytes = Self.messages(from: .client, [10])
        for round in 0..<3 {
            rig.exchange(.client, bytes)
            #expect(rig.backend.received.isEmpty, "round \(round)")
            rig.passTime(200)
            rig.resume()
            rig.exchange()
            #expect(rig.backend.takeReceived() == bytes)
            rig.passTime(500)
            rig.exchange(.client, bytes)
            #expect(rig.backend.takeReceived() == bytes)
            rig.passTime(300)
        }
        #expect(rig.talliedFaults(.stall) == 3)
    }

    @Test(
        arguments: [Side.client, .backend],
        [(ClientEnd.plain, false), (.tls, false), (.tls, true)])
    func `a cut is within the frame, and its peer learns that the client has gone`(
        side: Side, end: (end: ClientEnd, released: Bool)
    ) throws {
        for level in [FaultRules.Level.frames, .bytes] {
            for size in [0, 1, 5, 1_000, 100_000] {
                let rig = try RelayRig.open(end.end, released: end.released)
                _ = rig.begin(Self.rules { ($0.cut, $0.level) = (FaultRules.certain, level) })
                let frame = Self.messages(from: side, [size])
                rig.exchange(side, frame + Self.messages(from: side, [10, 20]))
                let got = rig.peer(side.other).takeReceived()
                #expect(got.count > 0 && got.count < frame.count, "\(got.count) of \(frame.count)")
                #expect(got == Array(frame.prefix(got.count)))
                if level == .frames, size > 0 {
                    #expect(got.count >= frame.count - size, "behind the header")
                }
                #expect(rig.client.hasEnded && !rig.client.wasClosedByNotify)
                #expect(rig.ending.reason == .fault && rig.ending.initiator == .sluice)
                #expect(rig.actedFaults == FaultKinds(.cut) && rig.talliedFaults(.cut) == 1)
                if side == .backend {
                    #expect(Frames.closes(in: rig.backend.takeReceived())?.map(\.code) == [1_001])
                } else {
                    #expect(rig.backend.hasEnded, "the upstream's stream ends within the frame")
                }
                rig.backend.shutdown()
                rig.client.shutdown()
                rig.settle()
                #expect(rig.isEnded)
            }
        }
    }

    @Test(arguments: [Side.client, .backend])
    func `a reset stands in place of a frame, and what was before it arrives`(side: Side) throws {
        let rig = try RelayRig.open()
        let before = Self.messages(from: side, [100])
        rig.exchange(side, before)
        #expect(rig.peer(side.other).takeReceived() == before)
        _ = rig.begin(Self.rules { $0.reset = FaultRules.certain })
        rig.exchange(side, Self.messages(from: side, [10, 20]))
        #expect(rig.client.hasEnded && rig.client.received.isEmpty)
        #expect(rig.ending.reason == .fault && rig.talliedFaults(.reset) == 1)
        rig.backend.shutdown()
        rig.settle()
        #expect(rig.isEnded)
    }

    @Test func `a cut stream is reset, and the upstream told`() throws {
        for change: (inout FaultRules) -> Void in [
            { $0.cut = FaultRules.certain }, { $0.reset = FaultRules.certain },
        ] {
            let rig = try RelayRig.open(.stream)
            _ = rig.begin(Self.rules(change))
            #expect(!rig.verdict.contains(.struck))
            rig.exchange(.backend, Self.messages(from: .backend, [1_000]))
            #expect(rig.ending.reason == .fault)
            // Whoever has the stream need not wait for what the upstream says to it.
            #expect(rig.verdict.contains(.struck))
            #expect(Frames.closes(in: rig.backend.takeReceived())?.map(\.code) == [1_001])
            rig.exchange(.backend, Frames.close(from: .backend, 1_001))
            rig.backend.shutdown()
            rig.settle()
        }
    }

    @Test func `an upstream whose direction is cut too learns that at once`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(
            Self.rules { ($0.latencyMilliseconds, $0.cut) = (50, FaultRules.certain) })
        rig.exchange(.backend, Self.messages(from: .backend, [1_000]))
        rig.passTime(20)
        rig.exchange(.client, Self.messages(from: .client, [1_000]))
        _ = try run(rig)
        #expect(rig.client.hasEnded && rig.ending.reason == .fault)
        #expect(rig.backend.hasEnded, "its stream ends within the frame")
        #expect(rig.talliedFaults(.cut) == 1)
    }

    @Test func `a stream that has room again is not at rest while something is late`() throws {
        let rig = try RelayRig.open(.stream)
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 60_000 })
        #expect(rig.isAtRest)
        rig.exchange(.backend, Self.messages(from: .backend, [10]))
        #expect(!rig.isAtRest)
    }

    @Test func `other faults take the place of those before, also for who is not drawn`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 60_000 })
        let bytes = Self.messages(from: .backend, [10])
        rig.exchange(.backend, bytes)
        #expect(rig.client.received.isEmpty)
        let other = rig.begin(Self.rules { ($0.cut, $0.share) = (FaultRules.certain, 0) })
        rig.exchange()
        #expect(rig.client.takeReceived() == bytes)
        rig.exchange(.backend, bytes)
        #expect(rig.client.takeReceived() == bytes && !rig.isDelaying)
        // It is known that the lot was drawn, and what was done before.
        #expect(rig.faultPlan === other && rig.actedFaults == FaultKinds(.latency))
    }

    @Test func `faults go on at another reactor as far as they have come`() throws {
        let first = try RelayRig.open()
        _ = first.begin(Self.rules { $0.stallMilliseconds = 1_000 })
        let bytes = Self.messages(from: .client, [10])
        first.exchange(.client, bytes)
        _ = try run(first)
        #expect(first.backend.takeReceived() == bytes)
        let carried = try #require(first.carriedFaults)
        let second = try RelayRig.open()
        second.passTime(2_000)
        second.resume(carried)
        second.exchange(.client, bytes)
        #expect(second.backend.takeReceived() == bytes && !second.isDelaying)
        #expect(second.actedFaults == FaultKinds(.stall) && second.talliedFaults(.stall) == 0)
    }

    @Test func `a line whose destination takes nothing is not asked with every step`() throws {
        let rig = try RelayRig.open(smallBuffers: true)
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 1 })
        rig.backend.enqueue(
            Self.messages(from: .backend, Array(repeating: 60_000, count: 30)))
        for _ in 0..<20 {
            // The client reads nothing.
            _ = rig.backend.pump()
            rig.passTime(5)
            rig.resume()
        }
        try #require(rig.heldForClient > 0 && rig.isDelaying)
        #expect(rig.resumeMilliseconds >= rig.space.pointee.nowMilliseconds + 1_000)
    }

    @Test
    func `faults that are over are counted no more while their line waits for its destination`()
        throws
    {
        let rig = try RelayRig.open(smallBuffers: true)
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 1 }, forMilliseconds: 50)
        let bytes = Self.messages(from: .backend, Array(repeating: 60_000, count: 30))
        rig.backend.enqueue(bytes)
        for _ in 0..<10 {
            // The client reads nothing.
            _ = rig.backend.pump()
            rig.passTime(2)
            rig.resume()
        }
        try #require(rig.heldForClient > 0 && rig.isDelaying)
        let counted = rig.talliedFaults(.latency)
        try #require(counted > 0 && counted < 30)
        rig.passTime(100)
        // It reads on: what the line has goes on piece by piece, and what comes then stands behind it.
        rig.exchange()
        _ = try run(rig)
        #expect(rig.client.takeReceived() == bytes)
        #expect(rig.talliedFaults(.latency) == counted)
    }

    @Test func `what was on its way to the upstream arrives before it learns of a cut`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(
            Self.rules { ($0.latencyMilliseconds, $0.jitterMilliseconds) = (100, 0) })
        let up = Self.messages(from: .client, [50, 60])
        rig.exchange(.client, up)
        let plan = rig.begin(Self.rules { $0.reset = FaultRules.certain })
        #expect(rig.backend.takeReceived() == up, "other faults send on what these held")
        rig.exchange(.backend, Self.messages(from: .backend, [1]))
        #expect(rig.client.hasEnded)
        #expect(!plan.isOver(nowMilliseconds: rig.space.pointee.nowMilliseconds))
    }

    @Test func `faults end by themselves, and what they hold back goes on in order`() throws {
        let rig = try RelayRig.open(.tls)
        _ = rig.begin(Self.rules { $0.latencyMilliseconds = 30_000 }, forMilliseconds: 1_000)
        let bytes = Self.messages(from: .client, [10, 2_000])
        rig.exchange(.client, bytes)
        let took = try run(rig)
        #expect((999...1_001).contains(took), "\(took)")
        #expect(rig.backend.takeReceived() == bytes)
        rig.exchange(.client, bytes)
        #expect(rig.backend.takeReceived() == bytes)
        #expect(!rig.isDelaying)
    }

    @Test func `faults that somebody ends let go at the next look`() throws {
        let rig = try RelayRig.open()
        let plan = rig.begin(
            Self.rules { ($0.stallMilliseconds, $0.cut) = (30_000, FaultRules.certain) })
        let bytes = Self.messages(from: .backend, [10])
        // Of the rest of a frame in progress nothing is cut.
        rig.exchange(.backend, Array(bytes.prefix(2)))
        plan.end()
        rig.exchange(.backend, Array(bytes.dropFirst(2)))
        rig.resume()
        rig.exchange()
        let got = rig.client.takeReceived()
        #expect(got == bytes || rig.ending.reason == .fault)
    }

    @Test func `faults that begin within a frame leave the rest of it alone`() throws {
        let rig = try RelayRig.open()
        let frame = Self.messages(from: .backend, [1_000])
        rig.exchange(.backend, Array(frame.prefix(300)))
        _ = rig.begin(Self.rules { $0.cut = FaultRules.certain })
        rig.exchange(.backend, Array(frame.dropFirst(300)))
        #expect(rig.client.takeReceived() == frame)
        rig.exchange(.backend, frame)
        let got = rig.client.takeReceived()
        #expect(got.count < frame.count && rig.client.hasEnded)
    }

    @Test func `a share of none has no faults`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(Self.rules { ($0.latencyMilliseconds, $0.share) = (1_000, 0) })
        let bytes = Self.messages(from: .client, [10])
        rig.exchange(.client, bytes)
        #expect(rig.backend.takeReceived() == bytes)
        #expect(rig.actedFaults.isEmpty)
    }

    @Test func `an idle relay is looked at by no timer for its faults`() throws {
        let rig = try RelayRig.open()
        _ = rig.begin(
            Self.rules { ($0.latencyMilliseconds, $0.bytesPerSecond) = (50, 1_000) })
        #expect(!rig.isDelaying && !rig.isPaused)
        rig.exchange(.client, Self.messages(from: .client, [10]))
        _ = try run(rig)
        #expect(!rig.isDelaying && !rig.isPaused)
    }
}

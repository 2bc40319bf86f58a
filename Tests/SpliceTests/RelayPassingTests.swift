// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Frames that are in order go on as they came.
struct RelayPassingTests {
    /// Every length form, fragments with control frames between them, empty frames.
    static func stream(from side: Side) -> [UInt8] {
        func frame(_ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8] {
            side == .client
                ? Frames.client(opcode, payload, isFinal: isFinal)
                : Frames.server(opcode, payload, isFinal: isFinal)
        }
        return frame(.text, Array("hello".utf8)) + frame(.binary, [])
            + frame(.text, Array("a".utf8), isFinal: false) + frame(.ping, [1, 2, 3])
            + frame(.continuation, Array("b".utf8), isFinal: false) + frame(.pong, [])
            + frame(.continuation, [], isFinal: true)
            + frame(.binary, [UInt8](repeating: 0xA5, count: 126))
            + frame(.text, Array("bye".utf8))
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `frames split at any byte arrive as they were sent`(side: Side, end: ClientEnd) throws {
        let stream = Self.stream(from: side)
        let rig = try RelayRig.open(end)
        for split in 1..<stream.count {
            rig.exchange(side, Array(stream[..<split]))
            let early = rig.peer(side.other).takeReceived()
            #expect(split - early.count <= FrameScanner.tailBytesMax)
            rig.exchange(side, Array(stream[split...]))
            #expect(early + rig.peer(side.other).takeReceived() == stream, "split at \(split)")
        }
        #expect(rig.lentCountMax == 0)
        let counts = side == .client ? rig.upCounts : rig.downCounts
        let rounds = UInt64(stream.count - 1)
        #expect(counts.frames == 9 * rounds)
        #expect(counts.messages == 5 * rounds)
        #expect(counts.payloadBytes == 136 * rounds)
        #expect(counts.bytes == UInt64(stream.count) * rounds)
        #expect(!rig.ending.hasBegun)
        #expect(rig.deadlineMilliseconds == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `frames arrive byte by byte`(side: Side, end: ClientEnd) throws {
        let stream = Self.stream(from: side)
        let rig = try RelayRig.open(end)
        for byte in stream { rig.exchange(side, [byte]) }
        #expect(rig.peer(side.other).takeReceived() == stream)
    }

    @Test(arguments: ClientEnd.allCases)
    func `both ways at once do not disturb each other`(end: ClientEnd) throws {
        let rig = try RelayRig.open(end)
        var up: [UInt8] = []
        var down: [UInt8] = []
        for size in [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 300_000] {
            let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
            up += Frames.client(.binary, payload, key: UInt32(size) &* 0x9E37_79B9)
            down += Frames.server(.binary, payload)
        }
        rig.client.enqueue(up)
        rig.backend.enqueue(down)
        rig.exchange()
        #expect(rig.backend.received == up)
        #expect(rig.client.received == down)
        #expect(rig.lentCount == 0)
        #expect(rig.upCounts.messages == 10 && rig.downCounts.messages == 10)
    }

    @Test func `what came behind the heads belongs to the stream`() throws {
        let rig = try RelayRig.open(.tls)
        let up = (0..<5).flatMap { Frames.client(.text, [UInt8](repeating: $0, count: 50_000)) }
        let cut = up.count - 60_000
        rig.backend.isDeaf = true
        rig.feed(.client, Array(up[..<cut]))
        rig.feed(.backend, Frames.server(.text, [1, 2, 3]))
        rig.backend.isDeaf = false
        rig.exchange(.client, Array(up[cut...]))
        #expect(rig.backend.received == up)
        #expect(rig.client.received == Frames.server(.text, [1, 2, 3]))
        #expect(rig.lentCount == 0)
    }

    @Test func `reserved bits pass where they were granted`() throws {
        let rig = try RelayRig.open(reservedBits: 0x40)
        let compressed: [UInt8] = [0xC1, 0x02, 0x4A, 0x00]
        rig.exchange(.backend, compressed)
        #expect(rig.client.received == compressed)
        #expect(!rig.ending.hasBegun)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `where the destination stops reading, the source is not read`(
        side: Side, end: ClientEnd
    ) throws {
        let capacity = 32 * 1024
        // A stream has its window beside.
        let lentMax = (capacity + (end == .stream ? StreamOwner.windowBytes : 0)) / 16_384 + 2
        let rig = try RelayRig.open(end, receiveCapacity: capacity, smallBuffers: true)
        let payload = (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 3) }
        let stream = Frames.from(side, .binary, payload)
        let destination = rig.peer(side.other)
        destination.isDeaf = true
        rig.exchange(side, stream)
        // It stands still: the rest waits in the source's own memory.
        #expect(rig.peer(side).unsentCount > 3_000_000)
        let held = side == .client ? rig.heldForBackend : rig.heldForClient
        #expect(held > 0)
        // One receive, and what sealing adds to it.
        #expect(held <= capacity + FrameScanner.tailBytesMax + 1_024)
        #expect(rig.lentCountMax <= lentMax)
        // The other direction is none of its business.
        let back = Frames.from(side.other, .text, Array("still here".utf8))
        rig.exchange(side.other, back)
        #expect(rig.peer(side).received == back)

        destination.isDeaf = false
        rig.exchange()
        #expect(destination.received == stream)
        #expect(rig.lentCount == 0)
        #expect(rig.lentCountMax <= lentMax)
    }

    @Test func `no relay moves more in one turn than its budget`() throws {
        let rig = try RelayRig(receiveCapacity: 4_096, pumpBytesMax: 8_192)
        rig.peer(.client).enqueue(Frames.client(.binary, [UInt8](repeating: 1, count: 50_000)))
        let moved = rig.openAndTurnOnce()
        #expect(moved >= 8_192 && moved <= 8_192 + 4_096)
        #expect(rig.verdict.contains(.again))
        rig.exchange()
        #expect(Frames.parse(rig.backend.received)?.count == 1)
    }
}

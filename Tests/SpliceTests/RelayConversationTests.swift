// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import TestKit
import Testing
import Wire

@testable import Splice

/// Goal: whatever two peers say to each other and however it is cut, each gets what the other sent
/// up to and with its Close, whole and in order, and nothing of what stands behind it.
///
/// Method: random conversations in random pieces, of which some end without a Close; Sluice's Pings
/// between them are answered, wherever the answer falls. The model is the list of frames.
struct RelayConversationTests {
    /// One peer: what it has to say, and what the other is to get of it.
    struct Speaker {
        let side: Side
        /// What may pass, frame by frame; the last is the Close where there is one.
        private(set) var frames: [[UInt8]] = []
        private(set) var messages: UInt64 = 0
        private(set) var payloadBytes: UInt64 = 0
        private(set) var closeCode: UInt16?
        /// Whole frames and, behind a Close, anything; what was begun is finished first.
        private var units: [[UInt8]]
        private var begun: ArraySlice<UInt8> = []

        var isDone: Bool { units.isEmpty && begun.isEmpty }
        var expected: [UInt8] { Array(frames.joined()) }

        init(_ side: Side, closes: Bool, using dice: inout SplitMix) {
            self.side = side
            units = []
            var isInside = false
            for _ in 0..<dice.below(8) { add(&isInside, using: &dice) }
            if !closes {
                units = frames
                return
            }
            let codes: [UInt16?] = [nil, 1000, 1001, 3000, 4999]
            let code = codes[dice.below(codes.count)]
            closeCode = code ?? 1005
            frames.append(Frames.close(from: side, code))
            units = frames
            let kinds = RelayBehindCloseTests.kinds(side)
            for _ in 0..<dice.below(3) { units.append(kinds[dice.below(kinds.count)]) }
        }

        /// Adds a frame that may stand here.
        private mutating func add(_ isInside: inout Bool, using dice: inout SplitMix) {
            if dice.below(4) == 0 {
                // No payload of eight bytes: those are the Pings of ours.
                let payload = dice.bytes([0, 1, 7, 9, 125][dice.below(5)])
                frames.append(Frames.from(side, dice.below(2) == 0 ? .ping : .pong, payload))
                return
            }
            let payload = dice.bytes(
                [0, 1, 8, 125, 126, 300, 70_000][dice.below(6 + dice.below(2))])
            let isFinal = dice.below(3) > 0
            let opcode: Opcode = isInside ? .continuation : dice.below(2) == 0 ? .text : .binary
            var frame =
                side == .client
                ? Frames.client(opcode, payload, isFinal: isFinal)
                : Frames.server(opcode, payload, isFinal: isFinal)
            // Compressed, as permessage-deflate marks it.
            if !isInside && dice.below(2) == 0 { frame[0] |= 0x40 }
            frames.append(frame)
            isInside = !isFinal
            messages += isFinal ? 1 : 0
            payloadBytes += UInt64(payload.count)
        }

        /// Puts a Pong in front of what has not been begun.
        mutating func answer(_ ping: [UInt8]) {
            units.insert(Frames.from(side, .pong, ping), at: 0)
        }

        /// The next bytes, up to the end of the frame in progress or of several.
        mutating func piece(using dice: inout SplitMix) -> [UInt8] {
            var taken: [UInt8] = []
            repeat {
                if begun.isEmpty {
                    if units.isEmpty { break }
                    begun = units.removeFirst()[...]
                }
                let most = [1, 2, 5, 20, 200, 100_000][dice.below(6)]
                taken += begun.prefix(most)
                begun = begun.dropFirst(most)
            } while begun.isEmpty && dice.below(3) > 0
            return taken
        }
    }

    /// Takes the Pings with eight bytes out of whole frames, and gives their payloads.
    private static func withoutPings(_ bytes: [UInt8]) -> (rest: [UInt8], pings: [[UInt8]]) {
        var rest: [UInt8] = []
        var pings: [[UInt8]] = []
        var at = 0
        while at < bytes.count {
            let decoded = bytes[at...].withUnsafeBufferPointer { buffer in
                buffer.baseAddress.flatMap { FrameHeader.decode($0, count: buffer.count) }
            }
            guard let decoded,
                bytes.count - at - decoded.length >= Int(decoded.header.payloadLength)
            else { break }
            let end = at + decoded.length + Int(decoded.header.payloadLength)
            if decoded.header.opcode == .ping && decoded.header.payloadLength == 8,
                let frame = Frames.parse(Array(bytes[at..<end]))?.first
            {
                pings.append(frame.payload)
            } else {
                rest += bytes[at..<end]
            }
            at = end
        }
        return (rest + bytes[at...], pings)
    }

    private static let rules = RelayRules(
        pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: true, pingsUpstream: true)

    @Test(arguments: 0..<12)
    func `each gets what the other said, up to its Close`(seed: Int) throws {
        var dice = SplitMix(seed: UInt64(seed))
        for round in 0..<25 {
            let tls = dice.below(2) == 0
            let rig = try RelayRig.open(
                tls ? .tls : .plain, released: tls && dice.below(2) == 0, reservedBits: 0x40,
                receiveCapacity: [tls ? 4_096 : 64, 10_000, 65_536][dice.below(3)],
                rules: dice.below(3) > 0 ? Self.rules : nil)
            // A client may end its side of TCP instead, and get what still comes.
            let clientCloses = dice.below(4) > 0
            var speakers = [
                Speaker(.client, closes: clientCloses, using: &dice),
                Speaker(.backend, closes: true, using: &dice),
            ]
            var hasEnded = clientCloses
            var answered = [0, 0]
            // Once: the next deadline would be that of the answer.
            var mayPing = rig.deadlineMilliseconds > 0 && dice.below(3) > 0
            while !speakers.allSatisfy(\.isDone) || !hasEnded {
                if mayPing && dice.below(6) == 0 && !rig.ending.hasBegun {
                    mayPing = false
                    rig.passDeadline()
                }
                let index = dice.below(2)
                let side = speakers[index].side
                rig.peer(side).enqueue(speakers[index].piece(using: &dice))
                if speakers[0].isDone && !hasEnded {
                    hasEnded = true
                    rig.exchange()
                    rig.client.shutdown()
                }
                if dice.below(3) == 0 { continue }
                rig.exchange()
                for index in 0...1 {
                    let pings = Self.withoutPings(rig.peer(speakers[index].side).received).pings
                    for ping in pings.dropFirst(answered[index])
                    where index == 1 || clientCloses || !speakers[0].isDone {
                        speakers[index].answer(ping)
                    }
                    answered[index] = pings.count
                }
            }
            rig.exchange()
            expect(rig, speakers, "seed \(seed), round \(round)")
        }
    }

    private func expect(_ rig: RelayRig, _ speakers: [Speaker], _ what: String) {
        for speaker in speakers {
            let got = Self.withoutPings(rig.peer(speaker.side.other).received).rest
            #expect(got.starts(with: speaker.expected), "\(what), from \(speaker.side)")
            let behind = Frames.parse(Array(got.dropFirst(speaker.expected.count)))
            // Who has sent no Close is said to be gone.
            let codes: [UInt16] = speaker.closeCode == nil ? [1001] : []
            #expect(behind?.map(\.code) == codes, "\(what), from \(speaker.side)")
            let counts = speaker.side == .client ? rig.upCounts : rig.downCounts
            #expect(counts.frames == UInt64(speaker.frames.count), "\(what)")
            #expect(counts.messages == speaker.messages, "\(what)")
            #expect(counts.payloadBytes == speaker.payloadBytes, "\(what)")
            #expect(counts.bytes == UInt64(speaker.expected.count), "\(what)")
        }
        #expect(rig.ending.isOver && rig.ending.violation == .none, "\(what)")
        switch rig.ending.initiator {
        case .client: #expect(rig.ending.code == speakers[0].closeCode ?? 1001, "\(what)")
        case .upstream: #expect(rig.ending.code == speakers[1].closeCode, "\(what)")
        default: Issue.record("nobody ended it: \(what)")
        }
        rig.client.vanish()
        rig.backend.vanish()
        rig.settle()
        #expect(rig.isEnded && rig.lentCount == 0, "\(what)")
    }
}

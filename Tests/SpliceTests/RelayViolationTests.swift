// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Each way to break the rules of frames: the Close codes on both sides, and what stays unsent.
struct RelayViolationTests {
    /// Bytes of a side that break one rule, and lawful bytes that have to stand before them.
    static func offence(
        _ violation: FrameViolation, by side: Side
    ) -> (lawful: [UInt8], offence: [UInt8])? {
        let mask: UInt8 = side == .client ? 0x80 : 0
        let key: [UInt8] = side == .client ? [0, 0, 0, 0] : []
        let text = Frames.from(side, .text, [0x61])
        switch violation {
        case .none: return nil
        case .notMasked: return side == .client ? (text, [0x81, 0x01, 0x61]) : nil
        case .masked: return side == .backend ? (text, [0x81, 0x81, 0, 0, 0, 0, 0x61]) : nil
        case .reservedBits: return (text, [0xC1, mask | 1] + key + [0x61])
        case .reservedOpcode: return (text, [0x83, mask | 1] + key + [0x61])
        case .controlTooLong: return (text, [0x89, mask | 126, 0, 126] + key)
        case .controlFragmented: return (text, [0x09, mask] + key)
        case .continuationWithoutStart: return (text, [0x80, mask | 1] + key + [0x61])
        case .startInsideMessage: return ([0x01, mask] + key, [0x81, mask | 1] + key + [0x61])
        case .lengthTopBit: return (text, [0x82, mask | 127, 0x80, 0, 0, 0, 0, 0, 0, 1] + key)
        case .lengthNotMinimal: return (text, [0x82, mask | 126, 0, 5] + key)
        case .closePayloadLength: return (text, [0x88, mask | 1] + key + [3])
        case .closeCodeInvalid: return (text, [0x88, mask | 2] + key + [0x03, 0xED])
        case .messageTooBig:
            return (text, Frames.from(side, .text, [UInt8](repeating: 0, count: 101)))
        case .tooManyFragments:
            let fragments = [0x01, mask] + key + [0x00, mask] + key + [0x00, mask] + key
            return (fragments, [0x80, mask | 1] + key + [0x61])
        case .tooManyMessages:
            // Of the upstream messages are not counted.
            return side == .client ? (text + text + text + text, text) : nil
        }
    }

    @Test(
        arguments: FrameViolation.allCases.flatMap { violation in
            [Side.client, .backend].compactMap { side in
                offence(violation, by: side) == nil ? nil : (violation, side)
            }
        }, ClientEnd.allCases)
    func `a violation is told to the offender, and its loss to the other`(
        offender: (violation: FrameViolation, side: Side), end: ClientEnd
    ) throws {
        let (violation, side) = offender
        let (lawful, offence) = try #require(Self.offence(violation, by: side))
        var limits = RelayLimits(messageBytesMax: 100)
        limits.fragmentsMax = 3
        limits.messagesPerSecond = 4
        let rig = try RelayRig.open(end, limits: limits)
        rig.exchange(side, lawful + offence + [UInt8](repeating: 0xFF, count: 300))

        let toOffender = try #require(Frames.parse(rig.peer(side).takeReceived()))
        #expect(toOffender.map(\.opcode) == [.close])
        #expect(toOffender.first?.code == violation.closeCode.rawValue)
        #expect(toOffender.first?.isMasked == (side == .backend))
        let reason = toOffender.first.map { Array($0.payload.dropFirst(2)) }
        #expect(reason == Array("\(violation.closeText)".utf8))

        let toOther = rig.peer(side.other).takeReceived()
        #expect(toOther.starts(with: lawful))
        let behind = try #require(Frames.parse(Array(toOther.dropFirst(lawful.count))))
        #expect(behind.map(\.opcode) == [.close])
        #expect(behind.first?.code == (side == .client ? 1001 : 1014))
        #expect(behind.first?.isMasked == (side == .client))
        #expect(rig.ending.reason == .violation)
        #expect(rig.ending.violation == violation)
        #expect(rig.ending.initiator == .sluice)
        // The other answers; there is nothing to wait for any more.
        #expect(rig.deadlineMilliseconds > 0)
        rig.exchange(side.other, Frames.close(from: side.other, 1001))
        #expect(rig.client.hasEnded && rig.backend.hasEnded)
        rig.client.vanish()
        rig.backend.vanish()
        rig.settle()
        #expect(rig.isEnded)
        #expect(rig.lentCount == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a Pong against the rules that only our Ping provoked is known as that`(
        side: Side, end: ClientEnd
    ) throws {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 300, pingsClient: side == .client,
            pingsUpstream: side == .backend)
        // A client's frames must be masked and a server's not (RFC 6455 §5.1).
        let violation: FrameViolation = side == .client ? .notMasked : .masked
        func offend(_ make: (_ ours: [UInt8]) -> [UInt8]) throws -> RelayRig {
            let rig = try RelayRig.open(end, rules: rules)
            rig.passDeadline()
            rig.exchange()
            let ping = try #require(Frames.parse(rig.peer(side).takeReceived())?.first)
            rig.exchange(side, Frames.from(side, .text, [1]) + make(ping.payload))
            #expect(rig.ending.violation == violation)
            #expect(rig.ending.initiator == .sluice)
            let sentence = rig.ending.violationSentence
            #expect(sentence.hasPrefix(violation.sentence))
            #expect((sentence != violation.sentence) == rig.ending.isViolationProvoked)
            return rig
        }
        let answer = try offend { Frames.from(side.other, .pong, $0) }
        #expect(answer.ending.isViolationProvoked)
        #expect(answer.ending.violationSentence.contains("`ping`"))
        let half = try offend { Array(Frames.from(side.other, .pong, $0).prefix(7)) }
        #expect(half.ending.isViolationProvoked)
        // The answer to the other's Ping, a Ping of its own, a message.
        for make in [
            { _ in Frames.from(side.other, .pong, [1, 2, 3, 4, 5, 6, 7, 8]) },
            { Frames.from(side.other, .pong, $0 + [0]) }, { Frames.from(side.other, .ping, $0) },
            { Frames.from(side.other, .binary, $0) },
        ] as [([UInt8]) -> [UInt8]] {
            #expect(try !offend(make).ending.isViolationProvoked)
        }
    }

    @Test(arguments: [Side.client, .backend])
    func `an offence inside the other's frame waits for that frame's border`(side: Side) throws {
        let rig = try RelayRig.open()
        let frame = Frames.from(side.other, .binary, [UInt8](repeating: 9, count: 40))
        rig.exchange(side.other, Array(frame[..<20]))
        rig.exchange(side, [0x83, 0x80])
        // The offender stands inside a frame that it is being sent.
        #expect(rig.peer(side).received == Array(frame[..<20]))
        rig.exchange(side.other, Array(frame[20...]) + frame)
        let received = rig.peer(side).received
        #expect(received.starts(with: frame))
        let behind = try #require(Frames.parse(Array(received.dropFirst(frame.count))))
        #expect(behind.map(\.code) == [1002], "and nothing behind the Close")
    }

    @Test(arguments: [Side.client, .backend])
    func `lawful frames before an offence count, and what follows does not`(side: Side) throws {
        let rig = try RelayRig.open()
        let text = Frames.from(side, .text, [1, 2, 3])
        rig.exchange(side, text + text + [0x83, 0x80] + text)
        rig.exchange(side, text)
        let counts = side == .client ? rig.upCounts : rig.downCounts
        #expect(counts.bytes == UInt64(2 * text.count))
        #expect(rig.peer(side.other).received.starts(with: text + text))
    }
}

// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing
import Wire

@testable import Admin

/// Goal: what a dashboard sends is read as RFC 6455 has it, however it is cut, and bounded.
struct LiveFramesTests {
    private func events(_ pieces: [[UInt8]]) -> [LiveFrames.Event] {
        var frames = LiveFrames()
        return pieces.flatMap { frames.take($0) }
    }

    @Test func `messages and control frames come out whole, cut anywhere`() {
        let bytes =
            Frame.text("hello").masked().bytes + Frame.ping("?").masked().bytes
            + Frame(opcode: 1, payload: Array("in ".utf8), isFinal: false).masked().bytes
            + Frame.pong("!").masked().bytes
            + Frame(opcode: 0, payload: Array("two".utf8)).masked().bytes
            + Frame.binary([1, 2]).masked().bytes + Frame.close(1001).masked().bytes
        let expected: [LiveFrames.Event] = [
            .text(Array("hello".utf8)), .ping(Array("?".utf8)), .text(Array("in two".utf8)),
            .binary, .close(1001),
        ]
        #expect(events([bytes]) == expected)
        #expect(events(bytes.map { [$0] }) == expected)
        for place in bytes.indices {
            #expect(events([Array(bytes[..<place]), Array(bytes[place...])]) == expected)
        }
    }

    @Test func `what breaks the rules is named, behind what came in order before`() {
        let hello = Frame.text("hello").masked().bytes
        let first = LiveFrames.Event.text(Array("hello".utf8))
        for (wrong, violation): ([UInt8], FrameViolation) in [
            (Frame.text("hello").bytes, .notMasked),
            ([0x83, 0x80, 0, 0, 0, 0], .reservedOpcode),
            ([0xC1, 0x80, 0, 0, 0, 0], .reservedBits),
            ([0x80, 0x80, 0, 0, 0, 0], .continuationWithoutStart),
            ([0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .lengthTopBit),
            (Frame.text(String(repeating: "x", count: 4_097)).masked().bytes, .messageTooBig),
        ] {
            #expect(events([hello + wrong]) == [first, .violation(violation)], "\(violation)")
            #expect(events([hello, wrong, hello]).last == .violation(violation))
        }
        #expect(events([Frame(opcode: 8).masked().bytes]) == [.close(nil)])
    }

    @Test func `a message in too many frames is refused`() {
        let start = Frame(opcode: 1, payload: [], isFinal: false).masked().bytes
        let more = Frame(opcode: 0, payload: [0x20], isFinal: false).masked().bytes
        let all = events([start] + Array(repeating: more, count: 20))
        #expect(all.first == .violation(.tooManyFragments))
    }
}

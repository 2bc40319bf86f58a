// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct FrameViolationTests {
    struct Offence: Sendable, CustomTestStringConvertible {
        var violation: FrameViolation
        var bytes: [UInt8]
        var before: [UInt8] = []
        var isClient = true
        var reservedBits: UInt8 = 0
        var messageBytesMax = UInt64.max
        var fragmentsMax = UInt32.max
        var messagesMax: UInt64?
        var testDescription: String { "\(violation) \(bytes.prefix(4)) client: \(isClient)" }
    }

    static let start = FrameBytes(first: 0x01, payload: [1, 2]).bytes
    static let mask: [UInt8] = [1, 2, 3, 4]
    static let full: [UInt8] = Array(repeating: 0xFF, count: 7)

    static let offences: [Offence] =
        [
            Offence(violation: .notMasked, bytes: [0x81, 0x01, 0x41]),
            Offence(violation: .notMasked, bytes: [0x88, 0x00]),
            Offence(violation: .masked, bytes: [0x81, 0x81] + mask + [1], isClient: false),
            Offence(violation: .masked, bytes: [0x88, 0x80] + mask, isClient: false),
            Offence(violation: .reservedBits, bytes: [0xC1, 0x80] + mask),
            Offence(violation: .reservedBits, bytes: [0xA1, 0x80] + mask),
            Offence(violation: .reservedBits, bytes: [0x91, 0x80] + mask, reservedBits: 0x40),
            Offence(violation: .reservedBits, bytes: [0xC9, 0x80] + mask, reservedBits: 0x40),
            Offence(violation: .reservedBits, bytes: [0xC8, 0x80] + mask, reservedBits: 0x70),
            Offence(
                violation: .reservedBits, bytes: [0xC0, 0x80] + mask, before: start,
                reservedBits: 0x40),
            Offence(violation: .controlTooLong, bytes: [0x89, 0xFE, 0, 126] + mask),
            Offence(violation: .controlTooLong, bytes: [0x88, 127], isClient: false),
            Offence(violation: .controlFragmented, bytes: [0x09, 0x80] + mask),
            Offence(violation: .controlFragmented, bytes: [0x08, 0x80] + mask),
            Offence(violation: .controlFragmented, bytes: [0x0A, 0x00], isClient: false),
            Offence(violation: .continuationWithoutStart, bytes: [0x80, 0x80] + mask),
            Offence(violation: .continuationWithoutStart, bytes: [0x00, 0x00], isClient: false),
            Offence(violation: .startInsideMessage, bytes: [0x81, 0x80] + mask, before: start),
            Offence(violation: .startInsideMessage, bytes: [0x02, 0x80] + mask, before: start),
            Offence(violation: .lengthTopBit, bytes: [0x82, 127, 0xFF] + full, isClient: false),
            Offence(violation: .lengthTopBit, bytes: [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            Offence(violation: .lengthNotMinimal, bytes: [0x82, 0xFE, 0, 125]),
            Offence(violation: .lengthNotMinimal, bytes: [0x82, 126, 0, 0], isClient: false),
            Offence(violation: .lengthNotMinimal, bytes: [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255]),
            Offence(violation: .closePayloadLength, bytes: [0x88, 0x81] + mask + [1]),
            Offence(violation: .closePayloadLength, bytes: [0x88, 0x01, 3], isClient: false),
            Offence(
                violation: .messageTooBig, bytes: [0x82, 0x8B] + mask, messageBytesMax: 10),
            Offence(
                violation: .messageTooBig, bytes: [0x82, 126, 0x10, 0], isClient: false,
                messageBytesMax: 4095),
            Offence(
                violation: .messageTooBig, bytes: [0x80, 0x89] + mask, before: start,
                messageBytesMax: 10),
            Offence(
                violation: .messageTooBig, bytes: [0x80, 127, 0x7F] + full,
                before: [0x02, 1, 9], isClient: false, messageBytesMax: 100),
            Offence(
                violation: .tooManyFragments, bytes: [0x80, 0x80], before: start,
                fragmentsMax: 1),
            Offence(
                violation: .tooManyFragments, bytes: [0x00, 0x00],
                before: [0x02, 1, 9, 0x00, 0, 0x89, 0], isClient: false, fragmentsMax: 2),
            Offence(violation: .tooManyMessages, bytes: [0x81, 0x80], messagesMax: 0),
            Offence(
                violation: .tooManyMessages, bytes: [0x8A, 0x80],
                before: start + FrameBytes(first: 0x89).bytes + FrameBytes(first: 0x00).bytes,
                messagesMax: 2),
        ]
        + [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map {
            Offence(violation: .reservedOpcode, bytes: [0x80 | $0, 0x80] + mask)
        }
        + [0, 999, 1005, 1006, 1015, 5000, 65535].flatMap {
            [
                Offence(violation: .closeCodeInvalid, bytes: FrameBytes.close($0)),
                Offence(
                    violation: .closeCodeInvalid, bytes: FrameBytes.close($0, isMasked: false),
                    isClient: false),
            ]
        }

    @Test(arguments: offences)
    func `an offence is named, and what stood before it goes on`(offence: Offence) {
        let stream = offence.before + offence.bytes
        for cut in 0...stream.count {
            var caller = ScannerCaller(
                FrameScanner(
                    sender: offence.isClient ? .client : .server,
                    reservedBits: offence.reservedBits, messageBytesMax: offence.messageBytesMax,
                    fragmentsMax: offence.fragmentsMax))
            caller.scanner.allow(messages: offence.messagesMax)
            caller.feed(stream[..<cut])
            caller.feed(stream[cut...])
            #expect(caller.violation == offence.violation)
            #expect(caller.forwarded == offence.before)
            #expect(caller.scanner.isAtFrameBorder)
        }
    }

    @Test func `every violation but none has a test above`() {
        let tested = Set(Self.offences.map(\.violation))
        #expect(tested == Set(FrameViolation.allCases).subtracting([.none]))
    }

    @Test func `a violation is said again when asked again`() {
        var scanner = FrameScanner(sender: .server, reservedBits: 0)
        let bytes: [UInt8] = [0x81, 0x80, 0, 0, 0, 0]
        for _ in 0..<2 {
            let outcome = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { scanner.scan($0, count: buffer.count) }
            }
            #expect(outcome?.violation == .masked)
            #expect(outcome?.forwardable == 0)
        }
        #expect(scanner.frames == 0)
    }

    @Test func `a size over the limit is 1009, another limit 1008, and all else 1002`() {
        for violation in FrameViolation.allCases {
            let expected: CloseCode =
                switch violation {
                case .messageTooBig: .messageTooBig
                case .tooManyFragments, .tooManyMessages: .policyViolation
                default: .protocolError
                }
            #expect(violation.closeCode == expected)
        }
    }

    @Test func `every violation has a sentence of its own`() {
        let sentences = FrameViolation.allCases.map(\.sentence)
        #expect(Set(sentences).count == sentences.count)
        #expect(sentences.allSatisfy { $0.hasSuffix(".") })
    }

    @Test func `only codes that may stand in a frame may be sent`() {
        let forbidden: [UInt16] = [0, 1, 999, 1005, 1006, 1015, 5000, 65535]
        let allowed: [UInt16] = [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4000, 4999]
        for code in forbidden { #expect(!CloseCode(rawValue: code).maySend) }
        for code in allowed { #expect(CloseCode(rawValue: code).maySend) }
    }
}

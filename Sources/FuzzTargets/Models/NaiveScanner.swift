// SPDX-License-Identifier: Apache-2.0

package import Wire

/// The frame rules once more, over a whole stream at once and without any haste: what
/// `FrameScanner` must agree with.
package struct NaiveScanner {
    package let isClient: Bool
    package var reservedBits: UInt8 = 0
    package var messageBytesMax = UInt64.max
    package var fragmentsMax = UInt32.max
    /// Messages, Pings and Pongs that may begin; nil for any number.
    package var messagesMax: UInt64?

    package private(set) var forwardable = 0
    package private(set) var violation = FrameViolation.none
    package private(set) var frames: UInt64 = 0
    package private(set) var messages: UInt64 = 0
    package private(set) var payloadBytes: UInt64 = 0
    package private(set) var closeCode: UInt16 = 0
    package private(set) var isAtBorder = true
    /// Messages and control frames that have passed whole.
    package private(set) var passed: [Passed] = []

    /// A message, by the opcode of its first frame, or a control frame.
    package struct Passed: Equatable {
        package let opcode: UInt8
        package let bytes: UInt64
    }

    package init(isClient: Bool, reservedBits: UInt8 = 0, messageBytesMax: UInt64 = .max) {
        self.isClient = isClient
        self.reservedBits = reservedBits
        self.messageBytesMax = messageBytesMax
    }

    package mutating func run(_ stream: [UInt8]) {
        var isInside = false
        var messageBytes: UInt64 = 0
        var fragments: UInt32 = 0
        var begun: UInt64 = 0
        var messageOpcode: UInt8 = 0
        while forwardable < stream.count {
            let rest = Array(stream[forwardable...])
            if closeCode != 0 { return }
            guard rest.count >= 2 else { return }
            let isFinal = rest[0] >= 128
            let bits = rest[0] & 0x70
            let opcode = rest[0] % 16
            let isControl = opcode > 7
            let length7 = rest[1] % 128
            if bits & ~reservedBits != 0 { return fail(.reservedBits) }
            if bits != 0 && isControl { return fail(.reservedBits) }
            if bits == 0x40 && opcode == 0 && reservedBits == 0x40 { return fail(.reservedBits) }
            if isClient && rest[1] < 128 { return fail(.notMasked) }
            if !isClient && rest[1] >= 128 { return fail(.masked) }
            if ![0, 1, 2, 8, 9, 10].contains(opcode) { return fail(.reservedOpcode) }
            if isControl && !isFinal { return fail(.controlFragmented) }
            if isControl && length7 > 125 { return fail(.controlTooLong) }
            if opcode == 0 && !isInside { return fail(.continuationWithoutStart) }
            if (opcode == 1 || opcode == 2) && isInside { return fail(.startInsideMessage) }
            let extra = length7 == 126 ? 2 : length7 == 127 ? 8 : 0
            guard rest.count >= 2 + extra else { return }
            var length = UInt64(length7)
            if extra > 0 {
                length = rest[2..<2 + extra].reduce(0) { $0 << 8 | UInt64($1) }
                if length >= 1 << 63 { return fail(.lengthTopBit) }
                if length < (extra == 2 ? 126 : 65536) { return fail(.lengthNotMinimal) }
            }
            if opcode != 0 && opcode != 8 && begun == messagesMax { return fail(.tooManyMessages) }
            if opcode == 8 && length == 1 { return fail(.closePayloadLength) }
            if !isControl {
                let (sum, isOver) = (opcode == 0 ? messageBytes : 0)
                    .addingReportingOverflow(length)
                if isOver || sum > messageBytesMax { return fail(.messageTooBig) }
                if opcode == 0 && fragments >= fragmentsMax { return fail(.tooManyFragments) }
                if rest.count >= 2 + extra + (isClient ? 4 : 0) { messageBytes = sum }
            }
            let header = 2 + extra + (isClient ? 4 : 0)
            guard rest.count >= header else { return }
            if opcode == 8 {
                var code: UInt16 = 1005
                if length > 0 {
                    guard rest.count >= header + 2 else { return }
                    let key = isClient ? Array(rest[header - 4..<header]) : [0, 0, 0, 0]
                    code = UInt16(rest[header] ^ key[0]) << 8 | UInt16(rest[header + 1] ^ key[1])
                    let isForbidden =
                        code < 1000 || code > 4999 || [1005, 1006, 1015].contains(code)
                    if isForbidden { return fail(.closeCodeInvalid) }
                }
                closeCode = code
            }
            let passed = min(UInt64(rest.count - header), length)
            frames += 1
            if opcode != 0 && opcode != 8 { begun += 1 }
            if !isControl { fragments = opcode == 0 ? fragments + 1 : 1 }
            if opcode == 1 || opcode == 2 { messageOpcode = opcode }
            if isControl && passed == length {
                self.passed.append(Passed(opcode: opcode, bytes: length))
            }
            if !isControl && isFinal && passed == length {
                self.passed.append(Passed(opcode: messageOpcode, bytes: messageBytes))
            }
            if !isControl {
                isInside = !isFinal
                payloadBytes += passed
                if isFinal && passed == length { messages += 1 }
            }
            isAtBorder = passed == length
            forwardable += header + Int(passed)
        }
    }

    /// How many of a kind have passed.
    package func count(of kind: FrameTally.Kind) -> UInt64 {
        UInt64(passed.filter { $0.opcode == kind.rawValue }.count)
    }

    /// The lengths of the messages that have passed.
    package var messageSizes: [UInt64] { passed.filter { $0.opcode < 8 }.map(\.bytes) }

    private mutating func fail(_ violation: FrameViolation) {
        self.violation = violation
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Walks one direction of one relay, frame by frame, without collecting anything.
///
/// The scanner looks at frame headers only and says how many of the bytes just read may go on.
/// Its one invariant: all that it called forwardable is a sequence of whole, lawful headers and
/// their payload, so that where `isAtFrameBorder` holds a frame of Sluice's own may be put in.
/// A header that is still incomplete (at most 13 bytes) is never forwardable; the caller gives
/// it back in front of the next bytes.
public struct FrameScanner: Sendable {
    /// Who sends the frames: it decides whether they must or must not be masked (RFC 6455 §5.1).
    public enum Sender: UInt8, Sendable {
        /// Every frame must be masked.
        case client
        /// No frame may be masked.
        case server
    }

    /// What one call of `scan` found.
    public struct Outcome: Sendable {
        /// How many leading bytes may go on.
        public let forwardable: Int
        /// What stands behind them, if it breaks the rules.
        ///
        /// With `.none` the rest is an incomplete header, to be given again with more behind it.
        /// Once `isCloseComplete` holds, it is what stands behind the Close instead: that says
        /// nothing (RFC 6455 §1.4, §5.5.1), is not judged, and is to be dropped.
        public let violation: FrameViolation
    }

    /// The most bytes that `scan` leaves over when nothing is wrong: a header less one byte.
    public static let tailBytesMax = 13

    enum Place: UInt8 { case betweenMessages, insideMessage, closed }
    enum Kind: UInt8 { case control, data, finalData }

    /// Payload of the frame in progress that has not come yet.
    public internal(set) var outstanding: UInt64 = 0
    /// Payload declared so far by the frames of the message in progress, or of the last one.
    var messageBytes: UInt64 = 0
    var dataMessagesBegunToEnd: UInt64 = 0
    var declaredPayloadBytes: UInt64 = 0
    /// Frames whose header has gone on, control frames included.
    public internal(set) var frames: UInt64 = 0
    /// At this number of `frames` no further message may begin; `max` for any number.
    var framesMax = UInt64.max
    /// Where it is counted what passes; nil for nowhere.
    var tally: FrameTally.Cells?
    /// What has passed with the frame in progress, by its opcode; 0 where a message is not over with it.
    var passing: UInt8 = 0
    /// The opcode of the fragmented message in progress.
    var messageOpcode: UInt8 = 0
    let maskBit: UInt8
    let shortHeaderLength: UInt8
    let shortPayloadMax: UInt8
    let reservedBitsAllowed: UInt8
    var place = Place.betweenMessages
    var kind = Kind.control
    // Up to here it is what each short message touches: 64 bytes.
    let messageBytesMax: UInt64
    /// Frames of the fragmented message in progress.
    var fragments: UInt32 = 0
    let fragmentsMax: UInt32
    /// The code of the Close that went by: 0 before it, 1005 if it carried none.
    public internal(set) var closeCode: UInt16 = 0

    /// A scanner at the start of a direction.
    ///
    /// `reservedBits` are the RSV bits that the handshake allowed, as they stand in a frame's
    /// first byte. Exactly RSV1 (0x40) means permessage-deflate, which sets it on the first
    /// frame of a message only (RFC 7692 §6). More bits than that mean an extension whose rules
    /// are not known here; they may then stand on any data frame. `fragmentsMax` is the number of
    /// frames that one message may be sent in (RFC 6455 §5.4). What passes is counted in the cells of `tally`, which
    /// have to live as long as the scanner.
    public init(
        sender: Sender, reservedBits: UInt8, messageBytesMax: UInt64 = .max,
        fragmentsMax: UInt32 = .max, tally: FrameTally.Cells? = nil
    ) {
        self.tally = tally
        maskBit = sender == .client ? 0x80 : 0
        shortHeaderLength = sender == .client ? 6 : 2
        shortPayloadMax = UInt8(truncatingIfNeeded: min(messageBytesMax, 125))
        reservedBitsAllowed = reservedBits & 0x70
        self.messageBytesMax = messageBytesMax
        self.fragmentsMax = fragmentsMax
    }

    /// Lets so many more messages, Pings and Pongs begin; nil for any number.
    ///
    /// The one after them is `tooManyMessages`. Continuations belong to their message, and a Close
    /// may always come.
    public mutating func allow(messages: UInt64?) {
        framesMax = messages.map { frames &+ $0 } ?? .max
    }

    /// What is left of the messages that were allowed.
    public var messagesAllowed: UInt64 { framesMax &- frames }

    /// Whether RSV1 alone may be set, which says then that a message is compressed (RFC 7692 §6).
    public var allowsCompression: Bool { reservedBitsAllowed == 0x40 }

    /// Whether all that was forwardable so far ends between two frames.
    public var isAtFrameBorder: Bool { outstanding == 0 }

    /// Whether a Close frame's header has gone on.
    public var hasSeenClose: Bool { place == .closed }

    /// Whether a Close frame has gone on to its last byte.
    public var isCloseComplete: Bool { place == .closed && outstanding == 0 }

    /// Data messages that went by to their last byte.
    public var messages: UInt64 {
        // Counted when the final frame's header passes, so the hot path need not look back.
        outstanding != 0 && kind == .finalData
            ? dataMessagesBegunToEnd &- 1 : dataMessagesBegunToEnd
    }

    /// Payload bytes of data frames that went by.
    public var payloadBytes: UInt64 {
        outstanding != 0 && kind != .control
            ? declaredPayloadBytes &- outstanding : declaredPayloadBytes
    }

    /// Walks `count` bytes, of which the first is either payload of the frame in progress or the
    /// first byte of a header.
    ///
    /// Whatever the bytes are, it neither traps nor reads behind them. After a violation the
    /// scanner stands where the offending header begins and says the same again.
    public mutating func scan(_ bytes: UnsafePointer<UInt8>, count: Int) -> Outcome {
        assert(count >= 0)
        var position = 0
        if outstanding != 0 {
            let available = UInt64(truncatingIfNeeded: count)
            if outstanding >= available {
                outstanding &-= available
                if outstanding == 0 { frameHasPassed() }
                return Outcome(forwardable: count, violation: .none)
            }
            position = Int(truncatingIfNeeded: outstanding)
            outstanding = 0
            frameHasPassed()
        }
        while count &- position >= 2 {
            let left = count &- position
            let first = unsafe bytes[position]
            let second = unsafe bytes[position &+ 1]
            let shortLength = second & 0x7F
            let headerLength: Int
            let length: UInt64
            // The common frame, straight through: a short message in a single frame.
            if place == .betweenMessages, (first & ~reservedBitsAllowed) &- 0x81 < 2,
                second & 0x80 == maskBit, shortLength <= shortPayloadMax, frames != framesMax
            {
                headerLength = Int(shortHeaderLength)
                if left < headerLength { break }
                length = UInt64(shortLength)
                frames &+= 1
                dataMessagesBegunToEnd &+= 1
                declaredPayloadBytes &+= length
                messageBytes = length
                passing = first & 0x0F
                kind = .finalData
            } else {
                let step = unsafe judge(bytes + position, count: left)
                if step.violation != .none {
                    return Outcome(forwardable: position, violation: step.violation)
                }
                if step.headerLength == 0 { break }
                headerLength = step.headerLength
                length = step.payloadLength
            }
            let behindHeader = UInt64(truncatingIfNeeded: left &- headerLength)
            if length > behindHeader {
                outstanding = length &- behindHeader
                return Outcome(forwardable: count, violation: .none)
            }
            position = position &+ headerLength &+ Int(truncatingIfNeeded: length)
            frameHasPassed()
        }
        return Outcome(forwardable: position, violation: .none)
    }

    /// Counts what is over with the frame whose last byte has just passed.
    @inline(__always)
    private func frameHasPassed() {
        #if !SLUICE_BARE
        guard let tally, passing != 0 else { return }
        FrameTally.count(passing, bytes: messageBytes, in: tally)
        #endif
    }

    /// The same for bytes that go nowhere: what comes is judged, and nothing of it counted.
    public mutating func scanUncounted(_ bytes: UnsafePointer<UInt8>, count: Int) -> Outcome {
        // Of a frame in progress these leave out what has not come yet, and never will have passed.
        let counted = (frames: frames, messages: messages, payloadBytes: payloadBytes)
        framesMax = .max
        tally = nil
        let outcome = unsafe scan(bytes, count: count)
        frames = counted.frames
        dataMessagesBegunToEnd = counted.messages
        declaredPayloadBytes = counted.payloadBytes
        kind = .control
        return outcome
    }

    /// What a header says; a length of 0 means that more bytes are needed.
    private struct Step {
        var headerLength = 0
        var payloadLength: UInt64 = 0
        var violation = FrameViolation.none
    }

    /// Judges any header by all rules and, if it is lawful and whole, takes note of it.
    @inline(never)
    private mutating func judge(_ bytes: UnsafePointer<UInt8>, count: Int) -> Step {
        // As if more were needed: nothing behind a Close goes on.
        if place == .closed { return Step() }
        let first = unsafe bytes[0]
        let isFinal = first & 0x80 != 0
        let violation = unsafe firstBytesViolation(first, bytes[1])
        if violation != .none { return Step(violation: violation) }

        let length: UInt64
        var headerLength: Int
        switch unsafe bytes[1] & 0x7F {
        case 126:
            if count < 4 { return Step() }
            length = unsafe UInt64(bytes[2]) << 8 | UInt64(bytes[3])
            headerLength = 4
            if length < 126 { return Step(violation: .lengthNotMinimal) }
        case 127:
            if count < 10 { return Step() }
            length = unsafe UnsafeRawPointer(bytes + 2).loadUnaligned(as: UInt64.self).bigEndian
            headerLength = 10
            if length >> 63 != 0 { return Step(violation: .lengthTopBit) }
            if length < 0x1_0000 { return Step(violation: .lengthNotMinimal) }
        case let short:
            length = UInt64(short)
            headerLength = 2
        }
        if maskBit != 0 { headerLength &+= 4 }

        let opcode = first & 0x0F
        if frames == framesMax && opcode != 0 && opcode != Opcode.close.rawValue {
            return Step(violation: .tooManyMessages)
        }
        if opcode == Opcode.close.rawValue {
            if length == 1 { return Step(violation: .closePayloadLength) }
            // The code is judged before the first byte of the frame goes on.
            if count < headerLength &+ (length == 0 ? 0 : 2) { return Step() }
            if length != 0 {
                let code = unsafe closeCode(behind: bytes, headerLength: headerLength)
                if !code.maySend { return Step(violation: .closeCodeInvalid) }
                closeCode = code.rawValue
            } else {
                closeCode = CloseCode.noStatus.rawValue
            }
            place = .closed
            kind = .control
            passing = opcode
        } else if opcode >= 8 {
            if count < headerLength { return Step() }
            kind = .control
            passing = opcode
        } else {
            let before = opcode == 0 ? messageBytes : 0
            let (sum, overflow) = before.addingReportingOverflow(length)
            if overflow || sum > messageBytesMax { return Step(violation: .messageTooBig) }
            if opcode == 0 && fragments >= fragmentsMax && fragmentsMax != .max {
                return Step(violation: .tooManyFragments)
            }
            if count < headerLength { return Step() }
            messageBytes = sum
            fragments = opcode == 0 ? fragments &+ 1 : 1
            // It belongs to a message that was let in.
            if opcode == 0 && framesMax != .max { framesMax &+= 1 }
            place = isFinal ? .betweenMessages : .insideMessage
            kind = isFinal ? .finalData : .data
            if opcode != 0 { messageOpcode = opcode }
            passing = isFinal ? messageOpcode : 0
            dataMessagesBegunToEnd &+= isFinal ? 1 : 0
            declaredPayloadBytes &+= length
        }
        frames &+= 1
        return Step(headerLength: headerLength, payloadLength: length)
    }

    /// The rules that the first two bytes of a header can break.
    private func firstBytesViolation(_ first: UInt8, _ second: UInt8) -> FrameViolation {
        let opcode = first & 0x0F
        let reserved = first & 0x70
        if reserved != 0 {
            if reserved & ~reservedBitsAllowed != 0 || opcode >= 8 { return .reservedBits }
            if opcode == 0 && reservedBitsAllowed == 0x40 { return .reservedBits }
        }
        if second & 0x80 != maskBit { return maskBit != 0 ? .notMasked : .masked }
        switch opcode {
        case 0: return place == .insideMessage ? .none : .continuationWithoutStart
        case 1, 2: return place == .insideMessage ? .startInsideMessage : .none
        case 8, 9, 10:
            if first & 0x80 == 0 { return .controlFragmented }
            return second & 0x7F > 125 ? .controlTooLong : .none
        default: return .reservedOpcode
        }
    }

    private func closeCode(behind bytes: UnsafePointer<UInt8>, headerLength: Int) -> CloseCode {
        var high = unsafe bytes[headerLength]
        var low = unsafe bytes[headerLength &+ 1]
        if maskBit != 0 {
            high ^= unsafe bytes[headerLength &- 4]
            low ^= unsafe bytes[headerLength &- 3]
        }
        return CloseCode(rawValue: UInt16(high) << 8 | UInt16(low))
    }
}

// SPDX-License-Identifier: Apache-2.0

/// How a peer's frames broke RFC 6455 or a limit, or `none`.
///
/// A plain byte and not an `Optional` or an error, because the scanner returns it for every
/// read of every relay.
public enum FrameViolation: UInt8, Sendable, Equatable, CaseIterable {
    /// The frames keep to the rules so far.
    case none = 0
    /// A client's frame came without a mask (§5.1).
    case notMasked
    /// A server's frame came with a mask (§5.1).
    case masked
    /// A reserved bit is set that no extension allows here (§5.2).
    case reservedBits
    /// The opcode is one of 3–7 or 11–15 (§5.2).
    case reservedOpcode
    /// A control frame declares more than 125 bytes (§5.5).
    case controlTooLong
    /// A control frame is not marked as final (§5.5).
    case controlFragmented
    /// A continuation stands where no message has begun (§5.4).
    case continuationWithoutStart
    /// A new message begins before the last one has ended (§5.4).
    case startInsideMessage
    /// The 64-bit length has its top bit set (§5.2).
    case lengthTopBit
    /// The length is not written in the shortest form (§5.2).
    case lengthNotMinimal
    /// A Close frame's payload is one byte long (§5.5.1).
    case closePayloadLength
    /// The code of a Close frame must not stand on the wire (§7.4).
    case closeCodeInvalid
    /// A message is larger than configured.
    case messageTooBig
    /// A message comes in more frames than configured.
    case tooManyFragments
    /// More messages came in a second than configured.
    case tooManyMessages

    /// The code of the Close that the offender receives.
    ///
    /// 1009 is for size alone (RFC 6455 §7.4.1): a message in many small frames is not too big, and
    /// who is told so would look for the wrong thing.
    public var closeCode: CloseCode {
        switch self {
        case .messageTooBig: .messageTooBig
        case .tooManyFragments, .tooManyMessages: .policyViolation
        default: .protocolError
        }
    }

    /// The reason in Closes (RFC 6455 §7.1.6), where the code alone does not tell which rule it was.
    public var closeText: StaticString {
        switch self {
        case .tooManyFragments: "a message in too many fragments"
        case .tooManyMessages: "too many messages"
        default: ""
        }
    }

    /// A plain sentence for the log.
    public var sentence: String {
        switch self {
        case .none: "The frames are in order."
        case .notMasked: "A frame from the client is not masked."
        case .masked: "A frame from the server is masked."
        case .reservedBits: "A frame sets a reserved bit that was not negotiated for it."
        case .reservedOpcode: "A frame has a reserved opcode."
        case .controlTooLong: "A control frame is longer than 125 bytes."
        case .controlFragmented: "A control frame is fragmented."
        case .continuationWithoutStart: "A continuation frame has no message to continue."
        case .startInsideMessage: "A message begins before the one before it has ended."
        case .lengthTopBit: "A frame's 64-bit length has its top bit set."
        case .lengthNotMinimal: "A frame's length is not written in its shortest form."
        case .closePayloadLength: "A Close frame has a payload of one byte."
        case .closeCodeInvalid: "A Close frame carries a code that must not be sent."
        case .messageTooBig: "A message is larger than the limit (routes[].limits.messageBytes)."
        case .tooManyFragments:
            "A message comes in more fragments than the limit (routes[].limits.fragments)."
        case .tooManyMessages:
            "More messages come than the limit allows (routes[].limits.messagesPerSecond)."
        }
    }
}

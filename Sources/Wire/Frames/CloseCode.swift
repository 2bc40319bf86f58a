// SPDX-License-Identifier: Apache-2.0

/// The status code of a Close frame (RFC 6455 §7.4 and the IANA registry).
///
/// Any number can be held, because a peer may send any; `maySend` says which of them may stand
/// in a frame.
public struct CloseCode: RawRepresentable, Equatable, Hashable, Sendable {
    /// The number as it stands on the wire.
    public let rawValue: UInt16

    /// Holds any number, allowed on the wire or not.
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// 1000: the purpose was fulfilled.
    public static let normal = CloseCode(rawValue: 1000)
    /// 1001: the peer goes away, such as a server that stops.
    public static let goingAway = CloseCode(rawValue: 1001)
    /// 1002: the other side broke the protocol.
    public static let protocolError = CloseCode(rawValue: 1002)
    /// 1005: stands for a Close without a code; never on the wire.
    public static let noStatus = CloseCode(rawValue: 1005)
    /// 1006: stands for an end without a Close; never on the wire.
    public static let abnormal = CloseCode(rawValue: 1006)
    /// 1008: a rule of the house was broken, such as a rate limit.
    public static let policyViolation = CloseCode(rawValue: 1008)
    /// 1009: the message is larger than allowed.
    public static let messageTooBig = CloseCode(rawValue: 1009)
    /// 1011: the server met a condition it did not expect.
    public static let internalError = CloseCode(rawValue: 1011)
    /// 1012: the service restarts; connect again after a random pause.
    public static let serviceRestart = CloseCode(rawValue: 1012)
    /// 1014: a gateway had no good answer from the server behind it.
    public static let badGateway = CloseCode(rawValue: 1014)

    /// Whether the code may stand in a Close frame.
    ///
    /// Refused are the numbers below 1000 and above 4999 and the three that RFC 6455 §7.4.1
    /// forbids on the wire. Codes that are merely unassigned pass: a relay must not be the
    /// reason why a code registered later does not work.
    public var maySend: Bool {
        switch rawValue {
        case 1005, 1006, 1015: false
        case 1000...4999: true
        default: false
        }
    }
}

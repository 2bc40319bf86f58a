// SPDX-License-Identifier: Apache-2.0
public import Ledger
public import Wire

/// One of the two peers of a relay.
public enum Side: UInt8, Sendable {
    /// Who connected to us.
    case client = 0
    /// Whom we connected to.
    case backend = 1

    /// The other peer of the same relay.
    @inlinable
    public var other: Side { self == .client ? .backend : .client }

    /// The same as one who may begin an end.
    fileprivate var initiator: Initiator { self == .client ? .client : .upstream }
}

extension EndReason {
    /// The reason that stands in Closes of our own (RFC 6455 §7.1.6); empty where the code says all.
    var closeText: StaticString {
        switch self {
        case .idle: "idle for too long"
        case .lifetime: "the connection has reached its lifetime"
        case .token: "the token has expired"
        default: ""
        }
    }
}

/// A reason for Closes that somebody has given, shared by all relays that it is for.
public final class CloseText: Sendable {
    let bytes: [UInt8]

    /// Keeps the reason's UTF-8; only the first 123 bytes are sent (RFC 6455 §5.5).
    public init(_ text: String) { bytes = Array(text.utf8) }
}

/// How a relay comes to its end: who has spoken, who has been told, and what to tell whom.
///
/// A pure machine: events in, actions out. A side is settled when it was told that the socket is
/// over and nothing more is expected of it; when both are, the relay is over.
public struct Ending: Sendable {
    /// Closes to be sent now; 0 where there is none.
    public struct Action: Sendable, Equatable {
        /// The Close code to send to the client.
        public var tellClient: UInt16 = 0
        /// The Close code to send to the upstream.
        public var tellBackend: UInt16 = 0

        /// Neither peer is sent a Close.
        public static let none = Action()
    }

    private struct State: Sendable {
        /// It sent its Close, or nothing it sends matters any more.
        var hasSpoken = false
        /// It was sent a Close, or can't be sent one.
        var wasTold = false
        var isSettled: Bool { hasSpoken && wasTold }
    }

    private var client = State()
    private var backend = State()
    /// Which peer, or Sluice, began the end; `none` before that.
    public private(set) var initiator = Initiator.none
    /// Why the relay began to end; `none` before that.
    public private(set) var reason = EndReason.none
    /// The status code the end began with (RFC 6455 §7.4); 0 before, 1005 for a Close without one.
    public private(set) var code: UInt16 = 0
    /// The violation, where that was the reason.
    public private(set) var violation = FrameViolation.none
    /// Whether the frame against the rules is a Pong that a Ping of Sluice's own has provoked.
    public private(set) var isViolationProvoked = false

    /// A relay that is not ending.
    public init() {}

    /// The reason that stands in Closes of our own; empty where the code says all.
    var closeText: StaticString {
        reason == .violation ? violation.closeText : reason.closeText
    }

    /// What was against the rules, in plain words for the log.
    public var violationSentence: String {
        isViolationProvoked
            ? violation.sentence
                + " It is the Pong to a Ping of Sluice's own, which the route's `ping` asks for."
            : violation.sentence
    }

    /// Whether anything has begun to end.
    public var hasBegun: Bool {
        // Not by `!=`, which would be a call into another module: every turn of a relay asks this.
        if case .none = initiator { return false }
        return true
    }

    /// Whether both sides are settled.
    public var isOver: Bool { client.isSettled && backend.isSettled }

    /// How far a side is.
    private subscript(_ side: Side) -> State {
        get { side == .client ? client : backend }
        set { if side == .client { client = newValue } else { backend = newValue } }
    }

    /// Whether that side was told, so that nothing may be sent to it any more.
    public func wasTold(_ side: Side) -> Bool {
        self[side].wasTold
    }

    /// Whether that side has said all that matters.
    public func hasSpoken(_ side: Side) -> Bool {
        self[side].hasSpoken
    }

    /// A Close came from `side`; `wasRelayed` when it went on to the other.
    public mutating func closeCame(from side: Side, code: UInt16, wasRelayed: Bool) {
        begin(side.initiator, .close, code)
        markSpoken(side)
        if wasRelayed { markTold(side.other) }
    }

    /// A side's stream ended, by end of file or reset.
    ///
    /// The other is told 1001 when the client went away and 1014 when the upstream did.
    public mutating func vanished(_ side: Side) -> Action {
        if hasSpoken(side) && hasBegun { return .none }
        let code = Self.codeForLoss(of: side)
        begin(side.initiator, .vanished, code)
        markSpoken(side)
        return tell(side.other, code)
    }

    /// A side broke the rules: it is told why, the other that its peer is gone.
    ///
    /// `isProvoked` says that it did so in answering a Ping of Sluice's own.
    public mutating func violated(
        _ side: Side, _ violation: FrameViolation, isProvoked: Bool = false
    ) -> Action {
        if !hasBegun {
            self.violation = violation
            isViolationProvoked = isProvoked
        }
        begin(.sluice, .violation, violation.closeCode.rawValue)
        markSpoken(side)
        var action = tell(side.other, Self.codeForLoss(of: side))
        let own = tell(side, violation.closeCode.rawValue)
        action.tellClient |= own.tellClient
        action.tellBackend |= own.tellBackend
        return action
    }

    /// A side has not answered a Ping: it counts as gone, and the other is told as if it were.
    public mutating func unresponsive(_ side: Side) -> Action {
        let code = Self.codeForLoss(of: side)
        begin(side.initiator, .unresponsive, code)
        markSpoken(side)
        markTold(side)
        return tell(side.other, code)
    }

    /// The client's connection was cut on purpose, in the middle of what it carried: the upstream is told that the
    /// client is gone.
    mutating func struck() -> Action {
        let code = Self.codeForLoss(of: .client)
        begin(.sluice, .fault, code)
        markSpoken(.client)
        markTold(.client)
        return tell(.backend, code)
    }

    /// Sluice ends the relay of its own accord.
    public mutating func leave(_ reason: EndReason, code: UInt16) -> Action {
        begin(.sluice, reason, code)
        var action = tell(.client, code)
        action.tellBackend = tell(.backend, code).tellBackend
        return action
    }

    /// Nothing that a side may still send is looked at: no Close of it is awaited any more.
    public mutating func fellSilent(_ side: Side) { markSpoken(side) }

    /// A Close of ours is on its way to `side`, or it can't be reached.
    public mutating func markTold(_ side: Side) {
        self[side].wasTold = true
    }

    private mutating func markSpoken(_ side: Side) {
        self[side].hasSpoken = true
    }

    private mutating func begin(_ who: Initiator, _ why: EndReason, _ code: UInt16) {
        if hasBegun { return }
        initiator = who
        reason = why
        self.code = code
    }

    private func tell(_ side: Side, _ code: UInt16) -> Action {
        if wasTold(side) { return .none }
        return side == .client ? Action(tellClient: code) : Action(tellBackend: code)
    }

    private static func codeForLoss(of side: Side) -> UInt16 {
        (side == .client ? CloseCode.goingAway : CloseCode.badGateway).rawValue
    }
}

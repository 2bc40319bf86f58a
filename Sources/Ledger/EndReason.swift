// SPDX-License-Identifier: Apache-2.0

/// Who began the end of a relay.
public enum Initiator: UInt8, Sendable {
    /// The relay has not begun to end.
    case none
    /// The client, by a Close or by vanishing.
    case client
    /// The upstream, by a Close or by vanishing.
    case upstream
    /// Sluice, because of a violation, a limit or a drain.
    case sluice

    /// What the log and metrics call it.
    public var word: StaticString {
        switch self {
        case .none: "nobody"
        case .client: "client"
        case .upstream: "upstream"
        case .sluice: "sluice"
        }
    }
}

/// Why a relay ended, for the access line.
public enum EndReason: UInt8, Sendable {
    /// The relay has not begun to end.
    case none
    /// A Close passed through.
    case close
    /// A peer went away without a Close.
    case vanished
    /// A peer broke the rules of frames.
    case violation
    /// Sluice is going away.
    case drain
    /// A peer did not answer a Ping.
    case unresponsive
    /// No data frame passed for too long.
    case idle
    /// It had lived as long as it may.
    case lifetime
    /// An ordinary HTTP answer was relayed to its end.
    case answered
    /// The token that let the client in has ended.
    case token
    /// Its connection was cut on purpose, since the route has faults.
    case fault

    /// What the log and metrics call it.
    public var word: StaticString {
        switch self {
        case .none: "cut"
        case .close: "close"
        case .vanished: "vanished"
        case .violation: "violation"
        case .drain: "drain"
        case .unresponsive: "unresponsive"
        case .idle: "idle"
        case .lifetime: "lifetime"
        case .answered: "answered"
        case .token: "token"
        case .fault: "fault"
        }
    }
}

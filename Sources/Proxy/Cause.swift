// SPDX-License-Identifier: Apache-2.0

/// Why a request does not get the answer that it asked for, as far as something is decided by it.
///
/// What people read of it is made elsewhere: no decision depends on a sentence.
public enum Cause: UInt8, Sendable, CaseIterable {
    // MARK: No connection to an endpoint

    /// The name of the endpoint stands for no address.
    case unresolved
    /// The connection was refused or failed.
    case unreachable
    /// The connection did not stand in time.
    case connectTimeout
    /// TLS with the endpoint did not come about, or broke before it had answered.
    case tlsFailed
    /// This machine or process has no means for one more connection.
    case shortage
    /// Every endpoint has as many connections as it may have.
    case endpointsFull
    /// Every endpoint is being drained.
    case endpointsDraining

    // MARK: No answer, or none that can be used

    /// The upstream has ended the connection before an upgrade had a whole head of an answer.
    case noAnswer
    /// The upstream has ended the connection before its answer was whole.
    case incompleteAnswer
    /// No answer came in time.
    case answerTimeout
    /// The answer has begun, and stands still.
    case answerStalled
    /// The answer breaks the rules of HTTP.
    case badAnswer
    /// The 101 does not prove that a tunnel is open.
    case badUpgrade
    /// An upgrade was answered with a success that is none of a WebSocket, where the client would take it
    /// for one (RFC 8441 §5).
    ///
    /// The endpoint does well: it may not know the path that a client has chosen.
    case notSwitching

    // MARK: The client

    /// The body of the request stands still.
    case bodyTimeout
    /// The body of the request breaks the rules of HTTP.
    case badBody
    /// The body of the request is longer than the route allows.
    case bodyTooLarge
    /// The client has gone, or takes nothing any more.
    case clientGone

    // MARK: Sluice

    /// The process is going away.
    case leaving

    /// Whether the upstream is to blame: it could not be had, or its answer can't be used.
    public var blamesUpstream: Bool {
        switch self {
        case .unresolved, .unreachable, .connectTimeout, .tlsFailed, .noAnswer, .incompleteAnswer,
            .answerTimeout, .answerStalled, .badAnswer, .badUpgrade, .notSwitching:
            true
        case .shortage, .endpointsFull, .endpointsDraining, .bodyTimeout, .badBody, .bodyTooLarge,
            .clientGone, .leaving:
            false
        }
    }

    /// Whether the upstream is to blame when an upgrade has no answer for this cause.
    var blamesAnswer: Bool {
        switch self {
        case .noAnswer, .incompleteAnswer, .answerTimeout, .badAnswer, .badUpgrade: true
        case .unresolved, .unreachable, .connectTimeout, .tlsFailed, .shortage, .endpointsFull,
            .endpointsDraining, .answerStalled, .notSwitching, .bodyTimeout, .badBody,
            .bodyTooLarge, .clientGone, .leaving:
            false
        }
    }
}

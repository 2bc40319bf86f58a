// SPDX-License-Identifier: Apache-2.0

/// How far a stream of HTTP/2 is between the two who have to be done with it: its user, which is a request
/// or the tunnel that came of it, and its peer (RFC 9113 §5.1).
///
/// Pure: events go in, and at most one action comes out. What a stream holds is given back by `discard`,
/// which comes once: whoever is done last brings it about.
public enum StreamLife: Equatable, Sendable {
    /// It has a user, and the peer knows it as open; `isSent` once the end of the answer was produced.
    case used(isSent: Bool)
    /// Its user is done, and the peer has not heard its end, or not said its own.
    case left(isSent: Bool)
    /// Nothing more passes between the peer and us on it, and its user is still there.
    case closed
    /// Both are done, and what it held was given back.
    case gone

    /// A stream that has been opened.
    public init() { self = .used(isSent: false) }

    /// What happens to a stream.
    public enum Event: Equatable, Sendable {
        /// The end of the answer was produced.
        case sent
        /// Nothing more comes of it or goes to it; `isComplete` if both sides had ended it in order.
        case closed(isComplete: Bool)
        /// Its user is done; `hasSaidAll` if the answer was given to its end.
        case userLeft(hasSaidAll: Bool)
        /// The connection is over with all its streams.
        case connectionGone
        /// The stream is let go of without waiting for whoever is not done.
        case givenUp
    }

    /// What is to be done about it.
    public enum Action: Equatable, Sendable {
        case none
        /// Tell the peer that what it would still send is of no use.
        case endPeersSide
        /// Tell the peer that the answer will not be whole.
        case reset
        /// Tell the user that its client is gone.
        case cutUser
        /// Give back what the stream holds, and its place.
        case discard
    }

    /// Whether nothing more passes between the peer and us.
    public var isClosed: Bool { self == .closed || self == .gone }
    /// Whether it has no user any more.
    public var isLeft: Bool {
        switch self {
        case .left, .gone: true
        case .used, .closed: false
        }
    }

    /// Takes an event in.
    public mutating func handle(_ event: Event) -> Action {
        switch (self, event) {
        case (.used, .sent):
            self = .used(isSent: true)
            return .none
        case (.left, .sent):
            self = .left(isSent: true)
            return .endPeersSide
        case (.used, .closed(let isComplete)):
            self = .closed
            return isComplete ? .none : .cutUser
        case (.used, .connectionGone), (.closed, .connectionGone):
            self = .closed
            return .cutUser
        case (.used(let isSent), .userLeft(let hasSaidAll)):
            self = .left(isSent: isSent)
            if !hasSaidAll { return .reset }
            return isSent ? .endPeersSide : .none
        case (.left, .closed), (.left, .connectionGone), (.closed, .userLeft), (.used, .givenUp),
            (.left, .givenUp), (.closed, .givenUp):
            self = .gone
            return .discard
        case (.left, .userLeft), (.closed, .sent), (.closed, .closed), (.gone, _):
            return .none
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// One stream of one connection; an HTTP/2 stream has its number but once (RFC 9113 §5.1.1), so a
/// stream that is gone is never taken for another.
public struct HTTP2Stream: Sendable, Hashable {
    /// Where its state is.
    let slot: Int32
    /// The stream's number on the wire; 0 where an event is about the whole connection.
    public let id: Int32

    /// What stands where there is no stream.
    public static let absent = HTTP2Stream(slot: -1, id: 0)
}

/// How a stream has ended.
public enum HTTP2StreamEnd: Sendable, Hashable {
    /// Both sides have sent END_STREAM.
    case complete
    /// The peer has sent RST_STREAM.
    case resetByPeer(HTTP2ErrorCode)
    /// RST_STREAM was sent: asked for by the caller, or because the peer broke the rules for streams.
    case resetHere(HTTP2ErrorCode)
}

/// How a connection has ended.
public enum HTTP2ConnectionEnd: Sendable, Hashable {
    /// A GOAWAY was sent or received, and the last stream has ended since.
    case complete
    /// The peer has broken the protocol; what nghttp2 says of it, empty where it says nothing.
    case violation(HTTP2ErrorCode, reason: String)
    /// The peer has done too much of something.
    case abuse(HTTP2Abuse)
    /// The caller has ended it by `terminate`.
    case terminated(HTTP2ErrorCode)
    /// What came first was no preface of HTTP/2 (RFC 9113 §3.4); nothing is sent.
    case notHTTP2
}

/// Something that happened on a connection.
public struct HTTP2Event: Sendable, Hashable {
    /// What happened.
    public enum Kind: Sendable, Hashable {
        /// A request head is complete: `takeHead` has it. `isLast` says that no body follows.
        case request(isLast: Bool)
        /// A request was reset with this code before it was delivered: its head breaks the rules of HTTP/2
        /// (RFC 9113 §8.1.1).
        ///
        /// `takeHead` has what was read of it. Nothing more is told of the stream, and `forget` is owed.
        case malformed(HTTP2ErrorCode)
        /// Bytes of the body have arrived; told once until the event is taken.
        case data
        /// Trailers have arrived: `takeTrailers` has them. `end` follows.
        case trailers
        /// The peer has ended its side. It is not told of a request with `isLast`.
        case end
        /// All bytes that were held for the peer have been produced; told if `tellWhenDrained` asked
        /// for it.
        case drained
        /// The end of the answer was produced.
        case sent
        /// The stream has ended. What has arrived on it can be read until `forget`, which the caller
        /// owes.
        case closed(HTTP2StreamEnd)
        /// The peer has sent GOAWAY: it opens no more streams, and the open ones go on.
        case goAway(HTTP2ErrorCode)
        /// The peer has answered a `ping`, after so many milliseconds.
        case pong(milliseconds: Int64)
        /// The connection has ended, for what `HTTP2Connection.end` says; it is to be closed.
        case over
    }

    /// The stream it happened on; `absent` where it is about the connection.
    public let stream: HTTP2Stream
    /// The number that the caller has given the stream by `setTag`; 0 until then.
    public let tag: UInt64
    /// What happened.
    public let kind: Kind
}

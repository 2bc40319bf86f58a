// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice

/// What a session has that speaks HTTP/2: the connection's state, and its streams.
///
/// It is reached by a pointer, since an object would be counted, and checked for exclusivity, many times for
/// each message; `MultiplexOwner` frees it.
struct Multiplex: ~Copyable {
    let connection: HTTP2Connection
    /// Its streams, in `WorkerState.substreams`: open ones, and those whose request or tunnel lives on.
    var streams: [Token] = []
    /// Something may have to be produced.
    var isDirty = false
    /// When the peer was told that the connection will end; nil before.
    var announcedMilliseconds: UInt64?
    /// The peer was told which stream is the last.
    var isShutDown = false
    /// The connection's end is certain, and a deadline for it is set.
    var isEnding = false

    /// When the peer has last sent something.
    var heardMilliseconds: UInt64
    /// What the peer was asked since; nil while it is not asked.
    var question: Question?

    /// A PING that nothing has come behind.
    struct Question {
        /// Until when something has to come.
        var dueMilliseconds: UInt64
        /// What had been sent before the PING, which the peer has to take first, and what it had taken of that
        /// when it was last looked at.
        var carriage: Carriage
    }

    /// Until when a stream has to be opened, where none is.
    var idleDueMilliseconds: UInt64
    /// Until when the connection has to be over that has no streams any more and no new ones; nil before.
    var overDueMilliseconds: UInt64?
    /// When it has to be seen whether streams that were left have moved; nil while there are none.
    var leftDueMilliseconds: UInt64?
    /// When the head began that is being read, as far as the timer is set for it.
    var headBeganMilliseconds: Int64?
    /// Bytes that were produced in the turn of this number.
    var produced = (turn: UInt64(0), count: 0)

    /// How long a peer that was told of the end may still open streams: those that were under way.
    static let noticeMilliseconds: UInt64 = 1_000

    init(
        _ policy: HTTP2Policy, _ memory: HTTP2Memory, _ source: HTTP2BodySource,
        nowMilliseconds: UInt64, idleDueMilliseconds: UInt64
    ) {
        self.idleDueMilliseconds = idleDueMilliseconds
        connection = HTTP2Connection(
            policy, memory, source: source,
            milliseconds: Int64(truncatingIfNeeded: nowMilliseconds))
        heardMilliseconds = nowMilliseconds
    }
}

typealias MultiplexPointer = UnsafeMutablePointer<Multiplex>

/// Owns a connection's state for the session whose stage it is.
final class MultiplexOwner {
    let pointer: MultiplexPointer

    init(_ multiplex: consuming Multiplex) {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: multiplex)
    }

    deinit {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }
}

/// Lists that one round of `MultiplexKeeper.flush` goes through; they keep their memory for the next.
struct MultiplexFlushing {
    /// Streams that said that they have something for their connection, by their slots.
    var streams: [UInt64] = []
    /// Sessions that may have something to send, by their clients.
    var sessions: [Token] = []
}

/// One HTTP/2 stream (RFC 9113 §5), until its request and its tunnel are over and the peer knows it.
struct Substream: ~Copyable {
    /// The connection that it belongs to, which outlives it.
    let session: SessionPointer
    /// What that has of HTTP/2.
    let multiplex: MultiplexPointer
    /// What the connection calls it.
    let id: HTTP2Stream
    /// Its own slot in `WorkerState.substreams`.
    var slot = Token(rawValue: 0)
    /// Where its slot stands in `Multiplex.streams`.
    var place = 0
    var stream: StreamState
    /// What comes in on its leg, wherever that is.
    let feed: StreamFeed
    /// Set once its request has become a tunnel, which has its leg then.
    var tunnel: TunnelPointer?
    /// How far it is between its user and its peer.
    var life = StreamLife()
    var answer = SubstreamAnswer()
    /// What stands behind the request's body, until that has gone on.
    var trailers: HTTP2Head?
    let beganMilliseconds: UInt64
    /// What was to be sent had to wait, and whoever sends it has not been told that it may go on.
    var isBlocked = false
    /// When the peer was last seen to take some of what was left of its answer, or when it was left.
    var leftMilliseconds: UInt64 = 0
    /// Whether the peer takes any of that.
    var taking = TakingWatch()

    init(
        session: SessionPointer, multiplex: MultiplexPointer, id: HTTP2Stream,
        outbox: StreamOutbox, nowMilliseconds: UInt64
    ) {
        self.session = session
        self.multiplex = multiplex
        self.id = id
        feed = StreamFeed(outbox)
        stream = StreamState(Leg(feed))
        beganMilliseconds = nowMilliseconds
    }
}

typealias SubstreamPointer = UnsafeMutablePointer<Substream>

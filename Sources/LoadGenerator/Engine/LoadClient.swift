// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Reactor
import TLS
import Wire

/// One WebSocket of a load, or one connection that carries several: a slot of the loop's slab.
///
/// By HTTP/1.1 a WebSocket is a connection. By HTTP/2 it is a stream: it has no socket of its own, and
/// what is sent on it goes through its carrier.
struct LoadClient: ~Copyable {
    enum Phase: UInt8 {
        case connecting, handshaking, upgrading
        /// A carrier: TLS is there, the server's SETTINGS are awaited.
        case greeting
        /// A carrier: streams can be opened.
        case carrying
        /// Messages come and go.
        case open
        /// Our Close is sent, the answer awaited.
        case closing
        /// Both Closes have passed; the end of the connection is awaited.
        case ending
    }

    /// Its socket; of a stream none.
    let socket: Socket
    var tls: TLSSession?
    /// Bytes, sealed where there is TLS, that the socket has not taken yet.
    var held = HeldBytes()
    var phase = Phase.connecting
    var isHungUp = false
    /// Whether its socket has more, which is read in the next turn.
    var isUnread = false
    var isResumed = false
    /// The ticket that it has used.
    var ticket: ResumptionTicket?
    /// Which WebSocket of the run it is; goes into the marker of its messages.
    let number: UInt64
    /// When its opening began, in nanoseconds.
    let startedAt: UInt64
    /// Whether messages may be compressed on it, and whether the one that is coming is.
    var isDeflated = false
    var isCompressed = false

    /// Whether it is a connection that carries WebSockets, and none itself.
    var isCarrier = false
    /// What speaks HTTP/2 on it, if it is a carrier that has not ended.
    var http2: HTTP2Client?
    /// How many of its streams live.
    var streamCount = 0
    /// Something may have to be produced on it.
    var isDirty = false
    /// The connection that carries it, if it is a stream.
    var carrier: Token?
    /// Whether that connection is gone.
    var hasLostCarrier = false
    /// The stream's number, until it is closed.
    var streamID: Int32 = 0

    /// Its place among the open ones, from which its share of the clock follows.
    var position = 0
    /// How many messages may have been begun by now.
    var allowed: UInt64 = 0
    /// How many were begun.
    var sent: UInt64 = 0
    /// The payload's size of the message that was begun last.
    var sentSize = 0
    /// Bytes of the frame in progress that went out; 0 between frames.
    var frameOffset = 0
    /// The payload of the last Ping, until it is answered.
    var pingToAnswer: [UInt8]?
    /// How many came back.
    var answered: UInt64 = 0
    /// Bytes of the message in progress that came back.
    var messageOffset = 0
    /// Bytes still to come of the data frame in progress.
    var payloadLeft = 0
    var isFinal = true
    /// The message whose latency is measured, and when it left.
    var trackedIndex: UInt64 = .max
    var trackedAt: UInt64 = 0
    /// The start of the message in progress, where a clock is looked for in it.
    var pushed: [UInt8] = []
    /// An incomplete header or control frame, given again in front of the next bytes.
    var tail: [UInt8] = []

    // What is not looked at with every message stands behind the rest.

    /// When its present phase of opening began, in nanoseconds.
    var phaseBeganAt: UInt64
    /// How often it has tried to come back before, in `storm`.
    var attempt = 0
    /// Who it plays in `script`.
    var player: ScriptPlayer?
    /// Whether an expectation of its scenario was not met.
    var hasFailed = false
    /// Only while the answer's head is being read.
    var parser: ResponseHeadParser?

    init(socket: consuming Socket, number: UInt64, startedAt: UInt64) {
        self.socket = socket
        self.number = number
        self.startedAt = startedAt
        phaseBeganAt = startedAt
    }

    /// Whether it still has to become open.
    var isOpening: Bool {
        phase.rawValue <= Phase.greeting.rawValue
    }
}

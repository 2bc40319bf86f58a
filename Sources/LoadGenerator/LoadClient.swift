// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS
import Wire

/// One connection of a load: a slot of the loop's slab.
struct LoadClient: ~Copyable {
    enum Phase: UInt8 {
        case connecting, handshaking, upgrading
        /// Messages come and go.
        case open
        /// Our Close is sent, the answer awaited.
        case closing
        /// Both Closes have passed; the end of the connection is awaited.
        case ending
    }

    let socket: Socket
    var tls: TLSSession?
    /// Bytes, sealed where there is TLS, that the socket has not taken yet.
    var held = HeldBytes()
    var phase = Phase.connecting
    var isHungUp = false
    var isResumed = false
    /// The ticket that it has used.
    var ticket: ResumptionTicket?
    /// Which connection of the run it is; goes into the marker of its messages.
    let number: UInt64
    /// When its opening began, in nanoseconds.
    let startedAt: UInt64
    /// Only while the answer's head is being read.
    var parser: ResponseHeadParser?

    /// Its place among the open ones, from which its share of the clock follows.
    var position = 0
    /// How many messages may have been begun by now.
    var allowed: UInt64 = 0
    /// How many were begun.
    var sent: UInt64 = 0
    /// Bytes of the frame in progress that went out; 0 between frames.
    var frameOffset = 0
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
    /// An incomplete header or control frame, given again in front of the next bytes.
    var tail: [UInt8] = []

    init(socket: consuming Socket, number: UInt64, startedAt: UInt64) {
        self.socket = socket
        self.number = number
        self.startedAt = startedAt
    }

    /// Whether it still has to become open.
    var isOpening: Bool {
        phase == .connecting || phase == .handshaking || phase == .upgrading
    }
}

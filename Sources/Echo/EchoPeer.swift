// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// One connection of the echo app: a slot of the loop's slab.
struct EchoPeer: ~Copyable {
    enum Phase: UInt8 {
        /// The request head is not complete.
        case opening
        /// Frames come and go.
        case open
        /// All has been said: what is held goes out, and the client is waited for.
        case ending
    }

    let socket: Socket
    /// Echoed bytes that the client has not taken yet.
    ///
    /// While there are any, nothing is read.
    var held = HeldBytes()
    /// Only while the head is being read.
    var parser: RequestHeadParser? = RequestHeadParser(limits: .builtIn)
    var scanner = FrameScanner(sender: .client, reservedBits: 0)
    var echo = FrameEcho()
    var phase = Phase.opening
    /// There may be bytes to receive that no event will tell of again.
    var isUnread = false
    /// The client sends no more: read until the end shows.
    var isHungUp = false
    /// It stands in the list of those that get their next turn without an event.
    var isQueued = false
    /// An incomplete frame header, given again in front of the next bytes.
    var tailCount = 0
    var tail: (UInt64, UInt64) = (0, 0)

    init(socket: consuming Socket) {
        self.socket = socket
    }
}

/// Turns the frames of a client into those of the answer, in place.
///
/// Masked becomes unmasked, Ping becomes Pong, a Pong is left out, all else stays as it is. It sees
/// only what `FrameScanner` has called forwardable: whole headers and payload.
struct FrameEcho {
    private var payloadLeft: UInt64 = 0
    private var maskKey: UInt32 = 0
    private var maskPhase = 0
    private var isLeftOut = false

    /// Works on `count` bytes and says which of them are the answer.
    mutating func answer(
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) -> (start: Int, count: Int) {
        var read = 0
        var start = 0
        var write = 0
        while read < count {
            if payloadLeft == 0 {
                guard let (header, length) = FrameHeader.decode(bytes + read, count: count &- read)
                else { break }
                read &+= length
                begin(header)
                if isLeftOut { continue }
                let answerLength = length &- 4
                if write == 0 {
                    // The header of the answer is shorter: put in front of the payload where that
                    // lies, so that a single frame needs no move.
                    start = read &- answerLength
                    write = start
                }
                var answered = header
                answered.maskKey = nil
                if header.opcode == .ping { answered.opcodeBits = Opcode.pong.rawValue }
                write &+= answered.encode(into: bytes + write)
                continue
            }
            let piece = Int(min(payloadLeft, UInt64(count &- read)))
            if !isLeftOut {
                FrameMask.apply(maskKey, phase: maskPhase, to: bytes + read, count: piece)
                if write != read { (bytes + write).update(from: bytes + read, count: piece) }
                write &+= piece
            }
            read &+= piece
            maskPhase = (maskPhase &+ piece) & 3
            payloadLeft &-= UInt64(piece)
        }
        return (start, write &- start)
    }

    private mutating func begin(_ header: FrameHeader) {
        payloadLeft = header.payloadLength
        maskKey = header.maskKey ?? 0
        maskPhase = 0
        isLeftOut = header.opcode == .pong
    }
}

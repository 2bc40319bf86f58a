// SPDX-License-Identifier: Apache-2.0
import Wire

/// One direction of a relay: what was judged, what was kept back, and how it ends.
struct Flow {
    /// What becomes of the bytes that the source sends.
    enum State: UInt8 {
        /// They go on to the destination.
        case open
        /// The source's Close went on; nothing may follow it.
        case closePassed
        /// A Close of ours went to the destination; the source is read only for its own Close.
        case closeInjected
        /// The destination was lost, the stream was cut inside a frame, or there is no tunnel;
        /// nothing goes on.
        case cut
    }

    /// Bytes of a source that are read though they go nowhere.
    ///
    /// Enough for what was on its way when the destination was lost or told, so that the Close
    /// behind it is found; back-pressure has gone with the destination, and this takes its place.
    static let droppableBytes: Int32 = 1 << 20
    /// The same of a client whose request was refused: it may send the body first and read then.
    static let droppableBodyBytes: Int32 = 16 << 20

    var scanner: FrameScanner
    var state = State.open
    /// A Ping is to be sent to the destination at the next frame border.
    var hasPendingPing = false
    /// The source was sent a Ping, and its answer is not to go on.
    var awaitsPong = false
    /// Bytes of `tail` in use.
    var tailCount: UInt8 = 0
    /// The Close that is to be sent to the destination at the next frame border; 0 for none.
    var pendingClose: UInt16 = 0
    /// The cursor in `Workspace.taps`, where a tap listens; 0 else.
    var tap: UInt32 = 0
    /// The rates that are limited; nil for none.
    var meter: Meter?
    /// What is on its way to the destination, where the relay has faults; nil else.
    var faults: FaultLine?
    /// Bytes that went on.
    var bytes: UInt64 = 0
    // What follows is for what is rare.
    /// An incomplete frame header, kept back so that no frame is begun that can't be judged.
    var tail: (UInt64, UInt64) = (0, 0)
    /// Bytes of a source that will be read for nobody before the source is not read any more.
    var droppable = droppableBytes
    /// The source has something, and has to wait for its rate.
    var isPaused = false

    init(scanner: FrameScanner) { self.scanner = scanner }

    /// Whether a frame of our own may stand next.
    var isAtFrameBorder: Bool { scanner.isAtFrameBorder }

    /// Whether a frame of our own waits for the next border.
    var isInterrupted: Bool { pendingClose != 0 || hasPendingPing }

    /// Puts the kept bytes in front of `bytes` and forgets them.
    ///
    /// - Returns: where the bytes now begin.
    mutating func prependTail(
        to bytes: UnsafeMutablePointer<UInt8>
    ) -> UnsafeMutablePointer<UInt8> {
        if tailCount == 0 { return bytes }
        assert(Int(tailCount) <= Workspace.headroom, "a tail is put in front of what is received")
        let start = bytes - Int(tailCount)
        withUnsafeBytes(of: tail) { kept in
            UnsafeMutableRawPointer(start).copyMemory(
                from: kept.baseAddress.unsafelyUnwrapped, byteCount: Int(tailCount))
        }
        tailCount = 0
        return start
    }

    /// Keeps an incomplete header back.
    mutating func keepTail(_ bytes: UnsafePointer<UInt8>, count: Int) {
        precondition(count <= FrameScanner.tailBytesMax)
        withUnsafeMutableBytes(of: &tail) { kept in
            kept.baseAddress.unsafelyUnwrapped.copyMemory(from: bytes, byteCount: count)
        }
        tailCount = UInt8(truncatingIfNeeded: count)
    }
}

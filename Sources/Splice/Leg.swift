// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import TLS

/// One end of a relay: a socket, its TLS session if it has one, and what it did not take yet; or one
/// stream of a connection that carries several, whose owner brings its bytes and takes them away
/// (`StreamFeed`).
///
/// Bytes held are bytes for this leg's peer, already sealed where the leg has TLS. While any are
/// held, the other leg is not read: that is the whole of back-pressure.
public struct Leg: ~Copyable {
    // Up to the session's first fields it is what each message touches: one cache line.

    /// The socket of the connection; it has no descriptor where a `feed` stands in its place.
    public var socket: Socket
    @usableFromInline var flags = Flags()
    /// Bytes that the socket did not take yet, or that the stream's owner has not taken.
    public var held = HeldBytes()
    /// The session, where the peer speaks TLS.
    public var tls: TLSSession?
    /// What has come on a stream without a socket of its own; nil where there is a socket.
    public let feed: StreamFeed?

    /// What is known of the peer and its stream, one bit each.
    @usableFromInline struct Flags {
        @usableFromInline var bits: UInt16 = 0

        @inlinable init() {}

        @inlinable subscript(flag: UInt16) -> Bool {
            get { bits & flag != 0 }
            set { bits = newValue ? bits | flag : bits & ~flag }
        }

        @inlinable static var readable: UInt16 { 1 << 0 }
        @inlinable static var hangingUp: UInt16 { 1 << 1 }
        @inlinable static var ended: UInt16 { 1 << 2 }
        @inlinable static var cut: UInt16 { 1 << 3 }
        @inlinable static var broken: UInt16 { 1 << 4 }
        @inlinable static var unwritable: UInt16 { 1 << 5 }
        @inlinable static var shut: UInt16 { 1 << 6 }
        @inlinable static var ignored: UInt16 { 1 << 7 }
        @inlinable static var truncated: UInt16 { 1 << 8 }
    }

    /// The socket may have bytes: an edge was seen and no short read since.
    @inlinable public var isReadable: Bool {
        get { flags[Flags.readable] }
        set { flags[Flags.readable] = newValue }
    }
    /// The peer's end of stream was announced, so a short read does not mean drained.
    @inlinable public var isHangingUp: Bool {
        get { flags[Flags.hangingUp] }
        set { flags[Flags.hangingUp] = newValue }
    }
    /// Nothing more will come: end of stream, close_notify or an error.
    @inlinable public var hasEnded: Bool {
        get { flags[Flags.ended] }
        set { flags[Flags.ended] = newValue }
    }
    /// The peer's stream ended without the close_notify that TLS demands before (RFC 8446 §6.1): it was
    /// cut off, and is no half of a connection whose other half goes on.
    public private(set) var isCut: Bool {
        get { flags[Flags.cut] }
        set { flags[Flags.cut] = newValue }
    }
    /// The session has failed: the peer broke its rules, or said by an alert why it ends it.
    public private(set) var isBroken: Bool {
        get { flags[Flags.broken] }
        set { flags[Flags.broken] = newValue }
    }
    /// Nothing more can be sent: the peer reset the connection.
    @inlinable public var isUnwritable: Bool {
        get { flags[Flags.unwritable] }
        set { flags[Flags.unwritable] = newValue }
    }
    /// Our side of the stream was ended.
    @inlinable public var isShut: Bool {
        get { flags[Flags.shut] }
        set { flags[Flags.shut] = newValue }
    }
    /// Nothing more is read, whatever comes: what it sent for nobody was enough.
    public private(set) var isIgnored: Bool {
        get { flags[Flags.ignored] }
        set { flags[Flags.ignored] = newValue }
    }
    /// What the peer got is not whole: its stream must not end as if it were.
    ///
    /// TLS ends without close_notify then; one stream of several is reset by its owner.
    @inlinable public var isTruncated: Bool {
        get { flags[Flags.truncated] }
        set { flags[Flags.truncated] = newValue }
    }

    /// Makes a leg of a connected or connecting socket.
    public init(_ socket: consuming Socket, tls: consuming TLSSession? = nil) {
        let isOpen = socket.isOpen
        self.socket = socket
        self.tls = tls
        feed = nil
        // Where there is no socket, nothing is awaited and nothing has to be said.
        hasEnded = !isOpen
        isShut = !isOpen
    }

    /// Makes a leg of one stream of a connection that carries several.
    public init(_ feed: StreamFeed) {
        socket = .none()
        tls = nil
        self.feed = feed
    }

    /// Whether there is somebody at the other end, gone or not.
    public var isOpen: Bool { socket.isOpen || feed != nil }

    /// Sends `count` bytes, sealed where the leg has TLS; what the socket does not take is held.
    ///
    /// - Returns: false when the peer can't be reached any more.
    @discardableResult
    public mutating func put(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        if tls == nil { return transmit(bytes, count: count, space) }
        if isUnwritable {
            // Whatever waits in the window was for this peer, and must not reach the next one.
            space.pointee.records.clearOutput()
            return false
        }
        let isSealed = tls?.write(bytes, count: count) ?? false
        let isSent = flushRecords(space)
        if !isSealed { isUnwritable = true }
        return isSealed && isSent
    }

    /// Sends any number of bytes as `put` does, in pieces of which each fits what is sealed at once.
    ///
    /// - Returns: false when the peer can't be reached any more.
    @discardableResult
    public mutating func putAll(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        if tls == nil { return put(bytes, count: count, space) }
        var sent = 0
        repeat {
            let piece = min(count &- sent, space.pointee.openedCapacity)
            if !put(bytes + sent, count: piece, space) { return false }
            sent &+= piece
        } while sent < count
        return true
    }

    /// Sends, as they are, the bytes that a connection begins with; those are held that it does not take yet.
    ///
    /// - Returns: a value of `errno` where the connection could not be made; else 0.
    public mutating func sendFirst(
        _ bytes: [UInt8], _ space: UnsafeMutablePointer<Workspace>
    ) -> Int32 {
        bytes.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return 0 }
            var sent = 0
            switch socket.send(start, count: bytes.count) {
            case .moved(let count): sent = count
            case .blocked, .ended: break
            case .failed(let code):
                isUnwritable = true
                return code
            }
            held.append(start + sent, count: bytes.count - sent, pool: &space.pointee.pool)
            return 0
        }
    }

    /// Seals bytes without sending them yet: what follows leaves in the same packet.
    ///
    /// `flushRecords` sends them. Without TLS they are sent at once.
    @discardableResult
    public mutating func seal(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        if tls == nil || isUnwritable { return put(bytes, count: count, space) }
        if tls?.write(bytes, count: count) == true { return true }
        isUnwritable = true
        return false
    }

    /// Sends the records that the session made, of data or of its own.
    ///
    /// A leg without a session leaves alone what is sealed and not sent yet: that is for another peer.
    @discardableResult
    public mutating func flushRecords(
        _ space: UnsafeMutablePointer<Workspace>, isLast: Bool = false
    ) -> Bool {
        if tls == nil { return true }
        let records = space.pointee.records
        let count = records.outputCount
        if count == 0 { return true }
        records.clearOutput()
        return transmit(UnsafePointer(records.output), count: count, space, isLast: isLast)
    }

    /// Sends bytes as they are; what the socket does not take is held.
    mutating func transmit(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ space: UnsafeMutablePointer<Workspace>,
        isLast: Bool = false
    ) -> Bool {
        if count == 0 { return true }
        if isUnwritable { return false }
        var sent = 0
        // The feed is looked at where there is no socket: it lies in another cache line.
        if held.isEmpty && (socket.isOpen || feed == nil) {
            let result =
                isLast
                ? socket.sendLast(bytes, count: count) : socket.send(bytes, count: count)
            switch result {
            case .moved(let moved):
                if moved == count { return true }
                sent = moved
            case .blocked: break
            case .ended, .failed:
                isUnwritable = true
                return false
            }
        }
        held.append(bytes + sent, count: count &- sent, pool: &space.pointee.pool)
        feed?.notify()
        return true
    }

    /// Sends what is held, as far as the socket takes it.
    ///
    /// - Returns: whether nothing is held any more.
    public mutating func drain(_ space: UnsafeMutablePointer<Workspace>) -> Bool {
        if held.isEmpty { return true }
        // The stream's owner takes it when it may send.
        if feed != nil { return false }
        switch held.drain(into: socket, pool: &space.pointee.pool) {
        case .emptied: return true
        case .blocked: return false
        case .failed:
            isUnwritable = true
            discardHeld(space)
            return true
        }
    }

    /// Forgets what is held, so that the peer gets less than it was to have.
    public mutating func discardHeld(_ space: UnsafeMutablePointer<Workspace>) {
        if held.isEmpty { return }
        isTruncated = true
        held.discard(pool: &space.pointee.pool)
    }

    /// Ends our side of the stream once nothing is held: close_notify where there is TLS, then FIN.
    ///
    /// Never both directions at once: what the peer has still to say is read to its end.
    public mutating func shut(_ space: UnsafeMutablePointer<Workspace>) {
        if isShut { return }
        if tls != nil && !isUnwritable && !isTruncated && held.isEmpty { tls?.closeNotify() }
        // Where a FIN follows at once, it leaves in one segment with the last bytes.
        flushRecords(space, isLast: !hasEnded)
        if let feed {
            // Its owner sends the end behind what is held, in one frame with the last bytes.
            isShut = true
            if !isTruncated { feed.shut() }
            return
        }
        if !held.isEmpty { return }
        isShut = true
        // A peer that has ended its side too is waiting for nothing but the close that follows.
        if !isUnwritable && !hasEnded { socket.shutdownWrite() }
    }

    /// Takes note of what an event reported.
    public mutating func note(_ readiness: Readiness) {
        if readiness.contains(.readable) { isReadable = !isIgnored }
        if readiness.contains(.hangup) {
            isReadable = !isIgnored
            isHangingUp = true
        }
    }

    /// Reads nothing more of the peer: what it sends stays in the kernel, and so it has to wait; on one
    /// stream of several it gets no more window, and what comes within that is dropped.
    mutating func ignore(_ space: UnsafeMutablePointer<Workspace>) {
        isIgnored = true
        isReadable = false
        feed?.ignore(&space.pointee.pool)
    }

    /// What one `recv` brought.
    public struct Received {
        /// The bytes, opened where the leg has TLS; `Workspace.headroom` bytes in front are free.
        public let bytes: UnsafeMutablePointer<UInt8>
        /// How many there are.
        public let count: Int
        /// How many bytes came off the socket.
        public let rawCount: Int
    }

    /// Receives once, and opens the records where the leg has TLS.
    ///
    /// Sets `isReadable` to false when the socket is drained and `hasEnded` when nothing will come
    /// any more; bytes may have come all the same. No more than `atMost` bytes come off the socket.
    public mutating func receive(
        _ space: UnsafeMutablePointer<Workspace>, atMost: Int = .max
    ) -> Received {
        let received = receiveRaw(space, atMost: atMost)
        if tls == nil || received.count == 0 { return received }
        space.pointee.records.setInput(UnsafePointer(received.bytes), count: received.count)
        return openRest(space)
    }

    /// Receives once, as the bytes came.
    public mutating func receiveRaw(
        _ space: UnsafeMutablePointer<Workspace>, atMost: Int = .max
    ) -> Received {
        let received = space.pointee.received
        let capacity = min(space.pointee.receiveCapacity, atMost)
        if !socket.isOpen, let feed { return receive(from: feed, capacity, space) }
        switch socket.receive(into: received, count: capacity) {
        case .moved(let count):
            // A short read means drained, unless the end of the stream was announced behind it.
            if count < capacity && !isHangingUp { isReadable = false }
            return Received(bytes: received, count: count, rawCount: count)
        case .blocked: isReadable = false
        case .ended:
            hasEnded = true
            isCut = tls != nil
        case .failed:
            hasEnded = true
            isUnwritable = true
        }
        return Received(bytes: received, count: 0, rawCount: 0)
    }

    /// Opens the records of what the session was lent and has not read yet.
    public mutating func openRest(_ space: UnsafeMutablePointer<Workspace>) -> Received {
        let opened = space.pointee.opened
        let rawCount = space.pointee.records.inputRemaining
        if rawCount == 0 { return Received(bytes: opened, count: 0, rawCount: 0) }
        let outcome =
            tls?.readAll(into: opened, capacity: space.pointee.openedCapacity)
            ?? ReadOutcome(count: 0, status: .failed)
        // Answers of the session's own: an alert, or new keys.
        flushRecords(space)
        if outcome.status != .open {
            hasEnded = true
            if outcome.status == .failed {
                isUnwritable = true
                isBroken = true
            }
        }
        return Received(bytes: opened, count: outcome.count, rawCount: rawCount)
    }

    /// Gives a peer up that is not there any more: nothing is awaited of it, and nothing sent.
    mutating func abandon(_ space: UnsafeMutablePointer<Workspace>) {
        discardHeld(space)
        feed?.close(&space.pointee.pool)
        isUnwritable = true
        isReadable = false
        hasEnded = true
    }

    /// Has the peer be sent a reset when the socket closes.
    func resetOnClose() { socket.setResetOnClose() }

    /// Frees the session, and wipes its secrets with it, once nothing more can be read of the peer and
    /// nothing be sent to it: the other side may take its time to end.
    mutating func endSession() {
        guard tls != nil, hasEnded, isUnwritable || isShut && held.isEmpty else { return }
        // What would still be sent would leave unsealed.
        isUnwritable = true
        tls = nil
    }

    /// Takes the socket away; the leg is one without a socket then, for which nothing is awaited.
    mutating func takeSocket() -> Socket {
        var taken = Socket.none()
        swap(&taken, &socket)
        hasEnded = true
        isShut = true
        isUnwritable = true
        return taken
    }

    /// Gives everything that was lent back; the leg is about to be closed.
    public mutating func release(_ space: UnsafeMutablePointer<Workspace>) {
        discardHeld(space)
        feed?.close(&space.pointee.pool)
    }
}

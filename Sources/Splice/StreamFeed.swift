// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// What has come on one stream of a connection that carries several (RFC 9113 §5), and was not read yet.
///
/// The connection's owner puts the stream's bytes in as they come, and reports them to whoever has the
/// leg like those of a socket: with `Readiness`. What is read is counted, so that the owner can give the
/// peer that much of its window back and no more: a stream whose bytes nobody takes stops itself.
public final class StreamFeed {
    private let outbox: StreamOutbox
    /// What it is called in the outbox.
    public var tag: UInt64 = 0
    private var isListed = false
    /// Our side was ended: once nothing is held, the stream's end is to be sent.
    public private(set) var isShut = false
    private var arrived = HeldBytes()
    /// Bytes that were read, or given up, since the owner last asked.
    private var readCount = 0
    /// The peer sends nothing behind what has arrived.
    private var isEnded = false
    /// The peer has ended the stream without an order (RFC 9113 §6.4).
    private var isReset = false
    /// Nobody reads it any more.
    private var isClosed = false
    /// Nobody reads it, and the peer gets no more window, so that it has to stop.
    private var isIgnored = false

    /// A stream on which nothing has come.
    ///
    /// - Parameter outbox: where it says that its owner has something to do for it.
    public init(_ outbox: StreamOutbox) { self.outbox = outbox }

    /// Asks the owner to look at the stream: it has bytes to be sent, was read, or has ended.
    public func notify() {
        if isListed { return }
        isListed = true
        outbox.tags.append(tag)
    }

    /// The owner looks at it now.
    public func looked() { isListed = false }

    func shut() {
        isShut = true
        notify()
    }

    /// Whether bytes, or the end behind them, wait to be read.
    public var hasNews: Bool { !arrived.isEmpty || isEnded || isReset }

    /// Puts bytes behind those that wait; what nobody will read counts as read at once, since the peer's
    /// window would be smaller by it else.
    public func put(_ bytes: UnsafeRawBufferPointer, _ pool: inout BufferPool) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        if isEnded || isReset || isClosed {
            readCount &+= bytes.count
            notify()
            return
        }
        if isIgnored { return }
        arrived.append(
            start.assumingMemoryBound(to: UInt8.self), count: bytes.count, pool: &pool)
    }

    /// The peer has ended its side.
    public func end() { isEnded = true }

    /// The peer has reset the stream: what it sent before is not read any more, and it takes nothing.
    public func reset(_ pool: inout BufferPool) {
        discard(&pool)
        isReset = true
    }

    /// How many bytes were read since this was last asked.
    public func takeReadCount() -> Int {
        defer { readCount = 0 }
        return readCount
    }

    /// Nobody reads it any more: what waits counts as read, and so does what still comes.
    func close(_ pool: inout BufferPool) {
        isClosed = true
        discard(&pool)
    }

    /// Nothing is read any more though the peer is still there: what waits is forgotten, and so is what
    /// still comes within the peer's window, which is not given back.
    func ignore(_ pool: inout BufferPool) {
        isIgnored = true
        arrived.discard(pool: &pool)
    }

    /// Forgets what waits; it counts as read.
    private func discard(_ pool: inout BufferPool) {
        if arrived.isEmpty { return }
        readCount &+= arrived.count
        arrived.discard(pool: &pool)
        notify()
    }

    /// What a read has met.
    enum Read {
        /// So many bytes; nothing waits behind them if `isDrained`.
        case moved(Int, isDrained: Bool)
        /// Nothing waits.
        case blocked
        case ended
        case reset
    }

    /// Reads `capacity` bytes at most.
    func read(
        into destination: UnsafeMutablePointer<UInt8>, capacity: Int, _ pool: inout BufferPool
    ) -> Read {
        if arrived.isEmpty { return isReset ? .reset : isEnded ? .ended : .blocked }
        let count = arrived.take(into: destination, capacity: capacity, pool: &pool)
        readCount &+= count
        notify()
        return .moved(count, isDrained: !hasNews)
    }
}

/// Which streams their owners have something to do for, in the order in which they said so.
public final class StreamOutbox {
    fileprivate var tags: [UInt64] = []

    /// No stream.
    public init() {}

    /// Whether nobody is to be looked at.
    public var isEmpty: Bool { tags.isEmpty }

    /// Takes all tags; each stream says so again only after `looked`.
    public func take() -> [UInt64] {
        var taken: [UInt64] = []
        swap(&taken, &tags)
        return taken
    }
}

extension Leg {
    /// Receives from a stream without a socket of its own.
    mutating func receive(
        from feed: StreamFeed, _ capacity: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> Received {
        let received = space.pointee.received
        switch feed.read(into: received, capacity: capacity, &space.pointee.pool) {
        case .moved(let count, let isDrained):
            if isDrained { isReadable = false }
            return Received(bytes: received, count: count, rawCount: count)
        case .blocked: isReadable = false
        case .ended: hasEnded = true
        case .reset:
            hasEnded = true
            isUnwritable = true
            held.discard(pool: &space.pointee.pool)
        }
        return Received(bytes: received, count: 0, rawCount: 0)
    }

    /// Takes bytes that are held for the peer of a stream, `capacity` at most; how many they were.
    public mutating func takeHeld(
        into destination: UnsafeMutablePointer<UInt8>, capacity: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Int {
        assert(feed != nil, "what a socket did not take is taken by somebody else")
        return held.take(into: destination, capacity: capacity, pool: &space.pointee.pool)
    }
}

// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// What has come on one stream of a connection that carries several (RFC 9113 §5), and was not read yet.
///
/// The connection's owner brings the stream's bytes as they come, and reports them to whoever has the
/// leg like those of a socket: with `Readiness`. What is read is counted, so that the owner can give the
/// peer that much of its window back and no more: a stream whose bytes nobody takes stops itself.
///
/// Bytes are lent where they lie (`lend`), and copied only if they are not read at once (`keepLent`).
public final class StreamFeed {
    /// What changes.
    ///
    /// It stands behind a pointer, since each access to a class's own property would be checked for
    /// exclusivity, many times for each message.
    private struct State {
        let outbox: StreamOutbox
        var tag: UInt64 = 0
        var isListed = false
        var isShut = false
        /// The peer sends nothing behind what has arrived.
        var isEnded = false
        /// The peer has ended the stream without an order (RFC 9113 §6.4).
        var isReset = false
        /// Nobody reads it any more.
        var isClosed = false
        /// Nobody reads it, and the peer gets no more window, so that it has to stop.
        var isIgnored = false
        var arrived = HeldBytes()
        /// Bytes of the owner's that stand behind `arrived`, until `keepLent`.
        var lent = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
        /// Bytes that were read, or given up, since the owner last asked.
        var readCount = 0
        var carriage = Carriage()
    }

    private let state: UnsafeMutablePointer<State>

    /// A stream on which nothing has come.
    ///
    /// - Parameter outbox: where it says that its owner has something to do for it.
    public init(_ outbox: StreamOutbox) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(outbox: outbox))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// What it is called in the outbox.
    public var tag: UInt64 {
        get { state.pointee.tag }
        set { state.pointee.tag = newValue }
    }

    /// How far the stream's connection was when its owner last looked: what is sent on a stream waits there
    /// behind the bytes of others.
    public var carriage: Carriage {
        get { state.pointee.carriage }
        set { state.pointee.carriage = newValue }
    }

    /// Our side was ended: once nothing is held, the stream's end is to be sent.
    public var isShut: Bool { state.pointee.isShut }

    /// Asks the owner to look at the stream: it has bytes to be sent, was read, or has ended.
    public func notify() {
        if state.pointee.isListed { return }
        state.pointee.isListed = true
        state.pointee.outbox.append(state.pointee.tag)
    }

    /// The owner looks at it now.
    public func looked() { state.pointee.isListed = false }

    func shut() {
        state.pointee.isShut = true
        notify()
    }

    /// Whether bytes, or the end behind them, wait to be read.
    public var hasNews: Bool {
        !state.pointee.arrived.isEmpty || state.pointee.lent.count > 0 || state.pointee.isEnded
            || state.pointee.isReset
    }

    /// Puts bytes behind those that wait; what nobody will read counts as read at once, since the peer's
    /// window would be smaller by it else.
    public func put(_ bytes: UnsafeRawBufferPointer, _ pool: inout BufferPool) {
        guard let start = bytes.baseAddress, isWanted(bytes.count) else { return }
        keepLent(&pool)
        state.pointee.arrived.append(
            start.assumingMemoryBound(to: UInt8.self), count: bytes.count, pool: &pool)
    }

    /// The same for bytes that stay where they are until `keepLent`, which has to follow before anything
    /// else is done with their memory.
    ///
    /// Whoever reads them may change them, and `Workspace.headroom` bytes in front of them and behind.
    public func lend(_ bytes: UnsafeMutableRawBufferPointer, _ pool: inout BufferPool) {
        guard let start = bytes.baseAddress, isWanted(bytes.count) else { return }
        keepLent(&pool)
        state.pointee.lent = UnsafeMutableBufferPointer(
            start: start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
    }

    /// Whether bytes that were lent lie where their owner has them.
    public var isLending: Bool { state.pointee.lent.baseAddress != nil }

    /// Copies what was lent and not read.
    public func keepLent(_ pool: inout BufferPool) {
        let lent = state.pointee.lent
        guard let start = lent.baseAddress else { return }
        state.pointee.lent = UnsafeMutableBufferPointer(start: nil, count: 0)
        state.pointee.arrived.append(start, count: lent.count, pool: &pool)
    }

    /// Whether bytes that come are for anybody; if not, what is to be done about them is done.
    private func isWanted(_ count: Int) -> Bool {
        if count == 0 { return false }
        if state.pointee.isEnded || state.pointee.isReset || state.pointee.isClosed {
            state.pointee.readCount &+= count
            notify()
            return false
        }
        return !state.pointee.isIgnored
    }

    /// The peer has ended its side.
    public func end() { state.pointee.isEnded = true }

    /// The peer has reset the stream: what it sent before is not read any more, and it takes nothing.
    public func reset(_ pool: inout BufferPool) {
        discard(&pool)
        state.pointee.isReset = true
    }

    /// How many bytes were read since this was last asked.
    public func takeReadCount() -> Int {
        defer { state.pointee.readCount = 0 }
        return state.pointee.readCount
    }

    /// Nobody reads it any more: what waits counts as read, and so does what still comes.
    func close(_ pool: inout BufferPool) {
        state.pointee.isClosed = true
        discard(&pool)
    }

    /// Nothing is read any more though the peer is still there: what waits is forgotten, and so is what
    /// still comes within the peer's window, which is not given back.
    func ignore(_ pool: inout BufferPool) {
        state.pointee.isIgnored = true
        state.pointee.lent = UnsafeMutableBufferPointer(start: nil, count: 0)
        state.pointee.arrived.discard(pool: &pool)
    }

    /// Forgets what waits; it counts as read.
    private func discard(_ pool: inout BufferPool) {
        let count = state.pointee.arrived.count &+ state.pointee.lent.count
        if count == 0 { return }
        state.pointee.readCount &+= count
        state.pointee.lent = UnsafeMutableBufferPointer(start: nil, count: 0)
        state.pointee.arrived.discard(pool: &pool)
        notify()
    }

    /// What a read has met.
    enum Read {
        /// These bytes, valid until the next read; nothing waits behind them if `isDrained`.
        case moved(UnsafeMutablePointer<UInt8>, Int, isDrained: Bool)
        /// No bytes wait now; some may come later.
        case blocked
        case ended
        case reset
    }

    /// Reads `capacity` bytes at most: where they were lent, else into memory of the caller's.
    func read(
        into destination: UnsafeMutablePointer<UInt8>, capacity: Int, _ pool: inout BufferPool
    ) -> Read {
        var start = destination
        let count: Int
        if state.pointee.arrived.isEmpty {
            guard let lent = state.pointee.lent.baseAddress else {
                return state.pointee.isReset ? .reset : state.pointee.isEnded ? .ended : .blocked
            }
            count = min(capacity, state.pointee.lent.count)
            let left = UnsafeMutableBufferPointer(rebasing: state.pointee.lent[count...])
            state.pointee.lent = UnsafeMutableBufferPointer(start: nil, count: 0)
            // What is put behind the bytes that are read must not hit those that are not.
            if let more = left.baseAddress, left.count > 0 {
                state.pointee.arrived.append(more, count: left.count, pool: &pool)
            }
            start = lent
        } else {
            // What was lent stands behind it, and may be overtaken by nothing.
            keepLent(&pool)
            count = state.pointee.arrived.take(
                into: destination, capacity: capacity, pool: &pool)
        }
        state.pointee.readCount &+= count
        notify()
        return .moved(start, count, isDrained: !hasNews)
    }
}

/// Which streams their owners have something to do for, in the order in which they said so.
public final class StreamOutbox {
    private let tags: UnsafeMutablePointer<[UInt64]>

    /// An outbox in which no stream stands.
    public init() {
        tags = .allocate(capacity: 1)
        tags.initialize(to: [])
    }

    deinit {
        tags.deinitialize(count: 1)
        tags.deallocate()
    }

    func append(_ tag: UInt64) { tags.pointee.append(tag) }

    /// Whether nobody is to be looked at.
    public var isEmpty: Bool { tags.pointee.isEmpty }

    /// Takes all tags in exchange for an empty list; each stream says so again only after `looked`.
    public func take(into list: inout [UInt64]) {
        list.removeAll(keepingCapacity: true)
        swap(&list, &tags.pointee)
    }
}

extension Leg {
    /// Receives from a stream without a socket of its own.
    mutating func receive(
        from feed: StreamFeed, _ capacity: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> Received {
        let received = space.pointee.received
        switch feed.read(into: received, capacity: capacity, &space.pointee.pool) {
        case .moved(let bytes, let count, let isDrained):
            if isDrained { isReadable = false }
            return Received(bytes: bytes, count: count, rawCount: count)
        case .blocked: isReadable = false
        case .ended: hasEnded = true
        case .reset:
            hasEnded = true
            isUnwritable = true
            discardHeld(space)
        }
        return Received(bytes: received, count: 0, rawCount: 0)
    }

    /// Reads nothing more of a stream whose peer has still to take what is held: what comes counts as read.
    public mutating func closeForReading(_ space: UnsafeMutablePointer<Workspace>) {
        assert(feed != nil, "a socket of its own is read to its end")
        isReadable = false
        feed?.close(&space.pointee.pool)
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

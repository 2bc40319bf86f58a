// SPDX-License-Identifier: Apache-2.0

/// One timer per slot index, in a hierarchy of wheels of 64 buckets each.
///
/// A timer stands on the level of the highest base-64 digit in which its due tick differs from the
/// current one, so each occupied bucket lies ahead of the current tick, the lowest level that is
/// occupied holds the next timer, and one bit per bucket finds it. As time enters a bucket of a
/// higher level, its timers move down; each moves at most `levels` times.
///
/// Timers never fire early, and late by less than a tick. Arming, moving and cancelling cost the
/// same whatever is armed, and allocate nothing: lists run through one array that `reserve` grows.
public struct TimerWheel: ~Copyable {
    /// Eight digits of base 64: with ticks of a millisecond almost nine thousand years.
    private static var levels: Int { 8 }
    private static var lastTick: UInt64 { 1 << 48 - 1 }
    private static var bucketCount: Int { levels * 64 }
    /// The list of timers whose time has come.
    private static var expired: Int { bucketCount }
    /// The nodes below this are the lists' heads; slot `i` has node `heads + i`.
    private static var heads: Int { bucketCount + 1 }
    private static var unlinked: UInt32 { .max }

    private struct Node {
        var next: UInt32
        var previous: UInt32
        /// The tick at which it fires, counted from `origin`.
        var due: UInt64
        /// What it was armed with.
        var token: Token
    }

    private let tickMilliseconds: UInt64
    private let origin: UInt64
    private var nodes: UnsafeMutablePointer<Node>
    private var nodeCount: Int
    /// Ticks up to and with this one were looked at.
    private var current: UInt64 = 0
    /// Before this moment no timer's time comes; `.max` while none is armed.
    ///
    /// It is looked at in each turn, so it is kept instead of sought. A timer that is taken away leaves
    /// it as it is: then it is too early, which costs one look at the wheel.
    @usableFromInline var nextMilliseconds: UInt64 = .max
    /// The latest moment for which timers were asked for.
    @usableFromInline var seenMilliseconds: UInt64
    /// One bit per occupied bucket, one word per level.
    private let occupied: UnsafeMutablePointer<UInt64>
    /// How many timers are armed.
    public private(set) var count = 0 {
        didSet { if count == 0 { nextMilliseconds = .max } }
    }

    /// Starts a wheel at `now`, in milliseconds of the clock that all calls use.
    public init(tickMilliseconds: UInt64 = 64, now: UInt64) {
        precondition(tickMilliseconds > 0)
        self.tickMilliseconds = tickMilliseconds
        origin = now
        seenMilliseconds = now
        nodeCount = Self.heads
        nodes = .allocate(capacity: Self.heads)
        for head in 0..<Self.heads {
            let link = UInt32(head)
            (nodes + head).initialize(to: Self.blank(link))
        }
        occupied = .allocate(capacity: Self.levels)
        occupied.initialize(repeating: 0, count: Self.levels)
    }

    deinit {
        nodes.deallocate()
        occupied.deallocate()
    }

    /// Makes sure that slot `index` can have a timer.
    ///
    /// To be called when a slot is filled.
    public mutating func reserve(index: Int) {
        let needed = Self.heads + index + 1
        guard needed > nodeCount else { return }
        let grown = max(needed, nodeCount * 2)
        let larger = UnsafeMutablePointer<Node>.allocate(capacity: grown)
        larger.moveInitialize(from: nodes, count: nodeCount)
        (larger + nodeCount).initialize(
            repeating: Self.blank(Self.unlinked), count: grown - nodeCount)
        nodes.deallocate()
        nodes = larger
        nodeCount = grown
    }

    /// Sets the timer of the token's slot, in place of one it may have.
    ///
    /// A time that has passed counts as the next tick: whoever arms anew for each expiry cannot
    /// keep `popExpired` busy for ever.
    public mutating func arm(_ token: Token, at dueMilliseconds: UInt64) {
        let node = Self.heads + Int(token.index)
        precondition(node < nodeCount, "a timer for a slot that was not reserved")
        var due = max(ticks(dueMilliseconds, roundingUp: true), current &+ 1)
        if dueMilliseconds <= seenMilliseconds {
            due = max(due, ticks(seenMilliseconds, roundingUp: false) &+ 1)
        }
        if nodes[node].next != Self.unlinked {
            if nodes[node].due == due {
                // The common case of a deadline that is pushed on with each message.
                nodes[node].token = token
                return
            }
            unlink(node)
        } else {
            count &+= 1
        }
        nodes[node].due = due
        nodes[node].token = token
        place(node)
        nextMilliseconds = min(nextMilliseconds, moment(due))
    }

    /// Takes the timer of the token's slot away, if it has one.
    public mutating func cancel(_ token: Token) {
        let node = Self.heads + Int(token.index)
        guard node < nodeCount, nodes[node].next != Self.unlinked else { return }
        unlink(node)
        count &-= 1
    }

    /// Whether the token's slot has a timer.
    public func isArmed(_ token: Token) -> Bool {
        let node = Self.heads + Int(token.index)
        return node < nodeCount && nodes[node].next != Self.unlinked
    }

    /// Takes away one timer whose time has come and returns what it was armed with; nil: none left.
    @inlinable
    public mutating func popExpired(now: UInt64) -> Token? {
        seenMilliseconds = now
        return now < nextMilliseconds ? nil : popDue(now)
    }

    @usableFromInline
    mutating func popDue(_ now: UInt64) -> Token? {
        let target = ticks(now, roundingUp: false)
        while true {
            let first = Int(nodes[Self.expired].next)
            if first != Self.expired {
                unlink(first)
                count &-= 1
                return nodes[first].token
            }
            guard let bucket = firstOccupied() else {
                current = max(current, target)
                return nil
            }
            let start = start(of: bucket)
            guard start <= target else {
                current = max(current, target)
                nextMilliseconds = moment(start)
                return nil
            }
            current = start
            empty(bucket)
        }
    }

    /// How long a poller may sleep; -1 when nothing is armed.
    ///
    /// It may be too short, since time must stop where timers change their level and since a timer that
    /// was taken away may still count, but not too long.
    @inlinable
    public func millisecondsUntilNext(now: UInt64) -> Int32 {
        if nextMilliseconds == .max { return -1 }
        guard nextMilliseconds > now else { return 0 }
        return Int32(truncatingIfNeeded: min(nextMilliseconds &- now, UInt64(Int32.max)))
    }

    /// When a tick begins, in milliseconds of the callers' clock.
    private func moment(_ tick: UInt64) -> UInt64 { origin &+ tick &* tickMilliseconds }

    private static func blank(_ link: UInt32) -> Node {
        Node(next: link, previous: link, due: 0, token: Token(rawValue: 0))
    }

    private func ticks(_ milliseconds: UInt64, roundingUp: Bool) -> UInt64 {
        guard milliseconds > origin else { return 0 }
        let elapsed = milliseconds &- origin
        var ticks = elapsed / tickMilliseconds
        if roundingUp && ticks &* tickMilliseconds != elapsed { ticks &+= 1 }
        // A deadline years away is as good as the farthest one.
        return min(ticks, Self.lastTick)
    }

    /// The occupied bucket that comes first: no lower level is occupied, and none on this one
    /// before.
    private func firstOccupied() -> Int? {
        var level = 0
        while level < Self.levels {
            let bits = occupied[level]
            if bits != 0 { return level &* 64 &+ bits.trailingZeroBitCount }
            level &+= 1
        }
        return nil
    }

    /// The first tick of a bucket, whose higher digits are those of the current tick.
    private func start(of bucket: Int) -> UInt64 {
        let shift = UInt64(bucket / 64 &* 6)
        let higher = (current >> (shift &+ 6)) << (shift &+ 6)
        return higher | UInt64(bucket % 64) << shift
    }

    private mutating func empty(_ bucket: Int) {
        occupied[bucket / 64] &= ~(1 << UInt64(bucket % 64))
        var node = Int(nodes[bucket].next)
        nodes[bucket].next = UInt32(bucket)
        nodes[bucket].previous = UInt32(bucket)
        while node != bucket {
            let next = Int(nodes[node].next)
            place(node)
            node = next
        }
    }

    private mutating func place(_ node: Int) {
        let due = nodes[node].due
        var list = Self.expired
        if due > current {
            let digit = (63 &- (due ^ current).leadingZeroBitCount) / 6
            let bucket = Int(truncatingIfNeeded: due >> UInt64(digit &* 6)) & 63
            occupied[digit] |= 1 << UInt64(bucket)
            list = digit &* 64 &+ bucket
        }
        let last = Int(nodes[list].previous)
        nodes[node].next = UInt32(truncatingIfNeeded: list)
        nodes[node].previous = UInt32(truncatingIfNeeded: last)
        nodes[last].next = UInt32(truncatingIfNeeded: node)
        nodes[list].previous = UInt32(truncatingIfNeeded: node)
    }

    private mutating func unlink(_ node: Int) {
        let next = Int(nodes[node].next)
        let previous = Int(nodes[node].previous)
        nodes[next].previous = UInt32(truncatingIfNeeded: previous)
        nodes[previous].next = UInt32(truncatingIfNeeded: next)
        if next == previous && next < Self.bucketCount {
            // Both neighbours are the head: the bucket is empty now.
            occupied[next / 64] &= ~(1 << UInt64(next % 64))
        }
        nodes[node].next = Self.unlinked
    }
}

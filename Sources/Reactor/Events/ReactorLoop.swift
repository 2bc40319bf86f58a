// SPDX-License-Identifier: Apache-2.0

/// What a reactor waits with: its events, its timers, its mailbox, and the time of its turn.
///
/// `Reacting.turn` turns it. A reactor with further timers, or with other things to do by itself, says
/// so in `limit` and does them in `endTurn`.
public struct ReactorLoop<Message: Sendable>: ~Copyable {
    /// The token of the mailbox; descriptors outside of slabs have other numbers.
    @inlinable public static var mailboxToken: Token { .fixed(0) }

    /// Where descriptors are watched.
    public var poller: Poller
    /// One timer for each slot; those that fire come to `timeIsUp`.
    public var timers: TimerWheel
    /// The time of this turn, in milliseconds of `Clock`.
    public var now: UInt64
    @usableFromInline let mailbox: Mailbox<Message>?

    /// A loop that has waited for nothing yet.
    ///
    /// - Parameters:
    ///   - poller: the epoll set, which may watch something already.
    ///   - mailbox: where other threads post; nil where nobody does.
    ///   - tickMilliseconds: how exact the timers are.
    public init(
        poller: consuming Poller, mailbox: Mailbox<Message>? = nil, tickMilliseconds: UInt64 = 64
    ) {
        now = Clock.nowMilliseconds()
        self.poller = poller
        self.mailbox = mailbox
        timers = TimerWheel(tickMilliseconds: tickMilliseconds, now: now)
    }

    /// Watches the mailbox; false when the system has no room for it.
    @inlinable
    func watchMailbox() -> Bool {
        guard let mailbox else { return true }
        return poller.add(mailbox.descriptor, Self.mailboxToken, .levelRead)
    }

    /// Waits for events, and looks at the clock; how many events there are.
    @inlinable
    mutating func wait(_ time: borrowing WaitTime) -> Int {
        let count =
            if let nanoseconds = time.nanoseconds {
                poller.wait(timeoutNanoseconds: nanoseconds)
            } else {
                poller.wait(timeoutMilliseconds: time.milliseconds)
            }
        now = Clock.nowMilliseconds()
        return count
    }
}

/// A reactor: who gets the events, timers and messages of a `ReactorLoop`, on one thread.
///
/// In a turn come the events of one batch, then the timers that have fired, then `endTurn`. All of it is
/// called on the thread that turns the loop, and none of it may wait.
public protocol Reacting: ~Copyable {
    /// What other threads post; `Never` where they post nothing.
    associatedtype Message: Sendable

    /// What it waits with.
    var loop: ReactorLoop<Message> { get set }
    /// Whether the present turn is the last.
    var isOver: Bool { get }

    /// Says until when it may be waited, beside the timers of the loop.
    func limit(_ wait: inout WaitTime)
    /// A turn begins: the clock was read, and no event was given yet.
    mutating func beginTurn()
    /// A watched descriptor is ready; the token may be that of a tenant who is gone.
    mutating func isReady(_ token: Token, _ flags: Readiness)
    /// A message was posted.
    mutating func receive(_ message: Message)
    /// A timer of the loop has fired; the token may be that of a tenant who is gone.
    mutating func timeIsUp(_ token: Token)
    /// The last of a turn: what does not come from events, and freeing what was retired.
    mutating func endTurn()
}

extension Reacting where Self: ~Copyable {
    /// Nothing else has a time.
    @inlinable public func limit(_ wait: inout WaitTime) {}
    /// Nothing is to be done before the events.
    @inlinable public mutating func beginTurn() {}
    /// No timer is armed.
    @inlinable public mutating func timeIsUp(_ token: Token) {}
    /// Nothing is to be done behind the timers.
    @inlinable public mutating func endTurn() {}

    /// Turns until it is over.
    ///
    /// - Returns: false when the system has no room to watch the mailbox; then it has not turned.
    @inlinable
    public mutating func turnUntilOver() -> Bool {
        guard loop.watchMailbox() else { return false }
        while !isOver { turn() }
        return true
    }

    /// Waits once, and gives everybody what is theirs.
    ///
    /// Costs one wait and one look at the clock, and a read of the mailbox when a message is there.
    @inlinable
    public mutating func turn() {
        var wait = WaitTime()
        wait.limit(by: loop.timers)
        limit(&wait)
        let count = loop.wait(wait)
        beginTurn()
        var index = 0
        while index < count {
            let event = loop.poller.event(index)
            if event.token == ReactorLoop<Message>.mailboxToken {
                receiveAll()
            } else {
                isReady(event.token, event.flags)
            }
            index &+= 1
        }
        while let token = loop.timers.popExpired(now: loop.now) { timeIsUp(token) }
        endTurn()
    }

    @inlinable
    mutating func receiveAll() {
        guard let messages = loop.mailbox?.take() else { return }
        for message in messages { receive(message) }
    }
}

extension Reacting where Self: ~Copyable, Message == Never {
    /// Nobody can post.
    @inlinable public mutating func receive(_ message: Never) {}
}

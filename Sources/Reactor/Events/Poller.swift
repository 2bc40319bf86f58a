// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// What a descriptor is watched for.
public struct Interest: Equatable, Sendable {
    let events: UInt32

    /// Readable, writable and the peer's end, once per change: for connections.
    ///
    /// Registered once and never changed again; the owner remembers what it has not yet read.
    public static let edgeBoth = Interest(
        events: EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue)
    /// Readable, for as long as it is: for mailboxes.
    public static let levelRead = Interest(events: EPOLLIN.rawValue)
    /// Readable or writable, for as long as it is: for sockets of a library that reads not all at once.
    public static let level = Interest(events: EPOLLIN.rawValue | EPOLLOUT.rawValue)
    /// Readable, and of several pollers that watch it one is woken: for listeners.
    ///
    /// It cannot be modified: remove it and add it again.
    public static let levelReadExclusive = Interest(
        events: EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue)
    /// Nothing but errors and hang-ups, which cannot be left out.
    public static let nothing = Interest(events: 0)
}

/// What an event reports.
public struct Readiness: OptionSet, Sendable {
    /// One bit for each member, as declared below.
    public let rawValue: UInt8
    /// The set with the members whose bits are set.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// There are bytes, or connections, or the end of the stream.
    public static var readable: Readiness { Readiness(rawValue: 1) }
    /// There is room to send.
    public static var writable: Readiness { Readiness(rawValue: 2) }
    /// The peer sends no more, or the connection is broken: read on until the end or the error
    /// shows.
    public static var hangup: Readiness { Readiness(rawValue: 4) }
    /// Nothing can be sent any more either: reset, failed, or ended from both sides.
    public static var broken: Readiness { Readiness(rawValue: 8) }
}

/// One event of a batch.
public struct Event: Sendable {
    /// What the descriptor was registered with.
    public let token: Token
    /// What happened to it.
    public let flags: Readiness
}

/// An epoll set and the room for one batch of its events.
public struct Poller: ~Copyable {
    private let descriptor: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    private let eventsMax: Int32
    private var eventCount = 0

    /// Opens an epoll set that reports up to `eventsMax` events at once.
    public init(eventsMax: Int = 512) throws(SystemError) {
        let descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw .last("make an event queue") }
        self.descriptor = descriptor
        self.eventsMax = Int32(eventsMax)
        events = .allocate(capacity: eventsMax)
    }

    deinit {
        close(descriptor)
        events.deallocate()
    }

    /// Watches a descriptor; false when the system has no room for it.
    public func add(_ fd: Int32, _ token: Token, _ interest: Interest) -> Bool {
        control(EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Changes what a watched descriptor is watched for; an edge that stands is reported anew.
    @discardableResult
    public func modify(_ fd: Int32, _ token: Token, _ interest: Interest) -> Bool {
        control(EPOLL_CTL_MOD, fd, token, interest)
    }

    /// Stops watching.
    ///
    /// A closed descriptor needs no removal, unless a duplicate of it is open.
    @discardableResult
    public func remove(_ fd: Int32) -> Bool {
        control(EPOLL_CTL_DEL, fd, Token(rawValue: 0), .nothing)
    }

    /// Waits for events, for ever when the timeout is negative, and says how many there are.
    public mutating func wait(timeoutMilliseconds: Int32) -> Int {
        noteBatch(epoll_wait(descriptor, events, eventsMax, timeoutMilliseconds))
    }

    /// Waits for events, more precisely than in milliseconds; for who sends by the clock.
    public mutating func wait(timeoutNanoseconds: UInt64) -> Int {
        let nanoseconds = Int64(min(timeoutNanoseconds, 1 << 60))
        return noteBatch(sluice_wait_nanoseconds(descriptor, events, eventsMax, nanoseconds))
    }

    private mutating func noteBatch(_ count: Int32) -> Int {
        if count < 0 {
            // A signal is no failure: the caller turns once more.
            let code = errno
            precondition(code == EINTR, "epoll_wait was misused")
            eventCount = 0
        } else {
            eventCount = Int(count)
        }
        return eventCount
    }

    /// An event of the last batch.
    public func event(_ index: Int) -> Event {
        precondition(index >= 0 && index < eventCount)
        let event = events[index]
        let bits = event.events
        var flags: UInt8 = 0
        if bits & EPOLLIN.rawValue != 0 { flags |= 1 }
        if bits & EPOLLOUT.rawValue != 0 { flags |= 2 }
        if bits & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { flags |= 4 }
        if bits & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { flags |= 8 }
        return Event(token: Token(rawValue: event.data.u64), flags: Readiness(rawValue: flags))
    }

    private func control(
        _ operation: Int32, _ fd: Int32, _ token: Token, _ interest: Interest
    ) -> Bool {
        var event = epoll_event()
        event.events = interest.events
        event.data.u64 = token.rawValue
        if epoll_ctl(descriptor, operation, fd, &event) == 0 { return true }
        let code = errno
        precondition(code != EBADF && code != EFAULT, "epoll_ctl on a descriptor that is not open")
        return false
    }
}

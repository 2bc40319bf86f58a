// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
public import Synchronization

/// The one door between threads: anyone posts, the owner's poller wakes and the owner takes.
///
/// Register `descriptor` with `Interest.levelRead`.
public final class Mailbox<Message: Sendable>: Sendable {
    /// Readable while messages wait.
    public let descriptor: Int32
    @usableFromInline let messages = Mutex<[Message]>([])

    /// Opens an empty mailbox.
    public init() throws(SystemError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw .last("make a channel between threads") }
    }

    deinit {
        close(descriptor)
    }

    /// Puts a message behind those that wait.
    ///
    /// Inlinable, so that large messages of other targets are not handled by run-time metadata.
    @inlinable
    public func post(_ message: Message) {
        let wasEmpty = messages.withLock { messages in
            messages.append(message)
            return messages.count == 1
        }
        // Only the first one has to wake the owner: who takes, takes all.
        if wasEmpty { wake() }
    }

    @usableFromInline
    func wake() { eventfd_write(descriptor, 1) }

    /// Waits until a message is there; false when the time is over.
    ///
    /// For threads without a poller.
    public func wait(milliseconds: Int32) -> Bool {
        var waitFor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waitFor, 1, milliseconds) > 0
    }

    @usableFromInline
    func clearWake() {
        var count: eventfd_t = 0
        eventfd_read(descriptor, &count)
    }

    /// Takes all messages in the order of posting.
    @inlinable
    public func take() -> [Message] {
        // Cleared before the messages are taken: a post in between is taken now or wakes again.
        clearWake()
        return messages.withLock { messages in
            let taken = messages
            messages = []
            // Where many come at once, those who post need not make the room.
            if taken.count > 8 { messages.reserveCapacity(min(taken.count, 1_024)) }
            return taken
        }
    }
}

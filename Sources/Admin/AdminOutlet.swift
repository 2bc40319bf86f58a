// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor

/// Where an answer of the admin socket is written as it comes to be, in chunks (RFC 9112 §7.1).
public struct AdminOutlet: ~Copyable {
    /// How often one that waits looks at whether it still has to.
    private static let lookMilliseconds: UInt64 = 100

    private let stream: AdminStream

    init(_ stream: consuming AdminStream) { self.stream = stream }

    /// Sends the head, has the body be written, and ends it.
    ///
    /// The story is told also where whoever asked has gone meanwhile: its first write fails then, and it gives back
    /// what was taken for it.
    consuming func tell(_ head: [UInt8], _ story: (borrowing AdminOutlet) -> Void) {
        let deadline = Clock.nowMilliseconds() + AdminServer.answerMilliseconds
        if !stream.send(head, until: deadline) {
            // Nobody gets a body without its head.
            _ = shutdown(stream.descriptor, Int32(SHUT_RDWR))
        }
        story(self)
    }

    /// Writes a piece of the body, and waits for as long as whoever asked takes nothing.
    ///
    /// - Parameters:
    ///   - bytes: the piece; an empty one writes nothing.
    ///   - isOver: whether it has to be waited for no longer.
    /// - Returns: whether it was sent.
    public func write(_ bytes: [UInt8], unless isOver: () -> Bool) -> Bool {
        if bytes.isEmpty { return true }
        return send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10], isOver)
    }

    /// Ends the body in order: whoever asked knows that it has all.
    public func finish() {
        let end = Clock.nowMilliseconds() + Self.lookMilliseconds
        _ = send(Array("0\r\n\r\n".utf8)) { Clock.nowMilliseconds() >= end }
    }

    /// Waits for that long; false where whoever asked has gone.
    public func wait(milliseconds: Int32) -> Bool {
        var look = pollfd(fd: stream.descriptor, events: 0, revents: 0)
        _ = poll(&look, 1, milliseconds)
        return look.revents & Int16(POLLHUP | POLLERR) == 0
    }

    private func send(_ bytes: [UInt8], _ isOver: () -> Bool) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch stream.sendSome(rest, until: Clock.nowMilliseconds() + Self.lookMilliseconds) {
            case .some(let count) where count > 0: rest = rest.dropFirst(count)
            case .some: if isOver() { return false }
            case nil: return false
            }
        }
        return true
    }
}

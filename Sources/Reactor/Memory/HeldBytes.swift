// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
public import Serialization

/// Bytes that could not be sent yet, first in first out, in chunks of a pool.
///
/// Two words at rest, and while it is empty it owns no chunk. It is a plain value that owns memory
/// all the same: whoever drops it calls `discard` before, and there is one copy of it.
public struct HeldBytes {
    /// What became of an attempt to send what is held.
    public enum Drained: Equatable, Sendable {
        /// Nothing is held any more.
        case emptied
        /// The socket took what it could.
        case blocked
        /// The connection is broken: the value of `errno`.
        case failed(Int32)
    }

    /// Stands at the start of each chunk.
    private struct Link {
        var next: UnsafeMutablePointer<Link>?
        /// The last chunk; kept in the first chunk only.
        var last: UnsafeMutablePointer<Link>
        /// The bytes held here are those from `start` up to `end`, counted from the chunk's start.
        var start: Int32
        var end: Int32
    }

    private static var linkBytes: Int { MemoryLayout<Link>.stride }
    /// As many chunks as go into one call.
    private static var chunksPerSend: Int { 16 }

    private var first: UnsafeMutablePointer<Link>?
    /// How many bytes are held.
    public private(set) var count = 0

    /// Holds no bytes and no chunk.
    public init() {}

    /// Whether nothing is held.
    public var isEmpty: Bool { count == 0 }

    /// Copies `count` bytes behind those that are held.
    public mutating func append(
        _ bytes: UnsafePointer<UInt8>, count added: Int, pool: inout BufferPool
    ) {
        var source = bytes
        var left = added
        count &+= added
        while left > 0 {
            let link = roomyLink(pool: &pool)
            let end = Int(link.pointee.end)
            let piece = min(left, BufferPool.chunkBytes &- end)
            memcpy(UnsafeMutableRawPointer(link) + end, source, piece)
            link.pointee.end = Int32(truncatingIfNeeded: end &+ piece)
            source += piece
            left &-= piece
        }
    }

    /// Sends as much as the socket takes, several chunks in one call.
    public mutating func drain(
        into socket: borrowing Socket, pool: inout BufferPool
    ) -> Drained {
        while let first {
            var offered = 0
            let moved = sendChunks(from: first, through: socket.descriptor, offered: &offered)
            if moved >= 0 {
                remove(moved, pool: &pool)
                if moved < offered { return .blocked }
                continue
            }
            let code = errno
            if code == EAGAIN || code == ENOTCONN { return .blocked }
            if code == EINTR { continue }
            precondition(code != EBADF && code != EFAULT, "sendmsg was misused")
            return .failed(code)
        }
        return .emptied
    }

    /// Takes the first bytes away, `capacity` at most; how many they were.
    public mutating func take(
        into destination: UnsafeMutablePointer<UInt8>, capacity: Int, pool: inout BufferPool
    ) -> Int {
        let taken = min(capacity, count)
        var next = first
        var copied = 0
        while let link = next, copied < taken {
            let start = Int(link.pointee.start)
            let piece = min(Int(link.pointee.end) &- start, taken &- copied)
            memcpy(destination + copied, UnsafeMutableRawPointer(link) + start, piece)
            copied &+= piece
            next = link.pointee.next
        }
        remove(taken, pool: &pool)
        return taken
    }

    /// Writes what is held as the value of a field, and goes on holding it.
    public func write(_ number: UInt16, to writer: inout FieldWriter) {
        writer.part(number) { value in
            var next = first
            while let link = next {
                let start = Int(link.pointee.start)
                value.append(
                    UnsafeRawBufferPointer(
                        start: UnsafeRawPointer(link) + start,
                        count: Int(link.pointee.end) &- start))
                next = link.pointee.next
            }
        }
    }

    /// Forgets what is held.
    public mutating func discard(pool: inout BufferPool) {
        remove(count, pool: &pool)
    }

    private func sendChunks(
        from first: UnsafeMutablePointer<Link>, through descriptor: Int32, offered: inout Int
    ) -> Int {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.chunksPerSend) { parts in
            var part = 0
            var next: UnsafeMutablePointer<Link>? = first
            while let link = next, part < Self.chunksPerSend {
                let start = Int(link.pointee.start)
                let length = Int(link.pointee.end) &- start
                parts[part] = iovec(
                    iov_base: UnsafeMutableRawPointer(link) + start, iov_len: length)
                offered &+= length
                part &+= 1
                next = link.pointee.next
            }
            var message = msghdr()
            message.msg_iov = parts.baseAddress
            message.msg_iovlen = part
            return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
        }
    }

    private mutating func remove(_ removed: Int, pool: inout BufferPool) {
        assert(removed <= count)
        count &-= removed
        var left = removed
        while let link = first {
            let held = Int(link.pointee.end &- link.pointee.start)
            if left < held {
                link.pointee.start &+= Int32(truncatingIfNeeded: left)
                return
            }
            left &-= held
            let next = link.pointee.next
            if let next { next.pointee.last = link.pointee.last }
            pool.giveBack(UnsafeMutableRawPointer(link).assumingMemoryBound(to: UInt8.self))
            first = next
        }
    }

    /// The last chunk if it has room, else a new one behind it.
    private mutating func roomyLink(pool: inout BufferPool) -> UnsafeMutablePointer<Link> {
        if let first {
            let last = first.pointee.last
            if Int(last.pointee.end) < BufferPool.chunkBytes { return last }
        }
        let memory = UnsafeMutableRawPointer(pool.lend())
        let link = memory.bindMemory(to: Link.self, capacity: 1)
        let start = Int32(truncatingIfNeeded: Self.linkBytes)
        link.initialize(to: Link(next: nil, last: link, start: start, end: start))
        if let first {
            first.pointee.last.pointee.next = link
            first.pointee.last = link
        } else {
            first = link
        }
        return link
    }
}

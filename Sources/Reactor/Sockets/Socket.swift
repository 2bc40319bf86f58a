// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Owns one non-blocking stream socket and closes it when it goes.
///
/// Outcomes that a peer can cause are values. EBADF and EFAULT are errors of this program and trap.
public struct Socket: ~Copyable, Sendable {
    /// The descriptor, for the poller.
    ///
    /// It stays owned by this value.
    public let descriptor: Int32

    /// Takes over a descriptor that is open and non-blocking.
    public init(adopting descriptor: Int32) {
        precondition(descriptor >= 0)
        self.descriptor = descriptor
    }

    private init(none: Void) { descriptor = -1 }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// The descriptor, which is the caller's from here on.
    public consuming func handOver() -> Int32 {
        let descriptor = descriptor
        discard self
        return descriptor
    }

    /// No socket: a place where one will be.
    ///
    /// Only its deinitialiser may be called.
    public static func none() -> Socket { Socket(none: ()) }

    /// Whether there is a socket.
    public var isOpen: Bool { descriptor >= 0 }

    /// A new socket that can reach `address`.
    public static func stream(for address: Address) throws(SystemError) -> Socket {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { throw .last("make a socket") }
        return Socket(adopting: descriptor)
    }

    /// Two unix sockets connected to each other.
    public static func pair() throws(SystemError) -> SocketPair {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &ends) { bytes in
            socketpair(AF_UNIX, type, 0, bytes.assumingMemoryBound(to: Int32.self).baseAddress)
        }
        guard result == 0 else { throw .last("make a pair of sockets") }
        return SocketPair(first: Socket(adopting: ends.0), second: Socket(adopting: ends.1))
    }

    /// Copies up to `count` bytes that have come and leaves them there.
    public borrowing func peek(_ count: Int) -> (bytes: [UInt8], result: IOResult) {
        var buffer = [UInt8](repeating: 0, count: count)
        let moved = recv(descriptor, &buffer, count, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        if moved > 0 { return (Array(buffer.prefix(moved)), .moved(moved)) }
        if moved == 0 { return ([], .ended) }
        return ([], errno == EAGAIN || errno == EINTR ? .blocked : .failed(errno))
    }

    /// Receives up to `count` bytes, which must be more than none.
    public borrowing func receive(into bytes: UnsafeMutablePointer<UInt8>, count: Int) -> IOResult {
        assert(count > 0)
        while true {
            let moved = sluice_receive(descriptor, bytes, count)
            if moved > 0 { return .moved(moved) }
            if moved == 0 { return .ended }
            let code = errno
            if code == EAGAIN { return .blocked }
            if code == EINTR { continue }
            precondition(code != EBADF && code != EFAULT, "recv was misused")
            return .failed(code)
        }
    }

    /// Sends up to `count` bytes.
    ///
    /// Fewer than `count` moved means that there is no more room.
    public borrowing func send(_ bytes: UnsafePointer<UInt8>, count: Int) -> IOResult {
        send(bytes, count: count, flags: Int32(MSG_NOSIGNAL))
    }

    @inline(__always)
    private borrowing func send(
        _ bytes: UnsafePointer<UInt8>, count: Int, flags: Int32
    ) -> IOResult {
        assert(count > 0)
        while true {
            let moved = sluice_send(descriptor, bytes, count, flags)
            if moved >= 0 { return .moved(moved) }
            let code = errno
            // Not connected yet: the event for writing comes when it is.
            if code == EAGAIN || code == ENOTCONN { return .blocked }
            if code == EINTR { continue }
            precondition(code != EBADF && code != EFAULT, "send was misused")
            return .failed(code)
        }
    }

    /// Sends the last bytes before `shutdownWrite`, which then leave in one segment with its FIN.
    public borrowing func sendLast(_ bytes: UnsafePointer<UInt8>, count: Int) -> IOResult {
        send(bytes, count: count, flags: Int32(MSG_NOSIGNAL) | Int32(MSG_MORE))
    }

    /// Tells the peer that nothing more comes.
    public borrowing func shutdownWrite() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Begins to connect.
    public borrowing func connect(to address: Address) -> ConnectResult {
        let code = address.withSockaddr { pointer, length in
            Glibc.connect(descriptor, pointer, length) == 0 ? 0 : errno
        }
        switch code {
        case 0: return .connected
        // An interrupted connect goes on by itself. (EAGAIN of a unix socket with a full backlog is
        // a failure: it will not go on.)
        case EINPROGRESS, EINTR: return .inProgress
        default:
            precondition(code != EBADF && code != EFAULT, "connect was misused")
            return .failed(code)
        }
    }

    /// Bytes that were sent and that the peer's system has not taken yet; 0 where that is not known.
    public borrowing func unacknowledgedBytes() -> Int {
        max(0, Int(sluice_unacknowledged(descriptor)))
    }

    /// Bytes that the peer's system has taken since the connection began; nil where that is not known, as on
    /// a Unix socket.
    public borrowing func acknowledgedBytes() -> Int? {
        let count = sluice_acknowledged(descriptor)
        return count < 0 ? nil : Int(count)
    }

    /// The error that the socket has met, once; 0 for none.
    public borrowing func pendingError() -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else {
            return errno
        }
        return code
    }

    /// Gives the descriptor away: the caller closes it.
    public consuming func release() -> Int32 {
        let descriptor = descriptor
        discard self
        return descriptor
    }
}

/// Both ends of a pair of connected sockets.
@frozen public struct SocketPair: ~Copyable {
    /// One end.
    public var first: Socket
    /// The other end.
    public var second: Socket

    /// Two sockets.
    public init(first: consuming Socket, second: consuming Socket) {
        self.first = first
        self.second = second
    }

    /// The descriptors, which are the caller's from here on.
    public consuming func handOver() -> (first: Int32, second: Int32) {
        (first.handOver(), second.handOver())
    }
}

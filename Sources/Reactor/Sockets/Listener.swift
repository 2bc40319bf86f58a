// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// What became of one attempt to accept a connection.
public enum AcceptResult: Equatable, Sendable {
    /// A connection: its descriptor, non-blocking, which the receiver owns now; and who it is.
    case accepted(Int32, Address)
    /// The queue of connections is empty.
    case blocked
    /// The system has no descriptor or no memory for it. The connection still waits, so a listener
    /// that is watched reports it for ever: stop watching for a while (`AcceptBackoff`).
    case exhausted(Int32)
    /// A connection was gone before it was accepted; try the next one.
    case aborted(Int32)
}

/// Owns a listening socket.
///
/// `[::]:p` and `:p` accept IPv6 and IPv4; other IPv6 addresses accept IPv6 only.
public struct Listener: ~Copyable, Sendable {
    /// The address with the port that it got.
    public let address: Address
    private let socket: Socket
    /// Of a unix socket the file that it has, which other processes may replace.
    private let file: SocketFile?

    /// The descriptor, for the poller.
    ///
    /// It stays owned by this value.
    public var descriptor: Int32 { socket.descriptor }

    /// Binds and listens.
    ///
    /// - Parameters:
    ///   - address: where to.
    ///   - others: listening sockets of this user that stand in its way and are about to be closed: both
    ///     listen until then.
    ///   - backlog: connections that may wait to be accepted.
    /// - Throws: `SystemError` where the address can't be bound.
    public init(
        address: Address, beside others: [Int32] = [], backlog: Int = 4096
    ) throws(SystemError) {
        if address.isUnix {
            try Listener.clear(address)
        }
        let descriptor: Int32
        do {
            descriptor = try Listener.open(address, beside: others, backlog: backlog)
        } catch {
            // Only where no IPv6 is built in or it is switched off.
            guard address.kind == .everywhere,
                error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL
            else { throw error }
            let ipv4 = Address.ipv4(0, 0, 0, 0, port: address.port)
            descriptor = try Listener.open(ipv4, beside: others, backlog: backlog)
        }
        self.init(adopting: descriptor, as: address)
    }

    /// Takes over a socket that listens already: one that was inherited.
    public init(adopting descriptor: Int32, as address: Address) {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        socket = Socket(adopting: descriptor)
        let local = socket.localAddress
        if address.kind == .everywhere {
            self.address = address.with(port: local?.port ?? address.port)
        } else {
            self.address = local ?? address
        }
        file = self.address.isUnix ? SocketFile(self.address.path) : nil
    }

    /// The address of a listening stream socket that was inherited; nil when it is no such socket.
    public static func address(of descriptor: Int32) -> Address? {
        var isListening: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0,
            isListening == 1
        else { return nil }
        var storage = sockaddr_storage()
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
        }
        return code == 0 ? Address(storage: storage, length: Int(length)) : nil
    }

    /// Gives the descriptor away, for another thread to adopt: the caller closes it.
    public consuming func release() -> Int32 {
        socket.release()
    }

    /// Accepts one connection that waits.
    public borrowing func accept() -> AcceptResult {
        Listener.accept(on: descriptor)
    }

    /// Accepts one connection that waits at a listening descriptor that somebody else owns.
    public static func accept(on descriptor: Int32) -> AcceptResult {
        while true {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let accepted = sluice_accept(descriptor, &storage, &length)
            if accepted >= 0 {
                let peer = Address(storage: storage, length: Int(length))
                return .accepted(accepted, peer ?? Address(unixPath: ""))
            }
            let code = errno
            if code == EINTR { continue }
            return Listener.result(of: code)
        }
    }

    /// Removes the file of a unix socket, when nobody shall connect any more; not what others have put there.
    public borrowing func removeFile() { file?.remove() }

    /// What an error of accept4(2) asks for.
    static func result(of code: Int32) -> AcceptResult {
        switch code {
        case EAGAIN:
            return .blocked
        // The connection that would have been accepted has failed, says the manual of accept(2).
        case ECONNABORTED, EPROTO, ENOPROTOOPT, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH,
            ENONET, EOPNOTSUPP, EPERM, ETIMEDOUT:
            return .aborted(code)
        case EBADF, EFAULT, ENOTSOCK:
            preconditionFailure("accept was misused")
        // EMFILE, ENFILE, ENOBUFS, ENOMEM; and what is not known is not worth a busy loop either.
        default:
            return .exhausted(code)
        }
    }

    private static func open(
        _ address: Address, beside others: [Int32], backlog: Int
    ) throws(SystemError) -> Int32 {
        let socket = try Socket.stream(for: address)
        if !address.isUnix { _ = socket.set(SOL_SOCKET, SO_REUSEADDR, 1) }
        if address.isIPv6 {
            _ = socket.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, address.isWildcard ? 0 : 1)
        }
        // Accepted sockets have it from their listener: one call for each connection saved.
        if !address.isUnix {
            socket.setNoDelay()
            // A peer that vanished without a word is found, also where nothing is ever sent.
            socket.setKeepAlive(idleSeconds: 300, intervalSeconds: 30, probes: 4)
        }
        var bound = address.withSockaddr { bind(socket.descriptor, $0, $1) }
        // Only while both are set: later on nobody else, and no second Sluice, gets in by accident.
        let shared =
            bound != 0 && errno == EADDRINUSE && !others.isEmpty ? others + [socket.descriptor] : []
        if !shared.isEmpty {
            for descriptor in shared { share(descriptor, true) }
            bound = address.withSockaddr { bind(socket.descriptor, $0, $1) }
        }
        // listen(2) asks once more whether the address is free.
        defer { for descriptor in shared { share(descriptor, false) } }
        guard bound == 0 else { throw .last("bind \(address)", subject: .listening(address)) }
        if address.isUnix && !address.path.hasPrefix("@") {
            // Before it listens: nobody can connect through wider rights meanwhile.
            guard chmod(address.path, 0o660) == 0 else {
                throw .last("chmod \(address)", subject: .listening(address))
            }
        }
        guard listen(socket.descriptor, Int32(backlog)) == 0 else {
            throw .last("listen \(address)", subject: .listening(address))
        }
        return socket.release()
    }

    /// Whether other sockets of this user may listen at the address of this one, if they say so too.
    private static func share(_ descriptor: Int32, _ isShared: Bool) {
        let code = errno
        var value: Int32 = isShared ? 1 : 0
        setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEPORT, &value, socklen_t(MemoryLayout<Int32>.size))
        errno = code
    }

    /// Removes a socket file that a process left behind which is gone; what is no socket stays.
    private static func clear(_ address: Address) throws(SystemError) {
        switch try SocketPlace(address) {
        // bind says of the second that the address is in use.
        case .free, .taken: break
        case .abandoned: unlink(address.path)
        case .other(let what): throw .occupied(address, by: what)
        }
    }
}

/// How long to leave a listener alone after `AcceptResult.exhausted`: 5 ms, doubling up to 1 s.
public struct AcceptBackoff: Sendable {
    private static let firstMilliseconds: UInt64 = 5
    private static let lastMilliseconds: UInt64 = 1000
    private var next = AcceptBackoff.firstMilliseconds

    /// Starts with the shortest pause.
    public init() {}

    /// The pause to make now; the next one is twice as long.
    public mutating func pauseMilliseconds() -> UInt64 {
        defer { next = min(next * 2, Self.lastMilliseconds) }
        return next
    }

    /// A connection was accepted: start over.
    public mutating func reset() {
        next = Self.firstMilliseconds
    }
}

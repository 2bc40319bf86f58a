// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Where a test peer connects to or listens: loopback TCP or a unix socket.
public enum PeerAddress: Sendable, Equatable, CustomStringConvertible {
    /// 127.0.0.1 with this port; 0 lets the kernel choose.
    case tcp(UInt16)
    /// A socket file.
    case unix(String)

    /// The address as an upstream in a configuration: `ws://127.0.0.1:9` or `unix:/path`.
    public var description: String {
        switch self {
        case .tcp(let port): "ws://127.0.0.1:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The port; 0 for a unix socket.
    public var port: UInt16 {
        if case .tcp(let port) = self { port } else { 0 }
    }

    /// A connected socket with TCP_NODELAY, so that each send is a segment of its own.
    func connect(receiveBufferBytes: Int32? = nil) throws -> Descriptor {
        let socket = try makeSocket()
        // Must be set before connect(2): it decides the window offered in the SYN.
        if let receiveBufferBytes {
            try socket.setOption(SOL_SOCKET, SO_RCVBUF, receiveBufferBytes)
        }
        let result = withSockaddr { Glibc.connect(socket.number, $0, $1) }
        guard result == 0 else { throw PeerError.system("connect to \(self)") }
        try socket.disableDelay(for: self)
        return socket
    }

    /// A socket whose connect(2) has begun and is not waited for.
    func beginConnecting() throws -> Descriptor {
        let socket = try makeSocket()
        _ = fcntl(socket.number, F_SETFL, O_NONBLOCK)
        let result = withSockaddr { Glibc.connect(socket.number, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else { throw PeerError.system("connect") }
        return socket
    }

    /// A listening socket and the address it got.
    func listen(backlog: Int32? = 1024) throws -> (socket: Descriptor, address: PeerAddress) {
        let socket = try makeSocket()
        if case .tcp = self { try socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1) }
        guard withSockaddr({ Glibc.bind(socket.number, $0, $1) }) == 0 else {
            throw PeerError.system("bind \(self)")
        }
        if let backlog, Glibc.listen(socket.number, backlog) != 0 {
            throw PeerError.system("listen")
        }
        _ = fcntl(socket.number, F_SETFL, O_NONBLOCK)
        guard case .tcp = self else { return (socket, self) }
        var bound = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &bound) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(socket.number, $0, &size)
            }
        }
        guard result == 0 else { throw PeerError.system("getsockname") }
        return (socket, .tcp(UInt16(bigEndian: bound.sin_port)))
    }

    /// A loopback port on which nobody listens, and nobody will while this process lives.
    ///
    /// It stays bound and is never listened on: a port given back is soon another test's.
    public static func refusing() throws -> PeerAddress {
        let (socket, address) = try PeerAddress.tcp(0).listen(backlog: nil)
        kept.withLock { $0.append(socket) }
        return address
    }

    private static let kept = Mutex<[Descriptor]>([])

    private func makeSocket() throws -> Descriptor {
        let family = if case .tcp = self { AF_INET } else { AF_UNIX }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let number = socket(family, kind, 0)
        guard number >= 0 else { throw PeerError.system("socket") }
        return Descriptor(number)
    }

    private func withSockaddr(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        switch self {
        case .tcp(let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { place in
                place.copyBytes(from: path.utf8.prefix(place.count - 1))
            }
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
    }
}

extension Descriptor {
    /// The next accepted connection; nil when the listening socket was shut down.
    func accept(for address: PeerAddress) throws -> Descriptor? {
        while true {
            _ = try poll(POLLIN, by: .after(.seconds(3600)))
            let (number, code) = Descriptor.spawning.withLock { _ in
                let number = Glibc.accept(self.number, nil, nil)
                let code = errno
                if number >= 0 { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
                return (number, code)
            }
            if number >= 0 {
                let accepted = Descriptor(number)
                try accepted.disableDelay(for: address)
                return accepted
            }
            if code == EINVAL || code == EBADF { return nil }
            if code != EINTR && code != ECONNABORTED && code != EAGAIN {
                throw PeerError.system("accept", code)
            }
        }
    }

    fileprivate func disableDelay(for address: PeerAddress) throws {
        if case .tcp = address { try setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
    }
}

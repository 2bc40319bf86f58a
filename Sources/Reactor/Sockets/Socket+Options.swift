// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

extension Socket {
    /// The address of this end.
    public var localAddress: Address? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
        }
        return result == 0 ? Address(storage: storage, length: Int(length)) : nil
    }

    /// The address of the other end.
    public var peerAddress: Address? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getpeername(descriptor, $0, &length)
            }
        }
        return result == 0 ? Address(storage: storage, length: Int(length)) : nil
    }

    /// Sends small writes at once.
    ///
    /// A unix socket does that anyway and says no.
    @discardableResult
    public borrowing func setNoDelay() -> Bool {
        set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Asks a silent peer's system whether it is still there.
    @discardableResult
    public borrowing func setKeepAlive(
        idleSeconds: Int32, intervalSeconds: Int32 = 15, probes: Int32 = 4
    ) -> Bool {
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
            && set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, idleSeconds)
            && set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, intervalSeconds)
            && set(Int32(IPPROTO_TCP), TCP_KEEPCNT, probes)
    }

    /// Limits what the system holds back for this socket before it is received.
    @discardableResult
    public borrowing func setReceiveBuffer(bytes: Int32) -> Bool {
        set(SOL_SOCKET, SO_RCVBUF, bytes)
    }

    /// Limits what the system holds back for this socket before it is sent.
    @discardableResult
    public borrowing func setSendBuffer(bytes: Int32) -> Bool {
        set(SOL_SOCKET, SO_SNDBUF, bytes)
    }

    /// Whether neither bytes nor the end of the stream are there to be received.
    public borrowing func isQuiet() -> Bool {
        var byte: UInt8 = 0
        let moved = recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return moved < 0 && (errno == EAGAIN || errno == EINTR)
    }

    /// Makes `close` cut the connection with a reset, and forget what was not sent.
    @discardableResult
    public borrowing func setResetOnClose() -> Bool {
        var value = linger(l_onoff: 1, l_linger: 0)
        return setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size)) == 0
    }

    /// Has connections leave from an address; its port is chosen by the system when it connects, so that one port
    /// may serve connections to several servers (IP_BIND_ADDRESS_NO_PORT, ip(7)).
    ///
    /// - Returns: 0, or the error code of the system.
    public borrowing func bindSource(_ address: Address) -> Int32 {
        let bindsLate: Int32 = 24
        _ = set(Int32(IPPROTO_IP), bindsLate, 1)
        return address.with(port: 0).withSockaddr { bind(descriptor, $0, $1) == 0 ? 0 : errno }
    }

    borrowing func set(_ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var value = value
        return setsockopt(
            descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }
}

// SPDX-License-Identifier: Apache-2.0
import CLinux
public import Glibc

/// Datagrams to a unix socket, as the service manager and the journal take them.
public enum UnixDatagram {
    /// A socket to send from; below 0 when there is no descriptor left.
    public static func socket() -> Int32 {
        Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }

    /// The address of a path; nil for an empty or too long one.
    ///
    /// With an @ in front it is in the abstract namespace (unix(7)).
    public static func address(_ path: String) -> sockaddr_un? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            return nil
        }
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    /// Sends one datagram; 0, or the value of `errno`.
    public static func send(
        _ bytes: UnsafeRawBufferPointer, to address: sockaddr_un, on socket: Int32
    ) -> Int32 {
        with(address) { address, length in
            while true {
                let sent = sendto(
                    socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), address, length)
                if sent >= 0 { return 0 }
                if errno != EINTR { return errno }
            }
        }
    }

    /// Sends one datagram with a copy of a descriptor; 0, or the value of `errno`.
    public static func send(
        _ bytes: [UInt8], with descriptor: Int32, to address: sockaddr_un, on socket: Int32
    ) -> Int32 {
        with(address) { address, length in
            guard connect(socket, address, length) == 0 else { return errno }
            while true {
                let sent = sluice_send_message(socket, bytes, bytes.count, [descriptor], 1)
                if sent >= 0 { return 0 }
                if errno != EINTR { return errno }
            }
        }
    }

    /// Passes bytes of any number as sealed memory; 0, or the value of `errno`.
    public static func pass(
        _ bytes: UnsafeRawBufferPointer, to address: sockaddr_un, on socket: Int32
    ) -> Int32 {
        do throws(SystemError) {
            let memory = try SealedMemory(bytes, name: "sluice-journal")
            return with(address) { memory.send(to: $0, length: Int($1), on: socket) }
        } catch {
            return error.code
        }
    }

    private static func with<Value>(
        _ address: sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value
    ) -> Value {
        let isAbstract = address.sun_path.0 == 0
        let pathLength = withUnsafeBytes(of: address.sun_path) { path in
            // An abstract name is as long as it is said to be, a path ends with its first NUL.
            path.dropFirst(isAbstract ? 1 : 0).firstIndex(of: 0) ?? path.count
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + pathLength)
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}

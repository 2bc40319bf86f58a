// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A port of 127.0.0.1 at which nobody listens and that nobody else is given: bound, and no more.
///
/// Whoever sets `SO_REUSEADDR`, as servers do, can listen there meanwhile.
public final class HeldPort: Sendable {
    /// The port.
    public let number: UInt16
    private let socket: Descriptor

    /// Takes a free one.
    public init() throws {
        socket = Descriptor(
            Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var isReusable: Int32 = 1
        setsockopt(
            socket.number, SOL_SOCKET, SO_REUSEADDR, &isReusable,
            socklen_t(MemoryLayout<Int32>.size))
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socket.number
        let isBound = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw PeerError.system("holding a port") }
        number = UInt16(bigEndian: place.sin_port)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor

/// The addresses by which others in the network reach this machine.
enum NetworkAddresses {
    /// All of interfaces that are up, the one by which the machine reaches the world first.
    ///
    /// Loopback and link-local ones are left out: the first nobody else reaches, the second nobody
    /// can write into a URL.
    static func all() -> [Address] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [Address] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard entry.ifa_flags & UInt32(IFF_UP) != 0, let place = entry.ifa_addr,
                let address = address(place)
            else { continue }
            let isLinkLocal = address.isIPv6 && address.hostString.lowercased().hasPrefix("fe80:")
            if !address.isLoopback && !isLinkLocal && !found.contains(address) {
                found.append(address)
            }
        }
        let first = primary()
        return found.sorted { left, right in
            func rank(_ address: Address) -> Int {
                address == first ? 0 : address.isIPv6 ? 2 : 1
            }
            return rank(left) < rank(right)
        }
    }

    /// Whether the address means something in one network only, so that a local authority may sign for
    /// it (RFC 1918, 3927, 4193, 6598).
    static func isPrivate(_ address: Address) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16)
        let family = address.isIPv6 ? AF_INET6 : AF_INET
        guard inet_pton(family, address.hostString, &bytes) == 1 else { return false }
        if address.isIPv6 { return bytes[0] & 0xFE == 0xFC }
        switch (bytes[0], bytes[1]) {
        case (10, _), (192, 168), (169, 254): return true
        case (172, 16...31), (100, 64...127): return true
        default: return false
        }
    }

    /// The address that packets to the world begin at; nothing is sent to find it.
    private static func primary() -> Address? {
        let descriptor = socket(
            AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var world = sockaddr_in()
        world.sin_family = sa_family_t(AF_INET)
        world.sin_port = UInt16(9).bigEndian
        // An address of RFC 5737: it leads out of the network, and to nobody.
        world.sin_addr.s_addr = UInt32(0xCB00_7101).bigEndian
        var own = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isKnown = withUnsafePointer(to: &world) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, length) == 0
            }
        }
        guard isKnown else { return nil }
        return withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length) == 0 ? address($0) : nil
            }
        }
    }

    private static func address(_ place: UnsafeMutablePointer<sockaddr>) -> Address? {
        let length: Int
        switch Int32(place.pointee.sa_family) {
        case AF_INET: length = MemoryLayout<sockaddr_in>.size
        case AF_INET6: length = MemoryLayout<sockaddr_in6>.size
        default: return nil
        }
        var text = [CChar](repeating: 0, count: 1_025)
        guard
            getnameinfo(
                place, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
        else { return nil }
        let host = text.prefix { $0 != 0 && $0 != CChar(UInt8(ascii: "%")) }
            .map { UInt8(bitPattern: $0) }
        return Address(host: String(decoding: host, as: UTF8.self), port: 0)
    }
}

// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

extension Address {
    /// AF_INET, AF_INET6 or AF_UNIX.
    var family: Int32 {
        switch kind {
        case .ipv4: AF_INET
        case .ipv6, .everywhere: AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// Lends the address in the form that system calls take.
    func withSockaddr<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var storage = sockaddr_storage()
        let length = withUnsafeMutableBytes(of: &storage) { write(into: $0) }
        return withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// Reads what a system call has filled in; nil for a family that is none of ours.
    init?(storage: sockaddr_storage, length: Int) {
        let family = Int32(storage.ss_family)
        let address: Address? = withUnsafeBytes(of: storage) { bytes in
            switch family {
            case AF_INET where length >= MemoryLayout<sockaddr_in>.size:
                let value = bytes.load(as: sockaddr_in.self)
                return Address(
                    kind: .ipv4, low: UInt64(UInt32(bigEndian: value.sin_addr.s_addr)),
                    port: UInt16(bigEndian: value.sin_port))
            case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
                let value = bytes.load(as: sockaddr_in6.self)
                return Address(
                    ipv6: value.sin6_addr, scope: value.sin6_scope_id,
                    port: UInt16(bigEndian: value.sin6_port))
            case AF_UNIX:
                return Address(unixPath: Address.unixPath(bytes, length: length))
            default:
                return nil
            }
        }
        guard let address else { return nil }
        self = address
    }

    /// Reads what a library has filled in; nil for a family that is none of ours.
    public init?(socketAddress: UnsafeRawPointer, length: Int) {
        var storage = sockaddr_storage()
        let length = min(length, MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: socketAddress, count: length))
        }
        self.init(storage: storage, length: length)
    }

    private static var unixPathOffset: Int { MemoryLayout<sa_family_t>.size }

    private func write(into bytes: UnsafeMutableRawBufferPointer) -> socklen_t {
        switch kind {
        case .ipv4:
            var value = sockaddr_in()
            value.sin_family = sa_family_t(AF_INET)
            value.sin_port = port.bigEndian
            value.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
            bytes.storeBytes(of: value, as: sockaddr_in.self)
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        case .ipv6, .everywhere:
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = port.bigEndian
            value.sin6_scope_id = scope
            withUnsafeMutableBytes(of: &value.sin6_addr) { address in
                address.storeBytes(of: high.bigEndian, as: UInt64.self)
                address.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            bytes.storeBytes(of: value, as: sockaddr_in6.self)
            return socklen_t(MemoryLayout<sockaddr_in6>.size)
        case .unix:
            bytes.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            var offset = Self.unixPathOffset
            for byte in path.utf8 where offset < MemoryLayout<sockaddr_un>.size {
                bytes[offset] = byte
                offset += 1
            }
            let isAbstract = path.hasPrefix("@")
            if isAbstract { bytes[Self.unixPathOffset] = 0 }
            // A path in the file system is counted with its NUL, an abstract name has none.
            return socklen_t(isAbstract ? offset : offset + 1)
        }
    }

    private static func unixPath(_ bytes: UnsafeRawBufferPointer, length: Int) -> String {
        guard length > unixPathOffset else { return "" }
        var name = Array(bytes[unixPathOffset..<min(length, bytes.count)])
        if name[0] == 0 {
            name[0] = UInt8(ascii: "@")
        } else {
            name = Array(name.prefix { $0 != 0 })
        }
        return String(decoding: name, as: UTF8.self)
    }
}

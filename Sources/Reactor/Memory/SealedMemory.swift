// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Bytes in memory that no one can change any more, to be handed to another process by descriptor
/// (memfd_create(2)).
public struct SealedMemory: ~Copyable {
    private let descriptor: Int32

    /// Copies the bytes.
    ///
    /// - Parameters:
    ///   - bytes: what the other process reads.
    ///   - name: what the system calls it, for people who look.
    /// - Throws: `SystemError` when there is no descriptor or memory left.
    public init(_ bytes: UnsafeRawBufferPointer, name: String) throws(SystemError) {
        descriptor = sluice_sealed_memory(name, bytes.baseAddress, bytes.count)
        guard descriptor >= 0 else { throw .last("make a file in memory") }
    }

    deinit { close(descriptor) }

    /// A descriptor of it that a new process inherits, to be read from the first byte on.
    ///
    /// - Returns: the descriptor, which is the caller's to close.
    /// - Throws: `SystemError` when there is no descriptor left.
    public func inheritable() throws(SystemError) -> Int32 {
        lseek(descriptor, 0, SEEK_SET)
        let copy = dup(descriptor)
        guard copy >= 0 else { throw .last("dup") }
        return copy
    }

    /// Passes it on in an empty datagram to a socket's address (`sockaddr`) of `length` bytes; 0, or
    /// the value of `errno`.
    public func send(to address: UnsafeRawPointer, length: Int, on socket: Int32) -> Int32 {
        let name = address.assumingMemoryBound(to: sockaddr.self)
        while true {
            if sluice_send_descriptor(socket, name, socklen_t(length), descriptor) >= 0 { return 0 }
            if errno != EINTR { return errno }
        }
    }
}

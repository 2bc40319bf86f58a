// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Bytes in memory behind a descriptor, to be handed to another process and overwritten afterwards
/// (memfd_create(2)).
public struct SharedFile: ~Copyable {
    /// The descriptor, which stays this value's.
    public let descriptor: Int32
    /// Bytes that were written.
    public private(set) var count = 0

    /// An empty one.
    public init(name: String) throws(SystemError) {
        descriptor = sluice_memory_file(name)
        guard descriptor >= 0 else { throw .last("make a file in memory") }
    }

    deinit {
        wipe()
        close(descriptor)
    }

    /// Writes bytes behind those that are there; false where there is no memory.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var written = 0
        while written < bytes.count {
            guard let start = bytes.baseAddress else { break }
            let moved = pwrite(descriptor, start + written, bytes.count - written, off_t(count))
            if moved < 0 && errno == EINTR { continue }
            guard moved > 0 else { return false }
            written += moved
            count += moved
        }
        return true
    }

    /// Overwrites everything with zeros: both processes have the same memory.
    public borrowing func wipe() {
        let zeros = [UInt8](repeating: 0, count: 65_536)
        var at = 0
        while at < count {
            let moved = pwrite(descriptor, zeros, min(zeros.count, count - at), off_t(at))
            guard moved > 0 else { return }
            at += moved
        }
    }

    /// Reads a file of another process, which is closed then.
    ///
    /// - Parameters:
    ///   - descriptor: the file.
    ///   - bytesMax: how long it may be.
    ///   - use: gets the bytes, which are overwritten afterwards.
    /// - Returns: nil where it can't be read, or is longer.
    public static func read<Outcome>(
        _ descriptor: Int32, bytesMax: Int, _ use: (UnsafeRawBufferPointer) -> Outcome
    ) -> Outcome? {
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        guard size >= 0, size <= bytesMax else { return nil }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(1, size), alignment: 8)
        defer {
            explicit_bzero(memory, size)
            memory.deallocate()
        }
        var at = 0
        while at < size {
            let moved = pread(descriptor, memory + at, size - at, off_t(at))
            if moved < 0 && errno == EINTR { continue }
            guard moved > 0 else { return nil }
            at += moved
        }
        return use(UnsafeRawBufferPointer(start: memory, count: size))
    }
}

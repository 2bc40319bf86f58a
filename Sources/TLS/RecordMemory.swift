// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import Synchronization

/// OpenSSL's memory functions, with a few record buffers kept ready by every thread.
///
/// With `SSL_MODE_RELEASE_BUFFERS` OpenSSL allocates a buffer of some 17 kB for every record that
/// it reads or writes and frees it at once. Here those come from a free list of the thread, so that
/// a relayed message calls no allocator. When the list is empty, as in a burst of handshakes, and
/// for everything else, it is malloc(3).
///
/// The buffers lie in one reserved range of addresses, so a pointer tells by itself whose it is.
public enum RecordMemory {
    /// What a record buffer takes at most: 16 KiB of payload and the overhead of any version.
    private static let bufferBytes = 17 * 1024
    /// Smaller requests are not for record buffers.
    private static let bufferBytesMin = 16 * 1024
    private static let buffersPerThread = 64
    private static let threadsMax = 256
    private static let rangeBytes = bufferBytes * buffersPerThread * threadsMax

    /// A thread's free list, threaded through the free buffers themselves.
    private struct FreeList {
        var head: UnsafeMutableRawPointer?
    }

    // Written once by `install`, which is over before OpenSSL calls any of these functions.
    nonisolated(unsafe) private static var start = UnsafeMutableRawPointer(bitPattern: 16)
    nonisolated(unsafe) private static var listKey = pthread_key_t()
    private static let threadCount = Atomic<Int>(0)

    private static let isInstalled: Bool = {
        let range = mmap(
            nil, rangeBytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let range, range != MAP_FAILED else { return false }
        guard pthread_key_create(&listKey, { free($0) }) == 0 else { return false }
        start = range
        // Refused once OpenSSL has allocated something: then its own functions stay in place.
        return CRYPTO_set_mem_functions(
            { size, _, _ in RecordMemory.allocate(size) },
            { pointer, size, _, _ in RecordMemory.reallocate(pointer, size) },
            { pointer, _, _ in RecordMemory.release(pointer) }) == 1
    }()

    /// Puts the functions in place, if nothing of OpenSSL has run before.
    public static func install() { _ = isInstalled }

    private static func isOurs(_ pointer: UnsafeMutableRawPointer) -> Bool {
        let offset = UInt(bitPattern: pointer) &- UInt(bitPattern: start)
        return offset < UInt(rangeBytes)
    }

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        if size <= bufferBytesMin || size > bufferBytes { return malloc(size) }
        guard let list = threadList(), let buffer = list.pointee.head else { return malloc(size) }
        list.pointee.head = buffer.load(as: UnsafeMutableRawPointer?.self)
        return buffer
    }

    private static func release(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer, isOurs(pointer) else {
            free(pointer)
            return
        }
        // Without a list the buffer is lost, which can only happen as a thread ends.
        guard let list = threadList() else { return }
        pointer.storeBytes(of: list.pointee.head, as: UnsafeMutableRawPointer?.self)
        list.pointee.head = pointer
    }

    private static func reallocate(
        _ pointer: UnsafeMutableRawPointer?, _ size: Int
    ) -> UnsafeMutableRawPointer? {
        guard let pointer, isOurs(pointer) else { return realloc(pointer, size) }
        guard let moved = malloc(size) else { return nil }
        memcpy(moved, pointer, min(size, bufferBytes))
        release(pointer)
        return moved
    }

    /// The calling thread's list, filled with its share of the range on first use.
    private static func threadList() -> UnsafeMutablePointer<FreeList>? {
        if let known = pthread_getspecific(listKey) {
            return known.assumingMemoryBound(to: FreeList.self)
        }
        guard let memory = malloc(MemoryLayout<FreeList>.size) else { return nil }
        let list = memory.bindMemory(to: FreeList.self, capacity: 1)
        list.initialize(to: FreeList(head: nil))
        let thread = threadCount.wrappingAdd(1, ordering: .relaxed).oldValue
        if thread < threadsMax, let start {
            let share = start + thread * buffersPerThread * bufferBytes
            for index in (0..<buffersPerThread).reversed() {
                let buffer = share + index * bufferBytes
                buffer.storeBytes(of: list.pointee.head, as: UnsafeMutableRawPointer?.self)
                list.pointee.head = buffer
            }
        }
        pthread_setspecific(listKey, list)
        return list
    }
}

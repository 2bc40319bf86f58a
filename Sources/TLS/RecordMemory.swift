// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import Synchronization

/// OpenSSL's memory functions, with a few record buffers kept ready by every thread.
///
/// With `SSL_MODE_RELEASE_BUFFERS` OpenSSL allocates a buffer of some 17 kB for every record that
/// it reads or writes and frees it at once. Here those come from a free list of the thread, so that
/// a relayed message calls no allocator; nor for the small structure with which OpenSSL writes each
/// record's header. When a list is empty, as in a burst of handshakes, and for everything else, it
/// is malloc(3).
///
/// The buffers lie in one reserved range of addresses, so a pointer tells by itself whose it is.
public enum RecordMemory {
    /// What a record buffer takes at most: 16 KiB of payload and the overhead of any version.
    private static let bufferBytes = 17 * 1024
    /// Smaller requests are not for record buffers.
    private static let bufferBytesMin = 16 * 1024
    private static let buffersPerThread = 64
    /// What OpenSSL allocates to write a record (`WPACKET_SUB`), and the room for one.
    private static let headerRequestBytes = 40
    private static let headerBytes = 48
    private static let headersPerThread = 64
    private static let threadsMax = 256
    private static let buffersBytes = bufferBytes * buffersPerThread
    /// A thread's share of the range: buffers first, then headers.
    private static let shareBytes = buffersBytes + headerBytes * headersPerThread
    private static let rangeBytes = shareBytes * threadsMax

    /// A thread's free lists, threaded through what is free itself.
    private struct FreeLists {
        var buffers: UnsafeMutableRawPointer?
        var headers: UnsafeMutableRawPointer?
        /// A record is being read or written: other objects of a header's size would stay for good.
        var isInRecord = false
    }

    // Written once by `install`, which is over before OpenSSL calls any of these functions.
    nonisolated(unsafe) private static var start = UnsafeMutableRawPointer(bitPattern: 16)
    nonisolated(unsafe) private static var listKey = pthread_key_t()
    nonisolated(unsafe) private static var isReady = false
    private static let threadCount = Atomic<Int>(0)

    private static let isInstalled: Bool = {
        let range = mmap(
            nil, rangeBytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let range, range != MAP_FAILED else { return false }
        guard pthread_key_create(&listKey, { free($0) }) == 0 else { return false }
        start = range
        isReady = true
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
        if size > bufferBytesMin && size <= bufferBytes {
            guard let lists = threadLists(), let buffer = lists.pointee.buffers else {
                return malloc(size)
            }
            lists.pointee.buffers = buffer.load(as: UnsafeMutableRawPointer?.self)
            return buffer
        }
        if size == headerRequestBytes, let lists = threadLists(), lists.pointee.isInRecord,
            let header = lists.pointee.headers
        {
            lists.pointee.headers = header.load(as: UnsafeMutableRawPointer?.self)
            return header
        }
        return malloc(size)
    }

    /// Says whether the calling thread reads or writes a record now.
    static func setInRecord(_ isInRecord: Bool) {
        threadLists()?.pointee.isInRecord = isInRecord
    }

    private static func isHeader(_ pointer: UnsafeMutableRawPointer) -> Bool {
        let offset = UInt(bitPattern: pointer) &- UInt(bitPattern: start)
        return offset % UInt(shareBytes) >= UInt(buffersBytes)
    }

    private static func release(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer, isOurs(pointer) else {
            free(pointer)
            return
        }
        // Without a list the buffer is lost, which can only happen as a thread ends.
        guard let lists = threadLists() else { return }
        if isHeader(pointer) {
            pointer.storeBytes(of: lists.pointee.headers, as: UnsafeMutableRawPointer?.self)
            lists.pointee.headers = pointer
        } else {
            pointer.storeBytes(of: lists.pointee.buffers, as: UnsafeMutableRawPointer?.self)
            lists.pointee.buffers = pointer
        }
    }

    private static func reallocate(
        _ pointer: UnsafeMutableRawPointer?, _ size: Int
    ) -> UnsafeMutableRawPointer? {
        guard let pointer, isOurs(pointer) else { return realloc(pointer, size) }
        guard let moved = malloc(size) else { return nil }
        memcpy(moved, pointer, min(size, isHeader(pointer) ? headerBytes : bufferBytes))
        release(pointer)
        return moved
    }

    /// The calling thread's lists, filled with its share of the range on first use.
    private static func threadLists() -> UnsafeMutablePointer<FreeLists>? {
        // Before `install` there is no key to ask for.
        guard isReady else { return nil }
        if let known = pthread_getspecific(listKey) {
            return known.assumingMemoryBound(to: FreeLists.self)
        }
        guard let memory = malloc(MemoryLayout<FreeLists>.size) else { return nil }
        let lists = memory.bindMemory(to: FreeLists.self, capacity: 1)
        lists.initialize(to: FreeLists())
        let thread = threadCount.wrappingAdd(1, ordering: .relaxed).oldValue
        if thread < threadsMax, let start {
            let share = start + thread * shareBytes
            for index in (0..<buffersPerThread).reversed() {
                let buffer = share + index * bufferBytes
                buffer.storeBytes(of: lists.pointee.buffers, as: UnsafeMutableRawPointer?.self)
                lists.pointee.buffers = buffer
            }
            for index in (0..<headersPerThread).reversed() {
                let header = share + buffersBytes + index * headerBytes
                header.storeBytes(of: lists.pointee.headers, as: UnsafeMutableRawPointer?.self)
                lists.pointee.headers = header
            }
        }
        pthread_setspecific(listKey, lists)
        return lists
    }
}

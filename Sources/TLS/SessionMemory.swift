// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// OpenSSL's memory functions: malloc(3), with free lists of every thread in front of it.
///
/// A handshake allocates and frees some 1,400 objects, and with `SSL_MODE_RELEASE_BUFFERS` each
/// record that is read or written takes a buffer of 17 kB for a moment. What is freed is kept here
/// by its size, up to a bound, so that a relayed message calls no allocator, and a handshake hardly
/// ever waits for a lock of one.
///
/// All of it is malloc's memory: an object may be freed by another thread than its maker's, and
/// what no list takes goes back.
public enum SessionMemory {
    /// Objects up to this many bytes are kept; the largest that a session has is its `SSL`.
    private static let objectBytesMax = 8 * 1024
    /// What a record buffer takes at most: 16 KiB of payload and the overhead of any version.
    private static let bufferBytes = 17 * 1024
    /// Smaller requests are not for record buffers.
    private static let bufferBytesMin = 16 * 1024
    /// Bytes that a thread keeps at most.
    private static let keptBytesMax = 2 * 1024 * 1024
    /// One list for each size that malloc gives: they are 16 bytes apart.
    private static let listCount = objectBytesMax / 16 + 1
    /// The list of record buffers stands behind those of objects.
    private static let bufferList = listCount

    /// A thread's lists, each threaded through what is free itself.
    private struct FreeLists {
        /// How many bytes they may take yet.
        var room = keptBytesMax
        /// The first of each list.
        let heads: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    }

    private static let isInstalled =
        // Refused once OpenSSL has allocated something: then its own functions stay in place.
        CRYPTO_set_mem_functions(
            { size, _, _ in SessionMemory.allocate(size) },
            { pointer, size, _, _ in realloc(pointer, size) },
            { pointer, _, _ in SessionMemory.release(pointer) }) == 1

    /// Puts the functions in place, if nothing of OpenSSL has run before.
    public static func install() { _ = isInstalled }

    /// The bytes that a list's objects have: malloc's sizes are 16 k + 8, and 24 at least.
    @inline(__always)
    private static func objectBytes(_ list: Int) -> Int {
        list == bufferList ? bufferBytes &+ 8 : list &* 16 &+ 8
    }

    @inline(__always)
    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        var list = max((size &+ 23) &>> 4, 2) &- 1
        var request = size
        if size > objectBytesMax {
            guard size > bufferBytesMin && size <= bufferBytes else { return malloc(size) }
            list = bufferList
            request = bufferBytes
        }
        guard let lists = threadLists(), let first = lists.pointee.heads[list] else {
            return malloc(request)
        }
        lists.pointee.heads[list] = first.load(as: UnsafeMutableRawPointer?.self)
        lists.pointee.room &+= objectBytes(list)
        return first
    }

    @inline(__always)
    private static func release(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { return }
        let size = sluice_allocated_size(pointer)
        var list = size &>> 4
        if size > objectBytesMax {
            guard size >= bufferBytes && size < bufferBytes &+ 32 else {
                free(pointer)
                return
            }
            list = bufferList
        }
        guard let lists = threadLists(), lists.pointee.room >= size else {
            free(pointer)
            return
        }
        lists.pointee.room &-= objectBytes(list)
        pointer.storeBytes(of: lists.pointee.heads[list], as: UnsafeMutableRawPointer?.self)
        lists.pointee.heads[list] = pointer
    }

    /// The calling thread's lists, made on first use.
    @inline(__always)
    private static func threadLists() -> UnsafeMutablePointer<FreeLists>? {
        if let known = sluice_thread_place().pointee {
            return known.assumingMemoryBound(to: FreeLists.self)
        }
        return makeThreadLists()
    }

    /// Tells when a thread ends that has lists.
    private static let endKey: pthread_key_t? = {
        var key = pthread_key_t()
        return pthread_key_create(&key, { SessionMemory.giveBack($0) }) == 0 ? key : nil
    }()

    @inline(never)
    private static func makeThreadLists() -> UnsafeMutablePointer<FreeLists>? {
        let headsBytes = (listCount + 1) * MemoryLayout<UnsafeMutableRawPointer?>.stride
        let size = MemoryLayout<FreeLists>.stride
        guard let endKey, let memory = calloc(1, size + headsBytes) else { return nil }
        let lists = memory.bindMemory(to: FreeLists.self, capacity: 1)
        let heads = (memory + size)
            .bindMemory(to: UnsafeMutableRawPointer?.self, capacity: listCount + 1)
        lists.initialize(to: FreeLists(heads: heads))
        pthread_setspecific(endKey, lists)
        sluice_thread_place().pointee = memory
        return lists
    }

    /// The thread ends: what it kept is malloc's again.
    private static func giveBack(_ memory: UnsafeMutableRawPointer?) {
        guard let memory else { return }
        sluice_thread_place().pointee = nil
        let lists = memory.assumingMemoryBound(to: FreeLists.self)
        for list in 0...listCount {
            while let first = lists.pointee.heads[list] {
                lists.pointee.heads[list] = first.load(as: UnsafeMutableRawPointer?.self)
                free(first)
            }
        }
        free(memory)
    }
}

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
///
/// OpenSSL overwrites most of what held secrets before it frees it, but not all: not the `SSL`, in
/// which the secrets of TLS 1.3 lie, nor the forms of a session that a ticket is made from. What
/// frees those runs between two calls of `wipe`, and then what is freed is overwritten first.
/// To do so always would be a handshake's 1,400 objects, and 17 kB with each record. The buffers of
/// records and handshake messages, which are larger than 16 KiB, hold what travelled and no secret of a
/// session: they are overwritten only where private keys are read. A session itself is smaller as long as
/// clients are asked for no certificate, which would be a part of it.
public enum SessionMemory {
    /// What is larger than 17 KiB is not kept: a record's buffer is the largest that is taken often,
    /// 16 KiB of payload and the overhead of any version.
    private static let listCount: UInt = 17 * 1024 / 16 + 1
    /// Where it stands up to which size what is freed is overwritten.
    private static let wipingPlace = Int(bitPattern: listCount)
    /// Bytes that a thread keeps at most.
    private static let keptBytesMax = 2 * 1024 * 1024
    /// More units than can ever be kept: without them no list takes anything, so what is freed takes the
    /// way on which it is overwritten, and all else is freed without a question about that.
    private static let wipingUnits = 1 << 40

    /// A thread's lists, each threaded through what is free itself.
    ///
    /// List k has objects of at least 16 k + 8 bytes, which are malloc's sizes. In place of a list 0
    /// stands how many more units of 16 bytes may be kept, less `wipingUnits` while something is overwritten;
    /// behind the last one stands up to which size what is freed is overwritten.
    private typealias FreeLists = UnsafeMutablePointer<Int>

    private static let isInstalled =
        // Refused once OpenSSL has allocated something: then its own functions stay in place.
        CRYPTO_set_mem_functions(allocateForOpenSSL, resizeForOpenSSL, releaseForOpenSSL) == 1

    /// Puts the functions in place, if nothing of OpenSSL has run before.
    public static func install() { _ = isInstalled }

    /// What is overwritten of that which OpenSSL frees.
    enum Wiping {
        case nothing
        /// What may hold a session's secrets: nothing as large as the buffers of records and messages.
        case sessions
        case everything

        fileprivate var bytesMax: Int {
            switch self {
            case .nothing: 0
            case .sessions: 16 * 1024
            case .everything: .max
            }
        }
    }

    /// Says what of that which OpenSSL frees on this thread is overwritten first, from now on.
    ///
    /// It has no effect where OpenSSL had its own functions already when `install` was called.
    static func wipe(_ what: Wiping) { wipedBytesMax = what.bytesMax }

    /// The size of the largest object that is overwritten when it is freed; 0 for none.
    private static var wipedBytesMax: Int {
        get { threadLists.map { $0[wipingPlace] } ?? 0 }
        set {
            if threadLists == nil { makeThreadLists() }
            guard let lists = threadLists else { return }
            let isBegun = lists[wipingPlace] == 0 && newValue > 0
            let isEnded = lists[wipingPlace] > 0 && newValue == 0
            if isBegun { lists.pointee &-= wipingUnits }
            if isEnded { lists.pointee &+= wipingUnits }
            lists[wipingPlace] = newValue
        }
    }

    /// Overwrites what OpenSSL frees on this thread while `body` runs.
    static func wiping<Result, Fault: Error>(
        _ what: Wiping, _ body: () throws(Fault) -> Result
    ) throws(Fault) -> Result {
        let before = wipedBytesMax
        wipe(what)
        defer { wipedBytesMax = before }
        return try body()
    }

    /// The calling thread's lists, if it has any yet.
    @inline(__always)
    private static var threadLists: FreeLists? {
        sluice_thread_place().pointee?.assumingMemoryBound(to: Int.self)
    }

    @inline(__always)
    static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        let list = max((UInt(bitPattern: size) &+ 7) &>> 4, 1)
        guard list < listCount, let lists = threadLists else { return allocateAnew(size) }
        let place = lists + Int(bitPattern: list)
        guard let first = UnsafeMutablePointer<Int>(bitPattern: place.pointee) else {
            return allocateAnew(size)
        }
        place.pointee = first.pointee
        lists.pointee &+= Int(bitPattern: list)
        return UnsafeMutableRawPointer(first)
    }

    /// Apart, so that the usual way calls nothing and saves no registers.
    @inline(never)
    private static func allocateAnew(_ size: Int) -> UnsafeMutableRawPointer? {
        if threadLists == nil { makeThreadLists() }
        return malloc(size)
    }

    @inline(__always)
    static func release(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { return }
        let size = sluice_allocated_size(pointer)
        let list = (UInt(bitPattern: size) &- 8) &>> 4
        guard list &- 1 < listCount &- 1, let lists = threadLists,
            lists.pointee >= Int(bitPattern: list)
        else { return releaseApart(pointer, size, list) }
        keep(pointer, list, lists)
    }

    @inline(__always)
    private static func keep(_ pointer: UnsafeMutableRawPointer, _ list: UInt, _ lists: FreeLists) {
        let place = lists + Int(bitPattern: list)
        pointer.storeBytes(of: place.pointee, as: Int.self)
        place.pointee = Int(bitPattern: pointer)
        lists.pointee &-= Int(bitPattern: list)
    }

    /// Frees what the usual way takes to no list: while something is overwritten, that is all.
    @inline(never)
    private static func releaseApart(_ pointer: UnsafeMutableRawPointer, _ size: Int, _ list: UInt)
    {
        guard let lists = threadLists, lists[wipingPlace] > 0 else { return free(pointer) }
        if lists[wipingPlace] >= size { overwrite(pointer, size) }
        guard list &- 1 < listCount &- 1, lists.pointee &+ wipingUnits >= Int(bitPattern: list)
        else { return free(pointer) }
        keep(pointer, list, lists)
    }

    /// Overwrites in pieces for which memset(3) needs no instruction that is slow to begin.
    private static func overwrite(_ pointer: UnsafeMutableRawPointer, _ size: Int) {
        var done = 0
        while done < size {
            let count = min(1_024, size - done)
            explicit_bzero(pointer + done, count)
            done += count
        }
    }

    fileprivate static func resize(
        _ pointer: UnsafeMutableRawPointer?, _ size: Int
    ) -> UnsafeMutableRawPointer? {
        guard let pointer, size > 0 else { return realloc(pointer, size) }
        let sizeBefore = sluice_allocated_size(pointer)
        guard sizeBefore <= wipedBytesMax else { return realloc(pointer, size) }
        guard let grown = malloc(size) else { return nil }
        memcpy(grown, pointer, min(size, sizeBefore))
        overwrite(pointer, sizeBefore)
        free(pointer)
        return grown
    }

    /// Tells when a thread ends that has lists.
    private static let endKey: pthread_key_t? = {
        var key = pthread_key_t()
        return pthread_key_create(&key, { SessionMemory.giveBack($0) }) == 0 ? key : nil
    }()

    private static func makeThreadLists() {
        let count = wipingPlace + 1
        guard let endKey, let memory = calloc(count, MemoryLayout<Int>.stride) else { return }
        let lists = memory.bindMemory(to: Int.self, capacity: count)
        lists.pointee = keptBytesMax / 16
        pthread_setspecific(endKey, lists)
        sluice_thread_place().pointee = memory
    }

    /// Bytes that the calling thread keeps of what was freed.
    static var keptBytes: Int {
        guard let threadLists else { return 0 }
        let units = threadLists.pointee + (threadLists[wipingPlace] > 0 ? wipingUnits : 0)
        return keptBytesMax - units * 16
    }

    /// Gives what the calling thread keeps back to malloc.
    ///
    /// A burst of connections leaves it scattered over pages that hold nothing else any more.
    public static func giveBackKept() {
        if let threadLists { empty(threadLists) }
    }

    private static func empty(_ lists: FreeLists) {
        for list in 1..<Int(bitPattern: listCount) {
            while let first = UnsafeMutablePointer<Int>(bitPattern: lists[list]) {
                lists[list] = first.pointee
                lists.pointee &+= list
                free(first)
            }
        }
    }

    /// The thread ends: what it kept is malloc's again.
    private static func giveBack(_ memory: UnsafeMutableRawPointer?) {
        guard let memory else { return }
        sluice_thread_place().pointee = nil
        empty(memory.assumingMemoryBound(to: Int.self))
        free(memory)
    }
}

// Functions of C rather than closures, which would be called through a function of C each: a handshake calls them
// some 2,000 times. Where in OpenSSL a call stands, file and line, is of no use here.

@c
private func allocateForOpenSSL(
    _ size: Int, _ file: UnsafePointer<CChar>?, _ line: CInt
) -> UnsafeMutableRawPointer? {
    SessionMemory.allocate(size)
}

@c
private func resizeForOpenSSL(
    _ pointer: UnsafeMutableRawPointer?, _ size: Int, _ file: UnsafePointer<CChar>?, _ line: CInt
) -> UnsafeMutableRawPointer? {
    SessionMemory.resize(pointer, size)
}

@c
private func releaseForOpenSSL(
    _ pointer: UnsafeMutableRawPointer?, _ file: UnsafePointer<CChar>?, _ line: CInt
) {
    SessionMemory.release(pointer)
}

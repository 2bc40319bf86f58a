// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The buffers of 16 KiB in which nghttp2 makes a frame, one for each session.
///
/// Nearly all frames that are made there have some dozen bytes. Out of malloc's memory, which others have used
/// before, such a buffer is resident as a whole; here it begins at a page of its own, and only pages that were
/// written are. So an idle connection has one page of it.
struct FrameBuffers {
    /// What nghttp2 asks for: a frame's header, 16 KiB of payload, and its padding's length.
    static let sizes = 16_384...slotBytes
    private static let pageBytes = 4_096
    private static let slotBytes = 5 * pageBytes
    /// As many as a reactor has room for, in addresses; further ones are malloc's.
    private static let slotCount = 65_536

    /// Where the first one is; nil before one was needed, and where the system gives no addresses.
    private var first: UnsafeMutableRawPointer?
    private var hasAsked = false
    /// How many were used at least once.
    private var used = 0
    private var free: [UInt32] = []

    /// A buffer of five pages; nil where there is none left.
    mutating func take() -> UnsafeMutableRawPointer? {
        if !hasAsked {
            hasAsked = true
            // Addresses, and no memory yet.
            let mapped = mmap(
                nil, Self.slotCount * Self.slotBytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
            first = mapped == MAP_FAILED ? nil : mapped
        }
        guard let first else { return nil }
        if let index = free.popLast() { return first + Int(index) * Self.slotBytes }
        guard used < Self.slotCount else { return nil }
        used += 1
        return first + (used - 1) * Self.slotBytes
    }

    /// Whether it is one of these.
    func holds(_ buffer: UnsafeMutableRawPointer) -> Bool {
        guard let first else { return false }
        return buffer >= first && buffer < first + used * Self.slotBytes
    }

    /// Takes a buffer back, and gives all of it but the first page to the system.
    mutating func giveBack(_ buffer: UnsafeMutableRawPointer) {
        guard let first else { return }
        madvise(buffer + Self.pageBytes, Self.slotBytes - Self.pageBytes, MADV_DONTNEED)
        free.append(UInt32(truncatingIfNeeded: (buffer - first) / Self.slotBytes))
    }

    /// Gives the addresses back; no buffer may be in use.
    mutating func unmap() {
        assert(used == free.count, "a buffer is in use whose memory goes")
        if let first { munmap(first, Self.slotCount * Self.slotBytes) }
        self = FrameBuffers()
    }
}

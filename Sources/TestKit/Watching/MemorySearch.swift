// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Looks for bytes in all memory that a process can write to: heap, stacks, whatever was freed.
///
/// What is looked for is kept mixed with random bytes, so that a process that searches itself does not
/// find its own list.
public final class MemorySearch {
    private let identifier: Int32
    private let mask: UInt64
    private var wanted: [(name: String, mixed: [UInt8])] = []
    /// The first two bytes of each, as a number.
    private let isBegin = UnsafeMutablePointer<Bool>.allocate(capacity: 1 << 16)
    private let chunk: UnsafeMutableRawBufferPointer
    private static let chunkBytes = 1 << 20
    /// A piece that lies on the border of two chunks is found in the second.
    private static let overlapBytes = 1 << 12

    /// Will search this process, or a child of it.
    public init(_ identifier: Int32? = nil) {
        self.identifier = identifier ?? getpid()
        let byte = UInt64(UInt8.random(in: 1...255))
        mask = byte &* 0x0101_0101_0101_0101
        chunk = .allocate(byteCount: Self.chunkBytes, alignment: 16)
        isBegin.initialize(repeating: false, count: 1 << 16)
    }

    deinit {
        chunk.deallocate()
        isBegin.deallocate()
    }

    private func forget() {
        if let start = chunk.baseAddress { explicit_bzero(start, chunk.count) }
    }

    /// Will look for these bytes; not to be copied before, where the process searches itself.
    public func want(_ name: String, _ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= 12 && bytes.count < Self.overlapBytes)
        let byte = UInt8(truncatingIfNeeded: mask)
        let mixed = bytes.map { $0 ^ byte }
        wanted.append((name, mixed))
        isBegin[Int(mixed[0]) | Int(mixed[1]) << 8] = true
    }

    /// Will look for these bytes, which only another process has.
    public func want(_ name: String, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { want(name, $0) }
    }

    /// The names of those that are there.
    ///
    /// While a busy process is read, its mappings move, and one that moved may be passed over. So where
    /// one of `expected` is missing, the search is made again, a few times.
    public func found(expecting expected: Set<String> = []) throws -> Set<String> {
        var names = try foundOnce()
        for _ in 0..<4 where !names.isSuperset(of: expected) { names.formUnion(try foundOnce()) }
        return names
    }

    /// The list of mappings, to its end: it may be longer than what one read gives of it.
    private func maps() throws -> String {
        let file = open("/proc/\(identifier)/maps", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw PeerError.system("open /proc/\(identifier)/maps") }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(file, &piece, piece.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += piece.prefix(count)
        }
    }

    private func foundOnce() throws -> Set<String> {
        var names: Set<String> = []
        let memory = open("/proc/\(identifier)/mem", O_RDONLY | O_CLOEXEC)
        guard memory >= 0 else { throw PeerError.system("open /proc/\(identifier)/mem") }
        defer {
            close(memory)
            forget()
        }
        let own = UInt(bitPattern: chunk.baseAddress)
        for line in try maps().split(separator: "\n") {
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2, words[1].hasPrefix("rw") else { continue }
            var at = ends[0]
            while at < ends[1] {
                var count = Int(min(UInt(Self.chunkBytes), ends[1] - at))
                if identifier == getpid() {
                    // Its own copy of other memory says nothing.
                    if at >= own && at < own + UInt(Self.chunkBytes) {
                        at = own + UInt(Self.chunkBytes)
                        continue
                    }
                    if at < own { count = min(count, Int(own - at)) }
                }
                let got = pread(memory, chunk.baseAddress, count, off_t(truncatingIfNeeded: at))
                // A page may be gone by now, or not be readable; what stands behind it is looked at.
                if got <= 0 {
                    at += 4_096
                    continue
                }
                look(got, &names)
                let isLast = at + UInt(got) >= ends[1] || got <= Self.overlapBytes
                at += UInt(isLast ? got : got - Self.overlapBytes)
            }
        }
        return names
    }

    private func look(_ count: Int, _ names: inout Set<String>) {
        guard let start = chunk.baseAddress else { return }
        for index in 0..<(count + 7) / 8 {
            let word = start + 8 * index
            word.storeBytes(of: word.load(as: UInt64.self) ^ mask, as: UInt64.self)
        }
        // Only where two bytes fit is the rest compared.
        for at in 0..<max(0, count - 12) {
            let begin = Int((start + at).loadUnaligned(as: UInt16.self))
            guard isBegin[begin] else { continue }
            for one in wanted where at + one.mixed.count <= count {
                if memcmp(start + at, one.mixed, one.mixed.count) == 0 { names.insert(one.name) }
            }
        }
    }
}

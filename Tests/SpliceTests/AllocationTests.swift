// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import Testing
import Wire

@testable import Splice

/// Goal: a small message that passes in steady state allocates nothing.
///
/// Method: this test program runs itself once more, with one test of it, under a library that counts
/// each thread's allocations. In this process the count would be that of all tests at once.
struct AllocationTests {
    private static let counting = """
        #include <stddef.h>
        extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
        extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
        static __thread unsigned long count __attribute__((tls_model("initial-exec")));
        unsigned long sluice_allocation_count(void) { return count; }
        void *malloc(size_t n) { count++; return __libc_malloc(n); }
        void *calloc(size_t n, size_t m) { count++; return __libc_calloc(n, m); }
        void *realloc(void *p, size_t n) { count++; return __libc_realloc(p, n); }
        void *aligned_alloc(size_t a, size_t n) { count++; return __libc_memalign(a, n); }
        int posix_memalign(void **p, size_t a, size_t n) {
            count++;
            *p = __libc_memalign(a, n);
            return *p ? 0 : 12;
        }
        """

    @Test func `a small message allocates nothing in steady state`() throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-count-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        let source = directory.appendingPathComponent("count.c")
        let library = directory.appendingPathComponent("count.so")
        try Self.counting.write(to: source, atomically: false, encoding: .utf8)
        let compiled = try run(["cc", "-O1", "-shared", "-fPIC", "-o", library.path, source.path])
        try #require(compiled.status == 0, "\(compiled.output)")

        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let counted = try run(
            [
                "LD_PRELOAD=\(library.path)", "SLUICE_COUNTS_ALLOCATIONS=1", program,
                "--testing-library", "swift-testing", "--filter", "CountedAllocationTests",
            ])
        #expect(counted.status == 0, "\(counted.output)")
        #expect(counted.output.contains("with 1 test in 1 suite passed"), "\(counted.output)")
    }

    private func run(_ words: [String]) throws -> (status: Int32, output: String) {
        let output = Pipe()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
    }
}

/// What runs under the counting library, and nowhere else.
@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["SLUICE_COUNTS_ALLOCATIONS"] != nil,
        "it needs the counting library"))
struct CountedAllocationTests {
    @Test(arguments: [(false, false), (true, false), (true, true)])
    func `a thousand small messages each way allocate nothing`(
        tls: Bool, released: Bool
    ) throws {
        // As the program does first of all: then OpenSSL's record buffers come from a free list.
        RecordMemory.install()
        typealias Count = @convention(c) () -> UInt
        let symbol = try #require(dlsym(nil, "sluice_allocation_count"))
        let count = unsafeBitCast(symbol, to: Count.self)
        let before = count()
        let probe = UnsafeMutablePointer<UInt64>.allocate(capacity: 1_000)
        #expect(count() > before, "the library counts")
        probe.deallocate()

        let rig = try RelayRig.open(tls: tls, released: released)
        let up = Frames.client(.text, [UInt8](repeating: 0x61, count: 100))
        let down = Frames.server(.text, [UInt8](repeating: 0x62, count: 100))
        var allocations: UInt = 0
        for round in 0..<1_100 {
            rig.client.enqueue(up)
            rig.backend.enqueue(down)
            let before = count()
            rig.turn()
            // The first rounds may still make what is made once.
            if round >= 100 { allocations += count() - before }
            rig.client.pump()
            rig.backend.pump()
        }
        #expect(rig.upCounts.messages == 1_100 && rig.downCounts.messages == 1_100)
        #expect(allocations == 0)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Counts the bytes that a program has allocated and not freed, while it runs.
///
/// A library that replaces `malloc` adds and takes away the usable size of each block, in a file that both
/// sides map. It counts what the program asked for, where the resident size counts pages.
public final class MemoryMeter: Sendable {
    private static let source = """
        #include <fcntl.h>
        #include <malloc.h>
        #include <stdatomic.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), __libc_free(void *);
        extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
        static atomic_long before, *bytes = &before;
        __attribute__((constructor)) static void begin(void) {
            int file = open(getenv("SLUICE_MEMORY_METER"), O_RDWR | O_CLOEXEC);
            void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (page == MAP_FAILED) abort();
            atomic_store((atomic_long *)page, before);
            bytes = page;
        }
        static void *add(void *p) { if (p) *bytes += malloc_usable_size(p); return p; }
        void *malloc(size_t n) { return add(__libc_malloc(n)); }
        void *calloc(size_t n, size_t m) { return add(__libc_calloc(n, m)); }
        void free(void *p) { if (p) *bytes -= malloc_usable_size(p); __libc_free(p); }
        void *realloc(void *p, size_t n) {
            size_t old = p ? malloc_usable_size(p) : 0;
            void *q = __libc_realloc(p, n);
            if (q || n == 0) *bytes -= old;
            return add(q);
        }
        void *memalign(size_t a, size_t n) { return add(__libc_memalign(a, n)); }
        void *aligned_alloc(size_t a, size_t n) { return add(__libc_memalign(a, n)); }
        int posix_memalign(void **p, size_t a, size_t n) {
            *p = add(__libc_memalign(a, n));
            return *p ? 0 : 12;
        }
        """

    private let folder: String

    /// What is put before the program on the command line.
    public var wrapper: [String] {
        ["env", "LD_PRELOAD=\(folder)/meter.so", "SLUICE_MEMORY_METER=\(folder)/bytes"]
    }

    /// Makes the library, for one program.
    ///
    /// - Throws: `PeerError` if it can't be compiled.
    public init() throws {
        folder = try Scratch.makeFolder()
        try Scratch.write(MemoryMeter.source, to: "\(folder)/meter.c")
        try run([
            "cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o",
            "\(folder)/meter.so", "\(folder)/meter.c",
        ])
        try Data(repeating: 0, count: 4_096).write(to: URL(fileURLWithPath: "\(folder)/bytes"))
    }

    deinit { Scratch.remove(folder) }

    /// How many bytes the program has now.
    ///
    /// - Throws: if the file can't be read, or the program does not count.
    public func bytes() throws -> Int {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/bytes"))
        let count = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        guard count > 0 else { throw PeerError("the program does not count its bytes") }
        return count
    }
}

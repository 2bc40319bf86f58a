// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Counts the allocations of threads, in a second run of the test program.
///
/// A library that replaces `malloc` counts each thread's calls. It has to be there from the start, so the
/// test program runs itself once more under it, with one suite that is enabled there alone.
public enum AllocationCounting {
    private static let source = """
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

    private static let variable = "SLUICE_COUNTS_ALLOCATIONS"

    /// Whether allocations can be counted: under the address sanitizer they cannot, because it brings a
    /// `malloc` of its own along, which comes before that of any library.
    public static let isPossible = dlsym(nil, "__asan_init") == nil

    /// Why tests are skipped that count allocations, or depend on how the C library's malloc makes and frees objects.
    public static let whyNot = "the address sanitizer has a malloc of its own, which nobody counts"

    /// Whether this is the second run.
    public static var isOn: Bool { getenv(variable) != nil }

    // Looked up once, since the look-up allocates.
    private static let counter: (@convention(c) () -> UInt)? = dlsym(
        nil, "sluice_allocation_count"
    ).map { unsafeBitCast($0, to: (@convention(c) () -> UInt).self) }

    /// How many allocations the calling thread has made; nil where nobody counts.
    public static var countOfThread: UInt? { counter?() }

    /// Runs one suite of this test program in a second run, and gives back its status and output.
    ///
    /// - Throws: when the library can't be made.
    public static func run(suite: String) throws -> (status: Int32, output: String) {
        let scratch = try Scratch.makeFolder()
        defer { Scratch.remove(scratch) }
        let library = "\(scratch)/count.so"
        try Scratch.write(source, to: "\(scratch)/count.c")
        let compiler = try ChildProcess(
            ["cc", "-O1", "-shared", "-fPIC", "-o", library, "\(scratch)/count.c"])
        let status = try compiler.waitForExit(by: .after())
        guard status == 0 else {
            return (status, compiler.errors.joined(separator: "\n"))
        }
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let counted = try ChildProcess(
            [program, "--testing-library", "swift-testing", "--filter", suite],
            environment: ["LD_PRELOAD": library, variable: "1"])
        let result = try counted.waitForExit(by: .after(.seconds(120)))
        return (result, (counted.output + counted.errors).joined(separator: "\n"))
    }
}

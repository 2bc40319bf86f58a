// SPDX-License-Identifier: Apache-2.0
import CLinux

/// How malloc(3) deals with what is large and with what is freed.
public enum ProcessMemory {
    /// Maps large objects by themselves, so that they go back to the system when they are freed.
    ///
    /// A reload makes tables of megabytes while the old ones are still in use. Left to itself the C
    /// library puts them into its pools after the first time, between things that stay, and the holes
    /// fit nothing the next time. What is smaller stays in the pools, with some room at their end, so
    /// that connections that come and go make no system calls for memory.
    public static func prepare() {
        // Where malloc is another library's, this is refused and does no harm.
        _ = sluice_set_malloc(256 * 1024, 4 * 1024 * 1024)
    }
}

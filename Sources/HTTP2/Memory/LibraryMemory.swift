// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// What nghttp2 allocates, counted for its session.
enum LibraryMemory {
    /// Functions that take memory from malloc and count it in this core.
    static func counting(in core: CorePointer) -> nghttp2_mem {
        nghttp2_mem(
            mem_user_data: core,
            malloc: { count, core in LibraryMemory.counted(CNghttp2.malloc(count), core) },
            free: { pointer, core in
                CorePointer.of(core).pointee.libraryBytes -= malloc_usable_size(pointer)
                CNghttp2.free(pointer)
            },
            calloc: { count, size, core in LibraryMemory.counted(CNghttp2.calloc(count, size), core)
            },
            realloc: { pointer, count, core in
                let before = malloc_usable_size(pointer)
                let new = CNghttp2.realloc(pointer, count)
                if new != nil { CorePointer.of(core).pointee.libraryBytes -= before }
                return LibraryMemory.counted(new, core)
            })
    }

    private static func counted(
        _ pointer: UnsafeMutableRawPointer?, _ core: UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer? {
        CorePointer.of(core).pointee.libraryBytes += malloc_usable_size(pointer)
        return pointer
    }
}

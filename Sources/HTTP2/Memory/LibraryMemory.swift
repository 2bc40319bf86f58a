// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// What nghttp2 allocates, counted for its session.
///
/// It takes some sixteen small objects for each request. What it frees of these is kept by size for whatever
/// connection of the thread asks next. All of it is malloc's memory, and what no list takes goes back.
enum LibraryMemory {
    /// Functions that take memory for this core, and count it there.
    static func counting(in core: CorePointer) -> nghttp2_mem {
        nghttp2_mem(
            mem_user_data: core,
            malloc: { count, core in
                let core = CorePointer.of(core)
                let object = core.pointee.freeObjects.pointee.take(count) ?? CNghttp2.malloc(count)
                core.pointee.libraryBytes += malloc_usable_size(object)
                return object
            },
            free: { object, core in
                guard let object else { return }
                let core = CorePointer.of(core)
                if core.pointee.freeObjects.pointee.frames.holds(object) {
                    core.pointee.libraryBytes -= LibraryMemory.frameBytes
                    core.pointee.freeObjects.pointee.frames.giveBack(object)
                    return
                }
                let size = malloc_usable_size(object)
                core.pointee.libraryBytes -= size
                if !core.pointee.freeObjects.pointee.keep(object, size) { CNghttp2.free(object) }
            },
            calloc: { count, size, core in
                let object = CNghttp2.calloc(count, size)
                CorePointer.of(core).pointee.libraryBytes += malloc_usable_size(object)
                return object
            },
            realloc: { object, count, core in
                let core = CorePointer.of(core)
                guard let object else { return LibraryMemory.allocate(count, core) }
                if core.pointee.freeObjects.pointee.frames.holds(object) {
                    if count <= FrameBuffers.sizes.upperBound { return object }
                    guard let new = LibraryMemory.allocate(count, core) else { return nil }
                    new.copyMemory(from: object, byteCount: FrameBuffers.sizes.upperBound)
                    core.pointee.libraryBytes -= LibraryMemory.frameBytes
                    core.pointee.freeObjects.pointee.frames.giveBack(object)
                    return new
                }
                let before = malloc_usable_size(object)
                let new = CNghttp2.realloc(object, count)
                if new != nil { core.pointee.libraryBytes += malloc_usable_size(new) - before }
                return new
            })
    }

    /// What a buffer for frames counts for, of whatever size it was asked for.
    private static let frameBytes = FrameBuffers.sizes.lowerBound

    /// Memory for what is told apart by its size: a buffer for frames, or anything else.
    private static func allocate(_ count: Int, _ core: CorePointer) -> UnsafeMutableRawPointer? {
        if FrameBuffers.sizes.contains(count),
            let buffer = core.pointee.freeObjects.pointee.frames.take()
        {
            core.pointee.libraryBytes += frameBytes
            return buffer
        }
        let object = CNghttp2.malloc(count)
        if object != nil { core.pointee.libraryBytes += malloc_usable_size(object) }
        return object
    }

    /// Small objects that are free, one list for each size of malloc's.
    ///
    /// List k, from 1 on, has objects of at least 16 k + 8 bytes, which are malloc's sizes; the links are in the objects.
    /// Another malloc may make smaller ones, which have no list.
    struct FreeObjects {
        /// The buffers in which frames are made.
        var frames = FrameBuffers()
        /// Larger ones are no request's.
        private static let listCount = 33
        /// Bytes that are kept at most: those of some 100 requests.
        private static let keptBytesMax = 256 * 1024

        private var lists = InlineArray<33, UnsafeMutableRawPointer?>(repeating: nil)
        private var keptBytes = 0

        /// An object with room for so many bytes; nil if none is kept.
        mutating func take(_ count: Int) -> UnsafeMutableRawPointer? {
            let list = Int(bitPattern: max((UInt(bitPattern: count) &+ 7) &>> 4, 1))
            guard list < Self.listCount, let object = lists[list] else { return nil }
            lists[list] = object.load(as: UnsafeMutableRawPointer?.self)
            keptBytes &-= list &* 16
            return object
        }

        /// Keeps an object of this size; false if it is too large, or enough are kept.
        mutating func keep(_ object: UnsafeMutableRawPointer, _ size: Int) -> Bool {
            let list = (size &- 8) &>> 4
            guard 1..<Self.listCount ~= list, keptBytes < Self.keptBytesMax else { return false }
            object.storeBytes(of: lists[list], as: UnsafeMutableRawPointer?.self)
            lists[list] = object
            keptBytes &+= list &* 16
            return true
        }

        /// Gives all objects back to malloc.
        mutating func clear() {
            for list in 0..<Self.listCount {
                while let object = lists[list] {
                    lists[list] = object.load(as: UnsafeMutableRawPointer?.self)
                    CNghttp2.free(object)
                }
            }
            keptBytes = 0
            frames.unmap()
        }
    }
}

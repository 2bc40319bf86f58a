// SPDX-License-Identifier: Apache-2.0

/// Chunks of memory that are lent while bytes are in flight.
///
/// One pool per reactor. Chunks that came back are kept up to a number and then given to the
/// system.
public struct BufferPool: ~Copyable {
    /// The size of each chunk: the plaintext of one full TLS record.
    public static let chunkBytes = 16_384

    /// How many chunks are out.
    public private(set) var lentCount = 0
    private let chunksKept: Int
    private var keptCount = 0
    /// Kept chunks form a list; the link is in the chunk.
    private var kept: UnsafeMutableRawPointer?

    /// Starts empty; keeps at most `chunksKept` chunks that nobody uses.
    public init(chunksKept: Int = 64) {
        self.chunksKept = chunksKept
    }

    deinit {
        var chunk = kept
        while let current = chunk {
            chunk = current.load(as: UnsafeMutableRawPointer?.self)
            current.deallocate()
        }
    }

    /// Lends a chunk of `chunkBytes`.
    ///
    /// What it holds is undefined.
    public mutating func lend() -> UnsafeMutablePointer<UInt8> {
        lentCount &+= 1
        if let chunk = kept {
            kept = chunk.load(as: UnsafeMutableRawPointer?.self)
            keptCount &-= 1
            return chunk.assumingMemoryBound(to: UInt8.self)
        }
        return UnsafeMutableRawPointer.allocate(byteCount: Self.chunkBytes, alignment: 16)
            .assumingMemoryBound(to: UInt8.self)
    }

    /// Takes back a chunk that `lend` gave out.
    public mutating func giveBack(_ chunk: UnsafeMutablePointer<UInt8>) {
        assert(lentCount > 0)
        lentCount &-= 1
        let memory = UnsafeMutableRawPointer(chunk)
        guard keptCount < chunksKept else {
            memory.deallocate()
            return
        }
        memory.storeBytes(of: kept, as: UnsafeMutableRawPointer?.self)
        kept = memory
        keptCount &+= 1
    }
}

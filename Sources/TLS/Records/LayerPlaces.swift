// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Where the record layers of a process lie: beside one another, and not in malloc's pools.
///
/// A layer is made when thousands of handshakes may just have left their memory, and it lives as long as its connection.
/// Among what is free there, each would keep a page of it from going back to the system.
struct LayerPlaces: Sendable {
    /// Bytes of a place: a layer with its keys, and no cache line shared with the next one, which may be another reactor's.
    static let placeBytes =
        (MemoryLayout<RecordLayer>.stride + TrafficKey.pairBytes + 63) & ~63
    /// So much is taken of the system at once; malloc maps it by itself.
    private static let chunkBytes = 256 * 1_024

    private static let shared = Mutex(LayerPlaces())

    /// The address of the first free place, in which that of the next one stands; 0 for none.
    private var firstFree: UInt = 0
    /// The part of the last chunk that was never used.
    private var unused: Range<UInt> = 0..<0

    /// A place with nothing but zeros; nil where the system has no memory.
    static func take() -> UnsafeMutableRawPointer? {
        guard let place = shared.withLock({ $0.takeAddress() }).flatMap(Self.pointer) else {
            return nil
        }
        memset(place, 0, placeBytes)
        return place
    }

    /// Takes a place back; secrets in it were overwritten.
    static func giveBack(_ place: UnsafeMutableRawPointer) {
        let address = UInt(bitPattern: place)
        shared.withLock { places in
            Self.pointer(address)?.storeBytes(of: places.firstFree, as: UInt.self)
            places.firstFree = address
        }
    }

    private mutating func takeAddress() -> UInt? {
        if let place = Self.pointer(firstFree) {
            let taken = firstFree
            firstFree = place.load(as: UInt.self)
            return taken
        }
        if unused.count < Self.placeBytes {
            guard let chunk = malloc(Self.chunkBytes) else { return nil }
            let first = UInt(bitPattern: chunk)
            unused = (first + 63) & ~63..<first + UInt(Self.chunkBytes)
        }
        let taken = unused.lowerBound
        unused = taken + UInt(Self.placeBytes)..<unused.upperBound
        return taken
    }

    private static func pointer(_ address: UInt) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: address)
    }
}

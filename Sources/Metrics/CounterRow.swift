// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Counters side by side, in cache lines of their own.
///
/// One thread adds, and any thread reads at any time: an addition is a load and a store, with no lock and no
/// cache line that another writer wants.
public struct CounterRow: ~Copyable, Sendable {
    private static let lineBytes = 64

    /// How many counters there are.
    public let count: Int
    nonisolated(unsafe) private let cells: UnsafeMutablePointer<Atomic<UInt64>>

    /// So many counters, all of them 0.
    public init(count: Int) {
        self.count = count
        let bytes = count * MemoryLayout<Atomic<UInt64>>.stride
        let lines = (bytes + Self.lineBytes - 1) / Self.lineBytes
        cells = UnsafeMutableRawPointer.allocate(
            byteCount: lines * Self.lineBytes, alignment: Self.lineBytes
        ).bindMemory(to: Atomic<UInt64>.self, capacity: count)
        for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: count)
        cells.deallocate()
    }

    /// Adds to a counter; only its one writer may call this.
    public func add(_ amount: UInt64 = 1, at index: Int) {
        precondition(index >= 0 && index < count)
        let before = cells[index].load(ordering: .relaxed)
        cells[index].store(before &+ amount, ordering: .relaxed)
    }

    /// What a counter has come to.
    public func value(at index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return cells[index].load(ordering: .relaxed)
    }
}

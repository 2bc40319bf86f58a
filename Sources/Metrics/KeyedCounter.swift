// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Counters of one writer, each under a key that its owner gives a meaning; any thread reads at any time.
///
/// A key that is met for the first time gets its counter then, and keeps it as long as the whole. There are so
/// many keys at most; what comes beyond is counted under `other`.
public struct KeyedCounter: ~Copyable, Sendable {
    private struct Node: ~Copyable {
        let key: UInt64
        let count = Atomic<UInt64>(1)
        let next: UnsafeMutablePointer<Node>?

        init(key: UInt64, next: UnsafeMutablePointer<Node>?) {
            self.key = key
            self.next = next
        }
    }

    /// The key under which all stands that came when there were as many keys as there may be.
    public static let other = UInt64.max

    private let keysMax: Int
    nonisolated(unsafe) private let first = Atomic<UnsafeMutablePointer<Node>?>(nil)
    private let keyCount = Atomic<Int>(0)

    /// Counters under so many keys at most, beside `other`.
    public init(keysMax: Int = 128) { self.keysMax = keysMax }

    deinit {
        var node = first.load(ordering: .acquiring)
        while let last = node {
            node = last.pointee.next
            last.deinitialize(count: 1)
            last.deallocate()
        }
    }

    /// Counts one under a key; only the one writer may call this.
    public func add(_ key: UInt64) {
        if addToKnown(key) { return }
        if keyCount.load(ordering: .relaxed) >= keysMax {
            if addToKnown(Self.other) { return }
            insert(Self.other)
        } else {
            keyCount.wrappingAdd(1, ordering: .relaxed)
            insert(key)
        }
    }

    private func addToKnown(_ key: UInt64) -> Bool {
        var node = first.load(ordering: .relaxed)
        while let known = node {
            if known.pointee.key == key {
                let before = known.pointee.count.load(ordering: .relaxed)
                known.pointee.count.store(before &+ 1, ordering: .relaxed)
                return true
            }
            node = known.pointee.next
        }
        return false
    }

    private func insert(_ key: UInt64) {
        let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
        node.initialize(to: Node(key: key, next: first.load(ordering: .relaxed)))
        first.store(node, ordering: .releasing)
    }

    /// What was counted, in no order that means anything.
    public var counts: [(key: UInt64, count: UInt64)] {
        var counts: [(key: UInt64, count: UInt64)] = []
        var node = first.load(ordering: .acquiring)
        while let known = node {
            counts.append((known.pointee.key, known.pointee.count.load(ordering: .relaxed)))
            node = known.pointee.next
        }
        return counts
    }

    /// What was counted under a key.
    public func count(of key: UInt64) -> UInt64 {
        counts.first { $0.key == key }?.count ?? 0
    }
}

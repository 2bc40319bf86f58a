// SPDX-License-Identifier: Apache-2.0
import Reactor

/// Something that is to be done at a moment.
protocol Due {
    /// When, in nanoseconds.
    var at: UInt64 { get }
}

/// A client that will try to come back.
struct Comeback: Due {
    let at: UInt64
    let number: Int
    let attempt: Int
}

/// A client of a script that goes on at a moment which a timer does not meet exactly enough.
struct Waking: Due {
    let at: UInt64
    let token: Token
}

/// What is to be done, the earliest first: a binary heap.
struct DueQueue<Entry: Due> {
    private var heap: [Entry] = []

    /// How many there are.
    var count: Int { heap.count }

    /// When the next one is due, in nanoseconds.
    var first: UInt64? { heap.first?.at }

    mutating func removeAll() { heap = [] }

    mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var index = heap.count - 1
        while index > 0, heap[(index - 1) / 2].at > heap[index].at {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// Takes one that is due out.
    mutating func pop(before now: UInt64) -> Entry? {
        guard let first = heap.first, first.at <= now else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[child].at < heap[least].at {
                least = child
            }
            if least == index { return first }
            heap.swapAt(index, least)
            index = least
        }
    }
}

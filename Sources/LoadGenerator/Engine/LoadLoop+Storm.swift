// SPDX-License-Identifier: Apache-2.0
import Reactor

/// All connections drop at once and come back.
extension LoadLoop {
    /// Drops all, as a network that is gone for a moment does: without a Close.
    mutating func dropAll() {
        stormBeganAt = now
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            finish(client, token)
        }
        roster.removeAll(keepingCapacity: true)
        for number in 0..<plan.connections { comeBack(number, attempt: 0) }
    }

    /// Has a client try again behind its back-off.
    mutating func comeBack(_ number: Int, attempt: Int) {
        guard case .storm(let backOff) = plan.mode else { return }
        let drawn = Double.random(in: 0..<1, using: &random)
        let pause = backOff.nanoseconds(beforeAttempt: attempt, random: drawn)
        comebacks.insert(Comeback(at: now + pause, number: number, attempt: attempt))
    }

    /// Begins the attempts whose time has come.
    mutating func tryAgain() {
        guard stage == .measuring || stage == .warming else { return }
        while let comeback = comebacks.pop(before: now) {
            attemptCount += 1
            begin(UInt64(comeback.number) + plan.firstNumber, attempt: comeback.attempt)
        }
    }

    /// A client of the storm is served again.
    mutating func served(_ client: ClientPointer) {
        servedCount += 1
        meter.pointee.countOne()
        meter.pointee.record(nanoseconds: now &- stormBeganAt)
    }
}

/// A client that will try to come back.
struct Comeback {
    let at: UInt64
    let number: Int
    let attempt: Int
}

/// Those who will come back, the earliest first: a binary heap.
struct ComebackQueue {
    private var heap: [Comeback] = []

    /// When the next one is due, in nanoseconds.
    var first: UInt64? { heap.first?.at }

    mutating func removeAll() { heap = [] }

    mutating func insert(_ comeback: Comeback) {
        heap.append(comeback)
        var index = heap.count - 1
        while index > 0, heap[(index - 1) / 2].at > heap[index].at {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// Takes one that is due out.
    mutating func pop(before now: UInt64) -> Comeback? {
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

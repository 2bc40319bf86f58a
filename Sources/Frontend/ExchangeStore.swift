// SPDX-License-Identifier: Apache-2.0
import Wire

/// An exchange, which stays where it is until the turn in which it was retired is over.
typealias ExchangePointer = UnsafeMutablePointer<Exchange>

/// The exchanges of one reactor, and what is lent to them while a request is in progress.
///
/// In steady state a request allocates nothing: the memory of its head, and that of the answer's, are
/// used again, and heads that go out are written into one buffer.
struct ExchangeStore: ~Copyable {
    /// Heads whose memory is kept for the next one: as many as are read at one time, and no more.
    private static let memoriesMax = 256
    /// Memory that a long head has needed is not kept.
    private static let memoryBytesMax = 4_096

    private var retired: [ExchangePointer] = []
    private var memories: [HeadMemory] = []
    /// Where heads that go out are written; what is written is sent before anything else is.
    var writer = HeadWriter(capacity: 4_096)
    /// The time of day for answers of our own.
    var date = HTTPDate()

    deinit {
        for exchange in retired { Self.free(exchange) }
    }

    /// Makes an exchange.
    func make(_ exchange: consuming Exchange) -> ExchangePointer {
        let pointer = ExchangePointer.allocate(capacity: 1)
        pointer.initialize(to: exchange)
        return pointer
    }

    /// Lets an exchange go once the turn is over, for those who still look at it.
    mutating func retire(_ exchange: ExchangePointer) { retired.append(exchange) }

    /// Frees what was retired in this turn.
    mutating func releaseRetired() {
        if retired.isEmpty { return }
        for exchange in retired { Self.free(exchange) }
        retired.removeAll(keepingCapacity: true)
    }

    private static func free(_ exchange: ExchangePointer) {
        exchange.deinitialize(count: 1)
        exchange.deallocate()
    }

    /// Memory for a head.
    mutating func lend() -> HeadMemory { memories.popLast() ?? HeadMemory() }

    /// Takes the memory of a head back.
    mutating func takeBack(_ memory: consuming HeadMemory) {
        guard memory.capacity > 0, memory.capacity <= Self.memoryBytesMax,
            memories.count < Self.memoriesMax
        else { return }
        memories.append(memory)
    }
}

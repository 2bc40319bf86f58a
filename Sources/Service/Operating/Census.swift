// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// Counts the relays of an upstream, those of clients that are on their way back too.
///
/// A client that was told to come again takes its time. Without it the average would be lower than it is
/// about to be, and more relays would be closed than there is surplus.
struct Census {
    /// For so long a client may be on its way back.
    static let returnSeconds: UInt64 = 30
    private var totals: [(milliseconds: UInt64, count: Int)] = []
    /// Relays that were told to go.
    private var closed: [(milliseconds: UInt64, count: Int)] = []

    /// Relays were told to go just now.
    mutating func note(closed count: Int, nowMilliseconds now: UInt64) {
        closed.append((now, count))
    }

    /// Whether somebody that was told to go may be on the way back.
    func awaitsSomebody(nowMilliseconds now: UInt64) -> Bool {
        closed.contains { now < $0.milliseconds + Self.returnSeconds * 1_000 }
    }

    /// What a look at the endpoints has found.
    struct Found {
        /// How many relays of each endpoint are above its share of all, rounded up, also of those that come back.
        var surplus: [Int]
        /// The same, of those alone that are there now, of all endpoints together.
        var surplusNow: Int
        /// Relays that there are when all clients are back.
        var expected: Int
        /// How many of these are not there.
        var missing: Int

        var isEven: Bool { surplusNow == 0 && surplus.allSatisfy { $0 == 0 } }
    }

    /// Looks at relays and share of each endpoint, now.
    ///
    /// - Parameters:
    ///   - counts: relays and share of each endpoint.
    ///   - least: how many relays are expected altogether, from looks that are longer ago.
    ///   - now: the time, in milliseconds.
    /// - Returns: what is above the shares, and who is missing.
    mutating func look(
        _ counts: [(count: Int, share: UInt64)], expecting least: Int = 0,
        nowMilliseconds now: UInt64
    ) -> Found {
        let total = counts.reduce(0) { $0 + $1.count }
        totals.removeAll { $0.milliseconds + Self.returnSeconds * 1_000 <= now }
        totals.append((now, total))
        // Of those that a later one exceeds nothing is needed any more.
        totals = totals.enumerated().filter { index, entry in
            totals[(index + 1)...].allSatisfy { $0.count < entry.count }
        }.map(\.element)
        closed.removeAll { $0.milliseconds + Self.returnSeconds * 1_000 <= now }
        // Others have left meanwhile by themselves, and are not awaited.
        let back = total + closed.reduce(0) { $0 + $1.count }
        let expected = max(least, min(totals.map(\.count).max() ?? total, back))
        return Found(
            surplus: Self.surplus(counts, of: expected),
            surplusNow: Self.surplus(counts, of: total).reduce(0, +), expected: expected,
            missing: expected - total)
    }

    private static func surplus(_ counts: [(count: Int, share: UInt64)], of total: Int) -> [Int] {
        let whole = Double(counts.reduce(0) { $0 + $1.share })
        guard whole > 0 else { return counts.map { _ in 0 } }
        return counts.map {
            max(0, $0.count - Int((Double(total) * Double($0.share) / whole).rounded(.up)))
        }
    }
}

/// What the rebalances of one upstream have closed of late, over all commands: what one has told to go is not
/// missing to the next one.
final class RebalanceMemory: Sendable {
    private let census = Mutex(Census())

    func look(
        _ counts: [(label: String, count: Int, share: UInt64)], expecting least: Int = 0
    ) -> Census.Found {
        census.withLock {
            $0.look(
                counts.map { ($0.count, $0.share) }, expecting: least,
                nowMilliseconds: Clock.nowMilliseconds())
        }
    }

    /// Relays were told to go just now.
    func note(closed count: Int) {
        census.withLock { $0.note(closed: count, nowMilliseconds: Clock.nowMilliseconds()) }
    }

    /// Whether somebody that was told to go may be on the way back.
    var isWaitedFor: Bool {
        census.withLock { $0.awaitsSomebody(nowMilliseconds: Clock.nowMilliseconds()) }
    }
}

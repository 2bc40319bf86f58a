// SPDX-License-Identifier: Apache-2.0

/// Counts of routes that a reload has taken out, which are told for a while after their last relay.
///
/// What the last relays were, and how they ended, is counted when nothing uses the route any more: without this no
/// scrape would ever see it. And a counter that began anew with a route that comes back would fall.
struct KeptTallies {
    /// For so long they are kept after they were first seen without a relay.
    static let idleMilliseconds: UInt64 = 300_000

    private var kept: [(tally: RouteTally, idleSince: UInt64?)] = []

    /// How many are kept.
    var count: Int { kept.count }

    /// Keeps those of routes that have left, and lets go of those that are served again or whose time is over.
    mutating func tend(_ routing: Routing, nowMilliseconds now: UInt64) {
        let left = routing.departedTallies.map(\.tally)
        kept = left.map { tally in
            let before = kept.first { $0.tally === tally }?.idleSince
            return (tally, tally.count > 0 ? nil : before ?? now)
        }.filter { $0.idleSince.map { now < $0 + Self.idleMilliseconds } ?? true }
    }
}

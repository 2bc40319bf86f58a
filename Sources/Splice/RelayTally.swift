// SPDX-License-Identifier: Apache-2.0
import Ledger
public import Metrics
public import Wire

/// What relays have passed on and how fast their peers answer, counted while it happens.
///
/// One thread counts, and any thread reads at any time.
public struct RelayTally: ~Copyable, Sendable {
    /// From clients.
    public let up = FrameTally()
    /// To clients.
    public let down = FrameTally()
    /// How long clients took to answer Pings of ours, in microseconds.
    public let clientRoundTrips = DurationCounter(roundTrips)
    /// How long upstreams took.
    public let upstreamRoundTrips = DurationCounter(roundTrips)

    /// What faults have done on purpose, by `FaultKind`.
    public let faults = CounterRow(count: FaultKind.allCases.count)

    private static let roundTrips = DurationCounter.Kind(
        bounds: [
            100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
            1_000_000, 2_500_000, 10_000_000,
        ], perSecond: 1_000_000)

    /// Nothing was counted yet.
    public init() {}
}

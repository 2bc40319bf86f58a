// SPDX-License-Identifier: Apache-2.0
import Metrics

/// What one reactor has counted of one route.
final class RouteMeter: Sendable {
    /// What has one counter.
    enum Count: Int, CaseIterable {
        case relaysOpened
        case upFrames, upMessages, upPayloadBytes, downFrames, downMessages, downPayloadBytes
    }

    private static let minute: UInt64 = 60_000
    private static let hour: UInt64 = 3_600_000

    let counts = CounterRow(count: Count.allCases.count)
    /// By `RelayEnd`.
    let closes = KeyedCounter()
    /// By `RefusedUpgrade`.
    let refusals = KeyedCounter()
    /// By `AnsweredRequest`.
    let requests = KeyedCounter()
    /// By `MetLimit`.
    let limits = KeyedCounter()
    let relayDurations = DurationCounter(bounds: [
        1_000, 10_000, minute, 5 * minute, 15 * minute, hour, 4 * hour, 12 * hour, 24 * hour,
        168 * hour,
    ])
    let requestDurations = DurationCounter(bounds: answerBounds)
    let upgradeDurations = DurationCounter(bounds: answerBounds)

    /// Those of requests and upgrades: the clock of a turn counts milliseconds.
    private static let answerBounds: [UInt64] = [
        1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
    ]

    func add(_ count: Count, _ amount: UInt64 = 1) { counts.add(amount, at: count.rawValue) }
}

/// The counters of all reactors for one route.
final class RouteMeters: Sendable {
    let all: [RouteMeter]

    init(count: Int) { all = (0..<count).map { _ in RouteMeter() } }

    /// What all have counted.
    func sum(_ count: RouteMeter.Count) -> UInt64 {
        all.reduce(0) { $0 &+ $1.counts.value(at: count.rawValue) }
    }
}

/// What one reactor has counted of no route.
final class ReactorMeter: Sendable {
    /// Its turns, as it said last.
    let turns = CounterRow(count: 1)
    /// By the listener's number.
    let connected = KeyedCounter(keysMax: 4_096)
    /// By the listener's number.
    let disconnected = KeyedCounter(keysMax: 4_096)
    /// By `CompletedHandshake`.
    let handshakes = KeyedCounter()
    /// By `HandshakeTrouble`.
    let troubles = KeyedCounter()
    /// By `OtherProtocol`.
    let misaddressed = KeyedCounter(keysMax: 4_096)
}

/// What of a relay's traffic the counters have.
struct CountedTraffic {
    var up = Direction()
    var down = Direction()

    struct Direction {
        var frames: UInt64 = 0
        var messages: UInt64 = 0
        var payloadBytes: UInt64 = 0
    }
}

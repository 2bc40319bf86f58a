// SPDX-License-Identifier: Apache-2.0
import Metrics
import Splice
import Synchronization

/// What one reactor has counted of one route.
///
/// It is reached by a pointer, so that counting keeps nobody alive: see `RouteMeters`.
struct RouteMeter: ~Copyable, Sendable {
    /// What has one counter.
    enum Count: Int, CaseIterable {
        case relaysOpened
        case upFrames, upPayloadBytes, downFrames, downPayloadBytes
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
    /// By `AccessRule`.
    let denials = KeyedCounter()
    /// By `MetLimit`.
    let limits = KeyedCounter()
    let relayDurations = DurationCounter(lives)
    let requestDurations = DurationCounter(answers)
    var upgradeTimes = UpgradeTimes()
    /// What relays pass on, and how fast their peers answer.
    var traffic = RelayTally()

    private static let lives = DurationCounter.Kind(bounds: [
        1_000, 10_000, minute, 5 * minute, 15 * minute, hour, 4 * hour, 12 * hour, 24 * hour,
        168 * hour,
    ])
    /// Those of requests and upgrades: the clock of a turn counts milliseconds.
    fileprivate static let answers = DurationCounter.Kind(bounds: [
        1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
    ])

    func add(_ count: Count, _ amount: UInt64 = 1) { counts.add(amount, at: count.rawValue) }
}

/// How long the steps to a WebSocket have taken.
struct UpgradeTimes: ~Copyable, Sendable {
    let tls = DurationCounter(RouteMeter.answers)
    let head = DurationCounter(RouteMeter.answers)
    let queue = DurationCounter(RouteMeter.answers)
    let connect = DurationCounter(RouteMeter.answers)
    let answer = DurationCounter(RouteMeter.answers)
    let total = DurationCounter(RouteMeter.answers)
}

/// The counters of all reactors for one route, side by side; the route's tally keeps them for as long as it lives.
final class RouteMeters: Sendable {
    nonisolated(unsafe) private let first: UnsafeMutablePointer<RouteMeter>
    let count: Int

    init(count: Int) {
        self.count = count
        first = .allocate(capacity: count)
        for index in 0..<count { (first + index).initialize(to: RouteMeter()) }
    }

    deinit {
        first.deinitialize(count: count)
        first.deallocate()
    }

    /// The counters of one reactor.
    func meter(of reactor: Int) -> UnsafeMutablePointer<RouteMeter> {
        precondition(reactor >= 0 && reactor < count)
        return first + reactor
    }

    /// What all have counted.
    func sum(_ count: RouteMeter.Count) -> UInt64 {
        var sum: UInt64 = 0
        for index in 0..<self.count {
            sum &+= meter(of: index).pointee.counts.value(at: count.rawValue)
        }
        return sum
    }
}

/// The counters of a route, made when the first of its reactors has something to count.
///
/// `AtomicLazyReference` would look up the metadata of its type at each load, which is more than counting takes.
struct LazyRouteMeters: ~Copyable, Sendable {
    private let known = Atomic<Unmanaged<RouteMeters>?>(nil)

    deinit { known.load(ordering: .acquiring)?.release() }

    /// The counters of all reactors; nil before there are any.
    var all: RouteMeters? { known.load(ordering: .acquiring)?.takeUnretainedValue() }

    /// The counters of one reactor among so many; they live as long as this.
    func meter(
        of reactor: Int, among count: @autoclosure () -> Int
    ) -> UnsafeMutablePointer<RouteMeter> {
        let meters = known.load(ordering: .acquiring) ?? make(count())
        return meters._withUnsafeGuaranteedRef { $0.meter(of: reactor) }
    }

    @inline(never) private func make(_ count: Int) -> Unmanaged<RouteMeters> {
        let made = Unmanaged.passRetained(RouteMeters(count: count))
        let (_, earlier) = known.compareExchange(
            expected: nil, desired: made, ordering: .acquiringAndReleasing)
        // Another reactor may have been the first.
        guard let earlier else { return made }
        made.release()
        return earlier
    }
}

/// What one reactor has counted of no route.
final class ReactorMeter: Sendable {
    /// Its turns, as it said last.
    let turns = CounterRow(count: 1)
    /// How long its turns took, which is what others had to wait for.
    let lag = DurationCounter(
        DurationCounter.Kind(bounds: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000]))
    /// By the listener's number.
    let connected = KeyedCounter(keysMax: 4_096)
    /// By the listener's number.
    let disconnected = KeyedCounter(keysMax: 4_096)
    /// Connections that have come from another reactor or process, by the number of their listener.
    let arrived = KeyedCounter(keysMax: 4_096)
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
        var payloadBytes: UInt64 = 0
    }
}

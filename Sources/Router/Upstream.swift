// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// How an upstream spreads relays over its endpoints.
public enum Balance: Sendable, Hashable {
    /// Each in turn.
    case roundRobin
    /// The one with the fewest relays; among equals each in turn.
    case leastConnections
}

/// What all reactors know of one endpoint; it may outlive the `Upstream` that it was first in.
public final class EndpointLoad: Sendable {
    /// Connects and relays under way.
    let active = Atomic<Int>(0)
    /// The end of the cool-down in monotonic milliseconds; 0 while all is well.
    let failedUntil = Atomic<UInt64>(0)
    private let draining = Atomic<Bool>(false)

    /// An endpoint that is well and idle.
    public init() {}

    /// Whether nothing new goes there.
    public var isDraining: Bool {
        get { draining.load(ordering: .relaxed) }
        set { draining.store(newValue, ordering: .relaxed) }
    }
}

/// The endpoints behind one or several routes, and the choice between them.
///
/// Endpoints are known by their index only: what an index means (address, name) is the caller's.
/// All reactors share one `Upstream`; every method may be called from any thread and none waits.
///
/// For each attempt: `pick`, `opened`, connect, then `succeeded` or `failed`; and `closed` exactly
/// once for each `opened`, when the attempt failed or the relay is over.
public final class Upstream: Sendable {
    /// Its name in configuration, for logs and answers.
    public let name: String
    /// How the choice is made.
    public let balance: Balance
    /// How long an endpoint is passed over after a failed connect.
    public let cooldownMilliseconds: UInt64

    /// Connects and relays that one endpoint may have; reactors that choose at the same time may go
    /// one each beyond it.
    public let activeMax: Int

    private let loads: [EndpointLoad]
    private let cursor = Atomic<UInt>(0)

    /// An upstream whose endpoints are all well and idle.
    public convenience init(
        name: String, endpointCount: Int, balance: Balance, cooldownMilliseconds: UInt64 = 10_000
    ) {
        self.init(
            name: name, loads: (0..<endpointCount).map { _ in EndpointLoad() }, balance: balance,
            cooldownMilliseconds: cooldownMilliseconds)
    }

    /// An upstream whose endpoints are as they are.
    public init(
        name: String, loads: [EndpointLoad], balance: Balance,
        cooldownMilliseconds: UInt64 = 10_000, activeMax: Int = .max
    ) {
        precondition(!loads.isEmpty, "an upstream has at least one endpoint")
        self.name = name
        self.balance = balance
        self.cooldownMilliseconds = cooldownMilliseconds
        self.loads = loads
        self.activeMax = activeMax
    }

    /// How many endpoints there are.
    public var endpointCount: Int { loads.count }

    /// Chooses an endpoint that is not among those `tried` already; nil when all were.
    ///
    /// Endpoints in cool-down are passed over as long as there is another. When a cool-down ends, one
    /// pick gets the endpoint and the others go on passing it over until that one `succeeded`: an
    /// endpoint that swallows connects delays one client, not all.
    public func pick(nowMilliseconds now: UInt64, excluding tried: [Int] = []) -> Int? {
        // Where there is no choice and all is well, nothing has to be counted.
        if loads.count == 1, tried.isEmpty, loads[0].failedUntil.load(ordering: .relaxed) == 0,
            takes(0)
        {
            return 0
        }
        // Each round that is lost was won by another thread, so a few rounds are enough.
        for _ in 0...loads.count {
            guard let choice = choose(now, tried) else { return leastLongFailing(tried) }
            let until = loads[choice].failedUntil.load(ordering: .relaxed)
            if until == 0 { return choice }
            let (isMine, _) = loads[choice].failedUntil.compareExchange(
                expected: until, desired: coolDownEnd(now), ordering: .relaxed)
            if isMine { return choice }
        }
        return leastLongFailing(tried)
    }

    /// Says that a connect to this endpoint begins.
    public func opened(_ endpoint: Int) {
        loads[endpoint].active.wrappingAdd(1, ordering: .relaxed)
    }

    /// Says that what `opened` announced is over.
    public func closed(_ endpoint: Int) {
        let active = loads[endpoint].active.wrappingSubtract(1, ordering: .relaxed).newValue
        assert(active >= 0, "closed more often than opened")
    }

    /// Says that a connect failed: the endpoint cools down.
    public func failed(_ endpoint: Int, nowMilliseconds now: UInt64) {
        loads[endpoint].failedUntil.store(coolDownEnd(now), ordering: .relaxed)
    }

    /// Says that a connect succeeded: a cool-down ends.
    public func succeeded(_ endpoint: Int) {
        // Read first: the line stays shared between the cores as long as all is well.
        guard loads[endpoint].failedUntil.load(ordering: .relaxed) != 0 else { return }
        loads[endpoint].failedUntil.store(0, ordering: .relaxed)
    }

    /// Connects and relays under way to this endpoint.
    public func active(_ endpoint: Int) -> Int {
        loads[endpoint].active.load(ordering: .relaxed)
    }

    /// Whether nothing new goes to any endpoint.
    public var isDraining: Bool { loads.allSatisfy(\.isDraining) }

    /// Whether every endpoint that takes anything has as much as it may have.
    public var isFull: Bool {
        activeMax != .max
            && loads.indices.allSatisfy { loads[$0].isDraining || active($0) >= activeMax }
    }

    /// Whether this endpoint is passed over at the moment.
    public func isCoolingDown(_ endpoint: Int, nowMilliseconds now: UInt64) -> Bool {
        loads[endpoint].failedUntil.load(ordering: .relaxed) > now
    }

    private func choose(_ now: UInt64, _ tried: [Int]) -> Int? {
        let fewest = balance == .leastConnections ? fewestActive(now, tried) : nil
        var candidates = 0
        for endpoint in loads.indices where isCandidate(endpoint, now, tried, fewest) {
            candidates += 1
        }
        guard candidates > 0 else { return nil }
        // Turns are counted among the candidates, so the neighbour of one that is passed over does
        // not inherit its share.
        let turn = cursor.wrappingAdd(1, ordering: .relaxed).oldValue
        var left = Int(turn % UInt(candidates))
        var last: Int?
        for endpoint in loads.indices where isCandidate(endpoint, now, tried, fewest) {
            last = endpoint
            if left == 0 { break }
            left -= 1
        }
        return last
    }

    private func fewestActive(_ now: UInt64, _ tried: [Int]) -> Int? {
        var fewest: Int?
        for endpoint in loads.indices where isCandidate(endpoint, now, tried, nil) {
            fewest = min(fewest ?? .max, active(endpoint))
        }
        return fewest
    }

    private func isCandidate(_ endpoint: Int, _ now: UInt64, _ tried: [Int], _ fewest: Int?) -> Bool
    {
        if let fewest, active(endpoint) > fewest { return false }
        return !isCoolingDown(endpoint, nowMilliseconds: now) && !tried.contains(endpoint)
            && takes(endpoint)
    }

    /// Whether an endpoint takes anything new.
    private func takes(_ endpoint: Int) -> Bool {
        !loads[endpoint].isDraining && (activeMax == .max || active(endpoint) < activeMax)
    }

    /// The endpoint whose cool-down ends first, for when there is no better one.
    private func leastLongFailing(_ tried: [Int]) -> Int? {
        var best: Int?
        var bestUntil = UInt64.max
        for endpoint in loads.indices
        where !tried.contains(endpoint) && takes(endpoint) {
            let until = loads[endpoint].failedUntil.load(ordering: .relaxed)
            if best == nil || until < bestUntil {
                best = endpoint
                bestUntil = until
            }
        }
        return best
    }

    private func coolDownEnd(_ now: UInt64) -> UInt64 {
        let (end, isOverflow) = now.addingReportingOverflow(cooldownMilliseconds)
        return isOverflow ? .max : end
    }
}

// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The endpoints behind one or several routes, and the choice between them.
///
/// Endpoints are known by their index only: what an index means (address, name) is the caller's.
/// All reactors share one `Upstream`; every method may be called from any thread and none waits.
///
/// For each attempt: `claim`, connect, then `succeeded` or `failed`; and `closed` exactly once for
/// each `claim`, when the attempt failed or the relay is over.
public final class Upstream: Sendable {
    /// Its name in configuration, for logs and answers.
    public let name: String
    /// What holds for its endpoints.
    public let rules: UpstreamRules

    let loads: [EndpointLoad]
    /// What each endpoint is known by over restarts and in every process, whatever its index.
    let identities: [UInt64]
    let standings: Standings
    let cursor = Atomic<UInt>(0)

    /// An upstream whose endpoints are all well and idle, and known by their numbers.
    public convenience init(name: String, endpointCount: Int, rules: UpstreamRules) {
        self.init(
            name: name,
            endpoints: (0..<endpointCount).map { (EndpointLoad(), "\($0)") }, rules: rules)
    }

    /// An upstream whose endpoints are as they are; hashing knows them by their labels.
    ///
    /// `standings` has one for each endpoint, or none where all are the same.
    public init(
        name: String, endpoints: [(load: EndpointLoad, label: String)], rules: UpstreamRules,
        standings: [Standing] = []
    ) {
        precondition(!endpoints.isEmpty, "an upstream has at least one endpoint")
        precondition(standings.isEmpty || standings.count == endpoints.count)
        self.standings = Standings(standings)
        self.name = name
        self.rules = rules
        loads = endpoints.map(\.load)
        // One that stands there twice has two shares.
        var seen: [String: UInt64] = [:]
        identities = endpoints.map { endpoint in
            let count = seen[endpoint.label, default: 0]
            seen[endpoint.label] = count + 1
            return StableHash.mixed(StableHash.of(endpoint.label) &+ count)
        }
    }

    /// How many endpoints there are.
    public var endpointCount: Int { loads.count }

    // MARK: One attempt

    /// Chooses an endpoint as `pick` does and takes a place there.
    public func claim(
        nowMilliseconds now: UInt64, key: UInt64? = nil, excluding tried: [Int] = []
    ) -> Int? {
        // A place that was lost between choosing and taking went to another reactor.
        while let endpoint = pick(nowMilliseconds: now, key: key, excluding: tried) {
            if open(endpoint) { return endpoint }
        }
        return nil
    }

    /// Takes a place at this endpoint, if it takes more and neither fails nor is unhealthy.
    public func claim(only endpoint: Int) -> Bool {
        let load = loads[endpoint]
        return !load.isDraining && !isResting(endpoint) && load.health.isFit
            && load.failedUntil.load(ordering: .relaxed) == 0 && open(endpoint)
    }

    /// Chooses an endpoint that is not among those `tried` already; nil when all were, or take nothing.
    ///
    /// Endpoints of a priority get something while none of a lower number is in service. Unhealthy
    /// endpoints are left out as long as there is another that was not tried. Endpoints in
    /// cool-down are passed over as long as there is another. When a cool-down ends, one pick gets
    /// the endpoint and the others go on passing it over until that one `succeeded`: an endpoint that
    /// swallows connects delays one client, not all.
    public func pick(
        nowMilliseconds now: UInt64, key: UInt64? = nil, excluding tried: [Int] = []
    ) -> Int? {
        // Where there is no choice and all is well, nothing has to be counted.
        if loads.count == 1, tried.isEmpty, loads[0].failedUntil.load(ordering: .relaxed) == 0,
            takes(0)
        {
            return 0
        }
        let tier = tierInService(now, tried)
        let needsFit = hasFit(tried, tier)
        // Each round that is lost was won by another thread, so a few rounds are enough.
        for _ in 0...loads.count {
            var round = Round(
                now: now, tried: tried, needsFit: needsFit, tier: tier, key: key)
            guard let choice = choose(&round) else { break }
            let until = loads[choice].failedUntil.load(ordering: .relaxed)
            if until == 0 { return choice }
            // It is counted as failed until it has succeeded.
            let failures = loads[choice].failures.load(ordering: .relaxed) + 1
            let (isMine, _) = loads[choice].failedUntil.compareExchange(
                expected: until, desired: coolDownEnd(now, failures), ordering: .relaxed)
            if isMine {
                loads[choice].failures.store(failures, ordering: .relaxed)
                return choice
            }
        }
        if rules.waitsForPlace && hasWell(now, tried, needsFit, tier) { return nil }
        return leastLongFailing(tried, needsFit, tier)
    }

    /// Takes a place at an endpoint; false when it has as many as it may have.
    func open(_ endpoint: Int) -> Bool {
        if rules.activeMax == .max {
            loads[endpoint].active.wrappingAdd(1, ordering: .relaxed)
            return true
        }
        var count = active(endpoint)
        while count < rules.activeMax {
            let (isMine, current) = loads[endpoint].active.compareExchange(
                expected: count, desired: count + 1, ordering: .sequentiallyConsistent)
            if isMine { return true }
            count = current
        }
        return false
    }

    /// Takes a place for what has come from elsewhere and is there already: also where there is none left.
    public func reopen(_ endpoint: Int) {
        loads[endpoint].active.wrappingAdd(1, ordering: .relaxed)
    }

    /// Gives back the place that `claim` took.
    public func closed(_ endpoint: Int) {
        // Whoever waits for a place has said so before looking for one, and is seen after this.
        let active = loads[endpoint].active.wrappingSubtract(
            1, ordering: .sequentiallyConsistent
        ).newValue
        assert(active >= 0, "closed more often than opened")
    }

    // MARK: What became of it

    /// Says that a connect failed: the endpoint cools down, each time in a row for twice as long.
    ///
    /// - Returns: for how many milliseconds, where it was well before.
    @discardableResult
    public func failed(_ endpoint: Int, nowMilliseconds now: UInt64) -> UInt64? {
        let load = loads[endpoint]
        // Of many that fail at the same time one counts.
        let (isFirst, before) = load.failures.compareExchange(
            expected: 0, desired: 1, ordering: .relaxed)
        let end = coolDownEnd(now, max(1, before))
        load.failedUntil.store(end, ordering: .relaxed)
        return isFirst ? end - now : nil
    }

    /// Says that an attempt has told nothing of the endpoint, since something else was in its way: if it
    /// was the one try behind a cool-down, the next one that comes has that try.
    public func undecided(_ endpoint: Int, nowMilliseconds now: UInt64) {
        let until = loads[endpoint].failedUntil.load(ordering: .relaxed)
        if until <= now { return }
        // Where it lost its cool-down or began another meanwhile, that holds.
        _ = loads[endpoint].failedUntil.compareExchange(
            expected: until, desired: max(1, now), ordering: .relaxed)
    }

    /// Says that a connect succeeded: a cool-down ends, unless it is for answers that failed.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    public func succeeded(_ endpoint: Int, nowMilliseconds now: UInt64) -> Bool {
        // Read first: the line stays shared between the cores as long as all is well.
        guard loads[endpoint].failedUntil.load(ordering: .relaxed) != 0 else { return false }
        let answers = loads[endpoint].failedAnswers.load(ordering: .relaxed)
        if rules.failedAnswersMax > 0 && answers >= rules.failedAnswersMax { return false }
        loads[endpoint].join(nowMilliseconds: now)
        return true
    }

    /// Says that an answer was none, or one of a server in trouble; so many in a row have the same
    /// effect as a failed connect.
    ///
    /// - Returns: for how many milliseconds it is passed over, where it was well before.
    @discardableResult
    public func answerFailed(_ endpoint: Int, nowMilliseconds now: UInt64) -> UInt64? {
        guard rules.failedAnswersMax > 0 else { return nil }
        let count = loads[endpoint].failedAnswers.wrappingAdd(1, ordering: .relaxed).newValue
        return count >= rules.failedAnswersMax ? failed(endpoint, nowMilliseconds: now) : nil
    }

    /// Says that an answer was one.
    ///
    /// - Returns: whether that ends a cool-down.
    @discardableResult
    public func answered(_ endpoint: Int, nowMilliseconds now: UInt64) -> Bool {
        let load = loads[endpoint]
        guard load.failedAnswers.load(ordering: .relaxed) != 0 else { return false }
        load.failedAnswers.store(0, ordering: .relaxed)
        guard load.failedUntil.load(ordering: .relaxed) != 0 else { return false }
        load.join(nowMilliseconds: now)
        return true
    }

    // MARK: How it is

    /// Whether neither a connect nor an answer of this endpoint has failed since the last good one.
    public func isWell(_ endpoint: Int) -> Bool {
        let load = loads[endpoint]
        return load.failedUntil.load(ordering: .relaxed) == 0
            && load.failedAnswers.load(ordering: .relaxed) == 0
    }

    /// Connects and relays under way to this endpoint.
    public func active(_ endpoint: Int) -> Int {
        loads[endpoint].active.load(ordering: .sequentiallyConsistent)
    }

    /// Whether nothing new goes to any endpoint.
    public var isDraining: Bool {
        loads.indices.allSatisfy { loads[$0].isDraining || isResting($0) }
    }

    /// Whether the configuration gives an endpoint nothing new.
    public func isResting(_ endpoint: Int) -> Bool {
        !standings.resting.isEmpty && standings.resting[endpoint]
    }

    /// Whether `pick` finds none because those that are left have as much as they may have.
    public func isFull(nowMilliseconds now: UInt64, excluding tried: [Int] = []) -> Bool {
        if rules.activeMax == .max { return false }
        let tier = rules.waitsForPlace ? tierInService(now, tried) : nil
        let needsFit = hasFit(tried, tier)
        let needsWell = rules.waitsForPlace && hasWell(now, tried, needsFit, tier)
        var isFull = false
        for endpoint in loads.indices where isMeant(endpoint, tried, needsFit, tier) {
            if needsWell && isCoolingDown(endpoint, nowMilliseconds: now) { continue }
            if active(endpoint) < rules.activeMax { return false }
            isFull = true
        }
        return isFull
    }

    /// What part of the relays each endpoint would have, in numbers to be compared: 0 where its priority
    /// is not in service, nil where it takes nothing at the moment.
    public func shares(nowMilliseconds now: UInt64) -> [UInt64?] {
        let tier = tierInService(now, [])
        return loads.indices.map { endpoint in
            guard isMeant(endpoint, [], true, nil), !isCoolingDown(endpoint, nowMilliseconds: now)
            else { return nil }
            if let tier, standings.priorities[endpoint] != tier { return 0 }
            return standings.shares.isEmpty ? 1 : standings.shares[endpoint]
        }
    }

    /// Whether this endpoint is passed over at the moment.
    public func isCoolingDown(_ endpoint: Int, nowMilliseconds now: UInt64) -> Bool {
        loads[endpoint].failedUntil.load(ordering: .relaxed) > now
    }

    /// The lowest priority of which one is left that is well and takes something; nil where there is
    /// no such, or no difference.
    ///
    /// One that is full is in service where its places are waited for.
    func tierInService(_ now: UInt64, _ tried: [Int]) -> UInt16? {
        for tier in standings.tiers {
            for endpoint in loads.indices
            where isMeant(endpoint, tried, true, tier)
                && !isCoolingDown(endpoint, nowMilliseconds: now)
                && (rules.waitsForPlace || takes(endpoint))
            {
                return tier
            }
        }
        return nil
    }

    /// Whether one is left that is neither drained nor unhealthy.
    func hasFit(_ tried: [Int], _ tier: UInt16?) -> Bool {
        for endpoint in loads.indices where isMeant(endpoint, tried, true, tier) { return true }
        return false
    }

    /// Whether one is left that has not failed, full or not.
    private func hasWell(
        _ now: UInt64, _ tried: [Int], _ needsFit: Bool, _ tier: UInt16?
    ) -> Bool {
        for endpoint in loads.indices
        where isMeant(endpoint, tried, needsFit, tier)
            && !isCoolingDown(endpoint, nowMilliseconds: now)
        {
            return true
        }
        return false
    }

    /// Whether an endpoint is among those that may be chosen, were there room and had it not failed.
    func isMeant(
        _ endpoint: Int, _ tried: [Int], _ needsFit: Bool, _ tier: UInt16?
    ) -> Bool {
        !loads[endpoint].isDraining && !isResting(endpoint)
            && (!needsFit || loads[endpoint].health.isFit) && !tried.contains(endpoint)
            && (tier == nil || standings.priorities[endpoint] == tier)
    }

    /// Whether an endpoint takes anything new.
    func takes(_ endpoint: Int) -> Bool {
        !loads[endpoint].isDraining && !isResting(endpoint)
            && (rules.activeMax == .max || active(endpoint) < rules.activeMax)
    }

    /// The endpoint whose cool-down ends first, for when there is no better one.
    private func leastLongFailing(
        _ tried: [Int], _ needsFit: Bool, _ tier: UInt16?
    ) -> Int? {
        var best: Int?
        var bestUntil = UInt64.max
        for endpoint in loads.indices
        where isMeant(endpoint, tried, needsFit, tier) && takes(endpoint) {
            let until = loads[endpoint].failedUntil.load(ordering: .relaxed)
            if best == nil || until < bestUntil {
                best = endpoint
                bestUntil = until
            }
        }
        return best
    }

    /// The end of the cool-down after so many failures in a row.
    private func coolDownEnd(_ now: UInt64, _ failures: Int) -> UInt64 {
        let doublings = UInt64(min(max(0, failures - 1), 30))
        let (time, isTooLong) = rules.cooldownMilliseconds
            .multipliedReportingOverflow(by: 1 << doublings)
        let most = max(rules.cooldownMaxMilliseconds, rules.cooldownMilliseconds)
        let (end, isOverflow) = now.addingReportingOverflow(isTooLong ? most : min(time, most))
        return isOverflow ? .max : end
    }
}

// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// How one endpoint is chosen among those that may be.
extension Upstream {
    /// One look at all endpoints; what is drawn stays the same from its first to its last.
    struct Round {
        let now: UInt64
        let tried: [Int]
        let needsFit: Bool
        /// The priority in service, where there are several.
        let tier: UInt16?
        let key: UInt64?
        /// What chance has to say: even over many rounds.
        var turn: UInt = 0
        /// Whom a slow start leaves out is left out.
        var hasRamp = false
        /// Those that are full are candidates too.
        var hasFull = false
        /// The most that a candidate may carry.
        var weightMax = UInt64.max
    }

    /// In what a share is counted, so that it needs no fractions: 1 is so many.
    private static let whole: UInt64 = 1_024
    /// The share that a slow start begins with.
    private static let shareMin = whole / 10

    /// The endpoint to which its hash sends a key at this moment, full or not.
    ///
    /// Nothing is claimed or counted.
    ///
    /// - Parameters:
    ///   - key: what the choice was made by when a relay was opened.
    ///   - now: the time, on the monotonic clock in milliseconds.
    /// - Returns: the endpoint's index; nil where hashing does not decide, or none is in service.
    public func home(of key: UInt64, nowMilliseconds now: UInt64) -> Int? {
        guard rules.balance == .hash else { return nil }
        let tier = tierInService(now, [])
        var round = Round(now: now, tried: [], needsFit: hasFit([], tier), tier: tier, key: key)
        round.hasFull = true
        round.hasRamp = rules.slowStartMilliseconds > 0
        if round.hasRamp && count(round) == 0 { round.hasRamp = false }
        return highest(round)
    }

    func choose(_ round: inout Round) -> Int? {
        round.turn = cursor.wrappingAdd(1, ordering: .relaxed).oldValue
        let balance = rules.balance == .hash && round.key == nil ? .leastConnections : rules.balance
        // Where the load is compared, a share counts there; where it is not, chance has to decide.
        round.hasRamp =
            rules.slowStartMilliseconds > 0 && (balance == .roundRobin || balance == .hash)
        var lightest: Int?
        if balance == .leastConnections { lightest = self.lightest(&round) }
        var candidates = count(round)
        // Other reactors took places meanwhile, so none is as light as that any more.
        if candidates == 0, let lightest { return lightest }
        if candidates == 0 && round.hasRamp {
            // All that are left have just come back.
            round.hasRamp = false
            candidates = count(round)
        }
        guard candidates > 0 else { return nil }
        switch balance {
        // Turns are counted among the candidates, so the neighbour of one that is passed over does
        // not inherit its share.
        case .roundRobin where !standings.shares.isEmpty: return weighted(round)
        case .roundRobin, .leastConnections:
            return candidate(Int(round.turn % UInt(candidates)), round) ?? lightest
        case .random2: return lighterOfTwo(round, candidates)
        case .hash: return highest(round)
        }
    }

    private func count(_ round: Round) -> Int {
        var candidates = 0
        for endpoint in loads.indices where isCandidate(endpoint, round) { candidates += 1 }
        return candidates
    }

    /// The candidate behind so many others; the last where some have gone meanwhile.
    private func candidate(_ number: Int, _ round: Round) -> Int? {
        var left = number
        var last: Int?
        for endpoint in loads.indices where isCandidate(endpoint, round) {
            last = endpoint
            if left == 0 { break }
            left -= 1
        }
        return last
    }

    /// The candidate whose turn it is where shares differ.
    ///
    /// Turns are laid out by the golden ratio, so that over any stretch of them each has its share, and
    /// those of one endpoint lie apart.
    private func weighted(_ round: Round) -> Int? {
        var whole: UInt64 = 0
        for endpoint in loads.indices where isCandidate(endpoint, round) {
            whole += standings.shares[endpoint]
        }
        let place = UInt64(truncatingIfNeeded: round.turn) &* 0x9E37_79B9_7F4A_7C15
        var left = place.multipliedFullWidth(by: whole).high
        var last: Int?
        for endpoint in loads.indices where isCandidate(endpoint, round) {
            last = endpoint
            let share = standings.shares[endpoint]
            if left < share { break }
            left -= share
        }
        return last
    }

    /// A candidate that carries the least for its share; from then on only those that carry no more
    /// are candidates.
    private func lightest(_ round: inout Round) -> Int? {
        var lightest: Int?
        var weightMin = UInt64.max
        for endpoint in loads.indices where isCandidate(endpoint, round) {
            let weight = weight(endpoint, round.now)
            if lightest == nil || weight < weightMin {
                lightest = endpoint
                weightMin = weight
            }
        }
        round.weightMax = weightMin
        return lightest
    }

    private func lighterOfTwo(_ round: Round, _ candidates: Int) -> Int? {
        let drawn = StableHash.mixed(UInt64(truncatingIfNeeded: round.turn))
        let first = Int((drawn & 0xFFFF_FFFF) % UInt64(candidates))
        guard candidates > 1 else { return candidate(first, round) }
        var second = Int((drawn &>> 32) % UInt64(candidates - 1))
        if second >= first { second += 1 }
        guard let one = candidate(first, round), let other = candidate(second, round) else {
            return nil
        }
        return weight(other, round.now) < weight(one, round.now) ? other : one
    }

    /// Rendezvous hashing: every endpoint draws a number for the key, and the highest wins.
    ///
    /// Without one of them the others' numbers are the same, so only its own keys move.
    private func highest(_ round: Round) -> Int? {
        let key = round.key ?? 0
        if !standings.shares.isEmpty { return earliest(round, key) }
        var best: Int?
        var highest: UInt64 = 0
        for endpoint in loads.indices where isCandidate(endpoint, round) {
            let drawn = StableHash.mixed(key ^ identities[endpoint])
            if best == nil || drawn > highest {
                best = endpoint
                highest = drawn
            }
        }
        return best
    }

    /// The same where shares differ: each waits a time for the key that is drawn by its share, and who
    /// comes first has it.
    private func earliest(_ round: Round, _ key: UInt64) -> Int? {
        var best: Int?
        var earliest = Double.infinity
        for endpoint in loads.indices where isCandidate(endpoint, round) {
            let drawn = StableHash.mixed(key ^ identities[endpoint])
            let time = Standings.exponential(drawn) / Double(standings.shares[endpoint])
            if best == nil || time < earliest {
                best = endpoint
                earliest = time
            }
        }
        return best
    }

    private func isCandidate(_ endpoint: Int, _ round: Round) -> Bool {
        guard isMeant(endpoint, round.tried, round.needsFit, round.tier),
            round.hasFull || takes(endpoint), !isCoolingDown(endpoint, nowMilliseconds: round.now)
        else { return false }
        if round.weightMax != .max { return weight(endpoint, round.now) <= round.weightMax }
        if !round.hasRamp { return true }
        let share = share(endpoint, round.now)
        if share == Self.whole { return true }
        // The same key is let in or not by the same number, and those let in stay in.
        let drawn = round.key ?? UInt64(truncatingIfNeeded: round.turn)
        return StableHash.mixed(~drawn ^ identities[endpoint]) % Self.whole < share
    }

    /// How much an endpoint carries for its share.
    private func weight(_ endpoint: Int, _ now: UInt64) -> UInt64 {
        let active = UInt64(max(0, active(endpoint)))
        let share = share(endpoint, now)
        if standings.shares.isEmpty {
            return share == Self.whole ? active &+ 1 : (active &+ 1) &* Self.whole / share
        }
        // Fine enough for shares of 65,535 beside 1, and for 4 million connections.
        return ((active &+ 1) &<< 30) / standings.shares[endpoint] &* Self.whole / share
    }

    /// The part of its share that an endpoint gets in its slow start.
    private func share(_ endpoint: Int, _ now: UInt64) -> UInt64 {
        if rules.slowStartMilliseconds == 0 { return Self.whole }
        let joined = loads[endpoint].joined.load(ordering: .relaxed)
        if joined == 0 { return Self.whole }
        let age = now > joined ? now - joined : 0
        if age >= rules.slowStartMilliseconds { return Self.whole }
        return max(Self.shareMin, age * Self.whole / rules.slowStartMilliseconds)
    }
}

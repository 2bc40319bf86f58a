// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Reactor

/// How long the relays of a route may be silent or last, and how their peers are asked whether they
/// are there; durations in milliseconds, 0 for none.
///
/// Shared by all relays of a route; a relay keeps those that it began with.
public final class RelayRules: Sendable {
    /// From one Ping (RFC 6455 §5.5.2) to the next; 0 for none.
    public let pingMilliseconds: UInt64
    /// From a Ping to the loss of who has not answered.
    public let pongMilliseconds: UInt64
    /// Whether the client is asked.
    public let pingsClient: Bool
    /// Whether the upstream is.
    public let pingsUpstream: Bool
    /// Without a data frame in either direction.
    public let idleMilliseconds: UInt64
    /// From the upgrade to the end, less up to a tenth so that not all end at once.
    public let lifetimeMilliseconds: UInt64

    /// Those of a route without any.
    static let off = RelayRules()

    /// Rules with durations in milliseconds; 0 switches a rule off.
    public init(
        pingMilliseconds: UInt64 = 0, pongMilliseconds: UInt64 = 0, pingsClient: Bool = false,
        pingsUpstream: Bool = false, idleMilliseconds: UInt64 = 0,
        lifetimeMilliseconds: UInt64 = 0
    ) {
        self.pingMilliseconds = pingMilliseconds
        self.pongMilliseconds = pongMilliseconds
        self.pingsClient = pingsClient && pingMilliseconds > 0
        self.pingsUpstream = pingsUpstream && pingMilliseconds > 0
        self.idleMilliseconds = idleMilliseconds
        self.lifetimeMilliseconds = lifetimeMilliseconds
    }
}

/// When a relay ends because what let it in does, by the time of day, and with which code.
public struct RelayTerm: Sendable, Equatable {
    /// When, in milliseconds since 1970.
    public var endMilliseconds: UInt64
    /// The code of the Close.
    public let code: UInt16

    /// The time of day may be set to another: it is looked at again no later than after that.
    private static let lookMilliseconds: UInt64 = 60_000

    /// A Close of this code at a time in milliseconds since 1970.
    public init(endMilliseconds: UInt64, code: UInt16) {
        self.endMilliseconds = endMilliseconds
        self.code = code
    }

    var isOver: Bool { Clock.wallMilliseconds() >= endMilliseconds }

    /// When to look again, in milliseconds of `Clock`.
    func nextMilliseconds(_ now: UInt64) -> UInt64 {
        let wall = Clock.wallMilliseconds()
        let left = endMilliseconds - min(wall, endMilliseconds)
        return now + min(max(1, left), Self.lookMilliseconds)
    }
}

/// What a relay with rules or a term remembers; one without has none.
///
/// Nothing of it is touched when a message passes: counters are compared when a timer fires.
final class Watch {
    /// What is known of one peer.
    struct Probe {
        /// When the next Ping is due; 0 for never.
        var pingDue: UInt64 = 0
        /// When the answer to the last one is; 0 while none is awaited.
        var pongDue: UInt64 = 0
        /// The payload that only its answer can carry.
        var payload: UInt64 = 0
        var sentNanoseconds: UInt64 = 0
        /// Bytes that had come from the peer when it was asked.
        var bytesBefore: UInt64 = 0
        /// Bytes that had gone to it before the Ping, which it has to take first; `max` until that is known.
        var sentBefore = 0
        /// How many it had taken when that was last looked at.
        var takenBefore = 0
        /// Some were on their way then.
        var owedBefore = false
        /// How many of its own bytes were not held for it any more then.
        var ownBefore: UInt64 = 0
        var roundTrip = RoundTrip()
    }

    let rules: RelayRules
    /// When the relay ends with what let it in; nil for never.
    var term: RelayTerm?
    var client = Probe()
    var backend = Probe()
    /// When the relay has lived long enough; 0 for never.
    var lifetimeDue: UInt64 = 0
    /// When traffic was last seen to have gone on.
    var idleSince: UInt64 = 0
    /// What had passed then.
    var trafficBefore: UInt64 = 0

    /// Where round trips are counted; nil for nowhere.
    private let tally: UnsafePointer<RelayTally>?

    init(_ rules: RelayRules, _ tally: UnsafePointer<RelayTally>?) {
        self.rules = rules
        self.tally = tally
    }

    /// Takes note of how long a peer took to answer.
    func answered(_ side: Side, _ microseconds: UInt64) {
        self[side].roundTrip.note(microseconds)
        switch side {
        case .client: tally?.pointee.clientRoundTrips.note(microseconds)
        case .backend: tally?.pointee.upstreamRoundTrips.note(microseconds)
        }
    }

    /// Begins to count.
    func start(_ now: UInt64) {
        if rules.pingsClient { client.pingDue = now + rules.pingMilliseconds }
        if rules.pingsUpstream { backend.pingDue = now + rules.pingMilliseconds }
        idleSince = now
        if rules.lifetimeMilliseconds > 0 {
            let spread = rules.lifetimeMilliseconds / 10
            lifetimeDue = now + rules.lifetimeMilliseconds - UInt64.random(in: 0...spread)
        }
    }

    /// When to look again; 0 for never.
    func nextMilliseconds(_ now: UInt64) -> UInt64 {
        var next = UInt64.max
        func consider(_ due: UInt64) { if due > 0 && due < next { next = due } }
        func consider(_ probe: Probe) {
            consider(probe.pongDue)
            // It waits for the answer to the one before, where that has not come by then.
            if probe.pongDue == 0 || probe.pingDue > now { consider(probe.pingDue) }
        }
        consider(client)
        consider(backend)
        consider(lifetimeDue)
        if let term { consider(term.nextMilliseconds(now)) }
        if rules.idleMilliseconds > 0 {
            // Looked at in eighths, so that silence is found no later than an eighth after its time.
            let step = max(1, rules.idleMilliseconds / 8)
            consider(min(idleSince + rules.idleMilliseconds, now + step))
        }
        return next == .max ? 0 : next
    }
}

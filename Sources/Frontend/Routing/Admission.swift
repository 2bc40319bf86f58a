// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import Synchronization

/// How many relays a route may have, altogether and for one client; nil for any number.
public struct AdmissionLimits: Sendable, Equatable {
    /// Relays at one time.
    public var relays: Int?
    /// The same for one client: an IPv4 address, or an IPv6 network of 64 bits.
    public var relaysPerClient: Int?
    /// Relays that one client may begin in a second; a second's worth may come at once.
    public var newRelaysPerSecond: Int?
    /// Messages, Pings and Pongs that the relays of one client may begin in a second, together.
    public var messagesPerSecondPerClient: UInt64?
    /// Bytes of frames that the relays of one client may send in a second, and get, together.
    public var bytesPerSecondPerClient: UInt64?

    /// Limits of a route; nil for no limit.
    public init(
        relays: Int? = nil, relaysPerClient: Int? = nil, newRelaysPerSecond: Int? = nil
    ) {
        self.relays = relays
        self.relaysPerClient = relaysPerClient
        self.newRelaysPerSecond = newRelaysPerSecond
    }

    /// Whether the relays of a client share a rate.
    var hasRates: Bool { messagesPerSecondPerClient != nil || bytesPerSecondPerClient != nil }

    /// Whether nothing is limited.
    public var isEmpty: Bool { self == AdmissionLimits() }
}

/// Who has how many places on a route; shared by all reactors, and touched by routes with limits only.
///
/// A place is taken before the upstream is asked and given back when the connection ends. Where no limit stood
/// before, `StockTaker` gives places to those who are there, before the limit holds.
final class Admission: Sendable {
    private let counting = Atomic<Bool>(false)

    /// Whether places are taken also by those whom nothing limits, since a limit is about to hold or does.
    var isCounting: Bool {
        get { counting.load(ordering: .acquiring) }
        set { counting.store(newValue, ordering: .releasing) }
    }

    /// What became of somebody who asked for a place.
    enum Outcome: Equatable {
        case admitted
        /// The route has as many as it may have.
        case full
        /// The client has as many as it may have.
        case tooMany
        /// The client comes too often; it may come again after so many milliseconds.
        case tooOften(UInt64)
    }

    private struct Client {
        var places = 0
        /// When the next one would be due at the even pace (GCRA), in microseconds.
        var dueMicroseconds: UInt64 = 0
        /// What its relays draw from, where they share a rate.
        var rates: ClientRates?

        /// Whether it means nothing any more.
        func isForgotten(nowMilliseconds now: UInt64) -> Bool {
            places <= 0 && dueMicroseconds <= now * 1_000
                && rates?.isIdle(nowMilliseconds: now) ?? true
        }
    }

    private struct State {
        var places = 0
        var clients: [Address: Client] = [:]
        /// How many clients there may be before those are forgotten that mean nothing any more.
        var sweepAt = 1_024
    }

    private let state = Mutex(State())
    private let earlier = AtomicLazyReference<EarlierRates>()

    /// Rates of relays that have come from another reactor or process, and that no rule gives any more.
    var earlierRates: EarlierRates { earlier.load() ?? earlier.storeIfNil(EarlierRates()) }

    /// Clients that are remembered.
    var clientCount: Int { state.withLock { $0.clients.count } }

    func enter(
        _ client: Address, _ limits: AdmissionLimits, nowMilliseconds now: UInt64
    ) -> Outcome {
        let key = client.subscriber
        return state.withLock { state in
            if let most = limits.relays, state.places >= most { return .full }
            var entry = state.clients[key] ?? Client()
            if let most = limits.relaysPerClient, entry.places >= most { return .tooMany }
            if let rate = limits.newRelaysPerSecond {
                let now = now * 1_000
                let due = max(entry.dueMicroseconds, now)
                // A second's worth may be ahead of its time, this one included.
                let pace = 1_000_000 / UInt64(rate)
                if due + pace > now + 1_000_000 {
                    return .tooOften((due + pace - now - 1_000_000) / 1_000 + 1)
                }
                entry.dueMicroseconds = due + pace
            }
            entry.places += 1
            state.places += 1
            state.clients[key] = entry
            if state.clients.count >= state.sweepAt { Self.sweep(&state, now) }
            return .admitted
        }
    }

    func leave(_ client: Address, nowMilliseconds now: UInt64) {
        let key = client.subscriber
        state.withLock { state in
            state.places -= 1
            guard var entry = state.clients[key] else { return }
            entry.places -= 1
            state.clients[key] = entry.isForgotten(nowMilliseconds: now) ? nil : entry
        }
    }

    /// What the relays of a client that has a place draw from; nil where they share no rate.
    ///
    /// Where the rates are others by now, those that came before keep theirs.
    func rates(of client: Address, _ limits: AdmissionLimits) -> ClientRates? {
        guard limits.hasRates else { return nil }
        let (messages, bytes) = (limits.messagesPerSecondPerClient, limits.bytesPerSecondPerClient)
        let key = client.subscriber
        return state.withLock { state in
            if let rates = state.clients[key]?.rates,
                rates.isOf(messagesPerSecond: messages, bytesPerSecond: bytes)
            {
                return rates
            }
            let rates = ClientRates(messagesPerSecond: messages, bytesPerSecond: bytes)
            state.clients[key]?.rates = rates
            return rates
        }
    }

    /// Clients whose next relay is not due yet at the even pace, and when it is, in microseconds of `Clock`.
    func owing(nowMilliseconds now: UInt64) -> [(client: Address, dueMicroseconds: UInt64)] {
        state.withLock { state in
            state.clients.compactMap { client, entry in
                entry.dueMicroseconds > now * 1_000 ? (client, entry.dueMicroseconds) : nil
            }
        }
    }

    /// Has the next relay of a client be due no sooner than then.
    func owe(_ client: Address, until due: UInt64) {
        state.withLock { state in
            var entry = state.clients[client] ?? Client()
            entry.dueMicroseconds = max(entry.dueMicroseconds, due)
            state.clients[client] = entry
        }
    }

    /// Forgets clients without a place whose time is over; as rarely as makes it cheap.
    private static func sweep(_ state: inout State, _ now: UInt64) {
        state.clients = state.clients.filter { !$1.isForgotten(nowMilliseconds: now) }
        state.sweepAt = max(1_024, state.clients.count * 2)
    }
}

// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Synchronization

/// What a relay draws from that has come from another reactor or process, beside the others of its client.
///
/// Relays keep the rates with which they began. Where the route has other ones by now, those of one client that have
/// moved still share theirs with each other.
public struct MovedRates: Sendable {
    /// What is limited.
    enum Kind: UInt8 {
        case messages, bytesUp, bytesDown
    }

    private let present: ClientRates?
    private let earlier: EarlierRates?
    private let client: Address?

    /// Rates of nobody: each relay has its own.
    public init() {
        (present, earlier, client) = (nil, nil, nil)
    }

    /// What relays of a client draw from that the route's rules give, and those that it has had before.
    public init(of client: Address, present: ClientRates?, earlier: EarlierRates) {
        (self.present, self.earlier, self.client) = (present, earlier, client)
    }

    /// The rate of this size that relays of the client share; a new one where none has it.
    func rate(_ kind: Kind, perSecond: UInt64) -> SharedRate {
        let present =
            switch kind {
            case .messages: self.present?.messages
            case .bytesUp: self.present?.bytesUp
            case .bytesDown: self.present?.bytesDown
            }
        if let present, present.perSecond == perSecond { return present }
        guard let earlier, let client else { return SharedRate(perSecond: perSecond) }
        return earlier.rate(kind, of: client, perSecond: perSecond)
    }
}

/// The rates that moved relays share and that the rules of their route do not give any more, for as long as a relay
/// draws from them.
public final class EarlierRates: Sendable {
    private struct Key: Hashable {
        let client: Address
        let kind: MovedRates.Kind
        let perSecond: UInt64
    }

    private struct Entry {
        weak let rate: SharedRate?
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        /// How many there may be before those are dropped from which nobody draws.
        var sweepAt = 64
    }

    private let state = Mutex(State())

    /// None.
    public init() {}

    fileprivate func rate(
        _ kind: MovedRates.Kind, of client: Address, perSecond: UInt64
    ) -> SharedRate {
        let key = Key(client: client, kind: kind, perSecond: perSecond)
        return state.withLock { state in
            if let known = state.entries[key]?.rate { return known }
            let made = SharedRate(perSecond: perSecond)
            if state.entries.count >= state.sweepAt {
                state.entries = state.entries.filter { $1.rate != nil }
                state.sweepAt = max(64, state.entries.count * 2)
            }
            state.entries[key] = Entry(rate: made)
            return made
        }
    }
}

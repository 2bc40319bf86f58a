// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Synchronization

/// Stands for routes, endpoints and listeners that relays of the process before this one have, and that the
/// configuration has not any more: those relays go on under their names.
final class Gone: Sendable {
    private struct State {
        var plans: [String: RoutePlan] = [:]
        var endpoints: [String: Endpoint] = [:]
        var listeners: [Address: ListenerFacts] = [:]
    }

    private let state = Mutex(State())

    /// Counts of routes that are not served, by name.
    var tallies: [(name: String, tally: RouteTally)] {
        state.withLock { $0.plans.map { ($0.key, $0.value.tally) } }
    }

    /// A route of a name.
    func plan(_ name: String) -> RoutePlan {
        state.withLock { state in
            if let known = state.plans[name] { return known }
            let answer = FixedAnswer(status: 404, type: "", body: [])
            let made = RoutePlan(Route(name: name, action: .respond(answer)))
            state.plans[name] = made
            return made
        }
    }

    /// An endpoint of a label, at which nobody new can connect.
    func endpoint(_ label: String) -> Endpoint {
        state.withLock { state in
            if let known = state.endpoints[label] { return known }
            let made = Endpoint(unresolved: label)
            state.endpoints[label] = made
            return made
        }
    }

    /// A listener that was at an address.
    func listener(_ address: Address, _ isSecure: Bool) -> ListenerFacts {
        state.withLock { state in
            if let known = state.listeners[address] { return known }
            let number = ListenerFacts.goneNumbers + state.listeners.count
            let made = ListenerFacts(gone: address, number: number, isSecure: isSecure)
            state.listeners[address] = made
            return made
        }
    }
}

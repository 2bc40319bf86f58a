// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
import Router
import Synchronization

/// Stands for routes, endpoints and listeners that relays of the process before this one have, and that the
/// configuration has not any more: those relays go on under their names.
final class Gone: Sendable {
    private struct Seat: Hashable {
        let upstream: String
        let label: String
    }

    private struct State {
        var plans: [String: RoutePlan] = [:]
        var groups: [Seat: EndpointGroup] = [:]
        var listeners: [Address: ListenerFacts] = [:]
    }

    private let state = Mutex(State())

    /// Endpoints at which relays have places, and the upstreams that they belonged to.
    var endpoints: [(upstream: String, endpoint: Endpoint)] {
        state.withLock { state in
            state.groups.flatMap { seat, group in group.endpoints.map { (seat.upstream, $0) } }
        }
    }

    /// A route of a name, which is counted by `routing` like one that a reload has taken out.
    func plan(_ name: String, countedBy routing: Routing) -> RoutePlan {
        state.withLock { state in
            if let known = state.plans[name] {
                routing.adopt(known.tally, of: name)
                return known
            }
            let answer = FixedAnswer(status: 404, type: "", body: [])
            let route = Route(name: name, action: .respond(answer))
            let made = RoutePlan(route, tally: routing.departedTally(name) ?? RouteTally())
            routing.adopt(made.tally, of: name)
            state.plans[name] = made
            return made
        }
    }

    /// An upstream of one endpoint, at which nobody new can connect.
    func group(_ upstream: String, _ label: String) -> EndpointGroup {
        state.withLock { state in
            let seat = Seat(upstream: upstream, label: label)
            if let known = state.groups[seat] { return known }
            let rules = UpstreamRules(
                balance: .roundRobin, cooldownMilliseconds: 1_000, cooldownMaxMilliseconds: 1_000,
                failedAnswersMax: 0, slowStartMilliseconds: 0, activeMax: .max)
            let made = EndpointGroup(
                name: upstream, endpoints: [Endpoint(unresolved: label)], rules: rules, pool: .none)
            state.groups[seat] = made
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

extension Frontend {
    /// Endpoints that are not served any more, and at which relays of the process before this one have places.
    public var goneEndpoints: [(upstream: String, endpoint: Endpoint)] { gone.endpoints }
}

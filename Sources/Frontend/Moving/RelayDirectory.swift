// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Serialization

/// What there is in this process of routes, endpoints and listeners, by the names that images have.
struct RelayDirectory: Sendable {
    private let routing: Routing
    private let plans: [String: RoutePlan]
    private let groups: [String: EndpointGroup]
    private let listeners: [Address: ListenerFacts]
    /// Stand-ins for what there is not any more, so that all relays of a name share one.
    private let gone: Gone

    init(_ routing: Routing, _ entrances: [Entrance], gone: Gone) {
        self.routing = routing
        plans = Dictionary(routing.plans.map { ($0.route.name, $0) }) { first, _ in first }
        groups = Dictionary(routing.upstreams.map { ($0.picker.name, $0) }) { first, _ in first }
        listeners = Dictionary(entrances.map { ($0.socket.address, $0.facts) }) { first, _ in first
        }
        self.gone = gone
    }

    /// What a name leads to.
    enum Found {
        case place(RelayPlace)
        /// It had better stay where it is.
        case refused(String)
    }

    /// Where a relay belongs.
    func find(_ image: RelayImage) -> Found {
        let known = plans[image.route]
        if image.recheck != nil, known?.route.access?.forward == nil {
            let what = known == nil ? "is gone" : "has no `access.forward` any more"
            return .refused("its route \(what), and another server is asked about it again")
        }
        let plan: RoutePlan
        if let known {
            plan = known
        } else if image.drainsWhenRemoved {
            return .refused("its route is gone and has `onRemove: drain`")
        } else {
            plan = gone.plan(image.route, countedBy: routing)
        }
        var seat: (group: EndpointGroup, index: Int)?
        if let group = groups[image.upstream],
            let index = group.endpoints.firstIndex(where: { $0.label == image.endpoint })
        {
            seat = (group, index)
        } else if !image.upstream.isEmpty {
            seat = (gone.group(image.upstream, image.endpoint), 0)
        }
        let endpoint =
            seat.map { $0.group.endpoints[$0.index] }
            ?? gone.group("", image.endpoint).endpoints[0]
        let listener = listeners[image.listener] ?? gone.listener(image.listener, image.isSecure)
        return .place(
            RelayPlace(plan: plan, endpoint: endpoint, seat: seat, listener: listener))
    }
}

// SPDX-License-Identifier: Apache-2.0
import Ledger
import Router

/// What takes no new relays since somebody has drained it, by name.
///
/// It holds until somebody resumes it, whether there is anything of that name at present or not.
public struct DrainedNames: Sendable, Equatable, Codable {
    /// Names of routes.
    public var routes: Set<String> = []
    /// Labels of endpoints, in whichever upstreams they are.
    public var endpoints: Set<String> = []

    /// Nothing is drained.
    public init() {}

    /// Whether nothing is drained.
    public var isEmpty: Bool { routes.isEmpty && endpoints.isEmpty }

    /// Takes note of what a drain is for, or no longer.
    mutating func set(_ plan: DrainPlan, isDrained: Bool) {
        if let endpoint = plan.endpoint {
            if isDrained { endpoints.insert(endpoint) } else { endpoints.remove(endpoint) }
        } else if isDrained {
            routes.formUnion(plan.routes)
        } else {
            routes.subtract(plan.routes)
        }
    }

    /// Has everything that is served go by these names.
    func apply(to routing: Routing) {
        for endpoint in routing.endpoints {
            endpoint.load.isDraining = endpoints.contains(endpoint.label)
        }
        for plan in routing.plans { plan.tally.isDraining = routes.contains(plan.route.name) }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// Asks the rules of a route whether a request may use it, before anything of it goes upstream.
///
/// A route without rules does not come here.
struct AccessGate {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// The refusal of a request; nil where it is let in.
    ///
    /// What has refused it stands in the facts for the log, and is counted.
    func refusal(
        _ rules: AccessRules, _ plan: RoutePlan, _ facts: inout RequestFacts
    ) -> Refusal? {
        if let addresses = rules.addresses, !addresses.admits(facts.client) {
            refused(by: .addresses, plan, &facts)
            return .forbiddenAddress(facts.client, plan.route)
        }
        return nil
    }

    private func refused(by rule: AccessRule, _ plan: RoutePlan, _ facts: inout RequestFacts) {
        facts.refusedBy = rule
        Metering(state).refused(by: rule, plan)
    }
}

extension Refusal {
    /// The client's address is none of those that may use the route.
    static func forbiddenAddress(_ client: Address, _ route: Route) -> Refusal {
        Refusal(
            status: 403, proxyError: .httpRequestDenied,
            sentence: "The address \(client.isUnix ? "unix" : client.hostString) may not use the"
                + " route \(route.name) (routes[].access.addresses).")
    }
}

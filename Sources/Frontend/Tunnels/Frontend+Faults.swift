// SPDX-License-Identifier: Apache-2.0
import Reactor
public import Splice

/// Faults of a route at this moment.
public struct RouteFaults: Sendable {
    /// The route's name.
    public let route: String
    /// What is done, and until when.
    public let plan: FaultPlan
    /// Whether somebody has asked for them at the admin socket; else the configuration has them.
    public let isOfMoment: Bool
}

/// Faults that are done on purpose.
extension Frontend {
    /// Begins faults for live and new relays of these routes, in place of those of the moment that they have.
    ///
    /// - Returns: false where a reactor has not answered in time, so that some relays may not have them yet.
    public func beginFaults(
        _ rules: FaultRules, routes: [String], endMilliseconds: UInt64
    ) -> Bool {
        let names = Set(routes)
        for (name, tally) in served.routing.tallies where names.contains(name) {
            let plan = FaultPlan(rules, endMilliseconds: endMilliseconds, isOfMoment: true)
            tally.exchangeChaos(plan)?.end()
        }
        return ask { .faults(from: 0, done: $0) }
    }

    /// Ends the faults of the moment of these routes; what they hold back goes on at once.
    ///
    /// - Returns: the routes that had any.
    @discardableResult
    public func endFaults(routes: [String]? = nil) -> [String] {
        let now = Clock.nowMilliseconds()
        var ended: [String] = []
        for (name, tally) in served.routing.tallies where routes?.contains(name) ?? true {
            guard let chaos = tally.exchangeChaos(nil) else { continue }
            if !chaos.isOver(nowMilliseconds: now) { ended.append(name) }
            chaos.end()
        }
        lookAtFaults()
        return ended
    }

    /// Has relays whose faults have ended go on at once.
    public func lookAtFaults() { _ = ask { .faults(from: 0, done: $0) } }

    /// The routes whose faults of the moment end, or have ended, at this time, and that nobody has ended before.
    public func routesOfFaults(endingAt milliseconds: UInt64) -> [String] {
        served.routing.tallies.compactMap { name, tally in
            tally.chaos?.endMilliseconds == milliseconds ? name : nil
        }
    }

    /// The faults that are done now, those of the moment first.
    public var faults: [RouteFaults] {
        let now = Clock.nowMilliseconds()
        var all: [RouteFaults] = []
        for (name, tally) in served.routing.tallies {
            guard let plan = tally.chaos, !plan.isOver(nowMilliseconds: now) else { continue }
            all.append(RouteFaults(route: name, plan: plan, isOfMoment: true))
        }
        for route in served.routing.routes {
            guard let plan = route.faults, !plan.isOver(nowMilliseconds: now) else { continue }
            all.append(RouteFaults(route: route.name, plan: plan, isOfMoment: false))
        }
        return all
    }
}

// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Frontend
import Ledger
import Reactor
import Splice

/// What the answer of a reload says beside what has changed.
extension Controller {
    /// Numbers the drain of routes that a reload has taken out, and says what it does there.
    func told(of drain: Drain, _ assembly: Assembly) -> (drain: Int, message: String) {
        let names = drain.plan.routes.sorted()
        let what =
            "removed route\(names.count == 1 ? "" : "s") \(names.prefix(8).joined(separator: ", "))"
            + (names.count > 8 ? " and \(names.count - 8) more" : "")
        let relays = assembly.routing.departedCounts.filter { drain.plan.routes.contains($0.name) }
            .reduce(0) { $0 + $1.count }
        let end = Clock.wallMilliseconds() + drain.plan.timeoutMilliseconds
        let until =
            relays == 0
            ? ""
            : ", until "
                + Date(timeIntervalSince1970: Double(end) / 1_000).ISO8601Format()
        return (
            add(drain, what),
            "Draining the \(what) (onRemove: drain): \(Self.told(relays, drain.plan))\(until)."
        )
    }

    /// Ends the faults that the configuration has no longer, and all where it allows none.
    func endFaults(of before: State, for configuration: Configuration, _ assembly: Assembly) {
        let kept = assembly.routing.routes.compactMap(\.faults)
        let gone = before.assembly.routing.routes.compactMap(\.faults)
            .filter { old in !kept.contains { $0 === old } }
        for faults in gone { faults.end() }
        if !configuration.allowsFaults, before.configuration.allowsFaults {
            frontend.endFaults()
        } else if !gone.isEmpty {
            frontend.lookAtFaults()
        }
    }

    /// That nobody can be sent to endpoints whose names have no address, a line each.
    var unresolved: [String] {
        let labels = state.assembly.routing.endpoints.filter(\.addresses.isEmpty).map(\.label)
        let most = 8
        return labels.prefix(most).map {
            "\nWarning: the endpoint \($0) has no address: its name can't be resolved, or nobody has answered in"
                + " time. Sluice goes on asking, and sends nothing there until then."
        } + (labels.count > most ? ["\nWarning: \(labels.count - most) more have none."] : [])
    }
}

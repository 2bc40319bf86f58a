// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Health
import Ledger
import Log
import Naming
import Reactor

/// What follows when names stand for other endpoints than before.
extension Controller {
    /// Has the endpoints served that names stand for now; those that stay are not touched, and live
    /// relays of those that left go on.
    ///
    /// On the control thread, as a reload; the configuration is the one in use.
    func followNames() {
        thread.begin { [self] in followNamesHere() }
    }

    private func followNamesHere() {
        change { before in
            let found = names.found
            guard !before.isLeaving, found != before.assembly.found else { return nil }
            do {
                let expanding = before.configuration.expandingNames
                let assembly = try Assembly(
                    before.configuration, unchanged: before.assembly, found: found)
                // New ones are looked up before anybody is sent there.
                try names.watch(assembly.endpoints, expanding: expanding)
                try health.watch(assembly.checks)
                try frontend.use(
                    listening: assembly.listeners, routing: assembly.routing,
                    settings: assembly.settings, removal: Self.plan(before.configuration.drain))
                let left = Set(before.assembly.endpoints.map(\.label))
                    .subtracting(assembly.endpoints.map(\.label))
                frontend.forgetDrains(ofEndpoints: left)
                sayChanges(before.assembly.found, found)
                return assembly
            } catch {
                log.write(
                    LogEvent(.error, "Endpoints stay as they were: \(error)."))
                return nil
            }
        }
    }

    private func sayChanges(_ old: NamesFound, _ new: NamesFound) {
        for (name, content) in new.sorted(by: { $0.key.description < $1.key.description })
        where old[name] != content {
            let places =
                switch content {
                case .addresses(let addresses): addresses.map(\.hostString)
                case .services(let records): records.map { "\($0.host):\($0.port)" }
                }
            log.write(LogEvent(.info, "\(name) is \(places.joined(separator: ", ")) now."))
        }
    }
}

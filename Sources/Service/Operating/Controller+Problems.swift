// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Glibc
import Log
import Reactor

/// What can be wrong with a configuration that can be read, and what of one needs a restart.
extension Controller {
    /// What was made once and is not made again.
    static func needingRestart(_ old: Configuration, _ new: Configuration) -> [String] {
        var keys: [String] = []
        if old.workers != new.workers { keys.append("workers") }
        if old.admin.socket != new.admin.socket || old.admin.address != new.admin.address {
            keys.append("admin")
        }
        if old.metrics.address != new.metrics.address { keys.append("metrics") }
        return keys
    }

    /// An address that can't be bound, with the place where it was written; `own` are those at which this
    /// Sluice listens at present.
    static func problem(
        _ error: SystemError, _ configuration: Configuration, _ assembly: Assembly,
        own: [Address]
    ) -> any Error {
        for (listener, plan) in zip(configuration.listen, assembly.listeners)
        where error.listeningAddress == plan.address {
            return ConfigurationProblems([
                ConfigurationProblem(
                    place: listener.addressPlace ?? listener.place,
                    sentence: PortHolder.sentence(on: error, own: own))
            ])
        }
        return error
    }

    /// A log that can't be opened, with the place where it was written.
    static func problem(_ error: SystemError, _ settings: LogSettings) -> any Error {
        let targets = [
            (settings.access, settings.accessPlace), (settings.events, settings.eventsPlace),
        ]
        for case (.file(let path), let place?) in targets where error.subject == .file(path) {
            return ConfigurationProblems([
                ConfigurationProblem(place: place, sentence: error.description)
            ])
        }
        return error
    }

    /// The log of another configuration, opened; nil where it is the same.
    func log(for settings: LogSettings, before: LogSettings) throws -> LogWriter.Change? {
        let plan = LogPlan(settings)
        if plan == LogPlan(before) { return nil }
        do throws(SystemError) {
            return try log.prepare(plan)
        } catch {
            throw Self.problem(error, settings)
        }
    }
}

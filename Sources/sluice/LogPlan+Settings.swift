// SPDX-License-Identifier: Apache-2.0
import Config
import Control
import Reactor

extension LogPlan {
    /// What the configuration says of the log.
    init(_ settings: LogSettings) {
        self.init()
        format = settings.format == .json ? .json : .text
        access = Self.target(settings.access)
        events = Self.target(settings.events)
        takesRelayOpens = settings.relayOpens
        takesRelayEnds = settings.relayEnds
    }

    private static func target(_ target: LogSettings.Target) -> LogWriter.Target {
        switch target {
        case .stdout: .stdout
        case .stderr: .stderr
        case .off: .off
        case .journald(let path): .journal(path ?? LogWriter.journalPath)
        case .file(let path): .file(path)
        }
    }
}

extension Controller {
    /// A log that can't be opened, with the place where it was written.
    static func problem(_ error: SystemError, _ settings: LogSettings) -> any Error {
        let targets = [
            (settings.access, settings.accessPlace), (settings.events, settings.eventsPlace),
        ]
        for case (.file(let path), let place?) in targets where error.call == "open \(path)" {
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

// SPDX-License-Identifier: Apache-2.0
import Config
import Log

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

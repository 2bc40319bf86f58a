// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Reactor
import Splice

/// Faults that are done on purpose: from settings to what relays know.
extension Assembly {
    /// The faults of a route; those of before go on where they say the same, so that a time that is over does not begin
    /// anew.
    static func faults(_ settings: FaultSettings?, before: FaultPlan?) -> FaultPlan? {
        guard let settings else { return nil }
        let rules = rules(settings)
        let span = settings.span.map(\.wholeMilliseconds)
        if let before, before.rules == rules, before.spanMilliseconds == span { return before }
        return FaultPlan(
            rules, endMilliseconds: span.map { Clock.nowMilliseconds() + $0 } ?? .max,
            spanMilliseconds: span)
    }

    static func rules(_ settings: FaultSettings) -> FaultRules {
        var rules = FaultRules()
        rules.latencyMilliseconds = settings.latency.wholeMilliseconds
        rules.jitterMilliseconds = settings.jitter.wholeMilliseconds
        rules.bytesPerSecond = UInt64(settings.bandwidth ?? 0)
        rules.stallMilliseconds = settings.stall.wholeMilliseconds
        rules.stallEveryMilliseconds = settings.stallEvery?.wholeMilliseconds ?? 0
        rules.cut = UInt32(settings.cut)
        rules.reset = UInt32(settings.reset)
        rules.refuse = UInt32(settings.refuse)
        rules.share = UInt32(settings.share)
        rules.level = settings.level == .bytes ? .bytes : .frames
        return rules
    }

    /// What is said of a configuration that allows faults.
    static func faultWarnings(_ configuration: Configuration) -> [ConfigurationProblem] {
        guard configuration.allowsFaults else { return [] }
        let routes = configuration.routes.filter { $0.faults != nil }.map(\.name)
        let has =
            routes.isEmpty
            ? "`sluice chaos` may delay, cut and refuse WebSockets on purpose"
            : "WebSockets of \(routes.joined(separator: ", ")) are delayed, cut or refused on purpose, and"
                + " `sluice chaos` may do so with all"
        return [
            ConfigurationProblem(
                place: configuration.allowsFaultsPlace,
                sentence: "allowFaults: \(has); leave it out where people work")
        ]
    }
}

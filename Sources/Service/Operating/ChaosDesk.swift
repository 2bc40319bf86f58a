// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Foundation
import Frontend
import Ledger
import Log
import Reactor
import Splice

/// Begins and ends faults that somebody asks for at the admin socket.
struct ChaosDesk: Sendable {
    let controller: Controller

    /// The configuration's file; empty in quick mode.
    let file: String

    /// Who answers says who it is: several Sluices may run on a machine.
    private var notAllowed: AdminAnswer {
        let process = "The Sluice that answered (pid \(getpid()))"
        guard !file.isEmpty else {
            return AdminAnswer(
                status: 403,
                text:
                    "\(process) runs in quick mode, which has no configuration and allows no faults, so nothing was"
                    + " done. Write a configuration with 'allowFaults: true' at its top level, and start it by"
                    + " `sluice run -c FILE`, where nobody's work depends on these WebSockets.")
        }
        return AdminAnswer(
            status: 403,
            text:
                "\(process) goes by \(file), which does not allow faults, so nothing was done. Set"
                + " 'allowFaults: true' at its top level and reload it, where nobody's work depends on these"
                + " WebSockets.")
    }

    init(controller: Controller, file: String = "") {
        self.controller = controller
        self.file = file
    }

    func begin(_ request: ChaosRequest) -> AdminAnswer {
        let now = controller.state
        guard now.configuration.allowsFaults else { return notAllowed }
        let (settings, problem) = request.settings
        if let problem {
            return AdminAnswer(status: 400, text: "\(problem.name) \(problem.sentence).")
        }
        guard !settings.isEmpty else {
            return AdminAnswer(
                status: 400,
                text:
                    "Nothing would be done: say at least one of latency, bandwidth, stall, cut, reset and refuse."
            )
        }
        let routes: [String]
        switch named(request.route, now) {
        case .success(let names): routes = names
        case .failure(let refusal): return refusal.answer
        }
        let end = settings.span.map { Clock.nowMilliseconds() + UInt64($0.wholeMilliseconds) }
        let hasAll = controller.frontend.beginFaults(
            Assembly.rules(settings), routes: routes, endMilliseconds: end ?? .max)
        // A reload in between has not seen these.
        guard controller.state.configuration.allowsFaults else {
            controller.frontend.endFaults()
            return notAllowed
        }
        let until = settings.span.map { " for \(Units.text($0))" } ?? ", until `sluice chaos off`"
        let whom = Self.words(routes)
        let what = FaultText.words(settings)
        controller.log.write(
            LogEvent(.warning, "Faults begin for \(whom)\(until): \(what), as was asked for."))
        if let end {
            controller.minder.tell(
                controller, of: Minder.FaultEnd(milliseconds: end, routes: routes))
        }
        return outcome(
            "Faults have begun for \(whom)\(until): \(what)."
                + (hasAll
                    ? ""
                    : " A reactor did not answer in time: some live WebSockets may get them later.")
        )
    }

    func end(_ request: ChaosRequest) -> AdminAnswer {
        let routes: [String]?
        switch named(request.route, controller.state) {
        case .success(let names): routes = request.route == nil ? nil : names
        case .failure(let refusal): return refusal.answer
        }
        let ended = controller.frontend.endFaults(routes: routes)
        guard !ended.isEmpty else {
            return outcome("There were no faults of `sluice chaos` to end.")
        }
        let whom = Self.words(ended)
        controller.log.write(LogEvent(.warning, "Faults end for \(whom), as was asked for."))
        return outcome("Faults have ended for \(whom).")
    }

    /// Tells of faults whose time is over; those that have ended before or were followed by others are told of already.
    func tell(of end: Minder.FaultEnd) {
        let over = Set(controller.frontend.routesOfFaults(endingAt: end.milliseconds))
        let routes = end.routes.filter(over.contains)
        guard !routes.isEmpty else { return }
        controller.log.write(
            LogEvent(.warning, "Faults end for \(Self.words(routes)), since their time is over."))
    }

    private struct Refusal: Error {
        let answer: AdminAnswer
    }

    /// The routes that are meant: that of a name, or all that lead to an upstream.
    private func named(_ route: String?, _ now: Controller.State) -> Result<[String], Refusal> {
        guard let route else {
            return .success(
                now.assembly.routing.routes.filter { $0.upstream != nil }.map(\.name))
        }
        let names = ServedNames(now.assembly, drained: controller.frontend.drained)
        guard let known = names.route(route) else {
            return .failure(Refusal(answer: AdminAnswer(status: 404, text: names.noRoute(route))))
        }
        return .success([known])
    }

    private static func words(_ routes: [String]) -> String {
        let most = 8
        let shown = routes.prefix(most).joined(separator: ", ")
        return "route\(routes.count == 1 ? "" : "s") \(shown)"
            + (routes.count > most ? " and \(routes.count - most) more" : "")
    }

    private func outcome(_ message: String) -> AdminAnswer {
        var outcome = AdminOutcome(isDone: true, message: message)
        outcome.process = getpid()
        return AdminAnswer(json: outcome)
    }

    /// The faults of this moment, for the state.
    static func states(_ frontend: Frontend) -> [FaultState] {
        let now = Clock.nowMilliseconds()
        return frontend.faults.map { faults in
            var state = FaultState(
                route: faults.route, what: FaultText.words(faults.plan.rules),
                isOfMoment: faults.isOfMoment)
            if faults.plan.endMilliseconds < .max {
                state.secondsLeft = (faults.plan.endMilliseconds &- now &+ 999) / 1_000
            }
            return state
        }
    }
}

/// Faults as people read them.
enum FaultText {
    static func words(_ settings: FaultSettings) -> String { words(Assembly.rules(settings)) }

    static func words(_ rules: FaultRules) -> String {
        var words: [String] = []
        func time(_ milliseconds: UInt64) -> String { Units.text(.milliseconds(milliseconds)) }
        func chance(_ chance: UInt32) -> String { Units.text(millionths: Int(chance)) }
        if rules.latencyMilliseconds > 0 {
            words.append(
                "latency \(time(rules.latencyMilliseconds))"
                    + (rules.jitterMilliseconds > 0 ? " ± \(time(rules.jitterMilliseconds))" : ""))
        }
        if rules.bytesPerSecond > 0 {
            words.append("bandwidth \(Units.text(bytes: Int(rules.bytesPerSecond))) in a second")
        }
        if rules.stallMilliseconds > 0 {
            words.append(
                "stall \(time(rules.stallMilliseconds))"
                    + (rules.stallEveryMilliseconds > 0
                        ? " every \(time(rules.stallEveryMilliseconds))" : ""))
        }
        if rules.cut > 0 { words.append("cut \(chance(rules.cut))") }
        if rules.reset > 0 { words.append("reset \(chance(rules.reset))") }
        if rules.refuse > 0 { words.append("refuse \(chance(rules.refuse))") }
        if rules.level == .bytes { words.append("in pieces of bytes") }
        if rules.share < FaultRules.certain { words.append("a share of \(chance(rules.share))") }
        return words.joined(separator: ", ")
    }
}

extension ChaosRequest {
    /// What is asked for, within the bounds that the configuration has too, or what is wrong with it.
    var settings: (FaultSettings, problem: (name: String, sentence: String)?) {
        let texts: [(String, String?)] = [
            ("latency", latency), ("jitter", jitter), ("bandwidth", bandwidth), ("stall", stall),
            ("stallEvery", stallEvery), ("cut", cut), ("reset", reset), ("refuse", refuse),
            ("share", share), ("level", level), ("for", span),
        ]
        let read = FaultSettings.read(texts.compactMap { name, text in text.map { (name, $0) } })
        return (read.faults, read.problem)
    }
}

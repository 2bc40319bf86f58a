// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Router
import Splice
import Wire

/// What a relay is asked about once more, for as long as it lives.
final class Recheck {
    /// The head of the question, but for its first line and `Host`.
    private(set) var lines: [UInt8]
    /// It is being asked.
    var isAsking = false
    /// When it is asked next, or was, where the answer is waited for; nil before that is known.
    var dueMilliseconds: UInt64?
    /// How often, as the last rule said that says it.
    private(set) var everyMilliseconds: UInt64
    private var rule: ForwardRule?
    /// Where the rule was looked for last.
    private weak var snapshot: Snapshot?

    /// A relay that is asked about by these lines, which `rule` has made; nil where another process has.
    init(
        lines: [UInt8], everyMilliseconds: UInt64, dueMilliseconds: UInt64? = nil,
        rule: ForwardRule? = nil
    ) {
        self.rule = rule
        self.lines = lines
        self.everyMilliseconds = everyMilliseconds
        self.dueMilliseconds = dueMilliseconds
    }

    /// The rule by which a relay of this route is asked about now.
    ///
    /// Who has come under a rule that asks again is asked about for as long as the relay lives: a reload changes who is asked
    /// and how often. Where the route is gone, or asks nobody any more, the rule from before holds.
    func rule(_ facts: TunnelFacts, under present: Snapshot) -> ForwardRule? {
        if snapshot === present { return rule }
        let name = facts.route
        let plan = present.routing.plans.first { $0.route.name == name }
        let found = plan?.route.access?.forward ?? rule ?? facts.plan?.route.access?.forward
        if let found, found.recheckMilliseconds > 0 {
            everyMilliseconds = found.recheckMilliseconds
        }
        // What the rule of now has others write is not the client's to say, whatever held when it came.
        if let found, found !== rule { lines = found.withholding(lines) }
        snapshot = present
        rule = found
        return found
    }
}

/// Asks again and again whether relays may go on whose route says so (`access.forward.recheck`).
struct RecheckKeeper {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// What a relay that opens is going to be asked about; nil where its route does not say so.
    static func recheck(_ request: borrowing Request) -> Recheck? {
        guard let rule = request.facts.plan?.route.access?.forward, rule.recheckMilliseconds > 0
        else { return nil }
        return Recheck(
            lines: ForwardHead.lines(request, rule), everyMilliseconds: rule.recheckMilliseconds,
            rule: rule)
    }

    private func rule(_ tunnel: TunnelPointer) -> ForwardRule? {
        tunnel.pointee.recheck?.rule(tunnel.pointee.asked, under: state.pointee.snapshot)
    }

    /// Sets the timer for the next question.
    func arm(_ tunnel: TunnelPointer) {
        guard let recheck = tunnel.pointee.recheck, rule(tunnel) != nil,
            recheck.everyMilliseconds > 0
        else { return }
        let (now, every) = (state.pointee.now, recheck.everyMilliseconds)
        // Those that have come together are not asked about together for ever.
        let due =
            recheck.dueMilliseconds.map { min($0, now + every) }
            ?? now + every - UInt64.random(in: 0...(every / 8))
        recheck.dueMilliseconds = due
        let slot = tunnel.pointee.slot
        state.pointee.recheckTimers.reserve(index: Int(slot.index))
        state.pointee.recheckTimers.arm(slot, at: max(due, now))
    }

    /// The timer of a relay has fired.
    func timeIsUp(_ slot: Token) {
        guard let tunnel = state.pointee.tunnels.pointer(slot),
            !tunnel.pointee.relay.ending.hasBegun, let recheck = tunnel.pointee.recheck,
            !recheck.isAsking, let rule = rule(tunnel)
        else { return }
        switch ForwardAsker(state).ask(rule, recheck.lines, for: slot) {
        case .waits: recheck.isAsking = true
        case .known(let outcome): goOn(slot, outcome)
        }
    }

    /// The other server has said whether a relay may go on; where it has not, it is asked again.
    func goOn(_ slot: Token, _ outcome: ForwardQuestion.Outcome) {
        guard let tunnel = state.pointee.tunnels.pointer(slot) else { return }
        tunnel.pointee.recheck?.isAsking = false
        guard !tunnel.pointee.relay.ending.hasBegun else { return }
        if case .answered(let answer) = outcome, !answer.isGrant,
            let plan = tunnel.pointee.asked.plan, let rule = rule(tunnel)
        {
            Metering(state).refused(by: .forward, plan)
            state.pointee.crew.journal.event(
                LogEvent(
                    .info,
                    "The WebSocket of \(tunnel.pointee.asked.client) on \(plan.route.name) is told"
                        + " \(rule.code): \(rule.said(of: rule.group.picker.name)) answers \(answer.status)"
                        + " (access.forward.recheck)."))
            _ = TunnelKeeper(state).end(slot, code: rule.code)
            return
        }
        tunnel.pointee.recheck?.dueMilliseconds = nil
        arm(tunnel)
    }
}

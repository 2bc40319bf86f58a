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
    let lines: [UInt8]
    /// It is being asked.
    var isAsking = false

    init(lines: [UInt8]) { self.lines = lines }
}

/// Asks again and again whether relays may go on whose route says so (`access.forward.recheck`).
struct RecheckKeeper {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// What a relay that opens is going to be asked about; nil where its route does not say so.
    static func recheck(_ request: borrowing Request) -> Recheck? {
        guard let rule = request.facts.plan?.route.access?.forward, rule.recheckMilliseconds > 0
        else { return nil }
        return Recheck(lines: ForwardHead.lines(request, rule))
    }

    /// Sets the timer for the next question.
    func arm(_ tunnel: TunnelPointer) {
        guard tunnel.pointee.recheck != nil,
            let rule = tunnel.pointee.asked.plan?.route.access?.forward,
            rule.recheckMilliseconds > 0
        else { return }
        let slot = tunnel.pointee.slot
        state.pointee.recheckTimers.reserve(index: Int(slot.index))
        state.pointee.recheckTimers.arm(slot, at: state.pointee.now + rule.recheckMilliseconds)
    }

    /// The timer of a relay has fired.
    func timeIsUp(_ slot: Token) {
        guard let tunnel = state.pointee.tunnels.pointer(slot),
            !tunnel.pointee.relay.ending.hasBegun, let recheck = tunnel.pointee.recheck,
            !recheck.isAsking, let rule = tunnel.pointee.asked.plan?.route.access?.forward
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
            let plan = tunnel.pointee.asked.plan, let rule = plan.route.access?.forward
        {
            Metering(state).refused(by: .forward, plan)
            state.pointee.crew.journal.event(
                LogEvent(
                    .info,
                    "The WebSocket of \(tunnel.pointee.asked.client) on \(plan.route.name) is told"
                        + " \(rule.code): \(rule.group.picker.name) answers \(answer.status)"
                        + " (access.forward.recheck)."))
            _ = TunnelKeeper(state).end(slot, code: rule.code)
            return
        }
        arm(tunnel)
    }
}

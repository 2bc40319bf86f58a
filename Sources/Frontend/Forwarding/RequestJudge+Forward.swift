// SPDX-License-Identifier: Apache-2.0
import Proxy
import Reactor
import Wire

/// Requests whose route has another server asked about them.
extension RequestJudge {
    /// Goes on with a request that the other rules of its route let in.
    ///
    /// - Returns: what becomes of it; nil where another server has to answer first.
    func askOrServe(
        _ access: AccessRules, _ plan: RoutePlan, _ request: inout Request
    ) -> RequestLife.Event? {
        guard let rule = access.forward else { return letIn(&request, plan) }
        switch ForwardAsker(state).ask(rule, request) {
        case .waits(let question):
            request.makeExtras().wait = .forward(question)
            return nil
        case .known(let outcome): return settle(outcome, &request, plan)
        }
    }

    /// Another server has answered, for which a request has waited; it may be over since.
    func goOn(_ token: Token, _ outcome: ForwardQuestion.Outcome, of question: ForwardQuestion) {
        guard let (request, plan) = waiting(token, for: { $0 === question }) else { return }
        // A reload since then changes nothing for it, as for all requests that came before.
        state.pointee.work.push(.request(token, settle(outcome, &request.pointee, plan)))
    }

    /// Asks anew about a request that has waited for the answer to another one's question.
    func askAlone(_ token: Token, after question: ForwardQuestion) {
        guard let (request, plan) = waiting(token, for: { $0 === question }) else { return }
        switch ForwardAsker(state).askAlone(question.rule, request.pointee) {
        case .waits(let own): request.pointee.makeExtras().wait = .forward(own)
        case .known(let outcome):
            state.pointee.work.push(.request(token, settle(outcome, &request.pointee, plan)))
        }
    }

    /// A request that waits for an answer.
    private func waiting(
        _ token: Token, for isIt: (ForwardQuestion) -> Bool
    ) -> (RequestPointer, RoutePlan)? {
        guard let request = state.pointee.requests.pointer(token),
            case .judged = request.pointee.life.phase, let extras = request.pointee.extras,
            case .forward(let waited)? = extras.wait, isIt(waited),
            let plan = request.pointee.facts.plan
        else { return nil }
        extras.wait = nil
        return (request, plan)
    }

    /// Does what another server has said of a request.
    private func settle(
        _ outcome: ForwardQuestion.Outcome, _ request: inout Request, _ plan: RoutePlan
    ) -> RequestLife.Event {
        switch outcome {
        case .answered(let answer) where answer.isGrant:
            let extras = request.makeExtras()
            extras.granted = answer.granted
            extras.cookies = answer.cookies
            if !answer.user.isEmpty { request.facts.user = answer.user }
            return letIn(&request, plan)
        case .answered(let answer):
            AccessGate(state).refused(by: .forward, plan, &request.facts)
            request.makeExtras().own = answer.passedOn(.byForward(answer.status, plan.route))
        case .failed(let refusal):
            AccessGate(state).refused(by: .forward, plan, &request.facts)
            request.makeExtras().own = OwnAnswer(refusal)
        }
        return .answeredHere
    }
}

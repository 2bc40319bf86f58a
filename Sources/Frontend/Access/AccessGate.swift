// SPDX-License-Identifier: Apache-2.0
import Access
import Proxy
import Reactor
import Wire

/// What a request waits for that is judged by a rule.
enum AccessWait {
    /// Its password is being hashed.
    case password(PasswordQuestion)
    /// Another server is being asked.
    case forward(ForwardQuestion)
}

/// Asks the rules of a route whether a request may use it, before anything of it goes upstream.
///
/// A route without rules does not come here.
struct AccessGate {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// What is to be done with a request.
    enum Judgement {
        case admitted
        case refused(Refusal)
        /// That is known once a password was hashed, which reactors don't do.
        case asking(PasswordQuestion)
    }

    /// The refusal of a request from an address that may not use the route; nil for others.
    ///
    /// What has refused a request stands in the facts for the log, and is counted, whichever rule it is.
    func judgeAddress(
        _ rules: AccessRules, _ plan: RoutePlan, _ facts: inout RequestFacts
    ) -> Refusal? {
        guard let addresses = rules.addresses else { return nil }
        if facts.isClientUnclear {
            refused(by: .addresses, plan, &facts)
            return .unclearAddress(plan.route)
        }
        if addresses.admits(facts.client) { return nil }
        refused(by: .addresses, plan, &facts)
        return .forbiddenAddress(facts.client, plan.route)
    }

    /// Judges a request by who it says that it is of; `host` is looked at with a rule for certificates alone.
    func judgeLogin(
        _ rules: AccessRules, _ plan: RoutePlan, _ facts: inout RequestFacts, _ fields: FieldList,
        _ stream: ClientStream, host: String
    ) -> Judgement {
        if let refusal = judgeCertificate(rules, plan, &facts, stream, host: host) {
            return .refused(refusal)
        }
        guard let basic = rules.basic else { return .admitted }
        guard let credentials = BasicCredentials(fields) else {
            refused(by: .basic, plan, &facts)
            return .refused(.loginMissing(basic, plan.route))
        }
        let question = basic.passwords.question(
            user: credentials.user, password: credentials.password)
        switch basic.passwords.known(question) {
        case true?:
            rules.name(question, in: &facts)
            return .admitted
        case false?:
            refused(by: .basic, plan, &facts)
            return .refused(.loginWrong(basic, plan.route))
        case nil: return .asking(question)
        }
    }

    // MARK: Passwords that have to be hashed

    /// Has a request's password hashed; the request has its slot already, and waits.
    ///
    /// - Returns: the refusal where that can't be done now.
    func ask(_ question: PasswordQuestion, _ request: inout Request) -> Refusal? {
        let mailbox = state.pointee.crew.mailboxes[state.pointee.index]
        let token = request.slot
        let outcome = state.pointee.crew.passwords.ask(question, for: request.facts.client) {
            mailbox.post(.passwordJudged(token, $0))
        }
        switch outcome {
        case .taken:
            request.makeExtras().wait = .password(question)
            state.pointee.requestTimers.arm(
                token, at: state.pointee.now + Self.patienceMilliseconds)
            return nil
        case .full, .noThread: return .loginsWait
        case .clientHasTooMany: return .clientLogsInTooOften
        }
    }

    /// How long a request waits for its password to be hashed.
    private static let patienceMilliseconds: UInt64 = 30_000

    /// Answers a request that has waited for too long; others are left alone.
    func timeIsUp(_ request: RequestPointer, _ token: Token) {
        guard case .judged = request.pointee.life.phase, let extras = request.pointee.extras,
            case .password? = extras.wait
        else { return }
        extras.wait = nil
        extras.own = OwnAnswer(.loginsWait)
        state.pointee.work.push(.request(token, .answeredHere))
    }

    /// Judges a request whose password was hashed.
    ///
    /// - Returns: the refusal; nil where it is let in.
    func judge(
        _ verdict: PasswordVerdict, of question: PasswordQuestion, _ request: inout Request
    ) -> Refusal? {
        guard let plan = request.facts.plan, let access = plan.route.access,
            let basic = access.basic
        else { preconditionFailure("a password was asked for by no rule") }
        switch verdict {
        case .right:
            access.name(question, in: &request.facts)
            return nil
        case .wrong:
            refused(by: .basic, plan, &request.facts)
            return .loginWrong(basic, plan.route)
        case .unknown: return .loginsWait
        }
    }

    func refused(by rule: AccessRule, _ plan: RoutePlan, _ facts: inout RequestFacts) {
        facts.refusedBy = rule
        Metering(state).refused(by: rule, plan)
    }
}

extension AccessRules {
    /// Says who a client is by its password: before what its certificate says, and behind what its token does.
    fileprivate func name(_ question: PasswordQuestion, in facts: inout RequestFacts) {
        if facts.token?.subject.isEmpty ?? true { facts.user = question.userName }
    }
}

extension PasswordQuestion {
    /// The user's name as text.
    fileprivate var userName: String { String(decoding: user, as: UTF8.self) }
}

// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS
import Wire

/// One question to another server, from the search for a connection to its answer.
final class ForwardQuestion {
    /// What has come of it.
    enum Outcome {
        /// The other server has granted or refused.
        case answered(ForwardAnswer)
        /// It could not be asked, or has answered nothing that can be used; what the client is told.
        case failed(Refusal)
    }

    /// Who waits for the outcome.
    enum Asker {
        case request(Token)
        case tunnel(Token)
    }

    let rule: ForwardRule
    /// The head without first line and `Host`.
    let lines: [UInt8]
    /// It logs its connection in (NTLM, Negotiate; RFC 4559 §6), which is nobody else's then.
    let logsIn: Bool
    var search: EndpointSearch
    /// The place at the endpoint.
    var places = Places()
    /// When the answer must be there.
    let deadlineMilliseconds: UInt64
    /// The connection that carries it.
    var carrier: Token?
    /// That had carried a request before.
    var isOnReused = false
    /// A connection of its own is needed.
    var needsFresh = false
    /// The head was sent.
    var isSent = false
    var reader: AnswerReader
    /// A refusal whose body is being read.
    var answer: ForwardAnswer?
    var outcome: Outcome?
    var askers: [Asker] = []
    /// What it is shared by; nil where it is not.
    let key: KeyedDigest?

    /// Who is asked: by HTTP, so nobody has to look for a WebSocket.
    var label: String { rule.said(of: search.label) }

    init(
        _ rule: ForwardRule, _ lines: [UInt8], key: KeyedDigest?, limits: HeadLimits,
        nowMilliseconds now: UInt64
    ) {
        self.rule = rule
        self.lines = lines
        logsIn = FieldList.logsConnectionIn(lines.span)
        self.key = key
        deadlineMilliseconds = now + rule.timeoutMilliseconds
        search = EndpointSearch(
            rule.group, deadlineMilliseconds: now + rule.timeoutMilliseconds, key: nil)
        reader = AnswerReader(limits)
    }
}

/// What one reactor knows of questions: those under way that others may share, and what was granted.
struct ForwardDesk {
    private struct Granted {
        /// Keeps the rule: no other can be taken for it meanwhile.
        let rule: ForwardRule
        let answer: ForwardAnswer
        let untilMilliseconds: UInt64
    }

    private struct Key: Hashable {
        let rule: ObjectIdentifier
        let digest: KeyedDigest
    }

    /// Grants that are remembered; with more the oldest ones go.
    private static let grantsMax = 1_024

    private let digestKey = DigestKey()
    private var granted: [Key: Granted] = [:]
    private var underWay: [Key: ForwardQuestion] = [:]

    /// The name of a question.
    func digest(_ text: [UInt8]) -> KeyedDigest { digestKey.digest(of: text, []) }

    /// What was granted already.
    mutating func known(
        _ rule: ForwardRule, _ digest: KeyedDigest, nowMilliseconds now: UInt64
    ) -> ForwardAnswer? {
        let key = Key(rule: ObjectIdentifier(rule), digest: digest)
        guard let found = granted[key] else { return nil }
        if now < found.untilMilliseconds { return found.answer }
        granted[key] = nil
        return nil
    }

    /// The same question, where it is under way.
    func question(_ rule: ForwardRule, _ digest: KeyedDigest) -> ForwardQuestion? {
        underWay[Key(rule: ObjectIdentifier(rule), digest: digest)]
    }

    mutating func began(_ question: ForwardQuestion) {
        guard let digest = question.key else { return }
        underWay[Key(rule: ObjectIdentifier(question.rule), digest: digest)] = question
    }

    /// A question is over: what it has granted, to nobody by a cookie, holds for a while.
    mutating func ended(_ question: ForwardQuestion, nowMilliseconds now: UInt64) {
        guard let digest = question.key else { return }
        let key = Key(rule: ObjectIdentifier(question.rule), digest: digest)
        if underWay[key] === question { underWay[key] = nil }
        guard case .answered(let answer)? = question.outcome, answer.isGrant,
            answer.cookies.isEmpty
        else { return }
        if granted.count >= Self.grantsMax {
            granted = granted.filter { now < $0.value.untilMilliseconds }
            if granted.count >= Self.grantsMax { granted = [:] }
        }
        granted[key] = Granted(
            rule: question.rule, answer: answer,
            untilMilliseconds: now + question.rule.cacheMilliseconds)
    }
}

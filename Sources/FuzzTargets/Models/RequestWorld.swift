// SPDX-License-Identifier: Apache-2.0
public import Proxy

/// The surroundings of one request, as plain as can be: it carries actions out by counting, answers
/// each as anything real could, and says which rule was broken.
public struct RequestWorld {
    /// Actions that are answered before anything else happens, in this order.
    private enum Owed: CaseIterable {
        case claim, claimAnother, connect, connectAnew, sendHead

        var action: RequestLife.Actions {
            switch self {
            case .claim: .claim
            case .claimAnother: .claimAnother
            case .connect: .connect
            case .connectAnew: .connectAnew
            case .sendHead: .sendHead
            }
        }
    }

    /// The life that is tried.
    public private(set) var life: RequestLife
    private var owed: Owed?
    private var places = 0
    private var connections = 0
    private var numbersInLine = 0
    /// The connection stands: the head may be sent, and something may come.
    private var stands = false
    private var wasSent = false
    private var hasAnswer = false
    private var records = 0
    private var tunnels = 0
    private var answers = 0
    private var forwarded = false
    /// An endpoint that was not asked yet was claimed behind one that ended without a byte.
    private var isSecondTry = false
    /// What was broken first.
    public private(set) var fault: String?

    /// A request whose head was just judged.
    public init(_ kind: RequestLife.Kind, mayRepeat: Bool) {
        life = RequestLife(kind, mayRepeat: mayRepeat)
    }

    /// Whether nothing can happen any more.
    public var isOver: Bool { records + tunnels > 0 }

    /// Whatever may happen now.
    public var events: [RequestLife.Event] {
        if let owed { return outcomes(of: owed) }
        if !forwarded && life.phase == .judged {
            return [.forwarded, .answeredHere, .failed(.badBody)]
        }
        var events: [RequestLife.Event] = [.clientGone, .processLeaves]
        if numbersInLine > 0 { events += [.claimed, .lineClosed, .exhausted(.endpointsFull)] }
        if connections > 0 && !stands {
            events += [
                .headSent, .attemptFailed,
                .attemptTimedOut(isLast: false), .attemptTimedOut(isLast: true),
            ]
        }
        if connections > 0 && stands {
            events += [
                .upstreamEnded(hasAnswerBytes: false), .upstreamEnded(hasAnswerBytes: true),
                .failed(.bodyTimeout), .failed(.answerTimeout), .failed(.badAnswer),
            ]
            events +=
                hasAnswer
                ? [.answerDone]
                : [
                    .answer(.final(isTrouble: false)), .answer(.final(isTrouble: true)),
                    .answer(.switching),
                ]
        }
        return events
    }

    private func outcomes(of owed: Owed) -> [RequestLife.Event] {
        switch owed {
        case .claim: [.claimed, .claimedWithConnection, .joined, .exhausted(.endpointsFull)]
        case .claimAnother: [.claimed, .exhausted(.noAnswer)]
        case .connect:
            [
                .found, .dialling(mayStand: true), .dialling(mayStand: false),
                .attemptFailed, .noAddress(.unresolved),
            ]
        case .connectAnew:
            [.dialling(mayStand: true), .attemptFailed, .noAddress(.unresolved)]
        case .sendHead: [.headSent, .attemptFailed]
        }
    }

    private mutating func expect(_ condition: Bool, _ rule: String) {
        if !condition && fault == nil { fault = rule }
    }

    /// Has an event happen.
    public mutating func happen(_ event: RequestLife.Event) {
        let wasOver = isOver
        owed = nil
        note(event)
        let actions = life.handle(event)
        expect(!wasOver || actions.isEmpty, "there is an action behind the end")
        carryOut(actions)
        check()
    }

    /// What an event brings along.
    private mutating func note(_ event: RequestLife.Event) {
        switch event {
        case .forwarded: forwarded = true
        case .claimed:
            places += 1
            if numbersInLine > 0 { numbersInLine -= 1 }
        case .claimedWithConnection:
            places += 1
            connections += 1
            stands = true
        case .joined: numbersInLine += 1
        case .lineClosed: numbersInLine -= 1
        case .found:
            connections += 1
            stands = true
        case .dialling: connections += 1
        case .headSent:
            stands = true
            wasSent = true
        case .answer(.final): hasAnswer = true
        default: break
        }
    }

    private mutating func carryOut(_ actions: RequestLife.Actions) {
        if !actions.isDisjoint(with: .counts) {
            expect(places == 1, "counted without an endpoint")
            expect(
                !actions.contains(.countUndecided)
                    || actions.isDisjoint(with: .countConnectFailure + .countConnection),
                "a try has told something, and nothing")
        }
        if actions.contains(.dropUpstream) || actions.contains(.keepUpstream) {
            expect(
                !(actions.contains(.dropUpstream) && actions.contains(.keepUpstream)),
                "a connection is kept and closed")
            connections -= 1
            stands = false
        }
        if actions.contains(.giveBack) { places -= 1 }
        if actions.contains(.leaveLine) { numbersInLine -= 1 }
        if actions.contains(.answer) {
            expect(!hasAnswer, "an answer is sent behind another")
            answers += 1
        }
        if actions.contains(.cutAnswer) { expect(hasAnswer, "there is no answer to cut") }
        if actions.contains(.passHead) { expect(wasSent, "an answer without a request") }
        if actions.contains(.sendHead) {
            expect(connections == 1, "a head is sent without a connection")
            if stands { wasSent = true }
        }
        if actions.contains(.pump) { expect(stands, "bodies are moved without a connection") }
        if actions.contains(.openTunnel) {
            tunnels += 1
            // The relay takes them over.
            expect(places == 1 && connections == 1, "a tunnel without a connection")
            places -= 1
            connections -= 1
        }
        if actions.contains(.finish) { records += 1 }
        if actions.contains(.claimAnother) { isSecondTry = true }
        // It would forget who was asked, and ask the same endpoint once more.
        expect(!isSecondTry || !actions.contains(.claim), "a second try waits for a place")
        for owed in Owed.allCases where actions.contains(owed.action) {
            // On a connection that stands the head goes out, and nothing is told of it.
            if owed == .sendHead && stands { continue }
            expect(self.owed == nil, "two searches at once")
            self.owed = owed
        }
    }

    /// What holds at any time.
    private mutating func check() {
        expect(records + tunnels <= 1, "more than one record")
        expect(answers <= 1, "more than one answer")
        expect(places >= 0 && places <= 1, "a place is given back twice, or two are held")
        expect(connections >= 0 && connections <= 1, "a connection is closed twice")
        expect(numbersInLine >= 0 && numbersInLine <= 1, "the line is left twice")
        let held = life.holdings
        expect(held.contains(.place) == (places == 1), "holdings do not say what is held: place")
        expect(
            held.contains(.upstream) == (connections == 1),
            "holdings do not say what is held: upstream")
        expect(
            held.contains(.line) == (numbersInLine == 1), "holdings do not say what is held: line")
        if isOver {
            expect(places + connections + numbersInLine == 0, "something is held behind the end")
            expect(owed == nil, "something is begun behind the end")
        }
        if case .over(.leaving?) = life.phase { expect(life.kind == .upgrade, "who was drained") }
        if tunnels > 0 { expect(life.kind == .upgrade && wasSent, "a tunnel for another request") }
        if !forwarded { expect(!wasSent && connections == 0, "a refused request goes upstream") }
        let timed = numbersInLine == 1 || connections == 1
        expect(
            (life.deadline != .none) == timed, "what waits has no time, or what does not has one")
    }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Proxy

/// The surroundings of one request, as plain as can be: it carries actions out by counting, answers
/// each as anything real could, and says which rule was broken.
struct World {
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

    private(set) var life: RequestLife
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
    /// What was broken first.
    private(set) var fault: String?

    init(_ kind: RequestLife.Kind, mayRepeat: Bool) {
        life = RequestLife(kind, mayRepeat: mayRepeat)
    }

    /// Whether nothing can happen any more.
    var isOver: Bool { records + tunnels > 0 }

    /// Whatever may happen now.
    var events: [RequestLife.Event] {
        if let owed { return outcomes(of: owed) }
        if !forwarded && life.phase == .judged {
            return [.forwarded, .answeredHere, .failed(.badBody)]
        }
        var events: [RequestLife.Event] = [.clientGone, .processLeaves]
        if numbersInLine > 0 { events += [.claimed, .lineClosed, .exhausted(.endpointsFull)] }
        if connections > 0 && !stands {
            events += [
                .headSent, .attemptFailed(.unreachable(code: 111)),
                .attemptTimedOut(isLast: false), .attemptTimedOut(isLast: true),
            ]
        }
        if connections > 0 && stands {
            events += [
                .answerBytes, .upstreamEnded, .failed(.bodyTimeout), .failed(.answerTimeout),
                .failed(.badAnswer),
            ]
            events +=
                hasAnswer
                ? [.answerDone]
                : [
                    .answer(.interim), .answer(.final(isTrouble: false)),
                    .answer(.final(isTrouble: true)), .answer(.switching),
                ]
        }
        return events
    }

    private func outcomes(of owed: Owed) -> [RequestLife.Event] {
        switch owed {
        case .claim: [.claimed, .joined, .exhausted(.endpointsFull)]
        case .claimAnother: [.claimed, .exhausted(.noAnswer)]
        case .connect:
            [
                .found, .dialling(mayStand: true), .dialling(mayStand: false),
                .attemptFailed(.shortage(.watching)), .noAddress(.unresolved),
            ]
        case .connectAnew:
            [.dialling(mayStand: true), .attemptFailed(.connectTimeout), .noAddress(.unresolved)]
        case .sendHead: [.headSent, .attemptFailed(.unreachable(code: 104))]
        }
    }

    private mutating func expect(_ condition: Bool, _ rule: String) {
        if !condition && fault == nil { fault = rule }
    }

    /// Has an event happen.
    mutating func happen(_ event: RequestLife.Event) {
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
        if !actions.isDisjoint(with: .counts) { expect(places == 1, "counted without an endpoint") }
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

/// All orders of events, up to a depth, and random ones beyond it.
struct RequestOrderTests {
    private static let starts: [(RequestLife.Kind, Bool)] = [
        (.ordinary, true), (.ordinary, false), (.upgrade, true),
    ]

    @Test(arguments: starts)
    func `in all orders of events each thing is given back once`(
        kind: RequestLife.Kind, mayRepeat: Bool
    ) {
        var ends = 0
        var faults: [String] = []
        var path: [RequestLife.Event] = []
        func go(_ world: World, _ depth: Int) {
            if let fault = world.fault {
                if faults.count < 5 { faults.append("\(fault): \(path)") }
                return
            }
            if world.isOver {
                ends += 1
                return
            }
            if depth == 0 { return }
            for event in world.events {
                path.append(event)
                var next = world
                next.happen(event)
                go(next, depth - 1)
                path.removeLast()
            }
        }
        go(World(kind, mayRepeat: mayRepeat), 9)
        #expect(faults.isEmpty, "\(faults)")
        #expect(ends > 1_000, "the orders end somewhere")
    }

    @Test(arguments: starts)
    func `in long random orders each thing is given back once`(
        kind: RequestLife.Kind, mayRepeat: Bool
    ) {
        var generator = SystemRandomNumberGenerator()
        let seed = generator.next()
        var random = SplitMix(state: seed)
        var longest = 0
        for _ in 0..<20_000 {
            var world = World(kind, mayRepeat: mayRepeat)
            var path: [RequestLife.Event] = []
            while !world.isOver && path.count < 200 && world.fault == nil {
                // The ends are rare, so that lives are long.
                let events = world.events
                let ends: Set<String> = ["clientGone", "processLeaves"]
                let going = events.filter { !ends.contains("\($0)") }
                let isRare = going.isEmpty || random.next(below: 50) == 0
                let choice = isRare ? events : going
                let event = choice[random.next(below: choice.count)]
                path.append(event)
                world.happen(event)
            }
            longest = max(longest, path.count)
            if let fault = world.fault {
                Issue.record("seed \(seed): \(fault): \(path)")
                return
            }
        }
        #expect(longest > 20)
    }

    @Test(arguments: starts)
    func `an event that does not fit changes nothing behind the end`(
        kind: RequestLife.Kind, mayRepeat: Bool
    ) {
        let all: [RequestLife.Event] = [
            .forwarded, .answeredHere, .claimed, .joined, .lineClosed, .exhausted(.unresolved),
            .found, .dialling(mayStand: true), .attemptFailed(.unresolved),
            .attemptTimedOut(isLast: true), .noAddress(.unresolved), .headSent, .answerBytes,
            .answer(.interim), .answer(.final(isTrouble: false)), .answer(.switching), .answerDone,
            .upstreamEnded, .failed(.badAnswer), .clientGone, .processLeaves,
        ]
        var over = RequestLife(kind, mayRepeat: mayRepeat)
        _ = over.handle(.answeredHere)
        for event in all {
            var life = over
            #expect(life.handle(event).isEmpty)
            #expect(life == over)
        }
    }
}

/// Random numbers that a seed repeats.
private struct SplitMix {
    var state: UInt64

    mutating func next(below bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
    }
}

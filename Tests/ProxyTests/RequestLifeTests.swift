// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Proxy

/// Single ways through the life of a request, told as stories.
struct RequestLifeTests {
    /// A life that has gone through these events, and the last actions.
    private func life(
        _ kind: RequestLife.Kind, mayRepeat: Bool = true, _ events: RequestLife.Event...
    ) -> (life: RequestLife, actions: RequestLife.Actions) {
        var life = RequestLife(kind, mayRepeat: mayRepeat)
        var actions: RequestLife.Actions = []
        for event in events { actions = life.handle(event) }
        return (life, actions)
    }

    private static let toExchange: [RequestLife.Event] = [
        .forwarded, .claimed, .dialling(mayStand: false), .headSent,
    ]

    private func exchanging(_ kind: RequestLife.Kind) -> RequestLife {
        var life = RequestLife(kind, mayRepeat: true)
        for event in Self.toExchange { _ = life.handle(event) }
        return life
    }

    @Test func `an answer of our own asks nobody`() {
        let (life, actions) = life(.ordinary, .answeredHere)
        #expect(actions == [.answer, .finish])
        #expect(life.phase == .over(nil))
    }

    @Test func `a request on a kept connection claims, sends and moves bodies`() {
        let (life, actions) = life(.ordinary, .forwarded, .claimed, .found)
        #expect(actions == [.sendHead, .arm, .pump])
        #expect(life.phase == .exchanging(RequestLife.Exchange(isOnReused: true)))
        #expect(life.deadline == .progress)
    }

    @Test func `a whole answer keeps the connection and gives the place back`() {
        var life = exchanging(.ordinary)
        #expect(life.handle(.answer(.final(isTrouble: false))) == [.countAnswer, .passHead, .pump])
        #expect(life.handle(.answerDone) == [.keepUpstream, .giveBack, .finish])
        #expect(life.handle(.clientGone).isEmpty)
    }

    @Test func `a proven 101 opens a tunnel, which takes over all that is held`() {
        var life = exchanging(.upgrade)
        #expect(life.deadline == .upgradeAnswer)
        #expect(life.handle(.answer(.switching)) == [.countAnswer, .openTunnel])
        #expect(life.phase == .tunnelled)
        #expect(life.holdings.isEmpty)
    }

    @Test func `a 101 that nobody asked for is refused`() {
        var life = exchanging(.ordinary)
        #expect(
            life.handle(.answer(.switching)) == [.dropUpstream, .giveBack, .answer, .finish])
        #expect(life.phase == .over(.badAnswer))
    }

    @Test func `an upgrade that is answered otherwise is an ordinary answer`() {
        var life = exchanging(.upgrade)
        #expect(
            life.handle(.answer(.final(isTrouble: true)))
                == [.countAnswerFailure, .passHead, .pump])
        #expect(life.deadline == .progress)
        #expect(life.handle(.processLeaves).isEmpty)
        #expect(
            life.handle(.upstreamEnded(hasAnswerBytes: true))
                == [.dropUpstream, .giveBack, .cutAnswer, .finish])
    }

    @Test func `an upstream that closes a kept connection without a byte is asked once more`() {
        var (life, _) = life(.ordinary, .forwarded, .claimed, .found)
        #expect(
            life.handle(.upstreamEnded(hasAnswerBytes: false)) == [.dropUpstream, .connectAnew])
        #expect(life.holdings == .place)
        _ = life.handle(.dialling(mayStand: true))
        _ = life.handle(.headSent)
        #expect(
            life.handle(.upstreamEnded(hasAnswerBytes: false))
                == [.dropUpstream, .giveBack, .answer, .finish])
        #expect(life.phase == .over(.incompleteAnswer))
    }

    @Test(arguments: [(false, false), (true, true)])
    func `what may not be repeated is not sent again`(mayRepeat: Bool, hasBytes: Bool) {
        var (life, _) = life(.ordinary, mayRepeat: mayRepeat, .forwarded, .claimed, .found)
        #expect(life.handle(.upstreamEnded(hasAnswerBytes: hasBytes)).contains(.answer))
        #expect(life.phase == .over(.incompleteAnswer))
    }

    @Test func `an upgrade without a byte of an answer asks another endpoint`() {
        var life = exchanging(.upgrade)
        #expect(
            life.handle(.upstreamEnded(hasAnswerBytes: false))
                == [.countAnswerFailure, .dropUpstream, .giveBack, .claimAnother])
        #expect(life.handle(.exhausted(.noAnswer)) == [.answer, .finish])
        #expect(life.phase == .over(.noAnswer))
    }

    @Test func `a second try that reaches nobody tries on, and waits for no place`() {
        var life = exchanging(.upgrade)
        _ = life.handle(.upstreamEnded(hasAnswerBytes: false))
        let second = life
        _ = life.handle(.claimed)
        #expect(life.phase == .placed(isSecondTry: true))
        #expect(
            life.handle(.noAddress(.unreachable))
                == [.countConnectFailure, .giveBack, .claimAnother])
        #expect(life == second)
        for event in [RequestLife.Event.joined, .lineClosed, .claimedWithConnection] {
            #expect(life.handle(event).isEmpty)
            #expect(life == second)
        }
    }

    @Test func `an upgrade that has had bytes of an answer asks nobody else`() {
        var life = exchanging(.upgrade)
        #expect(
            life.handle(.upstreamEnded(hasAnswerBytes: true))
                == [.countAnswerFailure, .dropUpstream, .giveBack, .answer, .finish])
        #expect(life.phase == .over(.noAnswer))
    }

    @Test func `each address of an endpoint is tried before the endpoint is given up`() {
        var (life, actions) = life(.ordinary, .forwarded, .claimed)
        #expect(actions == .connect)
        #expect(life.handle(.attemptFailed) == .connect)
        #expect(life.handle(.dialling(mayStand: false)) == .arm)
        #expect(life.deadline == .attempt)
        #expect(life.handle(.attemptTimedOut(isLast: false)) == [.dropUpstream, .connect])
        actions = life.handle(.noAddress(.connectTimeout))
        #expect(actions == [.countConnectFailure, .giveBack, .claim])
    }

    @Test func `TLS that fails counts as a connect that fails, also behind the handshake`() {
        var (dialling, _) = life(.upgrade, .forwarded, .claimed)
        #expect(
            dialling.handle(.noAddress(.tlsFailed)) == [.countConnectFailure, .giveBack, .claim])
        for kind in [RequestLife.Kind.upgrade, .ordinary] {
            var life = exchanging(kind)
            #expect(
                life.handle(.failed(.tlsFailed))
                    == [.countConnectFailure, .dropUpstream, .giveBack, .answer, .finish])
            #expect(life.phase == .over(.tlsFailed))
        }
    }

    @Test func `an endpoint is not to blame for what Sluice is short of`() {
        var (life, _) = life(.upgrade, .forwarded, .claimed)
        #expect(life.handle(.noAddress(.shortage)) == [.countUndecided, .giveBack, .claim])
    }

    @Test func `an upgrade on a connection used before is sent once more to the same endpoint`() {
        var (life, _) = life(.upgrade, .forwarded, .claimed, .found)
        #expect(
            life.handle(.upstreamEnded(hasAnswerBytes: false)) == [.dropUpstream, .connectAnew])
        #expect(life.holdings == .place)
    }

    @Test func `an answer on a connection that stood before says that the endpoint can be reached`()
    {
        var (life, _) = life(.ordinary, .forwarded, .claimed, .found)
        #expect(
            life.handle(.answer(.final(isTrouble: true))) == [.countConnection, .passHead, .pump])
    }

    @Test func `a client that goes before anything is known leaves the try to another`() {
        let held: RequestLife.Actions = [.countUndecided, .dropUpstream, .giveBack, .finish]
        var (dialling, _) = life(.upgrade, .forwarded, .claimed, .dialling(mayStand: false))
        #expect(dialling.handle(.clientGone) == held)
        var (reused, _) = life(.ordinary, .forwarded, .claimed, .found)
        #expect(reused.handle(.clientGone) == held)
        var fresh = exchanging(.ordinary)
        #expect(fresh.handle(.clientGone) == [.dropUpstream, .giveBack, .finish])
    }

    @Test func `a connection of the client's own carries the request as it has its place`() {
        let (life, actions) = life(.upgrade, .forwarded, .claimedWithConnection)
        #expect(actions == [.sendHead, .arm, .pump])
        #expect(life.holdings == [.place, .upstream])
    }

    @Test func `the last attempt ends with the time for all`() {
        var (life, _) = life(.upgrade, .forwarded, .claimed, .dialling(mayStand: false))
        #expect(
            life.handle(.attemptTimedOut(isLast: true))
                == [.countConnectFailure, .dropUpstream, .giveBack, .answer, .finish])
    }

    @Test func `one that waits leaves the line when its client goes`() {
        var (life, actions) = life(.upgrade, .forwarded, .joined)
        #expect(actions == .arm)
        #expect(life.deadline == .place)
        #expect(life.handle(.clientGone) == [.leaveLine, .finish])
    }

    @Test func `one that waits goes on with a place, or without where there is no line`() {
        #expect(life(.ordinary, .forwarded, .joined, .claimed).actions == .connect)
        #expect(life(.ordinary, .forwarded, .joined, .lineClosed).actions == .claim)
    }

    @Test func `a process that leaves refuses upgrades and serves ordinary requests`() {
        var upgrade = exchanging(.upgrade)
        #expect(
            upgrade.handle(.processLeaves) == [.dropUpstream, .giveBack, .answer, .finish])
        #expect(upgrade.phase == .over(.leaving))
        var ordinary = exchanging(.ordinary)
        #expect(ordinary.handle(.processLeaves).isEmpty)
    }

    @Test func `an answer that has begun is cut, and one that has not is refused`() {
        var begun = exchanging(.ordinary)
        _ = begun.handle(.answer(.final(isTrouble: false)))
        #expect(
            begun.handle(.failed(.badAnswer)) == [.dropUpstream, .giveBack, .cutAnswer, .finish])
        var fresh = exchanging(.ordinary)
        #expect(
            fresh.handle(.failed(.badAnswer)) == [.dropUpstream, .giveBack, .answer, .finish])
    }
}

// SPDX-License-Identifier: Apache-2.0
import FuzzTargets
import Proxy
import TestKit
import Testing

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
        func go(_ world: RequestWorld, _ depth: Int) {
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
        go(RequestWorld(kind, mayRepeat: mayRepeat), 9)
        #expect(faults.isEmpty, "\(faults)")
        #expect(ends > 1_000, "the orders end somewhere")
    }

    @Test(arguments: starts)
    func `in long random orders each thing is given back once`(
        kind: RequestLife.Kind, mayRepeat: Bool
    ) {
        var random = SplitMix(seed: 1)
        var longest = 0
        for _ in 0..<20_000 {
            var world = RequestWorld(kind, mayRepeat: mayRepeat)
            var path: [RequestLife.Event] = []
            while !world.isOver && path.count < 200 && world.fault == nil {
                // The ends are rare, so that lives are long.
                let events = world.events
                let ends: Set<String> = ["clientGone", "processLeaves"]
                let going = events.filter { !ends.contains("\($0)") }
                let isRare = going.isEmpty || random.below(50) == 0
                let choice = isRare ? events : going
                let event = choice[random.below(choice.count)]
                path.append(event)
                world.happen(event)
            }
            longest = max(longest, path.count)
            if let fault = world.fault {
                Issue.record("\(fault): \(path)")
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
            .claimedWithConnection, .found, .dialling(mayStand: true), .attemptFailed,
            .attemptTimedOut(isLast: true), .noAddress(.unresolved), .headSent,
            .answer(.final(isTrouble: false)), .answer(.switching), .answerDone,
            .upstreamEnded(hasAnswerBytes: false), .failed(.badAnswer), .clientGone, .processLeaves,
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

// SPDX-License-Identifier: Apache-2.0
import Proxy
import Testing

/// Goal: whatever the order of events, what a stream holds is given back once, behind everything else.
struct StreamLifeTests {
    private static let events: [StreamLife.Event] = [
        .sent, .closed(isComplete: true), .closed(isComplete: false), .userLeft(hasSaidAll: true),
        .userLeft(hasSaidAll: false), .connectionGone, .givenUp,
    ]

    @Test func `all orders of events give back once, and say nothing behind that`() {
        var ends = 0
        follow(StreamLife(), [], depth: 6, &ends)
        #expect(ends == 7 * 7 * 7 * 7 * 7 * 7)
    }

    private func follow(
        _ life: StreamLife, _ told: [(StreamLife.Event, StreamLife.Action)], depth: Int,
        _ ends: inout Int
    ) {
        check(life, told)
        if depth == 0 {
            ends += 1
            return
        }
        for event in Self.events {
            var next = life
            let action = next.handle(event)
            follow(next, told + [(event, action)], depth: depth - 1, &ends)
        }
    }

    private func check(_ life: StreamLife, _ told: [(StreamLife.Event, StreamLife.Action)]) {
        let discards = told.count { $0.1 == .discard }
        guard let (event, action) = told.last else { return }
        let before = told.dropLast()
        let wasGone = before.contains { $0.1 == .discard }
        let isUserDone = before.contains { if case .userLeft = $0.0 { true } else { false } }
        let isPeerDone = before.contains {
            switch $0.0 {
            case .closed, .connectionGone: true
            case .sent, .userLeft, .givenUp: false
            }
        }
        var faults: [String] = []
        if discards > 1 { faults.append("given back twice") }
        if (discards == 1) != (life == .gone) { faults.append("gone and not given back") }
        if wasGone && action != .none { faults.append("something behind the end") }
        if action == .cutUser && isUserDone { faults.append("a user that has left is told") }
        if isPeerDone && (action == .reset || action == .endPeersSide) {
            faults.append("a peer is told that is done")
        }
        switch event {
        case .userLeft where isPeerDone && !isUserDone && !wasGone,
            .closed where isUserDone && !isPeerDone && !wasGone,
            .connectionGone where isUserDone && !isPeerDone && !wasGone:
            if action != .discard { faults.append("the last one is done, and it is kept") }
        case .closed(isComplete: false) where !isUserDone && !isPeerDone && !wasGone:
            if action != .cutUser { faults.append("the user is not told") }
        case .userLeft(hasSaidAll: false) where !isUserDone && !isPeerDone && !wasGone:
            if action != .reset { faults.append("the peer takes a part for the whole") }
        default: break
        }
        if !faults.isEmpty { Issue.record("\(told): \(faults)") }
    }

    @Test func `a user that leaves while it is told of the client's end gives back once`() {
        // The order in which a head was given back twice, and two requests had it at the same time.
        var life = StreamLife()
        #expect(life.handle(.closed(isComplete: false)) == .cutUser)
        #expect(life.handle(.userLeft(hasSaidAll: false)) == .discard)
        #expect(life == .gone && life.handle(.closed(isComplete: false)) == .none)
    }
}

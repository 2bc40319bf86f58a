// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Testing

@testable import Service

/// Processes before this one: who they are, and what is said where they can't be asked.
struct PredecessorTests {
    private typealias Named = Predecessors.Named

    @Test func theVariableNamesItsGiverAndAllBefore() {
        let named = Named("70\n60 9\n50 -1", parent: 70, isTakingOver: true)
        #expect(named.parent == 70)
        #expect(
            named.older == [
                Named.Older(process: 60, descriptor: 9), Named.Older(process: 50, descriptor: -1),
            ])
    }

    @Test func aVariableOfAnotherIsDiscarded() {
        for (parent, isTakingOver) in [(Int32(1), true), (71, true), (70, false)] {
            let named = Named("70\n60 9", parent: parent, isTakingOver: isTakingOver)
            #expect(named.parent == nil && named.older.isEmpty)
        }
    }

    @Test func aGiverThatDoesNotNameItselfIsTheParent() {
        #expect(Named(nil, parent: 70, isTakingOver: true).parent == 70)
        #expect(Named(nil, parent: 1, isTakingOver: true).parent == nil)
        #expect(Named(nil, parent: 70, isTakingOver: false).parent == nil)
        #expect(Named("60 9", parent: 70, isTakingOver: true).older.isEmpty)
    }

    @Test func oneWithoutChannelIsHandedOnAndSilent() {
        let process = getppid()
        let named = Named("70\n\(process) -1", parent: 70, isTakingOver: true)
        let predecessor = Predecessor(named.older.first?.process ?? 0, nil)
        let begin = Clock.nowMilliseconds()
        #expect(predecessor.isThere)
        #expect(predecessor.end(.one("1", code: 1000)) == .silent(process: process))
        #expect(Clock.nowMilliseconds() - begin < 900)
        #expect(Predecessors.text([(process, -1)]) == "\(getpid())\n\(process) -1")
    }

    @Test func whoeverWaitsForAnotherAtASilentOneIsAnsweredSoon() throws {
        let (own, other) = try MessageSocket.pair()
        let predecessor = Predecessor(getppid(), own)
        let first = try ReactorThread.start(name: "first") {
            _ = predecessor.end(.one("1", code: 1000))
        }
        // The first one asks by now.
        guard case .message = other.receive(withinMilliseconds: 10_000) else {
            Issue.record("nothing was asked")
            return
        }
        let begin = Clock.nowMilliseconds()
        #expect(predecessor.isThere)
        #expect(predecessor.channel != nil)
        #expect(Clock.nowMilliseconds() - begin < 1_000)
        #expect(predecessor.end(.one("2", code: 1000)) == .silent(process: getppid()))
        #expect(Clock.nowMilliseconds() - begin < 6_000)
        other.end()
        withExtendedLifetime(first) {}
    }
}

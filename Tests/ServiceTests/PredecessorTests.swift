// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import TestKit
import Testing

@testable import Service

/// Processes before this one: who they are, and what is said where they can't be asked.
struct PredecessorTests {
    private typealias Named = Predecessors.Named
    private typealias Older = Named.Older

    @Test func theVariableNamesItsGiverAndAllBefore() {
        let named = Named("70 700\n60 9 600\n50 -1 0", parent: 70, isTakingOver: true)
        #expect(named.parent == ProcessMark(70, began: 700))
        #expect(
            named.older == [
                Older(mark: ProcessMark(60, began: 600), descriptor: 9),
                Older(mark: ProcessMark(50, began: nil), descriptor: -1),
            ])
    }

    @Test func aGiverThatIsGoneHasNamedThemAllTheSame() throws {
        // Others stand in for a parent that has ended.
        let named = Named("70 700\n60 9 600", parent: 1, isTakingOver: true)
        #expect(named.parent?.process == 70 && named.older.map(\.mark.process) == [60])
        let began = try #require(ProcessMark(of: getpid()).began)
        let gone = Named("\(getpid()) \(began - 1)\n", parent: 1, isTakingOver: true)
        #expect(Predecessors(gone).present.isEmpty)
        let reader = Named("70 700\n60 9 600", parent: 70, isTakingOver: false)
        #expect(reader.parent == nil && reader.older.isEmpty)
    }

    @Test func linesThatNameNobodyAreLeftOut() {
        let named = Named(
            "70 1\n60 2 1\n0 9 1\n-1 9 1\n5 -2 1\n5 x 1\n5 9\n99999999999 9 1\n5 9 -1",
            parent: 70, isTakingOver: true)
        #expect(named.parent?.process == 70 && named.older.isEmpty)
    }

    @Test func aGiverThatDoesNotNameItselfIsTheParent() {
        #expect(Named(nil, parent: 70, isTakingOver: true).parent?.process == 70)
        #expect(Named(nil, parent: 1, isTakingOver: true).parent == nil)
        #expect(Named(nil, parent: 70, isTakingOver: false).parent == nil)
        #expect(Named("70", parent: 60, isTakingOver: true).parent?.process == 60)
    }

    @Test func aDescriptorOfAnotherIsLeftAlone() throws {
        let (own, other) = try MessageSocket.pair()
        let descriptor = dup(own.descriptor)
        // It was made here, and not by whoever it is said to be of.
        let mark = ProcessMark(of: getppid())
        let named = Named(
            "70 1\n\(mark.process) \(descriptor) \(mark.began ?? 0)", parent: 70, isTakingOver: true
        )
        #expect(Predecessors(named).present.map(\.channel).allSatisfy { $0 == nil })
        #expect(close(descriptor) == 0)
        let ours = dup(own.descriptor)
        let channel = MessageSocket(adopting: ours, madeBy: getpid())
        #expect(channel?.descriptor == ours)
        withExtendedLifetime(other) {}
    }

    @Test func oneWithoutChannelIsHandedOnAndSilent() {
        let mark = ProcessMark(of: getppid())
        let predecessor = Predecessor(mark, nil)
        let begin = Clock.nowMilliseconds()
        #expect(predecessor.isThere)
        #expect(predecessor.end(.one("1", code: 1000)) == .silent(process: mark.process))
        #expect(Clock.nowMilliseconds() - begin < 900)
        let own = ProcessMark(of: getpid())
        #expect(
            Predecessors.text([(mark, -1)])
                == "\(own.process) \(own.began ?? 0)\n\(mark.process) -1 \(mark.began ?? 0)")
    }

    @Test func oneWhoseNumberAnotherHasIsGone() throws {
        let began = try #require(ProcessMark(of: getppid()).began)
        let predecessor = Predecessor(ProcessMark(getppid(), began: began - 1), nil)
        #expect(predecessor.end(.one("1", code: 1000)) == .told(0))
        #expect(Predecessors(parent: nil, older: [predecessor]).channels.isEmpty)
    }

    // MARK: What it answers

    /// A process before this one whose end of the channel is the test's.
    private struct Rig {
        let predecessor: Predecessor
        let other: MessageSocket

        init(_ patience: Predecessor.Patience = Predecessor.Patience()) throws {
            let (own, other) = try MessageSocket.pair()
            predecessor = Predecessor(ProcessMark(of: getppid()), own, patience)
            self.other = other
        }

        var silent: EndErrand.Outcome { .silent(process: predecessor.process) }

        /// Asks on a thread of its own.
        func ask() -> TestThread<EndErrand.Outcome> {
            TestThread { [predecessor] in predecessor.end(.one("1", code: 1000)) }
        }

        /// The number of the next errand that has come.
        func next() throws -> UInt64 {
            guard case .message(let bytes, _) = other.receive(withinMilliseconds: 20_000),
                case .end(_, let number)? = MoveMessage(bytes)
            else { throw NothingAsked() }
            return number
        }

        func say(_ outcome: EndErrand.Outcome, to number: UInt64) {
            let message = MoveMessage.ended(outcome, number: number)
            #expect(other.send(message.bytes, withinMilliseconds: 10_000))
        }
    }

    private struct NothingAsked: Error {}

    /// Of one that never answers: what the first one waits for is short, so that the tests are.
    private static let short = Predecessor.Patience(answer: 400, known: 50, end: 50, turn: 200)

    @Test func whoeverWaitsForAnotherAtASilentOneIsAnsweredSoon() throws {
        // Whoever waited as long as the first one would be far behind.
        var patience = Predecessor.Patience()
        patience.answer = 60_000
        let rig = try Rig(patience)
        let first = rig.ask()
        _ = try rig.next()
        let begin = Clock.nowMilliseconds()
        #expect(rig.predecessor.isThere)
        #expect(rig.predecessor.channel != nil)
        #expect(rig.predecessor.end(.one("2", code: 1000)) == rig.silent)
        #expect(Clock.nowMilliseconds() - begin < 40_000)
        rig.other.end()
        _ = try first.join()
    }

    @Test func onlyTheFirstWaitsForASilentOne() throws {
        var patience = Predecessor.Patience()
        patience.answer = 4_000
        let rig = try Rig(patience)
        #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent)
        let begin = Clock.nowMilliseconds()
        for _ in 0..<3 { #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent) }
        // Three that wait as the first did take 12 seconds.
        #expect(Clock.nowMilliseconds() - begin < 11_000)
        // They were asked for all the same, so it does them when it goes on.
        let numbers = try (0..<4).map { _ in try rig.next() }
        #expect(Set(numbers).count == 4)
    }

    @Test func itsLateAnswerEndsTheSilence() throws {
        let rig = try Rig(Self.short)
        #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent)
        rig.say(.told(1), to: try rig.next())
        // That it answers again is known before the errand's own answer has come, which is waited for as ever.
        let second = rig.ask()
        let number = try rig.next()
        usleep(100_000)
        rig.say(.isEnding, to: number)
        #expect(try second.join() == .isEnding)
        let third = rig.ask()
        rig.say(.told(3), to: try rig.next())
        #expect(try third.join() == .told(3))
    }

    @Test func aSilentOneThatTakesNothingMoreIsSilent() throws {
        var patience = Self.short
        patience.known = 5
        patience.answer = 5
        let rig = try Rig(patience)
        // More than there is room for.
        for _ in 0..<600 { #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent) }
    }

    @Test func whatFoundNoRoomIsSentWhenItAnswersAgain() throws {
        var patience = Predecessor.Patience()
        patience.known = 20_000
        let rig = try Rig(patience)
        let channel = try #require(rig.predecessor.channel)
        while channel.send(Array("x".utf8), withinMilliseconds: 0) {}
        let asked = rig.ask()
        // It was given up to be sent by then.
        usleep(1_500_000)
        for _ in 0..<3 {
            guard case .message = rig.other.receive(withinMilliseconds: 0) else {
                Issue.record("there is room after all")
                return
            }
        }
        while case .message(let bytes, _) = rig.other.receive(withinMilliseconds: 0) {
            #expect(MoveMessage(bytes) == nil)
        }
        rig.say(.told(1), to: 0)
        rig.say(.told(4), to: try rig.next())
        #expect(try asked.join() == .told(4))
    }

    @Test func oneThatEndsInTheMidstOfAnAnswerHasNothingLeft() throws {
        var process: pid_t = 0
        let words = [strdup("sleep"), strdup("60"), nil]
        defer { for word in words { free(word) } }
        try #require(posix_spawnp(&process, "sleep", nil, nil, words, environ) == 0)
        let (own, other) = try MessageSocket.pair()
        let predecessor = Predecessor(ProcessMark(of: process), own)
        let asked = TestThread { predecessor.end(.one("1", code: 1000)) }
        guard case .message = other.receive(withinMilliseconds: 20_000) else {
            Issue.record("nothing was asked")
            return
        }
        // The channel is closed a moment before the process is gone.
        other.end()
        usleep(100_000)
        kill(process, SIGKILL)
        #expect(try asked.join() == .told(0))
        let all = Predecessors(parent: nil, older: [predecessor])
        #expect(all.end(.one("1", code: 1000)) == Predecessors.Ended())
        waitpid(process, nil, 0)
    }

    @Test func anotherProcessSaysThatAReactorIsSilent() throws {
        let rig = try Rig()
        let asked = rig.ask()
        rig.say(.silent(process: 1), to: try rig.next())
        #expect(try asked.join() == rig.silent)
        // It has answered, so the next one is waited for.
        let next = rig.ask()
        let number = try rig.next()
        usleep(400_000)
        rig.say(.told(2), to: number)
        #expect(try next.join() == .told(2))
    }

    @Test func whatIsNoAnswerIsPassedOver() throws {
        let rig = try Rig()
        let asked = rig.ask()
        let number = try rig.next()
        for bytes in [Array("x".utf8), MoveMessage.hello.bytes, MoveMessage.finished.bytes] {
            #expect(rig.other.send(bytes, withinMilliseconds: 10_000))
        }
        rig.say(.told(7), to: number &- 1)
        rig.say(.told(Int.max), to: number)
        #expect(try asked.join() == .told(Int(Int32.max)))
        let negative = rig.ask()
        rig.say(.told(-7), to: try rig.next())
        #expect(try negative.join() == .told(0))
    }

    @Test func oneThatNeverStopsTalkingIsSilent() throws {
        let rig = try Rig(Self.short)
        let isOver = Monitor(false)
        let talker = TestThread { [other = rig.other] in
            while !isOver.value {
                _ = other.send(Array("x".utf8), withinMilliseconds: 100)
            }
        }
        let begin = Clock.nowMilliseconds()
        #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent)
        #expect(Clock.nowMilliseconds() - begin < 5_000)
        isOver.update { $0 = true }
        try talker.join()
    }

    @Test func oneThatLivesWithoutItsEndOfTheChannelIsSilent() throws {
        let rig = try Rig(Self.short)
        rig.other.end()
        #expect(rig.predecessor.isThere)
        #expect(rig.predecessor.channel == nil)
        #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent)
        #expect(
            Predecessors(parent: nil, older: [rig.predecessor]).channels.map(\.mark)
                == [rig.predecessor.mark])
    }

    @Test func nobodyAsksBeforeTheWordIsSaid() throws {
        let (own, other) = try MessageSocket.pair()
        let predecessor = Predecessor(parent: ProcessMark(of: getppid()))
        var asking: TestThread<EndErrand.Outcome>?
        let isSaid = predecessor.connect(own) {
            asking = TestThread { predecessor.end(.one("1", code: 1000)) }
            // It would have asked by then.
            usleep(200_000)
            return own.send(MoveMessage.finished.bytes, withinMilliseconds: 1_000)
        }
        #expect(isSaid)
        guard case .message(let bytes, _) = other.receive(withinMilliseconds: 10_000) else {
            Issue.record("nothing was said")
            return
        }
        #expect(MoveMessage(bytes) == .finished)
        guard case .message(let second, _) = other.receive(withinMilliseconds: 10_000),
            case .end(_, let number)? = MoveMessage(second)
        else {
            Issue.record("nothing was asked")
            return
        }
        let message = MoveMessage.ended(.told(1), number: number)
        #expect(other.send(message.bytes, withinMilliseconds: 10_000))
        #expect(try asking?.join() == .told(1))
    }

    @Test func whoIsHandedOnReadsNoAnswerOfTheOther() throws {
        let rig = try Rig()
        let asked = rig.ask()
        let number = try rig.next()
        rig.predecessor.handOn(true)
        rig.say(.told(1), to: number)
        #expect(try asked.join() == rig.silent)
        #expect(rig.predecessor.end(.one("1", code: 1000)) == rig.silent)
        // The answer is there for the process that has the channel now.
        guard
            case .message = try #require(rig.predecessor.channel).receive(withinMilliseconds: 1_000)
        else {
            Issue.record("the answer was taken")
            return
        }
        rig.predecessor.handOn(false)
        let again = rig.ask()
        rig.say(.told(2), to: try rig.next())
        #expect(try again.join() == .told(2))
    }

    // MARK: Several

    @Test func allAreAskedWhileOneIsSilent() throws {
        // Longer than the others wait for their errand.
        var patience = Predecessor.Patience()
        patience.answer = 60_000
        let silent = try Rig(patience)
        let good = try Rig()
        let other = try Rig()
        let all = Predecessors(
            parent: good.predecessor, older: [silent.predecessor, other.predecessor])
        let asking = TestThread { all.end(.one("1", code: 1000)) }
        good.say(.told(2), to: try good.next())
        other.say(.told(3), to: try other.next())
        silent.other.end()
        let ended = try asking.join()
        #expect(ended.told == 5 && ended.silent == [silent.predecessor.process])
    }
}

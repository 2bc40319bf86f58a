// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// What can happen to a relay, as far as its end is concerned.
enum EndingEvent: CaseIterable {
    case closeRelayedFromClient, closeRelayedFromBackend
    case closeKeptFromClient, closeKeptFromBackend
    case clientVanished, backendVanished, clientViolated, backendViolated
    case drain, toldClient, toldBackend, clientFellSilent

    func apply(to ending: inout Ending) -> Ending.Action {
        switch self {
        case .closeRelayedFromClient: ending.closeCame(from: .client, code: 1000, wasRelayed: true)
        case .closeRelayedFromBackend:
            ending.closeCame(from: .backend, code: 3001, wasRelayed: true)
        case .closeKeptFromClient: ending.closeCame(from: .client, code: 1005, wasRelayed: false)
        case .closeKeptFromBackend: ending.closeCame(from: .backend, code: 4000, wasRelayed: false)
        case .clientVanished: return ending.vanished(.client)
        case .backendVanished: return ending.vanished(.backend)
        case .clientViolated: return ending.violated(.client, .notMasked)
        case .backendViolated: return ending.violated(.backend, .messageTooBig)
        case .drain: return ending.leave(.drain, code: 1012)
        case .toldClient: ending.markTold(.client)
        case .toldBackend: ending.markTold(.backend)
        case .clientFellSilent: ending.fellSilent(.client)
        }
        return .none
    }

    /// Who begins, why, and with which code, where this event comes first.
    var beginning: (Initiator, EndReason, UInt16)? {
        switch self {
        case .closeRelayedFromClient: (.client, .close, 1000)
        case .closeRelayedFromBackend: (.upstream, .close, 3001)
        case .closeKeptFromClient: (.client, .close, 1005)
        case .closeKeptFromBackend: (.upstream, .close, 4000)
        case .clientVanished: (.client, .vanished, 1001)
        case .backendVanished: (.upstream, .vanished, 1014)
        case .clientViolated: (.sluice, .violation, 1002)
        case .backendViolated: (.sluice, .violation, 1009)
        case .drain: (.sluice, .drain, 1012)
        case .toldClient, .toldBackend, .clientFellSilent: nil
        }
    }

    /// The side that has said all that matters by this event.
    var speaker: Side? {
        switch self {
        case .closeRelayedFromClient, .closeKeptFromClient, .clientVanished, .clientViolated,
            .clientFellSilent:
            .client
        case .closeRelayedFromBackend, .closeKeptFromBackend, .backendVanished, .backendViolated:
            .backend
        case .drain, .toldClient, .toldBackend: nil
        }
    }

    /// The side that knows by this event, without an action.
    var informed: Side? {
        switch self {
        case .closeRelayedFromClient, .toldBackend: .backend
        case .closeRelayedFromBackend, .toldClient: .client
        default: nil
        }
    }

    /// Every sequence of events up to a length.
    static func sequences(upTo length: Int) -> [[EndingEvent]] {
        var all: [[EndingEvent]] = [[]]
        var last = all
        for _ in 0..<length {
            last = last.flatMap { sequence in allCases.map { sequence + [$0] } }
            all += last
        }
        return all
    }
}

/// The machine alone: every sequence of up to four events.
struct EndingTests {
    static let sequences = EndingEvent.sequences(upTo: 4)

    @Test func `there are as many sequences as there should be`() {
        let kinds = EndingEvent.allCases.count
        #expect(kinds == 12)
        #expect(Self.sequences.count == (0...4).reduce(0) { $0 + power(kinds, $1) })
    }

    @Test func `a relay is over when both sides have spoken and know, and not before`() {
        var wrong: [[EndingEvent]] = []
        for sequence in Self.sequences {
            var ending = Ending()
            var spoken: Set<Side> = []
            var informed: Set<Side> = []
            for event in sequence {
                _ = event.apply(to: &ending)
                if let speaker = event.speaker { spoken.insert(speaker) }
                if let side = event.informed { informed.insert(side) }
                let isOver = spoken.count == 2 && informed.count == 2
                let isSound =
                    ending.isOver == isOver
                    && [Side.client, .backend].allSatisfy {
                        ending.hasSpoken($0) == spoken.contains($0)
                            && ending.wasTold($0) == informed.contains($0)
                    }
                if !isSound { wrong.append(sequence) }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.first ?? [])")
    }

    @Test func `the first cause wins`() {
        var wrong: [[EndingEvent]] = []
        for sequence in Self.sequences {
            var ending = Ending()
            for event in sequence { _ = event.apply(to: &ending) }
            let first = sequence.first { $0.beginning != nil }
            let expected = first?.beginning ?? (.none, .none, 0)
            let found = (ending.initiator, ending.reason, ending.code)
            let violation: FrameViolation =
                first == .clientViolated
                ? .notMasked : first == .backendViolated ? .messageTooBig : .none
            let isSound = found == expected && ending.violation == violation
            if !isSound || ending.hasBegun != (first != nil) { wrong.append(sequence) }
        }
        #expect(wrong.isEmpty, "\(wrong.first ?? [])")
    }

    @Test func `whoever knows is not told again`() {
        var wrong: [[EndingEvent]] = []
        for sequence in Self.sequences {
            var ending = Ending()
            for event in sequence {
                let knew = (ending.wasTold(.client), ending.wasTold(.backend))
                let action = event.apply(to: &ending)
                if knew.0 && action.tellClient != 0 || knew.1 && action.tellBackend != 0 {
                    wrong.append(sequence)
                }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.first ?? [])")
    }

    @Test func `who carries actions out at once tells each side once at most`() {
        var wrong: [[EndingEvent]] = []
        for sequence in Self.sequences {
            var ending = Ending()
            var told = (client: 0, backend: 0)
            for event in sequence {
                let action = event.apply(to: &ending)
                if action.tellClient != 0 {
                    told.client += 1
                    ending.markTold(.client)
                }
                if action.tellBackend != 0 {
                    told.backend += 1
                    ending.markTold(.backend)
                }
            }
            if told.client > 1 || told.backend > 1 { wrong.append(sequence) }
        }
        #expect(wrong.isEmpty, "\(wrong.first ?? [])")
    }

    @Test func `codes are such as may be sent, and fit who is told and why`() {
        var wrong: [[EndingEvent]] = []
        for sequence in Self.sequences {
            var ending = Ending()
            for event in sequence {
                let hadSpoken =
                    ending.hasBegun && event.speaker.map { ending.hasSpoken($0) } ?? false
                let action = event.apply(to: &ending)
                let expected: (client: UInt16, backend: UInt16) =
                    switch event {
                    case .clientVanished: (0, hadSpoken ? 0 : 1001)
                    case .backendVanished: (hadSpoken ? 0 : 1014, 0)
                    case .clientViolated: (1002, 1001)
                    case .backendViolated: (1014, 1009)
                    case .drain: (1012, 1012)
                    default: (0, 0)
                    }
                let isSound =
                    [0, expected.client].contains(action.tellClient)
                    && [0, expected.backend].contains(action.tellBackend)
                    && (action.tellClient != 0)
                        == (expected.client != 0 && !ending.wasTold(.client))
                    && (action.tellBackend != 0)
                        == (expected.backend != 0 && !ending.wasTold(.backend))
                if !isSound { wrong.append(sequence) }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.first ?? [])")
    }

    @Test func `each side's other is the other`() {
        #expect(Side.client.other == .backend)
        #expect(Side.backend.other == .client)
    }

    private func power(_ base: Int, _ exponent: Int) -> Int {
        (0..<exponent).reduce(1) { product, _ in product * base }
    }
}

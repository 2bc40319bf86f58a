// SPDX-License-Identifier: Apache-2.0
import Ledger

/// What relays had carried at earlier looks, so that the next look has rates.
struct LiveMarks: Sendable {
    /// What one relay had carried in both directions.
    struct Carried: Sendable {
        var messages: UInt64
        var bytes: UInt64

        init(_ relay: RelayFacts) {
            messages = relay.up.messages &+ relay.down.messages
            bytes = relay.up.payloadBytes &+ relay.down.payloadBytes
        }
    }

    /// One look.
    struct Mark: Sendable {
        let milliseconds: UInt64
        let carried: [RelayID: Carried]
    }

    /// Over less time a rate says little.
    static let leastMilliseconds: UInt64 = 500
    /// Over more time it says nothing of now.
    static let mostMilliseconds: UInt64 = 60_000

    /// The last looks that are at least `leastMilliseconds` apart, the newest last.
    private var marks: [Mark] = []

    /// Takes note of a look.
    ///
    /// - Returns: the look to compare it with; nil where there is none.
    mutating func look(at relays: [RelayFacts], nowMilliseconds now: UInt64) -> Mark? {
        marks.removeAll { $0.milliseconds + Self.mostMilliseconds < now }
        let before = marks.last { $0.milliseconds + Self.leastMilliseconds <= now }
        if marks.last.map({ $0.milliseconds + Self.leastMilliseconds <= now }) ?? true {
            let carried = relays.map { ($0.id, Carried($0)) }
            marks.append(
                Mark(milliseconds: now, carried: Dictionary(carried) { $1 }))
            if marks.count > 2 { marks.removeFirst() }
        }
        return before
    }
}

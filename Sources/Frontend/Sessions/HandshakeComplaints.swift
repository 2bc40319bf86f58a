// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization
import TLS

/// Which failed handshakes have a line in the log: one a minute of each client and cause, which counts
/// the others.
///
/// Bounded: where more than `entriesMax` give reason within a minute, nothing is said of the others.
final class HandshakeComplaints: Sendable {
    static let intervalMilliseconds: UInt64 = 60_000
    static let entriesMax = 1_024

    struct Key: Hashable, Sendable {
        let client: Address
        let cause: HandshakeFailure.Cause
    }

    private struct Entry {
        var saidMilliseconds: UInt64
        /// How many have followed since without a line.
        var silent = 0
    }

    /// What there is to say.
    struct Outcome: Equatable, Sendable {
        /// Whether the present one has a line, and how many are counted in it that had none; nil where it
        /// has none.
        var countedBefore: Int?
        /// How many had no line, of those who have not failed again within a minute.
        var forgotten: [Key: Int] = [:]
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var sweptMilliseconds: UInt64 = 0
    }

    private let state = Mutex(State())

    func note(
        _ cause: HandshakeFailure.Cause, of client: Address, nowMilliseconds now: UInt64
    ) -> Outcome {
        let key = Key(client: client.subscriber, cause: cause)
        return state.withLock { state in
            var outcome = Outcome()
            if var entry = state.entries[key] {
                if now < entry.saidMilliseconds + Self.intervalMilliseconds {
                    entry.silent += 1
                    state.entries[key] = entry
                } else {
                    outcome.countedBefore = entry.silent
                    state.entries[key] = Entry(saidMilliseconds: now)
                }
            }
            // Once a second at most, since a flood asks often.
            if now >= state.sweptMilliseconds + 1_000 {
                state.sweptMilliseconds = now
                state.entries = state.entries.filter { key, entry in
                    if now < entry.saidMilliseconds + Self.intervalMilliseconds { return true }
                    if entry.silent > 0 { outcome.forgotten[key] = entry.silent }
                    return false
                }
            }
            if state.entries[key] == nil, state.entries.count < Self.entriesMax {
                state.entries[key] = Entry(saidMilliseconds: now)
                outcome.countedBefore = 0
            }
            return outcome
        }
    }
}

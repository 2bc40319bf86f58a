// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor

/// How many connections one client may have, and open in a second: counted before TLS and any
/// request, so that it costs next to nothing to be turned away.
struct ClientCounts {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// Counts the connection among those of its client.
    ///
    /// - Returns: false where the client has as many as it may have; then the connection is closed
    ///   without a word.
    func admit(_ facts: inout ClientFacts) -> Bool {
        let limits = state.pointee.settings.clientLimits
        let crew = state.pointee.crew
        if limits.isEmpty && !crew.clients.isCounting || !Self.counts(facts) { return true }
        let now = state.pointee.now
        let outcome = crew.clients.enter(facts.peer, limits, nowMilliseconds: now)
        if outcome == .admitted {
            facts.isCounted = true
            return true
        }
        if case .tooOften = outcome {
            Metering(state).met(.newConnectionsPerSecond)
        } else {
            Metering(state).met(.connectionsPerClient)
        }
        if crew.remarks.isDue(about: facts.peer, nowMilliseconds: now) {
            let host = facts.peer.hostString
            let sentence =
                if case .tooOften = outcome {
                    "\(host) opens connections more often than one client may: further ones are"
                        + " closed (limits.newConnectionsPerSecond)."
                } else {
                    "\(host) has as many connections as one client may have: further ones are"
                        + " closed (limits.connectionsPerClient)."
                }
            crew.journal.event(LogEvent(.warning, sentence))
        }
        return false
    }

    /// Whether the connection is one of its peer's: who comes through a socket file has no address to be counted
    /// by, and through a proxy in front many clients come.
    private static func counts(_ facts: borrowing ClientFacts) -> Bool {
        !facts.peer.isUnix && !facts.listener.trusts(facts.peer)
    }

    /// Counts a connection that was let in before anything was limited.
    func admitLate(_ facts: inout ClientFacts) {
        guard !facts.isCounted, Self.counts(facts) else { return }
        facts.isCounted = true
        _ = state.pointee.crew.clients.enter(
            facts.peer, AdmissionLimits(), nowMilliseconds: state.pointee.now)
    }

    /// Gives the connection's place back.
    func release(_ facts: inout ClientFacts) {
        guard facts.isCounted else { return }
        facts.isCounted = false
        state.pointee.crew.clients.leave(facts.peer, nowMilliseconds: state.pointee.now)
    }
}

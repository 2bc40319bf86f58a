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
        // Who comes through a socket file has no address to be counted by, and through a proxy in
        // front many clients come.
        if limits.isEmpty || facts.peer.isUnix || facts.listener.trusts(facts.peer) { return true }
        let now = state.pointee.now
        let crew = state.pointee.crew
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

    /// Gives the connection's place back.
    func release(_ facts: inout ClientFacts) {
        guard facts.isCounted else { return }
        facts.isCounted = false
        state.pointee.crew.clients.leave(facts.peer, nowMilliseconds: state.pointee.now)
    }
}

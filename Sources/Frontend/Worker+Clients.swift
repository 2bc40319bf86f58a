// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice

/// How many connections one client may have, and open in a second: counted before TLS and any
/// request, so that it costs next to nothing to be turned away.
extension Worker {
    /// Counts the connection among those of its client.
    ///
    /// - Returns: false where the client has as many as it may have; then the connection is closed
    ///   without a word.
    func admitClient(_ notes: ConnectionNotes) -> Bool {
        let limits = snapshot.settings.clientLimits
        // Who comes through a socket file has no address to be counted by, and through a proxy in
        // front many clients come.
        if limits.isEmpty || notes.peer.isUnix || notes.listener.trusts(notes.peer) { return true }
        let now = space.pointee.nowMilliseconds
        let outcome = crew.clients.enter(notes.peer, limits, nowMilliseconds: now)
        if outcome == .admitted {
            notes.isClientCounted = true
            return true
        }
        if crew.remarks.isDue(about: notes.peer, nowMilliseconds: now) {
            let host = notes.peer.hostString
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
    func letClientGo(_ notes: ConnectionNotes) {
        guard notes.isClientCounted else { return }
        notes.isClientCounted = false
        crew.clients.leave(notes.peer, nowMilliseconds: space.pointee.nowMilliseconds)
    }
}

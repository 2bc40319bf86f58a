// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Splice
import Synchronization

/// The listeners of one reactor: accepts connections and hands each to the reactor with the fewest.
struct Acceptors {
    /// Connections accepted in one turn, so that a flood leaves relays their turn.
    private static let acceptsPerTurn = 64
    /// How long a listener is left alone while descriptors are short: a look costs two calls.
    private static let fullPauseMilliseconds: UInt64 = 50

    /// A listener as one reactor sees it.
    private final class Acceptor {
        var entrance: Entrance
        var backoff = AcceptBackoff()
        /// How many to accept at once: more after a turn in which as many were there.
        var burst = 1
        /// The turn in which it was last asked.
        var lastTurn: UInt64 = 0
        /// The journal knows that connections have to wait, until one was accepted again.
        var hasWarned = false
        /// Set while the listener is left alone for want of descriptors.
        var resumeMilliseconds: UInt64?

        init(_ entrance: Entrance) { self.entrance = entrance }
    }

    private let state: StatePointer
    private var acceptors: [Acceptor]

    init(_ state: StatePointer, _ entrances: [Entrance]) {
        self.state = state
        acceptors = entrances.map(Acceptor.init)
    }

    private static func token(_ acceptor: Acceptor) -> Token {
        Token.fixed(UInt32(truncatingIfNeeded: acceptor.entrance.number) + 1)
    }

    /// When the first of the listeners is watched again that are left alone; `.max` for never.
    var resumeMilliseconds: UInt64 {
        var next = UInt64.max
        for index in 0..<acceptors.count {
            next = min(next, acceptors[index].resumeMilliseconds ?? .max)
        }
        return next
    }

    /// Watches all listeners, as a reactor begins.
    func watch() {
        for acceptor in acceptors { resume(acceptor) }
    }

    /// Watches those whose pause is over.
    func resumeDue() {
        for index in 0..<acceptors.count {
            let acceptor = acceptors[index]
            if let resume = acceptor.resumeMilliseconds, resume <= state.pointee.now {
                self.resume(acceptor)
            }
        }
    }

    /// A listener has connections.
    func accept(_ token: Token) {
        for acceptor in acceptors where Self.token(acceptor) == token { accept(acceptor) }
    }

    /// Listens at these entrances from now on.
    mutating func use(_ entrances: [Entrance]) {
        var standing: [Acceptor] = []
        for entrance in entrances {
            if let known = acceptors.first(where: { $0.entrance.number == entrance.number }) {
                known.entrance = entrance
                standing.append(known)
            } else {
                let acceptor = Acceptor(entrance)
                standing.append(acceptor)
                resume(acceptor)
            }
        }
        for acceptor in acceptors
        where !entrances.contains(where: { $0.number == acceptor.entrance.number }) {
            // Before a listener closes, the connections in its queue are accepted: the last handle
            // would turn them away.
            acceptAll(acceptor)
            stop(acceptor)
        }
        acceptors = standing
    }

    /// Listens no more; what is in the queues is accepted, unless another process listens there.
    mutating func close(_ plan: DrainPlan) {
        for acceptor in acceptors {
            let descriptor = acceptor.entrance.socket.descriptor
            if !plan.isReplaced || plan.untaken.contains(descriptor) { acceptAll(acceptor) }
            stop(acceptor)
        }
        acceptors = []
    }

    /// Leaves all listeners alone until then; a time that is over ends such a pause.
    func pauseAll(untilMilliseconds end: UInt64) {
        for acceptor in acceptors {
            stop(acceptor)
            acceptor.resumeMilliseconds = end
        }
        resumeDue()
    }

    private func stop(_ acceptor: Acceptor) {
        if acceptor.resumeMilliseconds == nil {
            state.pointee.poller.remove(acceptor.entrance.socket.descriptor)
        }
    }

    /// Accepts until nobody waits, of a listener too that was left alone for a while.
    private func acceptAll(_ acceptor: Acceptor) {
        let wasPaused = acceptor.resumeMilliseconds != nil
        acceptor.resumeMilliseconds = nil
        // Whoever stops it has to know that it is not watched.
        defer {
            if wasPaused && acceptor.resumeMilliseconds == nil { acceptor.resumeMilliseconds = 0 }
        }
        while true {
            acceptor.burst = Self.acceptsPerTurn
            acceptor.lastTurn = state.pointee.turnNumber &- 1
            accept(acceptor)
            if acceptor.burst == 1 || acceptor.resumeMilliseconds != nil { return }
        }
    }

    /// Accepts what waits, up to a number, and hands each to the reactor with the fewest.
    private func accept(_ acceptor: Acceptor) {
        let crew = state.pointee.crew
        // What is left is reported again, in the very next turn; then more are taken at once. To ask
        // for one that is not there would cost a call for nearly every connection.
        if acceptor.lastTurn &+ 1 != state.pointee.turnNumber { acceptor.burst = 1 }
        acceptor.lastTurn = state.pointee.turnNumber
        let burst = acceptor.burst
        acceptor.burst = min(burst * 2, Self.acceptsPerTurn)
        for _ in 0..<burst {
            if crew.connectionCount >= state.pointee.settings.connectionsMax {
                // They wait in the listener's queue until somebody leaves.
                let limit = state.pointee.settings.connectionsMax
                if !acceptor.hasWarned { Metering(state).met(.connections) }
                pause(acceptor, because: "\(limit) connections are open (limits.connections)")
                return
            }
            // One for itself, and one for its endpoint's connection.
            if crew.isShort.load(ordering: .relaxed) || !crew.hasDescriptors(2) {
                if !hasRoom(acceptor) { return }
                crew.isShort.store(false, ordering: .relaxed)
            }
            switch acceptor.entrance.socket.accept() {
            case .accepted(let descriptor, let client):
                acceptor.backoff.reset()
                acceptor.hasWarned = false
                // Something else than connections takes descriptors: the next one waits. This one is let
                // in, but never at the cost of the process's own needs.
                if !OpenFiles.mayCome(behind: descriptor) {
                    crew.isShort.store(true, ordering: .relaxed)
                    if !OpenFiles.mayStay(descriptor) {
                        _ = Socket(adopting: descriptor)
                        continue
                    }
                }
                handOn(descriptor, client, acceptor.entrance)
            case .blocked:
                acceptor.burst = 1
                return
            case .aborted: continue
            case .exhausted(let code):
                pause(acceptor, because: SystemError(code: code, call: "accept").description)
                return
            }
        }
    }

    private func handOn(_ descriptor: Int32, _ client: Address, _ entrance: Entrance) {
        let crew = state.pointee.crew
        let own = state.pointee.index
        let chosen = state.pointee.leaving == nil ? crew.leastLoaded(own: own) : own
        // Counted at once, so that a batch is spread evenly.
        crew.loads[chosen].opened()
        if chosen == own {
            SessionKeeper(state).begin(descriptor, peer: client, entrance: entrance)
        } else {
            crew.mailboxes[chosen].post(
                .adopt(descriptor: descriptor, client: client, entrance: entrance))
        }
    }

    /// Leaves a listener alone for a while, and says why when it is the first time.
    private func pause(_ acceptor: Acceptor, because reason: String) {
        if !acceptor.hasWarned {
            acceptor.hasWarned = true
            state.pointee.crew.journal.event(
                LogEvent(.warning, "New connections have to wait: \(reason)."))
        }
        state.pointee.poller.remove(acceptor.entrance.socket.descriptor)
        acceptor.resumeMilliseconds =
            state.pointee.now + acceptor.backoff.pauseMilliseconds()
    }

    /// Whether a client may be let in without touching the descriptors that are kept; else the listener
    /// is left alone for a moment.
    private func hasRoom(_ acceptor: Acceptor) -> Bool {
        let now = state.pointee.now
        if state.pointee.crew.hasDescriptors(2),
            OpenFiles.hasRoomForClient(beside: acceptor.entrance.socket.descriptor)
        {
            return true
        }
        state.pointee.crew.journal.noteFull(nowMilliseconds: now)
        state.pointee.poller.remove(acceptor.entrance.socket.descriptor)
        acceptor.resumeMilliseconds = now + Self.fullPauseMilliseconds
        return false
    }

    /// Watches a listener from now on, so that its pause is over.
    private func resume(_ acceptor: Acceptor) {
        acceptor.resumeMilliseconds = nil
        let isWatched = state.pointee.poller.add(
            acceptor.entrance.socket.descriptor, Self.token(acceptor), .levelReadExclusive)
        // The system has no room for it at this moment; without another attempt nobody would ever come in.
        if !isWatched {
            acceptor.resumeMilliseconds = state.pointee.now + Self.fullPauseMilliseconds
        }
    }
}

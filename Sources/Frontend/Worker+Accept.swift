// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import Synchronization
import TLS

extension Worker {
    /// Accepts what waits, up to a number, and hands each to the reactor with the fewest.
    mutating func accept(_ acceptor: Acceptor) {
        // What is left is reported again, in the very next turn; then more are taken at once. To ask
        // for one that is not there would cost a call for nearly every connection.
        if acceptor.lastTurn &+ 1 != turnNumber { acceptor.burst = 1 }
        acceptor.lastTurn = turnNumber
        let burst = acceptor.burst
        acceptor.burst = min(burst * 2, Worker.acceptsPerTurn)
        for _ in 0..<burst {
            if crew.connectionCount >= snapshot.settings.connectionsMax {
                // They wait in the listener's queue until somebody leaves.
                let limit = snapshot.settings.connectionsMax
                pause(acceptor, because: "the limit of \(limit) connections is reached")
                return
            }
            if crew.isShort.load(ordering: .relaxed) {
                if !hasRoom(acceptor) { return }
                crew.isShort.store(false, ordering: .relaxed)
            }
            switch acceptor.entrance.socket.accept() {
            case .accepted(let descriptor, let client):
                acceptor.backoff.reset()
                acceptor.hasWarned = false
                // The next one waits. One that came in the same moment as others did is let in at the
                // cost of what they need of endpoints, and never at that of the process's own needs.
                if !OpenFiles.mayCome(behind: descriptor) {
                    crew.isShort.store(true, ordering: .relaxed)
                    if !OpenFiles.mayStay(descriptor) {
                        _ = Socket(adopting: descriptor)
                        continue
                    }
                }
                let chosen = leaving == nil ? crew.leastLoaded(own: index) : index
                // Counted at once, so that a batch is spread evenly.
                crew.loads[chosen].opened()
                if chosen == index {
                    take(descriptor, client: client, entrance: acceptor.entrance)
                } else {
                    crew.mailboxes[chosen].post(
                        .adopt(
                            descriptor: descriptor, client: client, entrance: acceptor.entrance))
                }
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

    /// Takes a connection that another reactor accepted.
    mutating func adopt(_ descriptor: Int32, client: Address, entrance: Entrance) {
        // Accepted just before the other reactor learned of the drain.
        if let leaving, !leaving.plan.isReplaced {
            turnAway(descriptor)
            return
        }
        take(descriptor, client: client, entrance: entrance)
    }

    /// Answers what nobody is left to do.
    func turnDown(_ message: WorkerMessage) {
        switch message {
        case .adopt(let descriptor, _, _): turnAway(descriptor)
        case .use(_, _, let done): done.post(index)
        case .leave(let drain):
            drain.stoppedListening()
            drain.told(by: 1, count: 0)
        case .drain(let drain): drain.told(by: 1, count: 0)
        case .list(_, _, let answer): answer.post(RelayList(relays: [], next: nil))
        case .end(_, _, let answer): answer.post(false)
        case .place(let queue, _):
            queue.served()
            queue.callNext()
        case .beat(let answer): answer.post(index)
        case .cut: break
        }
    }

    /// Serves by another snapshot from now on; whoever was judged by the old one keeps to it.
    mutating func use(_ snapshot: Snapshot, _ entrances: [Entrance]) {
        if leaving != nil { return }
        self.snapshot = snapshot
        space.pointee.patience = snapshot.settings.patience
        space.pointee.resize(receiveCapacity: snapshot.settings.relayBufferBytes)
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
            // Who waits at the door that closes is let in: the last handle would turn them away.
            acceptAll(acceptor)
            if acceptor.resumeMilliseconds == nil {
                poller.remove(acceptor.entrance.socket.descriptor)
            }
        }
        acceptors = standing
    }

    /// Accepts until nobody waits.
    mutating func acceptAll(_ acceptor: Acceptor) {
        while true {
            acceptor.burst = Worker.acceptsPerTurn
            acceptor.lastTurn = turnNumber &- 1
            accept(acceptor)
            if acceptor.burst == 1 || acceptor.resumeMilliseconds != nil { return }
        }
    }

    /// Closes a connection that was counted but not taken.
    func turnAway(_ descriptor: Int32) {
        _ = Socket(adopting: descriptor)
        crew.loads[index].closed()
    }

    private mutating func take(_ descriptor: Int32, client: Address, entrance: Entrance) {
        // It has TCP_NODELAY from its listener.
        let socket = Socket(adopting: descriptor)
        let now = space.pointee.nowMilliseconds
        let notes = ConnectionNotes(
            client: client, listener: entrance.facts, acceptedMilliseconds: now)
        guard entrance.facts.expectsProxyHeader || admitClient(notes) else {
            crew.loads[index].closed()
            return
        }
        let opening = Opening(
            acceptedMilliseconds: now, limits: snapshot.settings.headLimits)
        if entrance.facts.expectsProxyHeader { opening.phase = .introduction }
        var leg = Leg(socket)
        var deadline = now + snapshot.settings.headMilliseconds
        if let store = entrance.certificates {
            leg.tls = TLSSession.accepting(store.initial, through: space.pointee.records)
            if leg.tls == nil {
                letClientGo(notes)
                crew.loads[index].closed()
                return
            }
            deadline = now + snapshot.settings.clientHelloMilliseconds
        }
        let connection = Connection(
            relay: Relay(client: leg), opening: opening, exchange: nil, notes: notes)
        guard let token = connections.insert(connection) else {
            letClientGo(notes)
            crew.loads[index].closed()
            return
        }
        timers.reserve(index: Int(token.index))
        timers.arm(token, at: deadline)
        if !poller.add(descriptor, token.tagged(Worker.clientTag), .edgeBoth) { finish(token) }
    }

    /// Leaves a listener alone for a while, and says why when it is the first time.
    private mutating func pause(_ acceptor: Acceptor, because reason: String) {
        if !acceptor.hasWarned {
            acceptor.hasWarned = true
            crew.journal.event(LogEvent(.warning, "New connections have to wait: \(reason)."))
        }
        poller.remove(acceptor.entrance.socket.descriptor)
        acceptor.resumeMilliseconds =
            space.pointee.nowMilliseconds + acceptor.backoff.pauseMilliseconds()
    }

    /// Whether a client may be let in without touching the descriptors that are kept; else the listener
    /// is left alone for a moment.
    private mutating func hasRoom(_ acceptor: Acceptor) -> Bool {
        let now = space.pointee.nowMilliseconds
        if OpenFiles.hasRoomForClient(beside: acceptor.entrance.socket.descriptor) { return true }
        crew.journal.noteFull(nowMilliseconds: now)
        poller.remove(acceptor.entrance.socket.descriptor)
        acceptor.resumeMilliseconds = now + Worker.fullPauseMilliseconds
        return false
    }

    /// Watches a listener.
    mutating func resume(_ acceptor: Acceptor) {
        acceptor.resumeMilliseconds = nil
        _ = poller.add(
            acceptor.entrance.socket.descriptor, Worker.listenerToken(acceptor.entrance.number),
            .levelReadExclusive)
    }

    /// Watches the listeners whose pause is over.
    mutating func resumeAcceptors(_ now: UInt64) {
        for index in 0..<acceptors.count {
            let acceptor = acceptors[index]
            if let resume = acceptor.resumeMilliseconds, resume <= now { self.resume(acceptor) }
        }
    }
}

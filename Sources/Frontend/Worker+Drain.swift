// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import Wire

/// How relays are ended on purpose: all, those of a route or endpoint, or one.
extension Worker {
    /// Slots looked at in one turn.
    private static let scannedPerTurn = 2_048
    /// Relays told in one turn.
    private static let toldPerTurn = 128

    /// Stops listening and begins to end everything.
    mutating func leave(_ drain: Drain) {
        if leaving != nil {
            drain.stoppedListening()
            drain.told(by: 1, count: 0)
            return
        }
        leaving = drain
        for acceptor in acceptors {
            // Who waits is let in, unless another process has the door.
            if !drain.plan.isReplaced { acceptAll(acceptor) }
            if acceptor.resumeMilliseconds == nil {
                poller.remove(acceptor.entrance.socket.descriptor)
            }
        }
        acceptors = []
        drain.stoppedListening()
        begin(drain)
    }

    /// Begins to end relays.
    mutating func begin(_ drain: Drain) { drains.append(DrainTask(drain)) }

    /// A relay that was opened while its like is being ended comes last.
    mutating func joinDrain(_ token: Token, _ notes: ConnectionNotes) {
        for index in drains.indices where drains[index].drain.plan.concerns(notes) {
            // Slots that were not looked at yet are found anyway.
            if let scanned = drains[index].scanned, Int(token.index) > scanned { continue }
            drains[index].append(token)
            return
        }
        if let leaving, tell(token, leaving) { leaving.told(by: 0, count: 1) }
    }

    /// Goes on with the drains, a bounded step each.
    mutating func runDrains(_ now: UInt64) {
        // Those that finish relays change nothing here: tokens of finished relays name nobody.
        for index in drains.indices {
            if drains[index].isScanning { scan(index) }
            var told = 0
            var taken = 0
            while taken < Self.toldPerTurn, let token = drains[index].popDue(now) {
                taken += 1
                if tell(token, drains[index].drain) { told += 1 }
            }
            if told > 0 { drains[index].drain.told(by: 0, count: told) }
        }
        drains.removeAll { task in
            if task.isDone { task.drain.told(by: 1, count: 0) }
            return task.isDone
        }
    }

    private mutating func scan(_ index: Int) {
        var last = drains[index].scanned ?? -1
        for _ in 0..<Self.scannedPerTurn {
            guard let token = connections.nextLive(after: last) else {
                drains[index].scannedUp(to: nil)
                return
            }
            last = Int(token.index)
            guard let connection = connections.pointer(token) else { continue }
            if connection.pointee.relay.isOpen {
                let notes = connection.pointee.notes
                if notes.isCounted && drains[index].drain.plan.concerns(notes) {
                    drains[index].append(token)
                }
            } else if let leaving {
                endUnopened(connection, token, isReplaced: leaving.plan.isReplaced)
            }
        }
        drains[index].scannedUp(to: last)
    }

    /// Ends a relay.
    ///
    /// - Returns: whether it was one, and not ending already in another drain.
    private mutating func tell(_ token: Token, _ drain: Drain) -> Bool {
        guard let connection = connections.pointer(token), connection.pointee.relay.isOpen,
            connection.pointee.notes.drain == nil
        else { return false }
        connection.pointee.notes.drain = drain
        obey(
            connection.pointee.relay.drain(
                code: drain.plan.code, text: drain.closeText,
                deadlineMilliseconds: drain.deadlineMilliseconds, space), token)
        return true
    }

    /// The process goes: what has no tunnel ends with the answer it waits for.
    private mutating func endUnopened(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, isReplaced: Bool
    ) {
        if let exchange = connection.pointee.exchange {
            endBehindAnswer(connection, token, exchange)
        } else if !isReplaced, let opening = connection.pointee.opening {
            switch opening.phase {
            case .waiting, .dialing, .answer: refuse(connection, token, .draining)
            case .head where opening.requestParser.byteCount > 0:
                refuse(connection, token, .draining)
            default: finish(token)
            }
        }
    }

    /// A request in progress is served to its end, and the connection closes behind it.
    private mutating func endBehindAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        exchange.pointee.isPersistent = false
        guard exchange.pointee.phase == .head else { return }
        if exchange.pointee.parser.byteCount > 0 {
            refuse(connection, token, .draining)
        } else {
            leave(connection, token)
        }
    }

    /// Ends one relay with a Close; false when there is no such relay.
    mutating func end(_ token: Token, code: UInt16) -> Bool {
        guard let connection = connections.pointer(token), connection.pointee.relay.isOpen,
            connection.pointee.notes.isCounted
        else { return false }
        let deadline =
            space.pointee.nowMilliseconds + snapshot.settings.patience.closingMilliseconds
        obey(
            connection.pointee.relay.drain(
                code: code, text: nil, deadlineMilliseconds: deadline, space), token)
        return true
    }

    /// Describes relays from a slot on, so many as a turn has time for.
    func list(_ filter: RelayFilter, from first: Int) -> RelayList {
        var relays: [RelayFacts] = []
        var last = first - 1
        for _ in 0..<Self.scannedPerTurn {
            guard let token = connections.nextLive(after: last) else {
                return RelayList(relays: relays, next: nil)
            }
            last = Int(token.index)
            guard let connection = connections.pointer(token), connection.pointee.relay.isOpen,
                connection.pointee.notes.isCounted, filter.takes(connection.pointee.notes)
            else { continue }
            let notes = connection.pointee.notes
            relays.append(
                RelayFacts(
                    id: RelayID(worker: index, token: token), client: notes.client,
                    route: notes.route, path: notes.path, endpoint: notes.upstream,
                    ageMilliseconds: space.pointee.nowMilliseconds &- notes.acceptedMilliseconds,
                    up: connection.pointee.relay.upCounts,
                    down: connection.pointee.relay.downCounts,
                    clientRoundTrip: connection.pointee.relay.clientRoundTrip,
                    isEnding: connection.pointee.relay.ending.hasBegun))
            if relays.count >= RelayList.relaysMax { break }
        }
        return RelayList(relays: relays, next: last + 1)
    }
}

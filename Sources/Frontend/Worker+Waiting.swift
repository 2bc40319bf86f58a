// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice

/// Waiting for a place at an endpoint, where all have as many connections as they may have.
extension Worker {
    /// Whether a request has to join those that wait, and has.
    ///
    /// - Returns: nil when there is no line or it is too long.
    private func join(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ group: EndpointGroup
    ) -> PlaceInLine? {
        guard let queue = group.queue else { return nil }
        let now = space.pointee.nowMilliseconds
        let number = queue.join(
            crew.mailboxes[index], token.tagged(Worker.clientTag), sizeMax: group.queueLimits.size)
        guard let number else { return nil }
        // The first time counts: who has waited and was turned away there waits no longer for that.
        let deadline =
            connection.pointee.notes.waitDeadlineMilliseconds
            ?? now + group.queueLimits.waitMilliseconds
        connection.pointee.notes.waitDeadlineMilliseconds = deadline
        let place = PlaceInLine(queue: queue, number: number, deadlineMilliseconds: deadline)
        connection.pointee.notes.waiting = place
        // A place that became free before is nobody's yet.
        if !group.picker.isFull(nowMilliseconds: now) { queue.callNext() }
        return place
    }

    /// Has a request for a WebSocket wait, if there is nothing else to be done.
    ///
    /// - Returns: whether it waits.
    mutating func waitForPlace(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        let now = space.pointee.nowMilliseconds
        guard let group = opening.dialing?.group,
            opening.dialing?.hasToWait(nowMilliseconds: now) == true,
            now < connection.pointee.notes.waitDeadlineMilliseconds ?? .max,
            let place = join(connection, token, group)
        else { return false }
        opening.phase = .waiting
        timers.arm(token, at: nextLook(place.deadlineMilliseconds))
        return true
    }

    /// The same for an ordinary request.
    mutating func waitForPlace(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) -> Bool {
        let now = space.pointee.nowMilliseconds
        guard let group = exchange.pointee.dialing?.group,
            exchange.pointee.dialing?.hasToWait(nowMilliseconds: now) == true,
            now < connection.pointee.notes.waitDeadlineMilliseconds ?? .max,
            let place = join(connection, token, group)
        else { return false }
        exchange.pointee.phase = .waiting
        arm(token, exchange, after: nextLook(place.deadlineMilliseconds) - now)
        return true
    }

    /// When one that waits looks again by itself: nobody calls when a cool-down ends.
    private func nextLook(_ deadline: UInt64) -> UInt64 {
        min(deadline, space.pointee.nowMilliseconds + 1_000)
    }

    /// Has the first of the line try where there is a place that nobody has called for.
    ///
    /// - Returns: whether the one that looks goes on waiting; else its time is over.
    private func lookAgain(_ notes: ConnectionNotes, _ group: EndpointGroup?) -> Bool {
        let now = space.pointee.nowMilliseconds
        if let place = notes.waiting, let group, now < place.deadlineMilliseconds {
            let group = snapshot.current(group)
            if !group.picker.isFull(nowMilliseconds: now) { place.queue.callNext() }
            return true
        }
        notes.letEndpointGo()
        return false
    }

    /// The timer of a request for a WebSocket that waits has fired.
    mutating func waitTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        let notes = connection.pointee.notes
        if lookAgain(notes, opening.dialing?.group) {
            timers.arm(token, at: nextLook(notes.waitDeadlineMilliseconds ?? 0))
            return
        }
        let now = space.pointee.nowMilliseconds
        guard let refusal = opening.dialing?.refusal(nowMilliseconds: now) else { return }
        refuse(connection, token, refusal)
    }

    /// The timer of an ordinary request that waits has fired.
    mutating func waitTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        let now = space.pointee.nowMilliseconds
        let notes = connection.pointee.notes
        if lookAgain(notes, exchange.pointee.dialing?.group) {
            arm(token, exchange, after: nextLook(notes.waitDeadlineMilliseconds ?? 0) - now)
            return
        }
        guard let refusal = exchange.pointee.dialing?.refusal(nowMilliseconds: now) else { return }
        fail(connection, token, exchange, refusal)
        if isCurrent(token, exchange) { goOn(connection, token, exchange) }
    }

    /// One that waits was called: there may be a place for it.
    mutating func placeIsFree(_ queue: PlaceQueue, _ waiter: PlaceQueue.Waiter) {
        guard let connection = connections.pointer(waiter.token),
            connection.pointee.notes.waiting?.number == waiter.number
        else {
            // It is gone, and the next one is called in its place.
            queue.served()
            queue.callNext()
            return
        }
        let notes = connection.pointee.notes
        if let opening = connection.pointee.opening, opening.phase == .waiting {
            guard hasPlace(&opening.dialing, queue, waiter, notes) else { return }
            opening.phase = .dialing
            dialNext(connection, waiter.token, opening)
        } else if let exchange = connection.pointee.exchange, exchange.pointee.phase == .waiting {
            guard hasPlace(&exchange.pointee.dialing, queue, waiter, notes) else { return }
            // Nobody has asked for more of the body meanwhile.
            exchange.pointee.bodyMovedMilliseconds = space.pointee.nowMilliseconds
            exchange.pointee.phase = .dialing
            dialUpstream(connection, waiter.token, exchange)
            if isCurrent(waiter.token, exchange) { goOn(connection, waiter.token, exchange) }
        }
    }

    /// Tries to take a place for the one that was called.
    ///
    /// - Returns: whether it waits no longer, with a place or because there is nothing to wait for;
    ///   else the place went to another, and it is the first of the line again.
    private func hasPlace(
        _ dialing: inout Dialing?, _ queue: PlaceQueue, _ waiter: PlaceQueue.Waiter,
        _ notes: ConnectionNotes
    ) -> Bool {
        let now = space.pointee.nowMilliseconds
        guard let group = dialing.map({ snapshot.current($0.group) }) else { return false }
        let isWaiting =
            dialing?.claim(of: group, nowMilliseconds: now) != true
            && group.picker.isFull(nowMilliseconds: now)
            // A reload may have done away with the line.
            && group.queue === queue
        if isWaiting {
            queue.back(waiter)
        } else {
            notes.waiting = nil
            queue.served()
            dialing?.deadlineMilliseconds = now + snapshot.settings.connectMilliseconds
        }
        // Another place may have become free while this one was called.
        if !group.picker.isFull(nowMilliseconds: now) { queue.callNext() }
        return !isWaiting
    }
}

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
        timers.arm(token, at: place.deadlineMilliseconds)
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
        arm(token, exchange, after: place.deadlineMilliseconds - now)
        return true
    }

    /// The timer of an ordinary request that waits has fired.
    mutating func waitTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        let now = space.pointee.nowMilliseconds
        if let deadline = connection.pointee.notes.waitDeadlineMilliseconds, now < deadline {
            arm(token, exchange, after: deadline - now)
            return
        }
        connection.pointee.notes.letEndpointGo()
        guard let refusal = exchange.pointee.dialing?.refusal(nowMilliseconds: now) else { return }
        fail(connection, token, exchange, refusal)
        if isCurrent(token, exchange) { goOn(connection, token, exchange) }
    }

    /// One that waits was called: there may be a place for it.
    mutating func placeIsFree(_ queue: PlaceQueue, _ waiter: PlaceQueue.Waiter) {
        guard let connection = connections.pointer(waiter.token),
            let place = connection.pointee.notes.waiting, place.number == waiter.number
        else {
            // It is gone, and the next one is called in its place.
            queue.served()
            queue.callNext()
            return
        }
        let now = space.pointee.nowMilliseconds
        let notes = connection.pointee.notes
        let deadline = now + snapshot.settings.connectMilliseconds
        if let opening = connection.pointee.opening, opening.phase == .waiting,
            let group = opening.dialing?.group
        {
            if opening.dialing?.claim(nowMilliseconds: now) != true,
                group.picker.isFull(nowMilliseconds: now)
            {
                goBack(queue, waiter, group)
                return
            }
            answerCall(queue, notes, group)
            opening.dialing?.deadlineMilliseconds = deadline
            opening.phase = .dialing
            dialNext(connection, waiter.token, opening)
        } else if let exchange = connection.pointee.exchange, exchange.pointee.phase == .waiting,
            let group = exchange.pointee.dialing?.group
        {
            if exchange.pointee.dialing?.claim(nowMilliseconds: now) != true,
                group.picker.isFull(nowMilliseconds: now)
            {
                goBack(queue, waiter, group)
                return
            }
            answerCall(queue, notes, group)
            exchange.pointee.dialing?.deadlineMilliseconds = deadline
            // Nobody has asked for more of the body meanwhile.
            exchange.pointee.bodyMovedMilliseconds = now
            exchange.pointee.phase = .dialing
            dialUpstream(connection, waiter.token, exchange)
            if isCurrent(waiter.token, exchange) { goOn(connection, waiter.token, exchange) }
        } else {
            queue.served()
            queue.callNext()
        }
    }

    /// The place went to another: it stays the first of the line.
    private func goBack(_ queue: PlaceQueue, _ waiter: PlaceQueue.Waiter, _ group: EndpointGroup) {
        queue.back(waiter)
        if !group.picker.isFull(nowMilliseconds: space.pointee.nowMilliseconds) { queue.callNext() }
    }

    private func answerCall(
        _ queue: PlaceQueue, _ notes: ConnectionNotes, _ group: EndpointGroup
    ) {
        notes.waiting = nil
        queue.served()
        // Another place may have become free while this one was called.
        if !group.picker.isFull(nowMilliseconds: space.pointee.nowMilliseconds) { queue.callNext() }
    }
}

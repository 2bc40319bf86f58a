// SPDX-License-Identifier: Apache-2.0
import Proxy
import Reactor
import Router
import Splice

/// Has requests wait for a place at an endpoint, where all have as many connections as they may have.
struct PlaceWaiting {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var now: UInt64 { state.pointee.now }

    /// Joins the line, if there is nothing else to be done.
    ///
    /// - Returns: whether the request waits; false when there is no line or it is too long.
    func join(_ request: RequestPointer, _ token: Token) -> Bool {
        guard let group = request.pointee.upstream?.search.group, let queue = group.queue,
            request.pointee.upstream?.search.hasToWait(nowMilliseconds: now) == true,
            now < request.pointee.upstream?.waitDeadlineMilliseconds ?? .max
        else { return false }
        let number = queue.join(
            state.pointee.crew.mailboxes[state.pointee.index], token.tagged(TokenTag.request),
            sizeMax: group.queueLimits.size)
        guard let number else { return false }
        // The first time counts: who has waited and was turned away there waits no longer for that.
        if request.pointee.upstream?.waitDeadlineMilliseconds == nil {
            request.pointee.upstream?.waitDeadlineMilliseconds =
                now + group.queueLimits.waitMilliseconds
        }
        request.pointee.places.take(PlaceInLine(queue: queue, number: number))
        // A place that became free before is nobody's yet.
        if !group.picker.isFull(nowMilliseconds: now) { queue.callNext() }
        return true
    }

    /// When one that waits looks again by itself: nobody calls when a cool-down ends.
    func nextLook(_ request: RequestPointer) -> UInt64 {
        min(request.pointee.upstream?.waitDeadlineMilliseconds ?? 0, now + 1_000)
    }

    /// Has the first of the line try where there is a place that nobody has called for.
    ///
    /// - Returns: whether the one that looks goes on waiting; else its time is over.
    func lookAgain(_ request: RequestPointer) -> Bool {
        guard let line = request.pointee.places.line, let search = request.pointee.upstream?.search,
            now < request.pointee.upstream?.waitDeadlineMilliseconds ?? 0
        else { return false }
        let group = state.pointee.snapshot.current(search.group)
        if !group.picker.isFull(nowMilliseconds: now) { line.queue.callNext() }
        return true
    }

    /// One that waits was called: there may be a place for it.
    func placeIsFree(_ queue: PlaceQueue, _ waiter: PlaceQueue.Waiter) {
        let token = waiter.token.tagged(0)
        guard let request = state.pointee.requests.pointer(token),
            let line = request.pointee.places.line, line.queue === queue,
            line.number == waiter.number,
            let waited = request.pointee.upstream?.search.group
        else {
            // It is gone, and the next one is called in its place.
            queue.served()
            queue.callNext()
            return
        }
        let group = state.pointee.snapshot.current(waited)
        let claimed = request.pointee.upstream?.search.claimCalled(of: group, nowMilliseconds: now)
        // A reload may have done away with the line.
        if claimed == nil && group.picker.isFull(nowMilliseconds: now) && group.queue === queue {
            // The place went to another, and it is the first of the line again.
            request.pointee.upstream?.search.waitOn()
            queue.back(waiter)
        } else {
            request.pointee.places.leftLine()
            queue.served()
            request.pointee.upstream?.search.deadlineMilliseconds =
                now + state.pointee.snapshot.connect(request.pointee.facts.plan)
            // Nobody has asked for more of the body meanwhile.
            request.pointee.body.movedMilliseconds = now
            if let claimed {
                request.pointee.take(claimed, of: group, nowMilliseconds: now)
            }
            state.pointee.work.push(.request(token, claimed == nil ? .lineClosed : .claimed))
        }
        // Another place may have become free while this one was called.
        if !group.picker.isFull(nowMilliseconds: now) { queue.callNext() }
    }
}

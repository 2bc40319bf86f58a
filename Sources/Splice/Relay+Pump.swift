// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Wire

extension Relay {
    /// A leg's socket is ready, or the turn has come to go on: moves what can be moved.
    public mutating func ready(
        _ side: Side, _ readiness: Readiness, _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        var isUnfinished = false
        if side == .client {
            client.note(readiness)
            if readiness.contains(.writable) && !client.held.isEmpty && client.drain(space) {
                if client.isUnwritable { lost(.client) }
                // There is room again: what was not read for want of it is read now.
                isUnfinished = pumpDown(space)
            }
            isUnfinished = pumpUp(space) || isUnfinished
        } else {
            backend.note(readiness)
            if readiness.contains(.writable) && !backend.held.isEmpty && backend.drain(space) {
                if backend.isUnwritable { lost(.backend) }
                isUnfinished = pumpUp(space)
            }
            isUnfinished = pumpDown(space) || isUnfinished
        }
        var verdict: Verdict = isUnfinished || hasUnreadLoss ? .again : []
        if isPaced && isPaused { verdict.insert(.paused) }
        return settle(space).union(verdict)
    }

    /// Whether a side was found lost in sending, and its last words are still to be read.
    private var hasUnreadLoss: Bool {
        client.isUnwritable && client.isReadable && !client.hasEnded && backend.held.isEmpty
            || backend.isUnwritable && backend.isReadable && !backend.hasEnded
                && client.held.isEmpty
    }

    /// Moves client bytes up while there are any, there is room for them, and within the budget.
    ///
    /// - Returns: whether it stopped at the budget.
    private mutating func pumpUp(_ space: UnsafeMutablePointer<Workspace>) -> Bool {
        var budget = up.state == .open ? space.pointee.pumpBytesMax : Relay.dropBytesPerTurn
        while client.isReadable && !client.hasEnded && backend.held.isEmpty {
            if budget <= 0 { return true }
            var atMost = Int.max
            if isPaced {
                atMost = bytesAllowed(.client, space)
                if atMost == 0 { break }
            }
            let received = client.receive(space, atMost: atMost)
            budget &-= received.rawCount
            if isPaced && up.state == .open { spend(.client, received.count, space) }
            if received.count > 0 { pass(.client, received.bytes, count: received.count, space) }
            if isPaced { chargeMessages(space) }
            if client.hasEnded { ended(.client, space) }
        }
        return false
    }

    /// Moves backend bytes down in the same manner.
    private mutating func pumpDown(_ space: UnsafeMutablePointer<Workspace>) -> Bool {
        var budget = down.state == .open ? space.pointee.pumpBytesMax : Relay.dropBytesPerTurn
        while backend.isReadable && !backend.hasEnded && client.held.isEmpty {
            if budget <= 0 { return true }
            var atMost = Int.max
            if isPaced {
                atMost = bytesAllowed(.backend, space)
                if atMost == 0 { break }
            }
            let received = backend.receive(space, atMost: atMost)
            budget &-= received.rawCount
            if isPaced && down.state == .open { spend(.backend, received.count, space) }
            if received.count > 0 { pass(.backend, received.bytes, count: received.count, space) }
            if backend.hasEnded { ended(.backend, space) }
        }
        return false
    }

    /// Judges bytes of one side and sends what may go on to the other.
    mutating func pass(
        _ side: Side, _ bytes: UnsafeMutablePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        if side == .client ? up.awaitsPong : down.awaitsPong {
            passWatching(side, bytes, count: count, space)
        } else {
            passPiece(side, bytes, count: count, space)
        }
    }

    /// The same without looking for Pongs.
    mutating func passPiece(
        _ side: Side, _ bytes: UnsafeMutablePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        if side == .client ? up.state != .open : down.state != .open {
            drop(side, bytes, count: count)
            return
        }
        let passed =
            side == .client
            ? Relay.forward(&up, into: &backend, bytes, count: count, space)
            : Relay.forward(&down, into: &client, bytes, count: count, space)
        if passed.isQuiet { return }
        note(passed, of: side, space)
        guard let rest = passed.rest, passed.violation == .none else { return }
        // What waited for this border was sent just now; behind a Close the rest is dropped.
        passPiece(side, rest, count: passed.restCount, space)
    }

    /// What came of a piece of one direction.
    private struct Passed {
        var violation = FrameViolation.none
        var hasClose = false
        var wasCloseRelayed = false
        var isDestinationLost = false
        var hasReachedBorder = false
        /// What stands behind the border at which a frame of ours is due, or behind a Close; or
        /// what has come of the frame that breaks the rules.
        var rest: UnsafeMutablePointer<UInt8>?
        var restCount = 0

        var isQuiet: Bool {
            violation == .none && !hasClose && !isDestinationLost && !hasReachedBorder
        }
    }

    /// The hot path: scan, send, keep what is left of an unfinished header.
    private static func forward(
        _ flow: inout Flow, into destination: inout Leg, _ bytes: UnsafeMutablePointer<UInt8>,
        count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> Passed {
        let total = count &+ Int(flow.tailCount)
        let start = flow.prependTail(to: bytes)
        var passed = Passed()
        if let meter = flow.meter {
            meter.refill(&flow.scanner, nowMilliseconds: space.pointee.nowMilliseconds)
        }
        var offered = total
        if flow.isInterrupted {
            // A frame of ours waits for the border of the frame in progress.
            offered = Int(truncatingIfNeeded: min(UInt64(total), flow.scanner.outstanding))
        }
        let outcome = flow.scanner.scan(start, count: offered)
        let forwardable = outcome.forwardable
        if forwardable > 0 {
            let isSent =
                flow.scanner.isCloseComplete
                ? destination.stage(start, count: forwardable, space)
                : destination.put(start, count: forwardable, space)
            if !isSent {
                flow.state = .cut
                passed.isDestinationLost = true
            }
        }
        flow.bytes &+= UInt64(truncatingIfNeeded: forwardable)
        passed.violation = outcome.violation
        if flow.scanner.isCloseComplete {
            // Said is said, also where it can't be delivered any more.
            passed.hasClose = true
            if flow.state == .open {
                flow.state = .closePassed
                passed.wasCloseRelayed = true
            }
        }
        if outcome.violation != .none {
            passed.rest = start + forwardable
            passed.restCount = total &- forwardable
        } else if flow.isInterrupted || passed.hasClose {
            passed.hasReachedBorder = flow.isAtFrameBorder
            passed.restCount = total &- forwardable
            if passed.restCount > 0 { passed.rest = start + forwardable }
        } else if forwardable < total {
            flow.keepTail(start + forwardable, count: total &- forwardable)
        }
        return passed
    }

    /// Tells `Ending` what a piece brought, and does what it says.
    private mutating func note(
        _ passed: Passed, of side: Side, _ space: UnsafeMutablePointer<Workspace>
    ) {
        if passed.hasClose {
            let code = side == .client ? up.scanner.closeCode : down.scanner.closeCode
            ending.closeCame(from: side, code: code, wasRelayed: passed.wasCloseRelayed)
            // With both Closes said, close_notify follows at once and takes the last frame along.
            if !ending.isOver {
                if side == .client {
                    backend.flushRecords(space)
                } else {
                    client.flushRecords(space)
                }
            }
        }
        if passed.violation != .none {
            var isOurs = false
            if let offence = passed.rest {
                isOurs = isProvoked(side, offence, count: passed.restCount)
            }
            perform(ending.violated(side, passed.violation, isProvoked: isOurs), space)
        }
        if passed.isDestinationLost { lost(side.other) }
        tellWherePossible(space)
        pingWherePossible(space)
    }

    /// A side can't be sent anything any more.
    private mutating func lost(_ side: Side) {
        // It may have said why before it went: what it sent is still read to its end.
        if side == .client {
            down.state = .cut
            client.note(.hangup)
        } else {
            up.state = .cut
            backend.note(.hangup)
        }
        ending.markTold(side)
    }

    /// A side's stream has ended: the other learns of it.
    mutating func ended(_ side: Side, _ space: UnsafeMutablePointer<Workspace>) {
        if stage == .lingering { return }
        if side == .client && (client.isUnwritable || client.isCut && !ending.hasSpoken(.client)) {
            lost(.client)
        }
        if side == .backend && (backend.isUnwritable || !ending.hasSpoken(.backend)) {
            lost(.backend)
        }
        perform(ending.vanished(side), space)
    }
}

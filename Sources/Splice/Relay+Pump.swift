// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Wire

extension Relay {
    /// A leg's socket is ready, or the turn has come to go on: moves what can be moved.
    public mutating func ready(
        _ side: Side, _ readiness: Readiness, _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        // With a side that is known when this is compiled, no byte pays for a choice.
        let isUnfinished =
            side == .client
            ? move(.client, readiness, space) : move(.backend, readiness, space)
        var verdict: Verdict = isUnfinished || hasUnreadLoss ? .again : []
        if isPaced { verdict.formUnion(pace(space)) }
        return settle(space).union(verdict)
    }

    /// Whether nothing comes of it that a side has room again: nothing waits to be read, and nothing ends.
    public var isAtRest: Bool {
        stage == .relaying && !ending.hasBegun && !client.isReadable && !backend.isReadable
            && !client.isHangingUp && !backend.isHangingUp && !client.isUnwritable
            && !backend.isUnwritable && !isDelaying
    }

    /// Sends what a side did not take before, and moves what has come from it.
    ///
    /// - Returns: whether it stopped at the budget.
    @inline(__always)
    private mutating func move(
        _ side: Side, _ readiness: Readiness, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        var isUnfinished = false
        if drain(side, readiness, space) {
            if ask(side, { $0.isUnwritable }) { lost(side) }
            // There is room again: what was not read for want of it is read now.
            isUnfinished = pump(from: side.other, space)
        }
        return pump(from: side, space) || isUnfinished
    }

    /// Whether a side was found lost in sending, and its last words are still to be read.
    private var hasUnreadLoss: Bool {
        client.isUnwritable && mayRead(.client) || backend.isUnwritable && mayRead(.backend)
    }

    /// Moves bytes of a side to the other while there are any, there is room for them, and within the
    /// budget.
    ///
    /// - Returns: whether it stopped at the budget.
    @inline(__always)
    private mutating func pump(
        from side: Side, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        var budget = isOpen(from: side) ? space.pointee.pumpBytesMax : Relay.dropBytesPerTurn
        while mayRead(side) {
            if budget <= 0 { return true }
            var atMost = Int.max
            if isPaced {
                atMost = bytesAllowed(side, space)
                if atMost == 0 { break }
            }
            let received = receive(side, space, atMost: atMost)
            budget &-= received.rawCount
            if isPaced && isOpen(from: side) { spend(side, received.count, space) }
            if received.count > 0 { pass(side, received.bytes, count: received.count, space) }
            // The messages of the upstream have no rate.
            if isPaced && side == .client { chargeMessages(space) }
            if hasEnded(side) { ended(side, space) }
        }
        return false
    }

    // What every message needs of a side is written out: a subscript that lends a leg would allocate
    // where nothing is optimised, and that a message allocates nothing is tested there.

    /// Takes note of what was reported, and sends what waits; true where nothing waits any more.
    @inline(__always)
    private mutating func drain(
        _ side: Side, _ readiness: Readiness, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        if side == .client {
            client.note(readiness)
            // What a stream's owner could send it has taken by now.
            return readiness.contains(.writable) && (!client.held.isEmpty || client.feed != nil)
                && client.drain(space)
        }
        backend.note(readiness)
        return readiness.contains(.writable) && !backend.held.isEmpty && backend.drain(space)
    }

    @inline(__always)
    private mutating func receive(
        _ side: Side, _ space: UnsafeMutablePointer<Workspace>, atMost: Int
    ) -> Leg.Received {
        side == .client
            ? client.receive(space, atMost: atMost) : backend.receive(space, atMost: atMost)
    }

    @inline(__always)
    private func hasEnded(_ side: Side) -> Bool {
        side == .client ? client.hasEnded : backend.hasEnded
    }

    @inline(__always)
    private func isOpen(from side: Side) -> Bool {
        side == .client ? up.state == .open : down.state == .open
    }

    /// Whether a side may have something, and the other has room for it.
    @inline(__always)
    func mayRead(_ side: Side) -> Bool {
        side == .client
            ? client.isReadable && !client.hasEnded && backend.held.isEmpty
            : backend.isReadable && !backend.hasEnded && client.held.isEmpty
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
        if !isOpen(from: side) {
            drop(side, bytes, count: count, space)
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
        if flow.tap != 0 { tell(flow.tap, start, count: forwardable, space) }
        if forwardable > 0 {
            let isSent =
                if let line = flow.faults {
                    delay(line, into: &destination, start, count: forwardable, space)
                } else if flow.scanner.isCloseComplete {
                    destination.seal(start, count: forwardable, space)
                } else {
                    destination.put(start, count: forwardable, space)
                }
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
            // By itself, since what flows from a side would be copied as a whole.
            let code = side == .client ? up.scanner.closeCode : down.scanner.closeCode
            ending.closeCame(from: side, code: code, wasRelayed: passed.wasCloseRelayed)
            // With both Closes said, the client's close_notify follows at once and takes the last frame along. The
            // upstream is the one that ends the connection then. Where that speaks TLS too, what waits would be
            // taken along by its records instead.
            if !ending.isOver || side == .client || backend.tls != nil {
                _ = change(side.other) { $0.flushRecords(space) }
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
    mutating func lost(_ side: Side) {
        // It may have said why before it went: what it sent is still read to its end.
        self[to: side].state = .cut
        change(side) { $0.note(.hangup) }
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

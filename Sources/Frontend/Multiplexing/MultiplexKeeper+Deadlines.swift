// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice

/// Deadlines for what a client of HTTP/2 has to finish: a head that has begun, the rest of an answer that
/// its window holds back, and the connection itself once it has been told of its end.
extension MultiplexKeeper {
    /// The next of these deadlines; nil where nothing is awaited.
    func otherDeadline(_ multiplex: MultiplexPointer) -> UInt64? {
        if multiplex.pointee.isShutDown && multiplex.pointee.streams.isEmpty {
            let due =
                multiplex.pointee.overDueMilliseconds ?? now
                + space.pointee.patience.lingerMilliseconds
            multiplex.pointee.overDueMilliseconds = due
            return due
        }
        let head = headDueMilliseconds(multiplex) ?? .max
        let due = min(head, multiplex.pointee.leftDueMilliseconds ?? .max)
        return due == .max ? nil : due
    }

    // MARK: Heads

    /// Until when the head has to be whole that is being read.
    private func headDueMilliseconds(_ multiplex: MultiplexPointer) -> UInt64? {
        multiplex.pointee.connection.headBeganMilliseconds.map {
            UInt64(max(0, $0)) + state.pointee.settings.headMilliseconds
        }
    }

    /// Sets the timer for a head that has begun, if one has.
    func awaitHead(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        let began = multiplex.pointee.connection.headBeganMilliseconds
        if began == multiplex.pointee.headBeganMilliseconds { return }
        multiplex.pointee.headBeganMilliseconds = began
        if began != nil { arm(session, multiplex) }
    }

    /// Ends a connection whose client does not go on with a head: until that is whole, nothing else can
    /// come on any stream of it (RFC 9113 §4.3).
    func endHalfHead(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        guard let due = headDueMilliseconds(multiplex), now >= due else { return }
        sessions.note(session, "a request head did not arrive in time (timeouts.head)")
        multiplex.pointee.connection.terminate(.noError)
    }

    // MARK: Streams that were left

    /// The rest of an answer whose request or tunnel is over has `timeouts.body`, as in HTTP/1.1, from
    /// each byte that the client lets go to the next.
    func awaitEnd(of substream: SubstreamPointer, _ multiplex: MultiplexPointer) {
        substream.pointee.leftMilliseconds = now
        // While others are awaited, the timer is set already, and no later than is due for this one.
        guard multiplex.pointee.leftDueMilliseconds == nil else { return }
        // That a client takes what was sent before is no event: it is looked at in eighths of its time.
        let time = state.pointee.settings.bodyMilliseconds
        multiplex.pointee.leftDueMilliseconds = now + max(1, time / 8)
        arm(substream.pointee.session, multiplex)
    }

    /// Resets the streams whose answers the client has taken nothing of for too long, though nobody works
    /// on them any more; the connection goes on.
    func resetThoseLeft(_ session: SessionPointer, _ multiplex: MultiplexPointer) {
        guard let due = multiplex.pointee.leftDueMilliseconds, now >= due else { return }
        let time = state.pointee.settings.bodyMilliseconds
        var next: UInt64?
        var overdue: [SubstreamPointer] = []
        let carriage = session.pointee.stream.leg.carriage()
        for slot in multiplex.pointee.streams {
            guard let substream = state.pointee.substreams.pointer(slot),
                case .left(_) = substream.pointee.life
            else { continue }
            // What it takes of the connection's bytes counts only as far as they stood before its own.
            let held = UInt64(leg(of: substream).pointee.held.count)
            switch substream.pointee.taking.look(own: held, carriage) {
            case .moved, .taking: substream.pointee.leftMilliseconds = now
            case .first, .nothing: break
            }
            let due = substream.pointee.leftMilliseconds + time
            if now >= due {
                overdue.append(substream)
            } else {
                next = min(next ?? due, due, now + max(1, time / 8))
            }
        }
        multiplex.pointee.leftDueMilliseconds = next
        guard !overdue.isEmpty else { return }
        sessions.note(
            session,
            "the client took nothing more of the answers on \(overdue.count) streams (timeouts.body)"
        )
        // The connection resets what is forgotten while it is open.
        for substream in overdue { advance(substream, .givenUp, multiplex) }
    }
}

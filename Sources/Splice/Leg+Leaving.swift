// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// The end of a connection that never had a tunnel: what was sent is delivered, what still comes is
/// read off.
///
/// To close at once would reset the connection and could destroy an answer on its way.
extension Leg {
    /// Ends our side of the stream, once what is held has been delivered.
    ///
    /// - Returns: whether nothing is awaited of the peer any more.
    public mutating func leave(_ space: UnsafeMutablePointer<Workspace>) -> Bool {
        shut(space)
        return isUnwritable || hasEnded && held.isEmpty
    }

    /// What has come of reading off.
    public enum LeaveProgress: Sendable {
        /// The peer may still send, or has not taken all.
        case waiting
        /// There is more to read than one turn has time for.
        case again
        /// The socket may be closed.
        case over
    }

    /// Delivers what is held and reads off what has come, after `leave`.
    public mutating func readOff(
        _ readiness: Readiness, _ space: UnsafeMutablePointer<Workspace>
    ) -> LeaveProgress {
        note(readiness)
        if readiness.contains(.writable) && !held.isEmpty { _ = drain(space) }
        var budget = space.pointee.pumpBytesMax
        while isReadable && !hasEnded && budget > 0 { budget &-= receive(space).rawCount }
        if leave(space) { return .over }
        return isReadable && !hasEnded ? .again : .waiting
    }
}

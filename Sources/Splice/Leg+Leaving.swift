// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// The end of a connection that never had a tunnel: what was sent is delivered, what still comes is
/// read off.
///
/// To close at once would reset the connection and could destroy an answer on its way.
public struct Leaving: Sendable {
    /// Bytes that are still read for nobody; behind them the peer is not read any more, so that who
    /// goes on sending does not take the reactor's time.
    private(set) var droppable = Flow.droppableBodyBytes
    /// Whether the peer takes what was sent before.
    fileprivate var taking = TakingWatch()

    /// What has come of reading off.
    public enum Progress: Sendable {
        /// The peer may still send, or has not taken all.
        case waiting
        /// There is more to read than one turn has time for.
        case again
        /// The socket may be closed.
        case over
    }

    /// An end that has just begun.
    public init() {}

    /// Takes note of bytes that were read for nobody.
    ///
    /// - Returns: whether more may be read.
    fileprivate mutating func mayGoOn(behind count: Int) -> Bool {
        droppable &-= Int32(truncatingIfNeeded: min(count, Int(Flow.droppableBodyBytes)))
        return droppable > 0
    }
}

extension Leg {
    /// Ends our side of the stream, once what is held has been delivered.
    ///
    /// - Returns: whether nothing is awaited of the peer any more.
    public mutating func leave(_ space: UnsafeMutablePointer<Workspace>) -> Bool {
        shut(space)
        return isUnwritable || hasEnded && held.isEmpty
    }

    /// Looks at whether the peer takes what is held, or what was sent before that.
    public func look(_ leaving: inout Leaving) -> TakingWatch.Sight {
        leaving.taking.look(own: UInt64(held.count), carriage())
    }

    /// Delivers what is held and reads off what has come, after `leave`.
    public mutating func readOff(
        _ leaving: inout Leaving, _ readiness: Readiness,
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Leaving.Progress {
        note(readiness)
        if readiness.contains(.writable) && !held.isEmpty { _ = drain(space) }
        var budget = Relay.dropBytesPerTurn
        while isReadable && !hasEnded && budget > 0 {
            let received = receive(space)
            budget &-= received.rawCount
            if !leaving.mayGoOn(behind: received.count) { ignore(space) }
        }
        if leave(space) { return .over }
        return isReadable && !hasEnded ? .again : .waiting
    }
}

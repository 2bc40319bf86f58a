// SPDX-License-Identifier: Apache-2.0
import Reactor

/// How far the connection to a peer is, in bytes as they go over the wire, since it began.
///
/// It tells a peer that reads slowly from one that reads nothing: that its system has taken some of what
/// waits in ours is no event for anybody.
public struct Carriage: Equatable, Sendable {
    /// What was sent on it, what is held for it included.
    public var sentBytes: Int
    /// What its peer's system has taken of that.
    public var takenBytes: Int

    /// A connection on which so much was sent, and whose peer has taken so much of it.
    public init(sentBytes: Int = 0, takenBytes: Int = 0) {
        self.sentBytes = sentBytes
        self.takenBytes = takenBytes
    }
}

extension Leg {
    /// How far the leg's connection is; that of one stream of several when its owner last said so.
    ///
    /// On a Unix socket, where only what is on the way is known, that much of `flowedBytes` counts as not
    /// taken.
    public func carriage(flowedBytes: Int = 0) -> Carriage {
        if let feed { return feed.carriage }
        let onTheWay = bytesOnTheWay()
        guard let taken = socket.acknowledgedBytes() else {
            return Carriage(sentBytes: flowedBytes, takenBytes: flowedBytes - onTheWay)
        }
        return Carriage(sentBytes: taken + onTheWay, takenBytes: taken)
    }

    /// Bytes that were sent to the peer and that its system has not taken, as far as that is known: on one
    /// stream of several, those that the stream's owner has not taken.
    func bytesOnTheWay() -> Int {
        held.count + (socket.isOpen ? socket.unacknowledgedBytes() : 0)
    }
}

/// Whether a peer still takes what was sent to it: looked at now and then while it has to.
public struct TakingWatch: Sendable {
    /// What a look has shown.
    public enum Sight: Sendable {
        /// This is the first look: what comes is held against it.
        case first
        /// Since the last look there was room for more.
        case moved
        /// There was none, but the peer has taken some of what was sent before.
        case taking
        /// It has taken nothing, or only what others were sent behind that.
        case nothing
    }

    private var own: UInt64?
    private var before = Carriage()

    /// A peer at which nobody has looked.
    public init() {}

    /// Looks at how far the connection is.
    ///
    /// - Parameters:
    ///   - own: a number that changes whenever more is sent to the peer.
    ///   - carriage: the connection.
    /// - Returns: what has happened since the last look.
    public mutating func look(own: UInt64, _ carriage: Carriage) -> Sight {
        if self.own != own {
            let isFirst = self.own == nil
            self.own = own
            before = carriage
            return isFirst ? .first : .moved
        }
        let isTaking =
            carriage.takenBytes > before.takenBytes && before.takenBytes < before.sentBytes
        before.takenBytes = carriage.takenBytes
        return isTaking ? .taking : .nothing
    }

    /// Has the number changed for another reason than that more was sent.
    public mutating func follow(own: UInt64) { self.own = own }
}

// SPDX-License-Identifier: Apache-2.0

/// What became of one attempt to receive or send.
public enum IOResult: Equatable, Sendable {
    /// So many bytes, at least one.
    case moved(Int)
    /// Nothing to receive, or no room to send; an event will tell.
    case blocked
    /// The peer sends no more.
    case ended
    /// The connection is broken: the value of `errno`.
    case failed(Int32)
}

/// What became of the start of a connection attempt.
public enum ConnectResult: Equatable, Sendable {
    /// It is open already, as on a unix socket.
    case connected
    /// An event for writing or a hang-up will tell; then ask `pendingError`.
    case inProgress
    /// The value of `errno`.
    case failed(Int32)
}

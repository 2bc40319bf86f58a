// SPDX-License-Identifier: Apache-2.0

/// What upstreams are told of the way that requests came, and clients of that of answers.
public struct WayTold: Sendable, Equatable {
    /// Whether `Via` is written, to both (RFC 9110 §7.6.3).
    public var via = true
    /// Whether `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` are.
    public var xForwarded = true
    /// Whether `Forwarded` is (RFC 7239).
    public var forwarded = true
    /// The port that is told; nil for the one that the client used.
    public var port: UInt16?

    /// All of it.
    public init() {}
}

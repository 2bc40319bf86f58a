// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Wire

/// What holds for connections of one listener that speak HTTP/2.
///
/// Whoever makes it says each: what holds where a configuration is silent is written there.
public struct MultiplexRules: Sendable {
    /// Whether WebSockets may be opened on streams (RFC 8441).
    public var allowsWebSockets: Bool
    /// Streams that are open at a time.
    public var streamsMax: Int
    /// Bytes that one stream may send before any of them is taken.
    public var windowBytes: Int
    /// Streams that a client may cancel each second; ten times as many at once.
    public var resetsPerSecond: Int
    /// From the last that came of a client with open streams to a PING, in milliseconds.
    public var pingAfterMilliseconds: UInt64
    /// From a PING to the end of the connection, if nothing comes, in milliseconds.
    public var pingTimeoutMilliseconds: UInt64

    /// Rules in the order of their keys.
    public init(
        allowsWebSockets: Bool, streamsMax: Int, windowBytes: Int, resetsPerSecond: Int,
        pingAfterMilliseconds: UInt64, pingTimeoutMilliseconds: UInt64
    ) {
        self.allowsWebSockets = allowsWebSockets
        self.streamsMax = streamsMax
        self.windowBytes = windowBytes
        self.resetsPerSecond = resetsPerSecond
        self.pingAfterMilliseconds = pingAfterMilliseconds
        self.pingTimeoutMilliseconds = pingTimeoutMilliseconds
    }

    /// The same as limits of connections; what no key changes stays.
    func policy(_ heads: HeadLimits) -> HTTP2Policy {
        var limits = HTTP2Limits(
            streamsMax: streamsMax, headBytesMax: heads.bytesMax, headFieldsMax: heads.fieldsMax,
            streamWindowBytes: windowBytes, allowsExtendedConnect: allowsWebSockets,
            resetsReceived: HTTP2Budget(burst: 10 * resetsPerSecond, perSecond: resetsPerSecond))
        limits.connectionWindowBytes = max(limits.connectionWindowBytes, windowBytes)
        return HTTP2Policy(limits)
    }
}

// SPDX-License-Identifier: Apache-2.0

/// How often a peer may do something: a token bucket.
public struct HTTP2Budget: Sendable, Hashable {
    /// How many times at once.
    public var burst: Int
    /// How many more each second, up to `burst`.
    public var perSecond: Int

    /// A budget of so many at once and so many more each second.
    public init(burst: Int, perSecond: Int) {
        self.burst = burst
        self.perSecond = perSecond
    }
}

/// What a peer may do on one connection.
///
/// What has a key in the configuration is said by whoever makes it: what holds where a configuration is
/// silent stands there. The other limits are the same for all.
public struct HTTP2Limits: Sendable, Hashable {
    /// Streams that are open at a time (SETTINGS_MAX_CONCURRENT_STREAMS).
    public var streamsMax: Int
    /// Bytes of a request head, as it would stand in HTTP/1.1: name, value and four more for each
    /// field.
    ///
    /// A head with more is delivered with `HTTP2Head.fault`, so that it can be answered.
    public var headBytesMax: Int
    /// Fields of a request head; the parts of a split `cookie` count as one.
    public var headFieldsMax: Int
    /// HEADERS and CONTINUATION frames of one header block.
    public var headFramesMax = 32
    /// Bytes that one stream may send before any of them is consumed
    /// (SETTINGS_INITIAL_WINDOW_SIZE); the most that a stream holds of what has arrived.
    public var streamWindowBytes: Int
    /// Bytes of all streams that may be under way to the server at a time.
    ///
    /// They do not count as
    /// under way any more once they have arrived, so this bounds no memory.
    public var connectionWindowBytes = 1 << 20
    /// A WINDOW_UPDATE of less is one of `smallWindowUpdates`.
    public var smallWindowUpdateBytes = 1_024
    /// A DATA frame of fewer bytes that was cut short by a window is one that the peer asked for with a
    /// window of next to nothing.
    public var smallDataBytes = 64
    /// Whether `:protocol` is allowed: SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3).
    public var allowsExtendedConnect: Bool

    /// RST_STREAM frames.
    public var resetsReceived: HTTP2Budget
    /// Streams that had to be reset for what the peer did.
    public var resetsProvoked = HTTP2Budget(burst: 100, perSecond: 10)
    /// PING frames.
    public var pings = HTTP2Budget(burst: 120, perSecond: 10)
    /// SETTINGS frames.
    public var settings = HTTP2Budget(burst: 20, perSecond: 1)
    /// PRIORITY and PRIORITY_UPDATE frames.
    public var priorities = HTTP2Budget(burst: 1_000, perSecond: 100)
    /// DATA frames that carry nothing and do not end their stream.
    public var emptyData = HTTP2Budget(burst: 100, perSecond: 10)
    /// DATA frames of one byte, or on a WebSocket's stream of fewer than `smallestMessageBytes`, that do not
    /// end their stream: each costs as much as a message.
    ///
    /// One more is allowed for each DATA frame of `smallestMessageBytes` and more, so that nobody who sends
    /// whole messages runs out of them, however short those are and in how many frames they come.
    public var tinyData = HTTP2Budget(burst: 1_000, perSecond: 100)
    /// The header of a WebSocket's frame that a client sends has so many bytes at least (RFC 6455 §5.2).
    static let smallestMessageBytes = 6
    /// WINDOW_UPDATE frames of few bytes.
    ///
    /// Two more are allowed for each DATA frame that was not cut short by a window, since honest peers
    /// give back what small messages have used, and for each of `smallDataBytes` at least: a device may
    /// have windows of a few hundred bytes.
    public var smallWindowUpdates = HTTP2Budget(burst: 1_000, perSecond: 100)
    /// HEADERS and DATA frames on closed streams: those that were under way when a stream was reset.
    public var strayFrames = HTTP2Budget(burst: 2_000, perSecond: 200)
    /// Frames of unknown types, and GOAWAY frames.
    public var otherFrames = HTTP2Budget(burst: 200, perSecond: 20)

    /// Limits of these numbers, and the others as they are for all.
    public init(
        streamsMax: Int, headBytesMax: Int, headFieldsMax: Int, streamWindowBytes: Int,
        allowsExtendedConnect: Bool, resetsReceived: HTTP2Budget
    ) {
        self.streamsMax = streamsMax
        self.headBytesMax = headBytesMax
        self.headFieldsMax = headFieldsMax
        self.streamWindowBytes = streamWindowBytes
        self.allowsExtendedConnect = allowsExtendedConnect
        self.resetsReceived = resetsReceived
    }

    /// The most that a header block may decode to, with 32 bytes more for each field.
    ///
    /// Up to there a head that is too large is read to its end, so that it can be answered; behind it
    /// the connection ends, since a byte of HPACK can stand for thousands.
    var decodedBytesMax: Int { 4 * headBytesMax + (1 << 18) }

    /// The budget for this kind of abuse; nil for those that are no matter of how often.
    func budget(_ abuse: HTTP2Abuse) -> HTTP2Budget? {
        switch abuse {
        case .headFrames, .headBytes, .unreadAnswers: nil
        case .resetsReceived: resetsReceived
        case .resetsProvoked: resetsProvoked
        case .pings: pings
        case .settings: settings
        case .priorities: priorities
        case .emptyData: emptyData
        case .tinyData: tinyData
        case .smallWindowUpdates: smallWindowUpdates
        case .strayFrames: strayFrames
        case .otherFrames: otherFrames
        }
    }
}

/// Limits that many connections share: made once per listener and configuration.
public final class HTTP2Policy: Sendable {
    /// The limits.
    public let limits: HTTP2Limits
    /// The budgets by the number of their kind.
    let budgets: [HTTP2Budget]

    /// A policy of these limits.
    public init(_ limits: HTTP2Limits) {
        self.limits = limits
        budgets = HTTP2Abuse.allCases.map {
            limits.budget($0) ?? HTTP2Budget(burst: .max / 2_000, perSecond: 0)
        }
    }
}

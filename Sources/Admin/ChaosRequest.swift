// SPDX-License-Identifier: Apache-2.0

/// Which faults are asked for, each as the configuration's `faults` writes it; nil where it is left out.
public struct ChaosRequest: Codable, Sendable {
    /// The route's pattern; all that lead to an upstream when nil.
    public var route: String?
    /// By how much later bytes arrive, as `200ms`.
    public var latency: String?
    /// By how much the latency varies, as `50ms`.
    public var jitter: String?
    /// Bytes that pass in a second, as `64KiB`.
    public var bandwidth: String?
    /// For how long nothing passes, as `5s`.
    public var stall: String?
    /// From the begin of one stall to the next, as `30s`.
    public var stallEvery: String?
    /// With what chance a frame is the one within which the connection ends, as `1%`.
    public var cut: String?
    /// With what chance a frame is the one at which the connection is reset.
    public var reset: String?
    /// With what chance a request for a WebSocket is refused.
    public var refuse: String?
    /// With what chance a WebSocket has faults at all.
    public var share: String?
    /// To what delays belong: `frames` or `bytes`.
    public var level: String?
    /// How long they last, as `1m`.
    public var span: String?

    private enum CodingKeys: String, CodingKey {
        case route, latency, jitter, bandwidth, stall, stallEvery, cut, reset, refuse, share, level
        case span = "for"
    }

    /// Empty: whoever makes one fills it in.
    public init() {}
}

/// Faults that are done to the WebSockets of a route at this moment.
public struct FaultState: Codable, Sendable {
    /// The route's pattern.
    public var route: String
    /// What is done, in words.
    public var what: String
    /// Whether `sluice chaos` has begun them; else the configuration has them.
    public var isOfMoment: Bool
    /// When they end by themselves, in seconds from now; nil where they do not.
    public var secondsLeft: UInt64?

    /// Faults that do not end by themselves.
    public init(route: String, what: String, isOfMoment: Bool) {
        self.route = route
        self.what = what
        self.isOfMoment = isOfMoment
    }
}

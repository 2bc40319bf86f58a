// SPDX-License-Identifier: Apache-2.0

/// What is done on purpose to the WebSockets of a route, so that somebody sees how clients take it.
public struct FaultSettings: Sendable, Equatable {
    /// To what delays belong, and where a connection is cut.
    public enum Level: String, Sendable, CaseIterable {
        /// Each frame is delayed as a whole, and cut within its payload.
        case frames
        /// Bytes are delayed in small pieces, and cut anywhere.
        case bytes
    }

    /// A chance or share that is certain: they are counted in millionths.
    public static let certain = 1_000_000
    /// How long a latency may be.
    static let latencies: ClosedRange<Duration> = .zero ... .seconds(60)
    /// How long a stall may last, and how far stalls may be apart.
    static let stalls: ClosedRange<Duration> = .zero ... .seconds(3_600)
    /// How much may pass in a second.
    static let bandwidths = 100...(1 << 30)
    /// How long faults may last that end by themselves.
    static let spans: ClosedRange<Duration> = .seconds(1) ... .seconds(7 * 86_400)

    /// By how much later bytes arrive, in each direction.
    public var latency = Duration.zero
    /// By how much the latency varies, to both sides.
    public var jitter = Duration.zero
    /// Bytes that pass in a second, in each direction; any number when nil.
    public var bandwidth: Int?
    /// For how long nothing passes.
    public var stall = Duration.zero
    /// From the begin of one stall to the next; there is one only when nil.
    public var stallEvery: Duration?
    /// With what chance a frame is the one within which the connection ends.
    public var cut = 0
    /// With what chance a frame is the one at which the connection is reset.
    public var reset = 0
    /// With what chance a request for a WebSocket is refused.
    public var refuse = 0
    /// With what chance a WebSocket, or a request for one, has faults at all.
    public var share = certain
    /// To what delays belong, and where a connection is cut.
    public var level = Level.frames
    /// How long they last; as long as they are in the configuration when nil.
    public var span: Duration?
    /// Where they were written.
    public var place = SourcePlace.commandLine

    /// No faults.
    public init() {}

    /// Whether nothing would be done.
    public var isEmpty: Bool {
        latency == .zero && jitter == .zero && bandwidth == nil && stall == .zero && cut == 0
            && reset == 0 && refuse == 0
    }

    /// The same without the place.
    public var withoutPlace: FaultSettings {
        var bare = self
        bare.place = .commandLine
        return bare
    }

    /// What does not fit together, as a sentence that begins with the key's name; nil where all does.
    public var clash: (key: String, sentence: String)? {
        if let stallEvery, stallEvery <= stall {
            return (
                "stallEvery",
                "found \(Units.text(stallEvery)), allowed: more than stall, which is \(Units.text(stall))"
            )
        }
        if stallEvery != nil, stall == .zero {
            return ("stallEvery", "says how often, allowed: beside stall, which says how long")
        }
        if jitter > latency {
            return (
                "jitter",
                "found \(Units.text(jitter)), allowed: no more than latency, which is \(Units.text(latency))"
            )
        }
        return nil
    }
}

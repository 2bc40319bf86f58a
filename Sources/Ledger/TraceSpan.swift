// SPDX-License-Identifier: Apache-2.0
public import Wire

/// One request's place in a trace: what is said of it to the upstream, and in the log.
///
/// It is plain bytes, so that a request which nobody records costs no memory of its own.
public struct TraceSpan: Sendable, Equatable {
    /// The trace; none where nothing is traced.
    public var trace = TraceID.none
    /// The name of the request's own span.
    public var span: UInt64 = 0
    /// The span that has caused it, at the proxy in front; 0 for none.
    public var parent: UInt64 = 0
    /// When it began, in nanoseconds of `Clock`; 0 where the span is not recorded.
    public var beganNanoseconds: UInt64 = 0
    /// What is known of the trace.
    public var flags: TraceFlags = []
    /// Whether the `tracestate` that came along goes on.
    public var passesState = false

    /// No place in any trace.
    public init() {}

    /// Whether it has a place in a trace.
    @inline(__always)
    public var isOn: Bool { !trace.isNone }
    /// Whether its span is recorded.
    @inline(__always)
    public var isSampled: Bool { flags.contains(.sampled) }

    /// What the upstream is told.
    public var parentOfNext: TraceParent { TraceParent(trace: trace, span: span, flags: flags) }
}

/// Which requests are recorded that begin a trace.
///
/// What decides is the trace's own name, as OpenTelemetry's consistent sampling has it: whoever samples by
/// the same share, anywhere on the way, decides alike.
public struct TraceSampling: Sendable, Equatable {
    private static let whole: UInt64 = 1 << 56

    /// Traces whose last seven bytes are a smaller number are not recorded.
    private let threshold: UInt64

    /// Records so many of a million traces.
    public init(perMillion: Int) {
        let share = UInt64(min(max(perMillion, 0), 1_000_000))
        let product = Self.whole.multipliedFullWidth(by: share)
        threshold = Self.whole - UInt64(1_000_000).dividingFullWidth(product).quotient
    }

    /// Whether a trace of this name is recorded.
    @inline(__always)
    public func takes(_ trace: TraceID) -> Bool { trace.low & (Self.whole - 1) >= threshold }
}

/// What is known of one span, when it is over.
public struct SpanRecord: Sendable {
    /// What has taken the time.
    public enum Kind: Sendable {
        /// A request that opened no WebSocket.
        case request
        /// The way to a WebSocket, up to its 101.
        case handshake
        /// The end of a WebSocket.
        case relayEnd
    }

    /// A step on the way to a WebSocket.
    public struct Step: Sendable, Equatable {
        /// The steps, in their order, as `sluice_upgrade_duration_seconds` has them.
        public enum Name: String, Sendable, CaseIterable {
            /// From the connection to the end of its TLS handshake.
            case tls
            /// Until the request was read.
            case head
            /// Until there was a place at an endpoint.
            case queue
            /// Until that endpoint got the request.
            case connect
            /// Until its answer went out.
            case answer
        }
        /// Which one it is.
        public let name: Name
        /// When it was over, in nanoseconds since 1970.
        public let endWallNanoseconds: UInt64
        /// How long it has taken.
        public let nanoseconds: UInt64

        /// A step that was over then and has taken so long.
        public init(_ name: Name, endWallNanoseconds: UInt64, nanoseconds: UInt64) {
            self.name = name
            self.endWallNanoseconds = endWallNanoseconds
            self.nanoseconds = nanoseconds
        }
    }

    /// What has taken the time.
    public let kind: Kind
    /// Its place in the trace.
    public let span: TraceSpan
    /// What the access line says of the same.
    public var access: AccessRecord
    /// When it began, in nanoseconds since 1970.
    public let beganWallNanoseconds: UInt64
    /// When it was over, in nanoseconds since 1970.
    public let endedWallNanoseconds: UInt64
    /// The steps of a handshake.
    public var steps: [Step] = []
    /// The handshake that an end belongs to.
    public var handshake: TraceSpan?
    /// Whether it came by TLS.
    public var isSecure = false
    /// The port that the client meant; 0 where it is not known.
    public var port: UInt16 = 0
    /// Whether it was of HTTP/1.0.
    public var isHTTP10 = false

    /// A span that is over.
    public init(
        _ kind: Kind, _ span: TraceSpan, _ access: AccessRecord, beganWallNanoseconds: UInt64,
        endedWallNanoseconds: UInt64
    ) {
        self.kind = kind
        self.span = span
        self.access = access
        self.beganWallNanoseconds = beganWallNanoseconds
        self.endedWallNanoseconds = endedWallNanoseconds
    }
}

/// Where the reactors put spans that are over.
public final class SpanSink: Sendable {
    /// Takes a span; reactors call it within their turns, so it may not wait for anything.
    public let take: @Sendable (SpanRecord) -> Void

    /// A sink that hands spans over.
    public init(_ take: @escaping @Sendable (SpanRecord) -> Void = { _ in }) { self.take = take }
}

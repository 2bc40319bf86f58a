// SPDX-License-Identifier: Apache-2.0

/// What load to generate: plain values.
public struct LoadPlan: Sendable {
    /// What the connections do.
    public enum Mode: Sendable, Equatable {
        /// Each connection has one message under way and sends the next when it is back.
        case echo
        /// Messages leave by the clock, so many per second over all connections, whether or not
        /// earlier ones are back. Latency counts from the moment at which a message should have
        /// left.
        case rate(messagesPerSecond: Double)
        /// Each connection keeps up to so many payload bytes under way.
        case stream(windowBytes: Int)
        /// Each connection is opened, upgraded and closed again, over and over.
        case connect(resumes: Bool)
        /// Connections are opened and held.
        case idle
        /// On each stream of each connection of HTTP/2, over and over: a WebSocket is opened, one message
        /// comes back, it is closed, and the stream ends on both sides.
        case cycle
    }

    /// When the measured part ends.
    public enum End: Sendable, Equatable {
        /// So many seconds after it has begun.
        case seconds(Double)
        /// After so many messages, or cycles of `connect`.
        case count(UInt64)
        /// When the process's standard input ends; for `idle`.
        case standardInputCloses
    }

    /// The server that the load is for.
    public var target: LoadTarget
    /// What each connection does.
    public var mode: Mode
    /// How many connections are open at one time.
    public var connections = 64
    /// How many WebSockets each connection carries, as streams of HTTP/2 (RFC 8441); nil: each connection
    /// is one, by HTTP/1.1 (RFC 6455).
    public var streams: Int?
    /// Payload of each message.
    public var messageBytes = 128
    /// When the measured part ends, which begins behind the warm-up.
    public var end = End.seconds(5)
    /// How long to run before measuring begins.
    public var warmupSeconds = 0.0
    /// How many connections may be in their handshakes at once.
    public var openingsAtOnce = 64
    /// How long a connection may take to open.
    public var openingSeconds = 15.0
    /// PEM file with the certificates to trust; nil: any certificate will do.
    public var caFile: String?
    /// TLS 1.3 cipher suites to offer, colon-separated.
    public var cipherSuites: String?
    /// Processes whose CPU time and memory are measured along.
    public var watchedProcesses: [Int32] = []
    /// The core to run on.
    public var cpu: Int?

    /// A plan with the defaults of everything else.
    public init(target: LoadTarget, mode: Mode) {
        self.target = target
        self.mode = mode
    }

    func check() throws(LoadFault) {
        if connections < 1 { throw LoadFault("there must be at least one connection") }
        if let streams {
            if streams < 1 { throw LoadFault("a connection must carry at least one stream") }
            if !target.isSecure {
                throw LoadFault("HTTP/2 is agreed on in TLS (ALPN), so it needs wss://")
            }
            if case .connect = mode {
                throw LoadFault("connections over and over are those of HTTP/1.1; streams: cycle")
            }
        } else if mode == .cycle {
            throw LoadFault("only streams of HTTP/2 are opened over and over; say how many")
        }
        if messageBytes < 0 { throw LoadFault("a message cannot have \(messageBytes) bytes") }
        if messageBytes > 1 << 30 { throw LoadFault("a message may have up to 1 GiB") }
        if warmupSeconds < 0 { throw LoadFault("the warm-up cannot be negative") }
        if case .rate(let rate) = mode, !(rate > 0) {
            throw LoadFault("the rate must be more than 0 messages per second")
        }
        if case .seconds(let seconds) = end, !(seconds > 0) {
            throw LoadFault("the duration must be more than 0 seconds")
        }
        if end == .standardInputCloses, mode != .idle {
            throw LoadFault("only idle connections wait for the end of standard input")
        }
    }
}

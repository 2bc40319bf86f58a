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
        /// Each connection has so many messages under way and sends the next when one is back. Every message is
        /// timed.
        case closed(inFlight: Int)
        /// Messages come from the server. Their latency is told by a clock that the server's program puts into
        /// them, under this key of their JSON, since 1970; without one it is the gap between two messages of a
        /// connection.
        case push(clock: String?)
        /// All connections are dropped at once and come back. Latency is how long a client takes from the drop
        /// until it is served again; the run ends when all are.
        case storm(BackOff)
        /// Clients do what `program` says. Latency is from the last message that a client has sent, or from its
        /// opening, until the message that it expects is there.
        case script
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
    /// What the messages look like.
    public var message = LoadMessage(sizes: 128...128)
    /// Payload of each message where all are of one size; setting it makes them binary messages of that size.
    public var messageBytes: Int {
        get { message.sizes.upperBound }
        set { message = LoadMessage(sizes: newValue...newValue) }
    }
    /// A message that every connection sends once, as soon as it is open, in `push`.
    public var subscription: LoadMessage?
    /// When the measured part ends, which begins behind the warm-up.
    public var end = End.seconds(5)
    /// How long to run before measuring begins.
    public var warmupSeconds = 0.0
    /// How many connections may be in their handshakes at once.
    public var openingsAtOnce = 64
    /// How long a connection may take to open.
    public var openingSeconds = 15.0
    /// What clients do in `script`.
    public var program: LoadProgram?
    /// Whether clients begin their scenario anew when they are through, until the time is over.
    public var repeatsScenarios = false
    /// Whether clients send by a clock of the script, as one that was recorded: the open model.
    public var isPlayedByTheClock = false
    /// How connections are made.
    public var dialing = LoadDialing()
    /// PEM file with the certificates to trust; nil: any certificate will do.
    public var caFile: String? {
        get { if case .file(let file) = dialing.trust { file } else { nil } }
        set { dialing.trust = newValue.map(LoadTrust.file) ?? .anything }
    }
    /// TLS 1.3 cipher suites to offer, colon-separated.
    public var cipherSuites: String?
    /// Processes whose CPU time and memory are measured along.
    public var watchedProcesses: [Int32] = []
    /// The core to run on.
    public var cpu: Int?
    /// A message that takes longer counts as late; nil: none does.
    public var lateSeconds: Double?
    /// How long answers are awaited when the measured part is over.
    public var drainSeconds = 2.0
    /// A run by count ends when nothing has come for so long.
    public var stallSeconds = 30.0
    /// Whether that holds in every mode, so that each message that was sent is accounted for; else by the clock alone.
    ///
    /// Sockets of `idle` are asked by a Ping then whether they are alive.
    public var awaitsAll = false
    /// The number of the first connection, which is part of the marker of its messages.
    var firstNumber: UInt64 = 0
    /// Which of the threads of the load carries it out.
    var threadIndex = 0
    /// How far the clock of `rate` is ahead, in messages: between 0 and 1.
    var clockPhase = 0.0

    /// A plan with the defaults of everything else.
    public init(target: LoadTarget, mode: Mode) {
        self.target = target
        self.mode = mode
    }
}

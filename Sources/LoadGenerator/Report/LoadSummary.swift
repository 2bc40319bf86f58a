// SPDX-License-Identifier: Apache-2.0

/// What a load has shown: the object that `sluice load --json` writes.
///
/// Keys are added as time goes by, and none is taken away or changes its meaning. Times of messages are those of the
/// measured part; errors and connections are those of the whole run.
public struct LoadSummary: Sendable, Codable, Equatable {
    /// The form of this object.
    public var version = 1
    /// What the connections did: `echo`, `push`, `stream`, `hold`, `connect`, `storm` or `script`.
    public var mode = ""
    /// `open` where messages leave by the clock, `closed` where one waits for another.
    public var model = "closed"
    /// Where the load went.
    public var url = ""
    /// The command line, without secrets.
    public var command = ""
    /// What was asked of the run, by the names of the options; what is the same for every run of a mode is left out.
    public var asked: [String: String] = [:]
    /// When the run began, as in RFC 3339.
    public var startedAt = ""
    /// How long was measured, in seconds.
    public var seconds = 0.0
    /// WebSockets of the whole run.
    public var connections = Connections()
    /// Messages of the measured part.
    public var messages = Messages()
    /// How long messages took; of `connect` whole cycles, of `storm` from the drop until served again, of `push`
    /// the age of messages or the gap between them.
    public var latencyMicroseconds = Latency()
    /// How connections were opened.
    public var opening = Opening()
    /// What went wrong, by cause; most first.
    public var errors: [Failure] = []
    /// Whether this program was slower than what it measured, so that numbers speak of it.
    public var generatorLimited = false
    /// What has to be known to read the numbers, in sentences.
    public var notes: [String] = []
    /// How the generator did.
    public var generator = Generator()
    /// What was expected of the run.
    public var expectations: [Expected] = []
    /// How a storm went; nil in other modes.
    public var storm: Storm?
    /// How the scenarios of a script went; empty in other modes.
    public var scenarios: [Scenario] = []
    /// What TLS agreed on; nil without TLS.
    public var tls: Security?
    /// The latencies as HdrHistogram's compressed form in base64, in nanoseconds.
    public var histogram = ""
    /// The run, stretch by stretch.
    public var timeline = Timeline()
    /// The distribution of latencies: how much each share of messages took at most.
    public var distribution: [Point] = []
    /// The single runs where one was made several times; then everything else is of all together.
    public var runs: [Run] = []
    /// Where it ran.
    public var environment = Environment()

    /// A summary of nothing.
    public init() {}

    /// WebSockets.
    public struct Connections: Sendable, Codable, Equatable {
        /// How many were wanted at one time.
        public var wanted = 0
        /// How many became open; in `connect` and `storm` each time counts.
        public var opened: UInt64 = 0
        /// How many did not.
        public var failed: UInt64 = 0
        /// How many ended before their time.
        public var lost: UInt64 = 0
        /// In `hold`, how many answered a Ping at the end; nil in other modes.
        public var alive: UInt64?
    }

    /// Messages.
    public struct Messages: Sendable, Codable, Equatable {
        /// Under way in the measured part.
        public var sent: UInt64 = 0
        /// Of these, how many came back, or in `push` came.
        public var received: UInt64 = 0
        /// Of these, how many took longer than `--late`.
        public var late: UInt64 = 0
        /// Not sent, since their connection was gone when the clock let them go, or took nothing until the end.
        public var unsent: UInt64 = 0
        /// Came and were dropped, since their script did not expect them in time.
        public var dropped: UInt64 = 0
        /// Came before their own clock said that they had left, and so have no age; `push --clock` alone.
        public var early: UInt64 = 0
        /// By how much at most, in microseconds.
        public var earlyMaxMicroseconds = 0.0
        /// Sent in the whole run, with warm-up.
        public var totalSent: UInt64 = 0
        /// Received in the whole run.
        public var totalReceived: UInt64 = 0
        /// Received per second of the measured part.
        public var perSecond = 0.0
        /// Payload received in the measured part, in 10⁶ bytes.
        public var megabytes = 0.0
        /// The same per second.
        public var megabytesPerSecond = 0.0
    }

    /// Times in microseconds; all 0 where nothing was measured.
    public struct Latency: Sendable, Codable, Equatable {
        /// How many there are.
        public var count: UInt64 = 0
        /// Half took no longer.
        public var p50 = 0.0
        /// All but one of ten took no longer.
        public var p90 = 0.0
        /// All but one of a hundred took no longer.
        public var p99 = 0.0
        /// All but one of a thousand took no longer.
        public var p999 = 0.0
        /// The longest.
        public var max = 0.0
        /// The mean.
        public var mean = 0.0
    }

    /// How connections were opened; times are those of the whole run.
    public struct Opening: Sendable, Codable, Equatable {
        /// From the first connection until traffic began; of `connect` and `script`, which open all the time, the
        /// measured part.
        public var seconds = 0.0
        /// WebSockets opened in that; of `connect` those that were through.
        public var opened: UInt64 = 0
        /// The same per second; 0 in a storm.
        public var perSecond = 0.0
        /// How long the name took to be looked up, in microseconds; nil for an address.
        public var nameMicroseconds: Double?
        /// TCP connections.
        public var tcpMicroseconds = Latency()
        /// Full TLS handshakes; nil where there was none.
        public var tlsMicroseconds: Latency?
        /// TLS handshakes that took up an earlier session; nil where there was none.
        public var tlsResumedMicroseconds: Latency?
        /// From the request to the 101.
        public var upgradeMicroseconds = Latency()
        /// How many took up an earlier session.
        public var resumed: UInt64 = 0
        /// By how much a connection of a ramp began too late, at most; nil without a ramp.
        public var rampLateMicroseconds: Double?
    }

    /// Errors of one cause.
    public struct Failure: Sendable, Codable, Equatable {
        /// The cause, as `refused` or `close-1011`.
        public var cause: String
        /// How often.
        public var count: UInt64
        /// The first one, in a sentence.
        public var example: String
    }

    /// How this program did.
    public struct Generator: Sendable, Codable, Equatable {
        /// Why it was the limit; empty where it was not.
        public var reasons: [String] = []
        /// How many threads it had.
        public var threads = 0
        /// How much of its core each thread used while measuring: 1 is all of it; none where less than 10 ms were measured.
        public var cpuShares: [Double] = []
        /// How much of the time each of these was ready to run and waited for a core: 1 is all of it.
        public var runQueueShares: [Double] = []
        /// The share of reads behind which the socket had more: 1 is all of them.
        public var fullReadShare = 0.0
        /// CPU time of its threads in the measured part per message, in microseconds; nil without messages.
        public var cpuMicrosecondsPerMessage: Double?
        /// How much later than by the clock messages left; nil in the closed model.
        public var sendLateMicroseconds: Latency?
        /// How long events waited for those that were ready with them.
        public var receiveLateMicroseconds = Latency()
        /// The most memory that the process had, in kilobytes.
        public var peakKilobytes: UInt64 = 0
    }

    /// An expectation, and whether it was met.
    public struct Expected: Sendable, Codable, Equatable {
        /// As it was written.
        public var text: String
        /// Whether it was met.
        public var isMet: Bool
        /// What was found, with its unit.
        public var found: String
    }

    /// How a storm went.
    public struct Storm: Sendable, Codable, Equatable {
        /// Clients that were served again.
        public var served = 0
        /// Clients that were waiting for their next attempt at the end.
        public var waiting = 0
        /// Clients whose attempt was under way then.
        public var connecting = 0
        /// Attempts of all together.
        public var attempts: UInt64 = 0
        /// From the drop until all were served; nil where some were not.
        public var secondsUntilAllServed: Double?
    }

    /// How a scenario of a script went.
    public struct Scenario: Sendable, Codable, Equatable {
        /// Its name.
        public var name: String
        /// How often a client went through all of it.
        public var finished: UInt64
        /// How often a client did not.
        public var failed: UInt64
    }

    /// What TLS agreed on.
    public struct Security: Sendable, Codable, Equatable {
        /// `1.2` or `1.3`.
        public var version: String
        /// The cipher suite.
        public var cipher: String
    }

    /// The run, stretch by stretch.
    public struct Timeline: Sendable, Codable, Equatable {
        /// How long a stretch is.
        public var intervalSeconds = 1.0
        /// The stretches from the first connection on.
        public var intervals: [Interval] = []
    }

    /// What happened in one stretch.
    public struct Interval: Sendable, Codable, Equatable {
        /// WebSockets opened.
        public var opened: UInt64
        /// WebSockets that failed to open.
        public var failed: UInt64
        /// Messages sent.
        public var sent: UInt64
        /// Messages received.
        public var received: UInt64
        /// Errors.
        public var errors: UInt64
        /// Half of the latencies were no longer; 0 without any.
        public var p50: Double
        /// All but one of a hundred.
        public var p99: Double
        /// The longest.
        public var max: Double
        /// How many latencies are in which bucket: pairs of the bucket's lowest value in microseconds, and the count.
        public var buckets: [[Double]]
    }

    /// A point of the distribution.
    public struct Point: Sendable, Codable, Equatable {
        /// The share of messages, 0 to 100.
        public var percentile: Double
        /// What they took at most, in microseconds.
        public var microseconds: Double
    }

    /// One run of several.
    public struct Run: Sendable, Codable, Equatable {
        /// How long was measured, in seconds.
        public var seconds: Double
        /// Messages received per second, or cycles of `connect`.
        public var perSecond: Double
        /// Times of its messages.
        public var latencyMicroseconds: Latency
        /// Errors of all causes.
        public var errors: UInt64
        /// CPU time of the process per message, in microseconds.
        public var cpuMicrosecondsPerMessage: Double?
    }

    /// Where it ran.
    public struct Environment: Sendable, Codable, Equatable {
        /// The version of Sluice.
        public var version = ""
        /// The machine's name.
        public var host = ""
        /// The system and its version.
        public var system = ""
        /// Cores that this process may use.
        public var cores = 0

        /// Nothing known.
        public init() {}
    }

    /// The same as one run of several.
    var asRun: Run {
        Run(
            seconds: seconds,
            perSecond: mode == "connect" ? opening.perSecond : messages.perSecond,
            latencyMicroseconds: latencyMicroseconds,
            errors: errors.reduce(0) { $0 + $1.count },
            cpuMicrosecondsPerMessage: generator.cpuMicrosecondsPerMessage)
    }
}

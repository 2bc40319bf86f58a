// SPDX-License-Identifier: Apache-2.0

/// What a running Sluice does at one moment: what `GET /live` answers, and what a dashboard is sent each second.
///
/// Counters begin with 0 when the process does and only grow, so that who looks twice has the rate: the difference
/// over that of `clockMilliseconds`. Fields may be added; those that are here keep their names and meanings for as
/// long as `form` is the same.
public struct LiveState: Codable, Sendable {
    /// The form of this object.
    public var form = 1
    /// The version of the program that answers.
    public var version = ""
    /// The number of the process that answers.
    public var pid: Int32 = 0
    /// When it began, in UTC (RFC 3339).
    public var started = ""
    /// When this was looked at, in milliseconds since 1970.
    public var timeMilliseconds: UInt64 = 0
    /// The same by a clock that nobody sets.
    public var clockMilliseconds: UInt64 = 0
    /// Whether it takes new connections.
    public var isReady = true
    /// Whether `admin.token` is set, by which a dashboard may act.
    public var hasToken = false
    /// The configuration in use.
    public var configuration = ConfigurationState()
    /// What the process uses.
    public var process = LiveProcess()
    /// All routes and connections together.
    public var totals = LiveTotals()
    /// The listeners, in the order of the configuration.
    public var listeners: [LiveListener] = []
    /// The routes in the order of the configuration; where there are more than `LiveQuery.routesMax`, those that
    /// have carried most.
    public var routes: [LiveRoute] = []
    /// How many routes there are.
    public var routeCount = 0
    /// The upstreams and their endpoints, so many endpoints at most as `LiveQuery.endpointsMax`.
    public var upstreams: [LiveUpstream] = []
    /// How many endpoints there are.
    public var endpointCount = 0
    /// How long things take, and how large they are.
    public var histograms = LiveHistograms()
    /// How relays have ended, the most frequent first.
    public var closes: [LiveClose] = []
    /// Drains since the start, the newest last; of those that are done the last few.
    public var drains: [DrainState] = []
    /// Clients that have live relays, those with the most traffic first.
    public var clients: [LiveClient] = []
    /// How many clients have live relays.
    public var clientCount = 0
    /// Live relays that were asked for.
    public var relays: [LiveRelay] = []
    /// How many live relays match what was asked for.
    public var relaysMatching = 0
    /// Over how many seconds the rates of relays and clients were measured; nil where there was no look before this
    /// one in the last minute, so that there are none.
    public var rateSeconds: Double?

    /// Empty: whoever makes one fills it in.
    public init() {}
}

/// What a process uses.
public struct LiveProcess: Codable, Sendable {
    /// Processor time of user and system since the start, in seconds.
    public var cpuSeconds = 0.0
    /// Resident memory, in bytes.
    public var residentBytes: UInt64 = 0
    /// Descriptors that are open.
    public var descriptors = 0
    /// Descriptors that may be open.
    public var descriptorsMax = 0
    /// Connections that there may be (`limits.connections`); nil where nothing limits them.
    public var connectionsMax: Int?
    /// Why new connections wait at present, as a sentence goes on behind `new connections wait: `; nil where they
    /// do not.
    public var waitingReason: String?
    /// Bytes that open relays hold for peers that do not take them yet.
    public var heldBytes: UInt64 = 0
    /// Log lines that were lost.
    public var logLinesLost: UInt64 = 0
    /// Why log lines can't be written at present; nil when they can.
    public var logProblem: String?
    /// The reactors.
    public var reactors: [LiveReactor] = []

    /// Empty: whoever makes one fills it in.
    public init() {}
}

/// One reactor.
public struct LiveReactor: Codable, Sendable {
    /// Connections from clients that it has.
    public var connections: Int
    /// Turns of its loop since the start.
    public var turns: UInt64

    /// A reactor with so many connections, after so many turns.
    public init(connections: Int, turns: UInt64) {
        self.connections = connections
        self.turns = turns
    }
}

/// What passes, each a counter since the start unless it says `now`.
public struct LiveTotals: Codable, Sendable {
    /// Connections from clients now.
    public var connections: UInt64 = 0
    /// Connections from clients that were taken up.
    public var connectionsTotal: UInt64 = 0
    /// Relays that are open now.
    public var relays: UInt64 = 0
    /// Ordinary requests in progress now.
    public var requestsInFlight: UInt64 = 0
    /// What has passed.
    public var traffic = LiveTraffic()
    /// TLS handshakes that were completed.
    public var handshakes: UInt64 = 0
    /// TLS handshakes that were begun and not completed.
    public var handshakeFailures: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// Counters of a route, or of all.
public struct LiveTraffic: Codable, Sendable {
    /// Relays that were opened.
    public var relaysOpened: UInt64 = 0
    /// Relays that have ended.
    public var relaysClosed: UInt64 = 0
    /// Text and binary messages from clients.
    public var upMessages: UInt64 = 0
    /// Their payload, in bytes.
    public var upBytes: UInt64 = 0
    /// Text and binary messages to clients.
    public var downMessages: UInt64 = 0
    /// Their payload, in bytes.
    public var downBytes: UInt64 = 0
    /// Ordinary requests that are over.
    public var requests: UInt64 = 0
    /// Of these, those that were answered with 500 and above.
    public var requestErrors: UInt64 = 0
    /// Requests for a WebSocket that opened none.
    public var upgradesRefused: UInt64 = 0
    /// Limits that were met.
    public var limitHits: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// One listener.
public struct LiveListener: Codable, Sendable {
    /// Its URL, with the address as bound: `wss://0.0.0.0:8443`.
    public var url: String
    /// Connections that are open through it now.
    public var connections: UInt64 = 0
    /// Connections through it since the start.
    public var connectionsTotal: UInt64 = 0
    /// Its certificates, by the names that they are for: those that end first, `LiveQuery.certificatesMax` at most.
    public var certificates: [LiveCertificate] = []

    /// A listener by its URL.
    public init(url: String) { self.url = url }
}

/// When the certificate for a name ends.
public struct LiveCertificate: Codable, Sendable {
    /// The name that it is for.
    public var name: String
    /// Its last moment, in UTC (RFC 3339).
    public var notAfter: String
    /// The same in seconds from now; less than 0 behind it.
    public var secondsLeft: Int64

    /// A certificate for a name, by its end.
    public init(name: String, notAfter: String, secondsLeft: Int64) {
        self.name = name
        self.notAfter = notAfter
        self.secondsLeft = secondsLeft
    }
}

/// One route.
public struct LiveRoute: Codable, Sendable {
    /// Its host and path pattern.
    public var name: String
    /// The upstream or endpoint that its requests go to, or what Sluice answers itself, in a few words; `-` where
    /// the route is not in the configuration any more.
    public var to: String
    /// The upstream to which it leads; nil where it leads to none.
    public var upstream: String?
    /// Whether it takes no new relays.
    public var isDraining = false
    /// Whether a reload has taken it out.
    public var isLeft = false
    /// Relays that are open by it now.
    public var relays: UInt64 = 0
    /// Ordinary requests in progress by it now.
    public var requestsInFlight: UInt64 = 0
    /// What it has carried.
    public var traffic = LiveTraffic()

    /// A route by its pattern, with where it leads.
    public init(name: String, to: String) {
        self.name = name
        self.to = to
    }
}

/// One upstream.
public struct LiveUpstream: Codable, Sendable {
    /// The name that it has under `upstreams`, or what stands for it where a route names one endpoint.
    public var name: String
    /// Requests that wait for a place at one of its endpoints.
    public var waiting = 0
    /// Who is behind it.
    public var endpoints: [LiveEndpoint] = []

    /// An upstream by its name.
    public init(name: String) { self.name = name }
}

/// One endpoint: its state as `GET /state` has it, and what was counted of it.
public struct LiveEndpoint: Codable, Sendable {
    /// What `GET /state` says of it; in JSON beside the counts.
    public var state: EndpointState
    /// Relays that are open to it now.
    public var relays: UInt64 = 0
    /// Attempts to reach it, and upgrades there, that have failed.
    public var failures: UInt64 = 0
    /// How often it was passed over for a while.
    public var ejections: UInt64 = 0

    private enum CodingKeys: String, CodingKey {
        case relays
        case failures
        case ejections
    }

    /// An endpoint with its state and nothing counted.
    public init(_ state: EndpointState) { self.state = state }

    /// Reads state and counts out of one object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        state = try EndpointState(from: decoder)
        relays = try container.decode(UInt64.self, forKey: .relays)
        failures = try container.decode(UInt64.self, forKey: .failures)
        ejections = try container.decode(UInt64.self, forKey: .ejections)
    }

    /// Writes state and counts into one object.
    public func encode(to encoder: any Encoder) throws {
        try state.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(relays, forKey: .relays)
        try container.encode(failures, forKey: .failures)
        try container.encode(ejections, forKey: .ejections)
    }
}

/// How values are distributed; nil where none was measured yet.
public struct LiveHistograms: Codable, Sendable {
    /// From a client's connection to its 101, in seconds.
    public var upgrade: LiveHistogram?
    /// From the head of an ordinary request to the last byte of its answer, in seconds.
    public var request: LiveHistogram?
    /// How long clients take to answer Pings, in seconds.
    public var clientPing: LiveHistogram?
    /// How long upstreams take to answer Pings, in seconds.
    public var upstreamPing: LiveHistogram?
    /// Messages from clients, in bytes.
    public var upMessage: LiveHistogram?
    /// Messages to clients, in bytes.
    public var downMessage: LiveHistogram?
    /// How long the turns of the reactors take, in seconds.
    public var turn: LiveHistogram?

    /// Nothing was measured.
    public init() {}
}

/// How many values fell into each of some buckets since the start.
public struct LiveHistogram: Codable, Sendable {
    /// The upper bounds of the buckets, which belong to them, in rising order.
    public var bounds: [Double]
    /// How many fell into each bucket alone, and last how many were above all bounds: one more than `bounds`.
    public var counts: [UInt64]
    /// The sum of all values.
    public var sum: Double

    /// A histogram of so many values in each bucket.
    public init(bounds: [Double], counts: [UInt64], sum: Double) {
        self.bounds = bounds
        self.counts = counts
        self.sum = sum
    }
}

/// How many relays have ended in one way, in the words of the access line.
public struct LiveClose: Codable, Sendable {
    /// The code of the Close, `none`, or a group of codes: `3xxx`, `4xxx`, `other`.
    public var code: String
    /// Who has begun it.
    public var by: String
    /// Why.
    public var reason: String
    /// How many.
    public var count: UInt64

    /// So many relays that have ended so.
    public init(code: String, by: String, reason: String, count: UInt64) {
        self.code = code
        self.by = by
        self.reason = reason
        self.count = count
    }
}

/// The live relays of one client's address together.
public struct LiveClient: Codable, Sendable {
    /// The address, without a port.
    public var client: String
    /// How many relays it has.
    public var relays = 0
    /// Messages of these relays in both directions.
    public var messages: UInt64 = 0
    /// Payload bytes of these relays in both directions.
    public var bytes: UInt64 = 0
    /// Messages in a second in both directions, over `rateSeconds`; nil without that.
    public var messagesPerSecond: Double?
    /// Payload bytes in a second in both directions, over `rateSeconds`; nil without that.
    public var bytesPerSecond: Double?

    /// A client by its address.
    public init(client: String) { self.client = client }
}

/// One live relay: what `GET /relays` says of it, and its rates.
public struct LiveRelay: Codable, Sendable {
    /// What `GET /relays` says of it; in JSON beside the rates.
    public var state: RelayState
    /// Messages in a second in both directions, over `rateSeconds`; nil without that.
    public var messagesPerSecond: Double?
    /// Payload bytes in a second in both directions, over `rateSeconds`; nil without that.
    public var bytesPerSecond: Double?

    private enum CodingKeys: String, CodingKey {
        case messagesPerSecond
        case bytesPerSecond
    }

    /// A relay with its state and no rates.
    public init(_ state: RelayState) { self.state = state }

    /// Reads state and rates out of one object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        state = try RelayState(from: decoder)
        messagesPerSecond = try container.decodeIfPresent(Double.self, forKey: .messagesPerSecond)
        bytesPerSecond = try container.decodeIfPresent(Double.self, forKey: .bytesPerSecond)
    }

    /// Writes state and rates into one object.
    public func encode(to encoder: any Encoder) throws {
        try state.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(messagesPerSecond, forKey: .messagesPerSecond)
        try container.encodeIfPresent(bytesPerSecond, forKey: .bytesPerSecond)
    }
}

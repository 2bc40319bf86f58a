// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor

/// What a running Sluice says of itself, as JSON.
public struct AdminState: Codable, Sendable {
    /// The version of the program that answers, as `sluice --version` says it.
    public var version = ""
    /// The number of the process that answers.
    public var pid: Int32 = 0
    /// When it began, in UTC (RFC 3339).
    public var started = ""
    /// Whether it takes new connections.
    public var isReady = true
    /// The configuration in use.
    public var configuration = ConfigurationState()
    /// Connections from clients that are open now, over all reactors.
    public var connections = 0
    /// The same for each reactor.
    public var reactors: [Int] = []
    /// How far the limit of open files reaches; nil where no reserve is kept, or an older Sluice answers.
    public var descriptors: DescriptorState?
    /// How TLS records are sealed and opened; nil without TLS, and of an older Sluice.
    public var records: RecordState?
    /// How many connections from clients there may be (`limits.connections`); nil where nothing limits them, or an
    /// older Sluice answers.
    public var connectionsMax: Int?
    /// The listeners, in the order of the configuration.
    public var listeners: [ListenerState] = []
    /// Which requests go where.
    public var routes: [RouteState] = []
    /// The upstreams and their endpoints, with how each endpoint is.
    public var upstreams: [UpstreamState] = []
    /// Drains since the start, the newest last; of those that are done the last few.
    public var drains: [DrainState] = []
    /// How many taps listen; nil of an older Sluice.
    public var taps: Int?
    /// Faults that are done on purpose at this moment; nil where there are none.
    public var faults: [FaultState]?
    /// Log lines that were lost because the log was too slow.
    public var droppedLogLines = 0
    /// Log lines that were lost because they could not be written.
    public var unwrittenLogLines = 0
    /// Why log lines can't be written at present; nil when they can.
    public var logProblem: String?

    /// An empty state; `AdminDesk` fills it in.
    public init() {}

    /// Why new connections wait at present, as a sentence goes on behind `new connections wait: `; nil where they
    /// do not.
    public var whyClientsWait: String? {
        if let most = connectionsMax, connections >= most {
            return "all \(most) connections that limits.connections allows are open"
        }
        if let descriptors, descriptors.isFull {
            return "all \(descriptors.most) descriptors for connections are in use"
        }
        return nil
    }
}

/// Descriptors of the connections of clients and to endpoints.
public struct DescriptorState: Codable, Sendable {
    /// How many those that are open have, or are going to need.
    public var used: Int
    /// How many they may have together: the limit of open files without what is kept for the process.
    public var most: Int
    /// Whether a further client has to wait, who needs two.
    public var isFull: Bool { used + 2 > most }

    /// So many of so many.
    public init(used: Int, most: Int) {
        self.used = used
        self.most = most
    }
}

/// How TLS records are sealed and opened.
public struct RecordState: Codable, Sendable {
    /// Whether sessions leave OpenSSL's object.
    public var areReleased: Bool
    /// Why they keep it; nil where they leave it.
    public var keepingReason: String?
    /// Sessions that have left it, since the start.
    public var releasedSessions: Int
    /// What people call who seals and opens their records in AES-GCM then.
    public var engine: String
    /// Why that is none faster; nil where nothing is to be said.
    public var engineReason: String?

    /// Whether sessions are released, how many were since the start, and who does it for them.
    public init(areReleased: Bool, releasedSessions: Int, engine: String) {
        self.areReleased = areReleased
        self.releasedSessions = releasedSessions
        self.engine = engine
    }
}

/// The configuration in use.
public struct ConfigurationState: Codable, Sendable {
    /// The file; empty where there is none.
    public var file = ""
    /// How often one was taken up since the start: 1 for the first.
    public var generation = 1
    /// When it was, in UTC (RFC 3339).
    public var loaded = ""
    /// Why the last attempt to take up another one failed; nil when it did not.
    public var lastProblem: String?
    /// Keys that differ from what the process started with, and that a new process alone takes up; nil where there
    /// are none, and of an older Sluice.
    public var waiting: [String]?

    /// That something waits for a new process, in a sentence without its end; nil where nothing does.
    public var waitingSentence: String? {
        guard let waiting, !waiting.isEmpty else { return nil }
        return "\(waiting.joined(separator: " and ")) \(waiting.count == 1 ? "waits" : "wait") for"
            + " `sluice upgrade` or a restart"
    }

    /// Empty: whoever makes one fills it in.
    public init() {}
}

/// One listener: its address as bound, what it speaks, and what it identifies itself with.
public struct ListenerState: Codable, Sendable {
    /// The address as bound.
    public var address: String
    /// Its certificates; none where it is plain.
    public var certificates: [CertificateState]
    /// What it speaks, by the names of ALPN (RFC 7301); an older Sluice does not say.
    public var protocols: [String]?
    /// Whether a connection begins with a header of the PROXY protocol; an older Sluice does not say.
    public var expectsProxyHeader: Bool?

    /// A listener with its address as bound and its certificates.
    public init(
        address: String, certificates: [CertificateState], expectsProxyHeader: Bool? = nil
    ) {
        self.address = address
        self.certificates = certificates
        self.expectsProxyHeader = expectsProxyHeader
    }
}

/// One certificate that a listener serves, by the file of its chain.
public struct CertificateState: Codable, Sendable {
    /// The file of the chain.
    public var chain: String
    /// The names that it is for.
    public var names: [String]
    /// The moment from which it is valid, in UTC (RFC 3339); nil where the process does not tell.
    public var notBefore: String?
    /// The last moment at which it is valid, in UTC (RFC 3339).
    public var notAfter: String

    /// A certificate by the path of its chain, its names and its end (UTC, RFC 3339).
    public init(chain: String, names: [String], notAfter: String) {
        self.chain = chain
        self.names = names
        self.notAfter = notAfter
    }
}

/// One route: its pattern, where it leads, and how many relays it has.
public struct RouteState: Codable, Sendable {
    /// Its host and path pattern.
    public var name: String
    /// The upstream or endpoint that its requests go to, or what Sluice answers itself, in a few words.
    public var to: String
    /// How many WebSockets are open by it now.
    public var relays: Int
    /// Whether it takes no new ones.
    public var isDraining: Bool
    /// Whether a reload has taken it out, and it is named for its live relays; an older Sluice does not say.
    public var isLeft: Bool?
    /// The upstream to which it leads; nil where it leads to none, and of an older Sluice.
    public var upstream: String?

    /// A route with where it leads, its live relays and whether it drains.
    public init(name: String, to: String, relays: Int, isDraining: Bool) {
        self.name = name
        self.to = to
        self.relays = relays
        self.isDraining = isDraining
    }
}

/// One upstream: its endpoints, and how many requests wait for one of them.
public struct UpstreamState: Codable, Sendable {
    /// The name that it has under `upstreams`, or what stands for it where a route names one endpoint.
    public var name: String
    /// Who is behind it.
    public var endpoints: [EndpointState]
    /// Requests that wait for a place at one of them.
    public var waiting = 0
    /// Whether nobody looks at the certificates of its endpoints (`tls.verify`); nil where that is not so.
    public var isUnverified: Bool?

    /// An upstream by its name, with its endpoints.
    public init(name: String, endpoints: [EndpointState]) {
        self.name = name
        self.endpoints = endpoints
    }
}

/// One endpoint of an upstream: its addresses, its load and its health.
public struct EndpointState: Codable, Sendable {
    /// How people wrote it.
    public var label: String
    /// What its name stands for at present.
    public var addresses: [String]
    /// Relays, requests and attempts to connect under way.
    public var active: Int
    /// The one word for it: whether it gets its share of requests, and if not, why.
    public var state: EndpointCondition
    /// What its checks have found; nil where there are none.
    public var health: HealthState?
    /// Why connects or upgrades fail; nil while they don't.
    public var lastError: String?
    /// When the one of `lastError` failed, in UTC (RFC 3339); nil while none does.
    public var lastErrorTime: String?

    /// An endpoint as people wrote it, with its addresses, live relays and condition.
    public init(
        label: String, addresses: [String], active: Int, state: EndpointCondition
    ) {
        self.label = label
        self.addresses = addresses
        self.active = active
        self.state = state
    }
}

/// How an endpoint is, in the one word that matters most.
public enum EndpointCondition: String, Codable, Sendable {
    /// It gets its share.
    case ok
    /// A connect has failed, or upgrades have, and nothing has reached it since.
    case failing
    /// Its health checks fail, so it gets nothing as long as others are well.
    case unhealthy
    /// Its checks have not begun.
    case unchecked
    /// It gets no new connections.
    case draining
    /// Its weight is 0, so it gets no new connections.
    case resting
    /// Its name has no address.
    case unresolved
    /// It is in no upstream any more.
    case left
    /// A word of another version of Sluice.
    case unknown

    /// Reads a word; one of another version is `unknown`.
    public init(from decoder: any Decoder) throws {
        let word = try decoder.singleValueContainer().decode(String.self)
        self = EndpointCondition(rawValue: word) ?? .unknown
    }
}

/// What the checks of an endpoint have found.
public struct HealthState: Codable, Sendable, Equatable {
    /// Whether it counts as healthy.
    public var isHealthy: Bool
    /// When it became what it is, in UTC (RFC 3339).
    public var since: String
    /// When the last check ended.
    public var lastCheck: String
    /// Whether that one passed.
    public var lastPassed: Bool
    /// Why the last one that failed did, and when; nil where none has.
    public var lastError: String?
    /// When the check of `lastError` failed, in UTC (RFC 3339); nil where none has.
    public var lastErrorTime: String?

    /// A state that has no error yet.
    public init(isHealthy: Bool, since: String, lastCheck: String, lastPassed: Bool) {
        self.isHealthy = isHealthy
        self.since = since
        self.lastCheck = lastCheck
        self.lastPassed = lastPassed
    }
}

/// One drain, as `sluice status` shows it: what it ends and how far it is.
public struct DrainState: Codable, Sendable {
    /// The drain's number, by which it is asked for; the first of a process is 1.
    public var id: Int
    /// What it is for, in words.
    public var what: String
    /// How many relays were found, told, closed and cut so far; in JSON beside the others.
    public var progress: DrainProgress
    /// Why it has ended without what it was for; nil where it has not.
    public var problem: String?

    private enum CodingKeys: String, CodingKey {
        case id
        case what
        case problem
    }

    /// A drain of `what`, and how far it is.
    public init(id: Int, what: String, progress: DrainProgress) {
        self.id = id
        self.what = what
        self.progress = progress
    }

    /// Reads number, words and counts out of one object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(Int.self, forKey: .id)
        what = try container.decode(String.self, forKey: .what)
        problem = try container.decodeIfPresent(String.self, forKey: .problem)
        progress = try DrainProgress(from: decoder)
    }

    /// Writes number, words and counts into one object.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(what, forKey: .what)
        try container.encodeIfPresent(problem, forKey: .problem)
        try progress.encode(to: encoder)
    }
}

/// One WebSocket that is open now, with what it has carried.
public struct RelayState: Codable, Sendable {
    /// Its place in the process, for closing it.
    public var id: String
    /// The name that it keeps, as its app was told by `{relay}`; nil where its route tells none.
    public var name: String?
    /// The client's address: who connected, or whom a trusted proxy names.
    public var client: String
    /// Who the client has proven to be; nil where the route did not ask.
    public var subject: String?
    /// By what: `h1` on a connection of its own, `h2` on a stream of HTTP/2; an older Sluice does not say.
    public var `protocol`: String?
    /// The pattern of the route by which it was opened.
    public var route: String
    /// The path that was asked for.
    public var path: String
    /// The label of the endpoint that it leads to.
    public var endpoint: String
    /// Since the client connected or, in HTTP/2, since the stream of the WebSocket began; in seconds.
    public var seconds: UInt64
    /// Messages from the client, and bytes of their payload.
    public var upMessages: UInt64
    /// Bytes of payload from the client, in data frames.
    public var upBytes: UInt64
    /// Messages to the client, and bytes of their payload.
    public var downMessages: UInt64
    /// Bytes of payload to the client, in data frames.
    public var downBytes: UInt64
    /// How long the client took to answer the last Ping; nil when none was answered.
    public var roundTripMicroseconds: UInt32?
    /// In how many seconds it ends with its token; nil where it does not.
    public var secondsLeft: UInt64?
    /// Whether Closes are being exchanged.
    public var isEnding: Bool

    /// What is known of it, for people and programs.
    public init(_ relay: RelayFacts) {
        id = relay.id.description
        name = relay.name.isNone ? nil : relay.name.description
        client = relay.client.peerDescription
        subject = relay.user.isEmpty ? nil : relay.user
        `protocol` = relay.isHTTP2 ? "h2" : "h1"
        route = relay.route
        path = relay.path
        endpoint = relay.endpoint
        seconds = relay.ageMilliseconds / 1_000
        upMessages = relay.up.messages
        upBytes = relay.up.payloadBytes
        downMessages = relay.down.messages
        downBytes = relay.down.payloadBytes
        let trip = relay.clientRoundTrip
        roundTripMicroseconds = trip.count > 0 ? trip.lastMicroseconds : nil
        let now = Clock.wallMilliseconds()
        secondsLeft = relay.endMilliseconds.map { ($0 - min(now, $0) + 999) / 1_000 }
        isEnding = relay.isEnding
    }
}

/// What became of something that was asked for.
public struct AdminOutcome: Codable, Sendable {
    /// Whether it was done.
    public var isDone: Bool
    /// What was done, or why it was not.
    public var message: String
    /// The drain that was begun.
    public var drain: Int?
    /// The number of the process that answers; nil with one that does not say, as an older Sluice.
    public var process: Int32?
    /// The path of its configuration file, from `/` on; empty in quick mode.
    public var configuration: String?
    /// What became of the live sockets, where it was an upgrade.
    public var upgrade: UpgradeReport?

    /// What became of a request of an operator, in a sentence; the drain's number if it began one.
    public init(isDone: Bool, message: String, drain: Int? = nil) {
        self.isDone = isDone
        self.message = message
        self.drain = drain
    }
}

/// What a drain is asked for with; what is nil is as the configuration has it.
public struct DrainRequest: Codable, Sendable {
    /// The route's pattern; all routes when nil.
    public var route: String?
    /// The endpoint's label; all when nil.
    public var endpoint: String?
    /// True where the whole process is to be drained and to stop, which has to be said; else nil.
    public var everything: Bool?
    /// The Close code (RFC 6455 §7.4) that the relays end with.
    public var code: UInt16?
    /// The reason in the Close.
    public var reason: String?
    /// From the first Close to the last.
    public var spreadMilliseconds: UInt64?
    /// Until those are cut that have not closed.
    public var timeoutMilliseconds: UInt64?

    /// Empty: whoever makes one fills it in.
    public init() {}
}

/// What a rebalance is asked for with.
public struct RebalanceRequest: Codable, Sendable {
    /// The name of the upstream whose relays are to be evened out.
    public var upstream: String
    /// How many relays are ended in a second.
    public var perSecond: Int
    /// The Close code; `AdminDefaults.closeCode` when nil.
    public var code: UInt16?

    /// A request to even out the relays of `upstream`, closing `perSecond` of them with `code`.
    public init(upstream: String, perSecond: Int, code: UInt16?) {
        self.upstream = upstream
        self.perSecond = perSecond
        self.code = code
    }
}

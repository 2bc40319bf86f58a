// SPDX-License-Identifier: Apache-2.0
public import Ledger
public import Reactor
public import Router
public import Splice
import Synchronization
public import TLS
public import Wire

/// Which requests go where: an immutable snapshot that all reactors share and that is swapped whole.
public final class Routing: Sendable {
    /// What finds a route by host and path.
    public let table: RouteTable
    /// Whether any route has conditions beside its host and path.
    let hasConditions: Bool
    /// The routes, in the order of the table's entries.
    public let routes: [Route]
    /// The same, as the reactors use them.
    let plans: [RoutePlan]
    /// The segments whose values are counted, by what counts their routes; empty where no route has any.
    let counting: [ObjectIdentifier: [CountedCapture]]
    /// The counts of routes that are not here any more, by name, for as long as anything uses them.
    private let departed: [String: DepartedTally]
    /// The same of relays that have come from another process.
    private let adopted = Mutex<[String: DepartedTally]>([:])

    /// Puts a table and its routes together; routes that were there before, and on which something still
    /// runs, go on being counted.
    public init(table: RouteTable, routes: [Route], previous: Routing? = nil) {
        precondition(table.count == routes.count)
        self.table = table
        hasConditions = table.hasConditions
        self.routes = routes
        var tallies: [String: RouteTally] = [:]
        for (name, tally) in previous?.allDeparted ?? [:] { tallies[name] = tally.tally }
        for plan in previous?.plans ?? [] { tallies[plan.route.name] = plan.tally }
        plans = routes.enumerated().map { index, route in
            RoutePlan(
                route, tally: tallies[route.name] ?? RouteTally(),
                isRewritten: table.rewrites(by: index))
        }
        counting = plans.reduce(into: [:]) { $0[ObjectIdentifier($1.tally)] = $1.captures }
        for route in routes { tallies[route.name] = nil }
        departed = tallies.mapValues { DepartedTally($0) }
    }

    private var allDeparted: [String: DepartedTally] {
        departed.merging(adopted.withLock { $0 }) { _, adopted in adopted }
    }

    /// Has the counts of a route that is not here be told and kept like those of one that a reload has taken out.
    func adopt(_ tally: RouteTally, of name: String) {
        adopted.withLock { $0[name] = DepartedTally(tally) }
    }

    /// The counts of a route that is not here any more; nil where nothing uses them.
    func departedTally(_ name: String) -> RouteTally? { allDeparted[name]?.tally }

    /// Routes that a reload or an upgrade has taken out and that have live relays, by name, with how many.
    public var departedCounts: [(name: String, count: Int)] {
        allDeparted.compactMap { name, departed in
            guard let count = departed.tally?.count, count > 0 else { return nil }
            return (name, count)
        }.sorted { $0.name < $1.name }
    }

    /// The counts of all routes by name, also of those that are not here any more, as long as anything uses or
    /// keeps them.
    var tallies: [(name: String, tally: RouteTally)] {
        plans.map { ($0.route.name, $0.tally) } + departedTallies
    }

    /// The counts of those that are not here any more.
    var departedTallies: [(name: String, tally: RouteTally)] {
        allDeparted.compactMap { name, departed in departed.tally.map { (name, $0) } }
    }

    /// All endpoints, each once.
    public var endpoints: [Endpoint] {
        var seen: Set<ObjectIdentifier> = []
        return routes.flatMap(\.groups).flatMap(\.endpoints)
            .filter { seen.insert(ObjectIdentifier($0)).inserted }
    }

    /// All upstreams, each once.
    public var upstreams: [EndpointGroup] {
        var seen: Set<ObjectIdentifier> = []
        return routes.flatMap(\.groups).filter { seen.insert(ObjectIdentifier($0)).inserted }
    }

    /// Calls those who wait for a place, since there may be some for another reason than that one was
    /// given back.
    public func callWaiting() {
        for upstream in upstreams { upstream.queue?.callNext() }
    }

    /// Relays open at this moment, in the order of the routes.
    public var relayCounts: [Int] { plans.map(\.tally.count) }

    /// Whether each route is being drained, in the order of the routes.
    public var draining: [Bool] { plans.map(\.tally.isDraining) }
}

/// What holds for the requests of one route.
public struct Route: Sendable {
    /// The pattern as people wrote it: `*.example.com/chat/*`.
    public let name: String
    /// Where its requests go, or what answers them here.
    public let action: RouteAction
    /// Which pages may open a WebSocket here (RFC 6455 §10.2).
    public var origins = OriginRule.same
    /// Who may use it; everybody where it is nil.
    public var access: AccessRules?
    /// What else a request has to be.
    public var conditions = RouteConditions()
    /// The segments of its path that have names.
    public var captures: [PathCapture] = []
    /// Those by whose values is counted, for `/metrics`.
    public var countedCaptures: [PathCapture] = []
    /// Times of its own; nil where it has none.
    public var times: RouteTimes?
    /// What is said of the way; nil where all is.
    public var wayTold: WayTold?
    /// What a device's opening handshake may lack.
    public var accept: UpgradeRequest.Departures = []
    /// Whether paths with an escaped slash are refused, also where they would be this route's read with
    /// a slash.
    public var rejectsEscapedSlash = false
    /// Whether no configuration has made it, whose keys could be named to people.
    public var isFromCommandLine = false
    /// What the peers of a relay may send.
    public var relayLimits = RelayLimits()
    /// Pings and limits of time for relays; nil for none.
    public var relayRules: RelayRules?
    /// What is done on purpose to its relays; nil for nothing.
    public var faults: FaultPlan?
    /// Bytes that the body of a request may have.
    public var bodyBytesMax = UInt64.max
    /// What is changed in the fields of requests before they go on.
    public var requestFields = FieldEdits()
    /// What is changed in the fields of answers before they go back.
    public var answerFields = FieldEdits()
    /// Which `Host` the upstream sees.
    public var upstreamHost = HostChoice.keep
    /// How many relays it may have.
    public var admission = AdmissionLimits()
    /// Whether its relays are ended when a reload takes it away.
    public var drainsWhenRemoved = false

    /// A route with defaults for everything but its name and its action.
    public init(name: String, action: RouteAction) {
        self.name = name
        self.action = action
    }

    /// A route that forwards.
    public init(
        name: String, upstream: EndpointGroup, origins: OriginRule = .same,
        messageBytesMax: UInt64 = .max
    ) {
        self.init(name: name, action: .forward(upstream))
        self.origins = origins
        relayLimits.messageBytesMax = messageBytesMax
    }

    /// Whose endpoints its requests may use: who serves it, and who is asked whether it may be used.
    var groups: [EndpointGroup] { [upstream, access?.forward?.group].compactMap(\.self) }

    /// Who serves it, where it forwards.
    public var upstream: EndpointGroup? {
        if case .forward(let group) = action { return group }
        return nil
    }
}

/// How many relays a route has, and whether it takes more; shared by all reactors.
final class RouteTally: Sendable {
    private let relays = Atomic<Int>(0)
    private let draining = Atomic<Bool>(false)
    /// Who has places, where they are limited.
    let admission = Admission()
    /// What each reactor has counted of the route.
    let meters = LazyRouteMeters()
    /// What is counted by the values of segments, by their names.
    private let captures = Mutex<[String: CaptureCounter]>([:])
    /// Whether there are faults of the moment: nobody else pays for a lock.
    private let hasChaos = Atomic<Bool>(false)
    private let chaosPlan = Mutex<FaultPlan?>(nil)

    /// What counts by the values of the segment of this name.
    func captureCounter(_ name: String) -> CaptureCounter {
        captures.withLock { known in
            let counter = known[name] ?? CaptureCounter()
            known[name] = counter
            return counter
        }
    }

    /// All that has counted by values.
    var captureCounters: [String: CaptureCounter] { captures.withLock { $0 } }

    var count: Int { relays.load(ordering: .relaxed) }
    func opened() { relays.wrappingAdd(1, ordering: .relaxed) }
    func closed() { relays.wrappingSubtract(1, ordering: .relaxed) }

    /// Faults that somebody has asked for at the admin socket; they stay over reloads.
    var chaos: FaultPlan? {
        hasChaos.load(ordering: .acquiring) ? chaosPlan.withLock { $0 } : nil
    }

    /// Puts others in their place, or none.
    ///
    /// - Returns: those from before; each plan is handed to one caller alone, who ends it.
    func exchangeChaos(_ new: FaultPlan?) -> FaultPlan? {
        chaosPlan.withLock { plan in
            let before = plan
            plan = new
            hasChaos.store(new != nil, ordering: .releasing)
            return before
        }
    }

    var isDraining: Bool {
        get { draining.load(ordering: .relaxed) }
        set { draining.store(newValue, ordering: .relaxed) }
    }
}

/// The counts of a route that is not served any more, for as long as a request or a relay has them, or
/// `KeptTallies` does.
private struct DepartedTally: Sendable {
    weak let tally: RouteTally?

    init(_ tally: RouteTally) { self.tally = tally }
}

/// Who answers the requests of a route.
public enum RouteAction: Sendable {
    /// One of these endpoints.
    case forward(EndpointGroup)
    /// Sluice itself, with always the same.
    case respond(FixedAnswer)
    /// Sluice itself, by pointing elsewhere.
    case redirect(RedirectRule)
}

/// An answer that needs no upstream.
public struct FixedAnswer: Sendable, Equatable {
    /// The status code (RFC 9110 §15): 200 to 599.
    public let status: Int
    /// The `Content-Type`; empty for none.
    public let type: String
    /// The bytes that are sent as the body, but not to HEAD.
    public let body: [UInt8]

    /// An answer that is sent as it is, whatever is asked.
    public init(status: Int, type: String, body: [UInt8]) {
        self.status = status
        self.type = type
        self.body = body
    }
}

/// Where a route points to.
public struct RedirectRule: Sendable, Equatable {
    /// The status code: 301, 302, 303, 307 or 308.
    public let status: Int
    /// What stands in front of the path, which the route table has rewritten: `https://example.com`,
    /// or nothing for the same origin.
    public let origin: String

    /// A redirect with `status` to `origin`; an empty origin stands for the request's own.
    public init(status: Int, origin: String) {
        self.status = status
        self.origin = origin
    }
}

/// What is changed in the fields of a message, in this order: removed, set, added.
public struct FieldEdits: Sendable, Equatable {
    /// Names, in lower case, of fields that are dropped.
    public var removed: [String]
    /// Fields that replace all of their name.
    public var set: [Field]
    /// Fields that stand beside those of their name.
    public var added: [Field]

    /// A name and its value.
    public struct Field: Sendable, Equatable {
        /// A token (RFC 9110 §5.1).
        public let name: String
        /// The field's value, in pieces that follow each other.
        public let value: [Part]

        /// A piece of a value.
        public enum Part: Sendable, Equatable {
            /// Always the same text, without a line end.
            case text(String)
            /// What is known of the connection that the request came on.
            case fact(ConnectionFact)
            /// What is known of the request.
            case told(RequestFact)
        }

        /// A field to set or to add, by name and value.
        public init(name: String, value: [Part]) {
            self.name = name
            self.value = value
        }

        /// A field that always has the same value.
        public init(name: String, value: String) {
            self.init(name: name, value: [.text(value)])
        }

        /// The value, where it is always the same.
        var constant: String? {
            var whole = ""
            for part in value {
                guard case .text(let text) = part else { return nil }
                whole += text
            }
            return whole
        }
    }

    /// Edits in the order in which they are applied; none by default.
    public init(removed: [String] = [], set: [Field] = [], added: [Field] = []) {
        self.removed = removed
        self.set = set
        self.added = added
    }

    /// Whether nothing is changed.
    public var isEmpty: Bool { removed.isEmpty && set.isEmpty && added.isEmpty }
}

/// What a field for the upstream can tell of the connection that a request came on.
public enum ConnectionFact: Sendable, Equatable {
    /// The version of TLS: `TLSv1.3`.
    case tlsVersion
    /// The cipher suite's IANA name.
    case tlsCipher
    /// The group of the key exchange, as the configuration's `groups` names it.
    case tlsGroup
    /// The protocol that both agreed on (ALPN, RFC 7301).
    case alpn
}

/// What a field for the upstream or the client can tell of a request.
public enum RequestFact: Sendable, Equatable {
    /// The client's address, without a port.
    case client
    /// The host that was asked for, without a port.
    case host
    /// `https` or `http`.
    case scheme
    /// The port that the client used.
    case port
    /// The server name in the TLS handshake.
    case serverName
    /// The name of the relay that it is to open.
    case relay
    /// Who the client has proven to be.
    case user
    /// A segment of the canonical path.
    case segment(Int)
    /// What its token claims, by the index of the rule's claims that are told.
    case claim(Int)
}

/// Which `Host` the upstream sees.
public enum HostChoice: Sendable, Equatable {
    /// The upstream sees the client's `Host`.
    case keep
    /// The endpoint's own host and port.
    case upstream
    /// The upstream always sees this host.
    case name(String)
}

/// An upstream: its endpoints, and who of them is next.
public final class EndpointGroup: Sendable {
    /// The endpoints, in the order that `picker` counts them.
    public let endpoints: [Endpoint]
    /// Their priorities and weights; empty where all are the same.
    public let standings: [Standing]
    /// Chooses among them, and remembers who failed.
    public let picker: Upstream
    /// How connections are kept for the next request.
    public let pool: PoolLimits
    /// How each connection says first who the client is; nil where it does not.
    public let introduction: ProxyHeader.Version?
    /// What of a request is hashed, where the picker balances by hash.
    public let hash: HashSource?
    /// How clients come back to the endpoint that they had; nil where they don't.
    public let sticky: StickyRule?
    /// The numbers of the endpoints in that cookie; empty without it.
    let stickyNumbers: [UInt64]
    /// Who waits for a place; nil where nobody may.
    public let queue: PlaceQueue?
    /// How many may wait, and for how long.
    public let queueLimits: QueueLimits
    /// Addresses of this machine that connections come from, in turn; the system chooses where there
    /// are none.
    public let sources: [Address]
    /// How TLS is spoken with each endpoint; nil for one that speaks none, and empty where none does.
    let destinations: [TLSDestination?]
    private let sourceTurn = Atomic<UInt32>(0)

    /// A group with these rules.
    ///
    /// - Parameters:
    ///   - name: the upstream's.
    ///   - endpoints: at least one.
    ///   - rules: how they are chosen.
    ///   - pool: how connections are kept.
    ///   - hash: where `rules` balance by hash, of what.
    ///   - queue: who waits for places already, where one may wait.
    ///   - queueLimits: how many may wait; nil for none.
    ///   - introduction: how each connection says first who the client is; nil where it does not.
    ///   - standings: priority and weight of each endpoint; empty where all are the same.
    ///   - sources: addresses of this machine that connections come from, with port 0.
    ///   - sticky: how clients come back to the endpoint that they had; nil where they don't.
    ///   - destinations: how TLS is spoken with each endpoint; empty where none speaks it.
    public init(
        name: String, endpoints: [Endpoint], rules: UpstreamRules, pool: PoolLimits,
        hash: HashSource? = nil, queue: PlaceQueue? = nil, queueLimits: QueueLimits? = nil,
        introduction: ProxyHeader.Version? = nil, standings: [Standing] = [],
        sources: [Address] = [], sticky: StickyRule? = nil, destinations: [TLSDestination?] = []
    ) {
        precondition(destinations.isEmpty || destinations.count == endpoints.count)
        self.destinations = destinations
        self.endpoints = endpoints
        self.sticky = sticky
        stickyNumbers =
            sticky == nil ? [] : endpoints.map { Self.stickyNumber($0.label, of: name) }
        self.sources = sources
        self.standings = standings
        self.introduction = introduction
        self.pool = pool
        self.hash = hash
        self.queue = queueLimits == nil ? nil : queue ?? PlaceQueue()
        self.queueLimits = queueLimits ?? QueueLimits(waitMilliseconds: 0, size: 0)
        var rules = rules
        rules.waitsForPlace = queueLimits != nil
        picker = Upstream(
            name: name, endpoints: endpoints.map { ($0.load, $0.label) }, rules: rules,
            standings: standings)
    }

    /// Where a connection to this address may come from, in the order to try: another one is the first
    /// each time.
    ///
    /// None where the system chooses, as it does where none is of the same family.
    public func sources(for address: Address) -> ArraySlice<Address> {
        if sources.isEmpty || address.isUnix { return [] }
        let fitting = sources.filter { $0.isIPv6 == address.isIPv6 }
        if fitting.count < 2 { return fitting[...] }
        let turn = sourceTurn.wrappingAdd(1, ordering: .relaxed).oldValue
        let first = Int(turn) % fitting.count
        return (fitting[first...] + fitting[..<first])[...]
    }

    /// How TLS is spoken with an endpoint; nil for one that speaks none.
    public func destination(of endpoint: Endpoint) -> TLSDestination? {
        if destinations.isEmpty { return nil }
        return endpoints.firstIndex { $0 === endpoint }.flatMap { destinations[$0] }
    }

    /// Gives a place at an endpoint back.
    func closed(_ endpoint: Int) {
        picker.closed(endpoint)
        queue?.callNext()
    }
}

/// How connections to an endpoint are kept after an answer; for each endpoint and reactor.
public struct PoolLimits: Sendable, Equatable {
    /// How many may be idle at one time; 0 to keep none.
    public var idleMax: Int
    /// How long one may be idle, in milliseconds.
    ///
    /// Shorter than what apps grant: Node's and uvicorn's own limit is 5 s.
    public var idleMilliseconds: UInt64

    /// No connection is kept for a next request.
    static let none = PoolLimits(idleMax: 0, idleMilliseconds: 0)

    /// Limits for each endpoint and reactor: how many may be idle, and for how long in milliseconds.
    public init(idleMax: Int, idleMilliseconds: UInt64) {
        self.idleMax = idleMax
        self.idleMilliseconds = idleMilliseconds
    }
}

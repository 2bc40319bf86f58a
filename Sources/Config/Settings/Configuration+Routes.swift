// SPDX-License-Identifier: Apache-2.0

/// One route: which requests it takes, and where they go.
public struct RouteSettings: Sendable, Equatable {
    /// Where the requests of a route go: an endpoint, a named upstream, or Sluice's own answer.
    public enum Target: Sendable, Equatable {
        /// To an upstream of this name under `upstreams`.
        case upstream(String)
        /// To this one endpoint.
        case endpoint(EndpointAddress)
        /// Nowhere: always this answer.
        case respond(RespondSettings)
        /// Elsewhere, by an answer that says where.
        case redirect(RedirectSettings)
    }

    /// The places of a route's parts, for those who judge them later.
    public struct Places: Sendable, Equatable {
        /// Where `path` was written.
        public var path: SourcePlace
        /// Where `host` was written.
        public var host: SourcePlace
        /// Where `rewrite` was written.
        public var rewrite: SourcePlace

        /// The same place in the file for path, host and rewrite.
        public init(all place: SourcePlace) {
            path = place
            host = place
            rewrite = place
        }
    }

    /// The path pattern: `/chat` or `/chat/*`.
    public var path: String
    /// The host pattern, `a.example.com` or `*.example.com`; any host when nil.
    public var host: String?
    /// The names of the listeners that it serves; all where there is none.
    public var listen: [String] = []
    /// What else requests have to be.
    public var when = WhenSettings()
    /// Where its requests go, or what answers them here.
    public var to: Target
    /// What the upstream sees instead of the path; the path itself when nil.
    public var rewrite: String?
    /// What becomes of requests with `%2F` or `%5C` in their path.
    public enum EscapedSlash: String, Sendable, CaseIterable {
        /// They go on, unless they could be taken for another route's.
        case keep
        /// They are answered with 400.
        case reject
    }

    /// What becomes of requests with `%2F` or `%5C` in their path.
    public var escapedSlash = EscapedSlash.keep
    /// Which pages may open a WebSocket here.
    public var origins: OriginSettings
    /// What the opening handshakes of devices may lack.
    public var accept = AcceptSettings()
    /// Who may use it; everybody when nil.
    public var access: AccessSettings?
    /// How peers are asked whether they are there; not at all when nil.
    public var ping: PingSettings?
    /// How long a relay may pass no data; for ever when nil.
    public var idle: Duration?
    /// How long a relay may last; for ever when nil.
    public var lifetime: Duration?
    /// What becomes of relays when a reload takes the route away.
    public enum Removal: String, Sendable, CaseIterable {
        /// The relays go on until one of their peers ends them.
        case keep
        /// They are ended in the manner of `drain`.
        case drain
    }

    /// What becomes of relays when a reload takes the route away.
    public var onRemove = Removal.keep
    /// What is done on purpose to its WebSockets; nothing when nil.
    public var faults: FaultSettings?
    /// What one relay or request may use.
    public var limits: RouteLimits
    /// Times of its own for requests; those of `timeouts` where nothing is said.
    public var timeouts = RouteTimeouts()
    /// What the upstream is told of the way that requests came.
    public var forwarded = ForwardedSettings()
    /// Whether requests and answers say in `Via` that they have come this way.
    public var via = true
    /// What is changed in requests before they go on.
    public var request: FieldSettings
    /// Which `Host` the upstream sees.
    public var upstreamHost: HostSettings
    /// What is changed in answers before they go back.
    public var answer: FieldSettings
    /// What is counted of it beside what is counted of every route.
    public var metrics = RouteMetrics()
    /// Where the route was written.
    public var place: SourcePlace
    /// Where its parts were written.
    public var places: Places

    /// A route made by hand.
    public init(
        path: String, host: String? = nil, to: Target, rewrite: String? = nil,
        origins: OriginSettings = .same, limits: RouteLimits = RouteLimits(),
        request: FieldSettings = FieldSettings(), upstreamHost: HostSettings = .keep,
        answer: FieldSettings = FieldSettings(),
        place: SourcePlace = .commandLine, places: Places? = nil
    ) {
        self.path = path
        self.host = host
        self.to = to
        self.rewrite = rewrite
        self.origins = origins
        self.limits = limits
        self.request = request
        self.upstreamHost = upstreamHost
        self.answer = answer
        self.place = place
        self.places = places ?? Places(all: place)
    }
}

/// Which pages may open a WebSocket; requests without `Origin` come from no page and always may.
public enum OriginSettings: Sendable, Equatable {
    /// Pages of every origin may.
    case any
    /// Pages of the same host.
    case same
    /// Pages of these origins, and of the same host if `same`: `https://example.com`,
    /// `https://*.example.com` for one label in front, `vscode-webview://*` for every host, `null`, or any
    /// text that clients send, as `file://`.
    case list(same: Bool, origins: [String])
}

/// What the opening handshakes of some devices lack (RFC 6455 §4.1) and a route takes all the same.
public struct AcceptSettings: Sendable, Equatable {
    /// Whether there may be no `Connection` field.
    public var missingConnection = false
    /// Whether the key may be of any length, in base64.
    public var anyKeyLength = false

    /// Handshakes have to be complete: nothing may be lacking.
    public init() {}
}

/// How the peers of a relay are asked whether they are there.
public struct PingSettings: Sendable, Equatable {
    /// Which peers of a relay Sluice sends Pings to.
    public enum Peers: String, Sendable, CaseIterable {
        /// Pings go to the client alone.
        case client
        /// Pings go to the upstream alone.
        case upstream
        /// The client and the upstream.
        case both
    }

    /// From one Ping to the next.
    public var every = Duration.seconds(30)
    /// From a Ping to the end, if nothing was heard.
    public var timeout = Duration.seconds(10)
    /// Which peers of a relay get Pings.
    public var to = Peers.client

    /// What holds where a file says nothing of it.
    public init() {}
}

/// What is counted of a route beside what is counted of every route.
public struct RouteMetrics: Sendable, Equatable {
    /// The names of the segments of its path by whose values is counted.
    public var captures: [String] = []

    /// Nothing more.
    public init() {}
}

/// Times of one route, each of which takes the place of the one of this name in `timeouts`.
public struct RouteTimeouts: Sendable, Equatable {
    /// For connecting to the upstream, all attempts together.
    public var connect: Duration?
    /// From a request for a WebSocket sent upstream to its answer.
    public var upgrade: Duration?
    /// From an ordinary request sent upstream to the head of its answer.
    public var answer: Duration?
    /// Without a byte of a request's body from the client, or of an answer's taken by it.
    public var body: Duration?
    /// Without a byte of an answer's body from the upstream.
    public var answerBody: Duration?

    /// A route without times of its own.
    public init() {}
}

/// What the upstream is told of the way that requests came.
public struct ForwardedSettings: Sendable, Equatable {
    /// The port in `X-Forwarded-Port`.
    public enum Port: Sendable, Equatable {
        /// The one that the client asked for: that of `Host`, else the usual one of the scheme.
        case auto
        /// Always this one.
        case number(UInt16)
    }

    /// Whether `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` are written.
    public var xForwarded = true
    /// Whether `Forwarded` is written (RFC 7239).
    public var forwarded = true
    /// Which port is told.
    public var port = Port.auto

    /// What holds where a file says nothing of it.
    public init() {}
}

/// What one relay or request of a route may use.
public struct RouteLimits: Sendable, Equatable {
    /// Bytes of one message in either direction; no limit when nil.
    public var messageBytes: Int?
    /// Bytes of the body of one request; no limit when nil.
    public var bodyBytes: Int?
    /// Relays at one time; no limit when nil.
    public var relays: Int?
    /// Relays of one client at one time; no limit when nil.
    public var relaysPerClient: Int?
    /// Relays that one client may begin in a second; no limit when nil.
    public var newRelaysPerSecond: Int?
    /// Messages that the client of a relay may send in a second; no limit when nil.
    public var messagesPerSecond: Int?
    /// Frames that one message may come in, in either direction; no limit when nil.
    public var fragments: Int?
    /// Bytes that each peer of a relay may send in a second; no limit when nil.
    public var bytesPerSecond: Int?
    /// Messages that one client may send in a second over all of its relays; no limit when nil.
    public var messagesPerSecondPerClient: Int?
    /// Bytes that one client may send in a second, and get, over all of its relays; no limit when nil.
    public var bytesPerSecondPerClient: Int?

    /// A route without limits of its own; those of `limits` at the top still hold.
    public init() {}
}

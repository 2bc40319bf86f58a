// SPDX-License-Identifier: Apache-2.0

/// A named group of endpoints.
public struct UpstreamSettings: Sendable, Equatable {
    /// How relays are spread over the endpoints.
    public enum Balance: Sendable, Equatable, CustomStringConvertible {
        /// To the endpoint with the fewest relays.
        case leastConnections
        /// To each endpoint in turn.
        case roundRobin
        /// To the one with fewer relays of two that are drawn.
        case random2
        /// Always to the same endpoint for the same value.
        case hash(HashSource)

        /// As it is written.
        public var description: String {
            switch self {
            case .leastConnections: "leastConnections"
            case .roundRobin: "roundRobin"
            case .random2: "random2"
            case .hash(let source): "hash(\(source))"
            }
        }
    }

    /// What of a request is hashed.
    public enum HashSource: Sendable, Equatable, CustomStringConvertible {
        /// The request's path, without its query.
        case path
        /// The segment that the route's path gives this name.
        case segment(String)
        /// The value of this field.
        case header(String)
        /// The value of this cookie.
        case cookie(String)
        /// The client's IPv4 address, or the network of its IPv6 address.
        case client

        /// As it is written.
        public var description: String {
            switch self {
            case .path: "path"
            case .segment(let name): "path:\(name)"
            case .header(let name): "header:\(name)"
            case .cookie(let name): "cookie:\(name)"
            case .client: "client"
            }
        }
    }

    /// What a host's name stands for.
    public enum Resolution: String, Sendable, CaseIterable {
        /// One endpoint, whose addresses are tried in turn.
        case one
        /// An endpoint for each address.
        case each
    }

    /// Whether connections begin with a header that says who the client is.
    public enum ProxyProtocol: String, Sendable, CaseIterable {
        /// Connections begin with the request, without such a header.
        case none
        /// The header is one line of text (PROXY protocol version 1).
        case v1
        /// The header is binary and says what is known of TLS (version 2).
        case v2
    }

    /// Where its relays may go; at least one.
    public var endpoints: [EndpointSettings]
    /// What the names of hosts in it stand for.
    public var resolve = Resolution.one
    /// How relays are spread.
    public var balance = Balance.leastConnections
    /// How long an endpoint is passed over after a first failure.
    public var cooldown = Duration.seconds(10)
    /// The longest that it is, however often it fails.
    public var cooldownMax = Duration.seconds(120)
    /// After how many failed upgrades in a row an endpoint is passed over; 0 for never.
    public var failedUpgrades = 5
    /// How long the share of an endpoint grows that joins or comes back.
    public var slowStart = Duration.zero
    /// How clients come back to the endpoint that they had; not at all when nil.
    public var sticky: StickySettings?
    /// Relays and requests under way that one endpoint may have; no limit when nil.
    public var maxConnections: Int?
    /// Who may wait for a place when all endpoints are full; nobody when nil.
    public var queue: QueueSettings?
    /// How endpoints are checked; not at all when nil.
    public var health: HealthSettings?
    /// How TLS is spoken with those of its endpoints that speak it.
    public var tls = UpstreamTLSSettings()
    /// How connections say who the client is.
    public var proxyProtocol = ProxyProtocol.none
    /// Addresses of this machine that connections come from, in turn; the system's choice when empty.
    public var source: [SourceAddress] = []
    /// Which connections are kept for the next request.
    public var pool = PoolSettings()
    /// Where it was written.
    public var place: SourcePlace

    /// An upstream made by hand.
    public init(endpoints: [EndpointAddress], place: SourcePlace = .commandLine) {
        self.endpoints = endpoints.map { EndpointSettings($0) }
        self.place = place
    }
}

/// How TLS is spoken with endpoints.
public struct UpstreamTLSSettings: Sendable, Equatable {
    /// A file with the only authorities that are trusted; the system's when nil.
    public var authorities: String?
    /// Files with authorities that are trusted beside these.
    public var moreAuthorities: [String] = []
    /// The name that is asked for and that certificates have to have; the endpoint's own when nil.
    public var serverName: String?
    /// What is shown to an endpoint that asks for a certificate; nothing when nil.
    public var certificate: CertificateSettings?
    /// The lowest version that is spoken.
    public var minimumVersion = TLSSettings.Version.tls12
    /// Whether certificates are looked at.
    public var isVerifying = true
    /// Where it was written.
    public var place = SourcePlace.commandLine
    /// Where the file of authorities was written.
    public var authoritiesPlace = SourcePlace.commandLine

    /// What holds where a file says nothing of it.
    public init() {}
}

/// A cookie that brings clients back to the endpoint that they had (RFC 6265).
public struct StickySettings: Sendable, Equatable {
    /// Whether browsers send the cookie with requests that other sites bring about.
    public enum SameSite: String, Sendable, CaseIterable {
        /// With a link that is followed, and no others.
        case lax
        /// With none.
        case strict
        /// With all.
        case none
    }

    /// The cookie's name.
    public var cookie = "sluice"
    /// How long browsers keep it; until they are closed when nil.
    public var maxAge: Duration?
    /// Below which path it is sent.
    public var path = "/"
    /// Whether requests that other sites bring about have it.
    public var sameSite = SameSite.lax

    /// What holds where a file says nothing of it.
    public init() {}
}

/// One endpoint of an upstream.
public struct EndpointSettings: Sendable, Equatable {
    /// Where it is.
    public var address: EndpointAddress
    /// Its share beside the others; 0 takes nothing new, and nil was not said, which is 1.
    public var weight: Int?
    /// What it is called; by its address when nil.
    public var name: String?
    /// Where it was written.
    public var place: SourcePlace

    /// An endpoint of which nothing but its address is said.
    public init(_ address: EndpointAddress, place: SourcePlace = .commandLine) {
        self.address = address
        self.place = place
    }

    /// What it is called in the log, in metrics and by commands.
    public var label: String { name ?? address.description }
}

/// An address of this machine that connections to endpoints come from.
public struct SourceAddress: Sendable, Equatable {
    /// An IPv4 or IPv6 address, without port and brackets.
    public var address: String
    /// Where it was written.
    public var place: SourcePlace

    /// An address with its place.
    public init(_ address: String, place: SourcePlace = .commandLine) {
        self.address = address
        self.place = place
    }
}

/// Which connections to an endpoint are kept for the next request; for each endpoint and reactor.
public struct PoolSettings: Sendable, Equatable {
    /// How many may be idle at one time.
    public var max = 128
    /// How long one may be idle.
    public var idle = Duration.seconds(4)

    /// What holds where a file says nothing of it.
    public init() {}
}

/// Who may wait when every endpoint has as many connections as it may have.
public struct QueueSettings: Sendable, Equatable {
    /// How long a request may wait before it is refused with 503.
    public var wait = Duration.seconds(1)
    /// How many requests may wait at one time.
    public var size = 100

    /// What holds where a file says nothing of it.
    public init() {}
}

/// How endpoints are asked whether they are well.
public struct HealthSettings: Sendable, Equatable {
    /// What a check asks an endpoint for, and what it takes for well.
    public enum Kind: String, Sendable, CaseIterable {
        /// A GET has an answer of the right status.
        case http
        /// A connection can be made.
        case tcp
        /// An opening handshake succeeds.
        case websocket
    }

    /// The kind of check.
    public var kind = Kind.tcp
    /// The path that is asked for.
    public var path = "/"
    /// The `Host` that is asked for; the endpoint's own when nil.
    public var host: String?
    /// The statuses that are well; 200 to 399 when empty.
    public var status: [Int] = []
    /// From one check to the next.
    public var every = Duration.seconds(5)
    /// How long one may take.
    public var timeout = Duration.seconds(2)
    /// How many have to pass in a row before an endpoint counts as well again.
    public var rise = 2
    /// How many have to fail in a row before it counts as not.
    public var fall = 3

    /// What holds where a file says nothing of it.
    public init() {}
}

// SPDX-License-Identifier: Apache-2.0

/// Everything a configuration file can say, as plain values with their defaults.
///
/// `load(yaml:file:)` makes one from YAML and reports every problem with its place; the initialisers
/// make one by hand, as quick mode does. What an address, pattern or file means is judged by those
/// who use it: this target knows none of them.
public struct Configuration: Sendable, Equatable {
    /// The addresses on which clients are accepted; at least one in a file.
    public var listen: [ListenerSettings]
    /// Which requests go where.
    public var routes: [RouteSettings]
    /// Named groups of endpoints that routes refer to.
    public var upstreams: [String: UpstreamSettings]
    /// How relays are ended when the process stops.
    public var drain: DrainSettings
    /// How long each phase may take.
    public var timeouts: TimeoutSettings
    /// Where the log goes, and in which form.
    public var log: LogSettings
    /// What the whole process may use.
    public var limits: GlobalLimits
    /// How many reactors run; one per core when nil.
    public var workers: Int?
    /// Where the running process is asked and told.
    public var admin = AdminSettings()
    /// Where what was counted can be read, beside the admin interface.
    public var metrics = MetricsSettings()
    /// Where spans of requests are sent; nothing is traced when nil.
    public var traces: TraceSettings?
    /// Which DNS servers are asked for names.
    public var resolver = ResolverSettings()
    /// How TLS is done for all listeners.
    public var tls = ProcessTLSSettings()
    /// Whether a change of the file or of a certificate is taken up without being told.
    public var watch = false
    /// Whether faults may be done to WebSockets on purpose.
    public var allowsFaults = false
    /// Where `allowFaults` was written.
    public var allowsFaultsPlace = SourcePlace.commandLine

    /// A configuration made by hand.
    public init(
        listen: [ListenerSettings] = [], routes: [RouteSettings] = [],
        upstreams: [String: UpstreamSettings] = [:], drain: DrainSettings = DrainSettings(),
        timeouts: TimeoutSettings = TimeoutSettings(), log: LogSettings = LogSettings(),
        limits: GlobalLimits = GlobalLimits(), workers: Int? = nil
    ) {
        self.listen = listen
        self.routes = routes
        self.upstreams = upstreams
        self.drain = drain
        self.timeouts = timeouts
        self.log = log
        self.limits = limits
        self.workers = workers
    }

    /// One route to one endpoint, behind as many listeners as there are addresses.
    ///
    /// Where the endpoint speaks TLS, certificates of `authorities` are trusted beside those of the system's.
    public static func quick(
        listen addresses: [String], tls: TLSSettings?, path: String = "/*",
        to endpoint: EndpointAddress, trusting authorities: [String] = [],
        origins: OriginSettings = .same
    ) -> Configuration {
        var upstreams: [String: UpstreamSettings] = [:]
        if endpoint.isSecure {
            var upstream = UpstreamSettings(endpoints: [endpoint])
            upstream.tls.moreAuthorities = authorities
            upstreams[endpoint.description] = upstream
        }
        return Configuration(
            listen: addresses.map { ListenerSettings(address: $0, tls: tls) },
            routes: [
                RouteSettings(
                    path: path,
                    to: endpoint.isSecure ? .upstream(endpoint.description) : .endpoint(endpoint),
                    origins: origins, request: FieldSettings(set: connectionFields))
            ], upstreams: upstreams)
    }

    /// Whether TLS is spoken anywhere: with clients of a listener, or with an endpoint.
    public var speaksTLS: Bool {
        listen.contains { $0.tls != nil }
            || upstreams.values.contains { $0.endpoints.contains(where: \.address.isSecure) }
            || routes.contains { route in
                if case .endpoint(let address) = route.to { address.isSecure } else { false }
            }
    }

    /// What quick mode tells the app of the client's TLS, which it can't see itself.
    private static let connectionFields: [FieldSettings.Field] = [
        .init(name: "X-TLS-Version", value: FieldValue([.placeholder(.tlsVersion)])),
        .init(name: "X-TLS-Cipher", value: FieldValue([.placeholder(.tlsCipher)])),
        .init(name: "X-TLS-Group", value: FieldValue([.placeholder(.tlsGroup)])),
        .init(name: "X-TLS-ALPN", value: FieldValue([.placeholder(.alpn)])),
    ]
}

/// How a running Sluice comes to its end.
public struct DrainSettings: Sendable, Equatable {
    /// How long relays may take to close before they are cut.
    public var timeout = Duration.seconds(30)
    /// The code of the Close that both sides of each relay are sent.
    public var code: UInt16 = 1001
    /// The reason that stands in it; empty for none.
    public var reason = ""
    /// From the first Close to the last; nil for a time that goes by the number of relays.
    public var spread: Duration?
    /// From the moment in which the process is not ready any more until it stops listening.
    public var delay = Duration.zero

    /// Which codes a Close of an operator may have: those that say "come back later", and those that are
    /// the operator's own (RFC 6455 §7.4).
    public static let codesAllowed = "1000, 1001, 1012, 1013 or 3000 to 4999"

    /// Whether a Close of an operator may have this code.
    public static func allows(code: UInt16) -> Bool {
        [1000, 1001, 1012, 1013].contains(code) || 3000...4999 ~= code
    }

    /// What a Close has room for beside its code, in bytes of UTF-8 (RFC 6455 §5.5).
    public static let reasonBytesMax = 123

    /// What holds where a file says nothing of it.
    public init() {}
}

/// Where the running process is asked and told.
public struct AdminSettings: Sendable, Equatable {
    /// Where a unix socket stands.
    public enum Socket: Sendable, Equatable {
        /// Where everybody looks for it.
        case standard
        /// There is no unix socket.
        case off
        /// The unix socket stands at this path.
        case path(String)
    }

    /// Where the unix socket of the admin interface stands, if there is one.
    public var socket = Socket.standard
    /// Where `socket` was written.
    public var socketPlace = SourcePlace.commandLine
    /// A loopback address beside it; none when nil.
    public var address: String?
    /// Where `address` was written.
    public var addressPlace = SourcePlace.commandLine
    /// The file of the token that changes need at `address`; none when nil.
    public var token: String?
    /// Where `token` was written.
    public var tokenPlace = SourcePlace.commandLine
    /// What a tap is told.
    public var tap = TapLevel.headers

    /// What holds where a file says nothing of it.
    public init() {}
}

/// What `sluice tap` may be told of the frames of live relays.
public enum TapLevel: String, CaseIterable, Sendable {
    /// Nothing.
    case off
    /// Times, lengths and opcodes.
    case headers
    /// Payloads too.
    case payloads
}

/// Where a monitoring system scrapes metrics.
public struct MetricsSettings: Sendable, Equatable {
    /// An address that answers nothing else; none when nil.
    public var address: String?
    /// Where `address` was written.
    public var addressPlace = SourcePlace.commandLine

    /// What holds where a file says nothing of it.
    public init() {}
}

/// Who is asked what names stand for.
public struct ResolverSettings: Sendable, Equatable {
    /// DNS servers, each as address and port; those of the system when empty.
    public var servers: [String] = []

    /// What holds where a file says nothing of it.
    public init() {}
}

/// How TLS is done, whichever listener it is for.
public struct ProcessTLSSettings: Sendable, Equatable {
    /// Who seals and opens records.
    public enum Records: String, Sendable, CaseIterable {
        /// The library intel-ipsec-mb, where it can be used.
        case auto
        /// OpenSSL does it in any case.
        case openssl
    }

    /// Who derives the keys of TLS 1.3.
    public enum KeySchedule: String, Sendable, CaseIterable {
        /// Sluice, with OpenSSL's hashes, where it can.
        case auto
        /// OpenSSL does it in any case.
        case openssl
    }

    /// Who seals and opens records.
    public var records = Records.auto
    /// Who derives the keys of TLS 1.3.
    public var keySchedule = KeySchedule.auto
    /// Whether sessions leave OpenSSL's object once they have lived a while or are busy.
    public var release = true

    /// What holds where a file says nothing of it.
    public init() {}
}

/// How long each phase of a connection may take.
public struct TimeoutSettings: Sendable, Equatable {
    /// From accept to a complete ClientHello.
    public var clientHello = Duration.seconds(5)
    /// From accept to the end of the TLS handshake.
    public var handshake = Duration.seconds(10)
    /// From the handshake to a complete request head.
    public var head = Duration.seconds(10)
    /// For connecting to the upstream, all attempts together.
    public var connect = Duration.seconds(5)
    /// From a request for a WebSocket sent upstream to its answer.
    public var upgrade = Duration.seconds(30)
    /// From an ordinary request sent upstream to the head of its answer.
    public var answer = Duration.seconds(120)
    /// Without a byte of a request's body from the client, or of an answer's taken by it.
    public var body = Duration.seconds(30)
    /// Without a byte of an answer's body from the upstream.
    public var answerBody = Duration.seconds(3_600)
    /// From an answer to the first byte of the next request on its connection.
    public var keepAlive = Duration.seconds(75)
    /// From a Close to its answer.
    public var closing = Duration.seconds(10)
    /// For reading off what a peer still sends after the last byte to it.
    public var linger = Duration.seconds(2)

    /// What holds where a file says nothing of it.
    public init() {}
}

/// What is written to the log, and how.
public struct LogSettings: Sendable, Equatable {
    /// The form of a line.
    public enum Format: String, Sendable, CaseIterable {
        /// One line of words and `key=value` pairs for people.
        case text
        /// One JSON object per line.
        case json
    }

    /// Where the lines of one kind are written to.
    public enum Target: Sendable, Equatable {
        /// The process's standard output.
        case stdout
        /// The process's standard error.
        case stderr
        /// Lines of this kind are not written at all.
        case off
        /// To systemd's journal; at this socket, if it is not where it always is.
        case journald(String?)
        /// To this file, appended.
        case file(String)
    }

    /// The form of every line.
    public var format = Format.text
    /// Where the lines of relays and requests go.
    public var access = Target.stdout
    /// Where events are written to: whatever an operator should know that is no relay's end.
    public var events = Target.stderr
    /// Whether a relay leaves a line when it opens.
    public var relayOpens = true
    /// Whether a relay leaves a line when it ends.
    public var relayEnds = true
    /// Where `access` stands in the file, if it does.
    public var accessPlace: SourcePlace?
    /// Where `events` stands in the file, if it does.
    public var eventsPlace: SourcePlace?

    /// What holds where a file says nothing of it.
    public init() {}
}

/// What the process as a whole may use.
public struct GlobalLimits: Sendable, Equatable {
    /// Bytes of a request or response head.
    public var headBytes = 16_384
    /// Fields of a request or response head.
    public var headFields = 100
    /// Bytes of a request's target: the path and the query.
    public var targetBytes = 8_192
    /// Connections from clients at one time; no limit when nil.
    public var connections: Int?
    /// Connections of one client at one time; no limit when nil.
    public var connectionsPerClient: Int?
    /// Connections that one client may open in a second; no limit when nil.
    public var newConnectionsPerSecond: Int?
    /// Requests that one client connection may carry.
    public var requestsPerConnection = 10_000
    /// TLS handshakes that one reactor takes on in one turn of its loop.
    public var handshakesPerTurn = 16
    /// Bytes held for one direction of a relay before its source is read no further.
    ///
    /// 127 KiB with the records' overhead just fit into two segments of the loopback device.
    public var relayBufferBytes = 127 * 1_024

    /// What holds where a file says nothing of it.
    public init() {}
}

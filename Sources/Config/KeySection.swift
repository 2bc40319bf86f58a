// SPDX-License-Identifier: Apache-2.0

/// The keys that one mapping of the configuration may have.
///
/// This is the one list: the decoder refuses whatever is not in it, and the reference in
/// docs/configuration.md is checked against it. Defaults are taken from the values themselves.
struct KeySection: Sendable {
    struct Key: Sendable {
        let name: String
        /// The type in the reference's words.
        let type: String
        /// The default as the reference shows it.
        let defaultText: String
    }

    /// The heading in the reference: the path of the mapping.
    let title: String
    let keys: [Key]

    var names: [String] { keys.map(\.name) }

    private init(_ title: String, _ keys: [(name: String, type: String, defaultText: String)]) {
        self.title = title
        self.keys = keys.map { Key(name: $0.name, type: $0.type, defaultText: $0.defaultText) }
    }
}

extension KeySection {
    static let all = [
        root, listener, tls, hsts, certificate, route, respond, redirect, routeRequest,
        routeAnswer, ping, routeLimits, upstream, health, queue, pool, drain, admin, resolver,
        timeouts, log,
        limits,
    ]

    static let root = KeySection(
        "Top level",
        [
            ("listen", "list", "required"),
            ("routes", "list", "required"),
            ("upstreams", "mapping", "none"),
            ("drain", "mapping", "see below"),
            ("timeouts", "mapping", "see below"),
            ("log", "mapping", "see below"),
            ("limits", "mapping", "see below"),
            ("admin", "mapping", "see below"),
            ("resolver", "mapping", "see below"),
            ("watch", "true or false", "`false`"),
            ("workers", "number", "one per core"),
        ])

    static let listener = KeySection(
        "listen[]",
        [
            ("address", "address", "required"),
            ("tls", "mapping", "none"),
            ("redirect", "word", "none"),
            ("proxyProtocol", "word", quoted(ListenerSettings.ProxyProtocol.none.rawValue)),
            ("trustedProxies", "list", "none"),
        ])

    static let tls = KeySection(
        "listen[].tls",
        [
            ("certificates", "list", "required"),
            (
                "minimumVersion", "word",
                quoted(TLSSettings(certificates: []).minimumVersion.rawValue)
            ),
            ("cipherSuites", "text", "OpenSSL's"),
            ("ciphers", "text", "Mozilla intermediate"),
            ("groups", "list", "X25519, P-256, P-384"),
            ("hsts", "duration or mapping", "none"),
        ])

    static let hsts = KeySection(
        "listen[].tls.hsts",
        [
            ("maxAge", "duration", "required"),
            ("includeSubdomains", "true or false", "`false`"),
            ("preload", "true or false", "`false`"),
        ])

    static let certificate = KeySection(
        "listen[].tls.certificates[]",
        [
            ("chain", "path", "required"),
            ("key", "path", "required"),
        ])

    static let route = KeySection(
        "routes[]",
        [
            ("path", "pattern", "required"),
            ("host", "pattern", "any host"),
            ("to", "endpoint or name", "required"),
            ("respond", "mapping", "none"),
            ("redirect", "mapping", "none"),
            ("rewrite", "pattern", "the path as it came"),
            ("origins", "word or list", "`same`"),
            ("request", "mapping", "none"),
            ("answer", "mapping", "none"),
            ("ping", "mapping", "none"),
            ("idle", "duration", "no limit"),
            ("lifetime", "duration", "no limit"),
            ("onRemove", "word", quoted(RouteSettings.Removal.keep.rawValue)),
            ("limits", "mapping", "none"),
        ])

    static let ping: KeySection = {
        let defaults = PingSettings()
        return KeySection(
            "routes[].ping",
            [
                ("every", "duration", quoted(Units.text(defaults.every))),
                ("timeout", "duration", quoted(Units.text(defaults.timeout))),
                ("to", "word", quoted(defaults.to.rawValue)),
            ])
    }()

    static let respond: KeySection = {
        let defaults = RespondSettings()
        return KeySection(
            "routes[].respond",
            [
                ("status", "number", quoted(String(defaults.status))),
                ("body", "text", "empty"),
                ("type", "text", quoted(defaults.type)),
            ])
    }()

    static let redirect = KeySection(
        "routes[].redirect",
        [
            ("to", "path or URL", "required"),
            ("status", "number", quoted(String(RedirectSettings(origin: "", path: "/").status))),
        ])

    static let routeRequest = KeySection(
        "routes[].request",
        [
            ("remove", "list", "none"), ("set", "mapping", "none"), ("add", "mapping", "none"),
            ("host", "word or host", "`keep`"),
        ])

    static let routeAnswer = KeySection(
        "routes[].answer",
        [("remove", "list", "none"), ("set", "mapping", "none"), ("add", "mapping", "none")])

    static let routeLimits = KeySection(
        "routes[].limits",
        [
            ("messageBytes", "size", "no limit"), ("bodyBytes", "size", "no limit"),
            ("relays", "number", "no limit"), ("relaysPerClient", "number", "no limit"),
            ("newRelaysPerSecond", "number", "no limit"),
            ("messagesPerSecond", "number", "no limit"), ("fragments", "number", "no limit"),
            ("bytesPerSecond", "size", "no limit"),
            ("messagesPerSecondPerClient", "number", "no limit"),
            ("bytesPerSecondPerClient", "size", "no limit"),
        ])

    static let pool: KeySection = {
        let defaults = PoolSettings()
        return KeySection(
            "upstreams.NAME.pool",
            [
                ("max", "number", quoted(String(defaults.max))),
                ("idle", "duration", quoted(Units.text(defaults.idle))),
            ])
    }()

    static let upstream: KeySection = {
        let defaults = UpstreamSettings(endpoints: [])
        return KeySection(
            "upstreams.NAME",
            [
                ("endpoints", "list", "required"),
                ("resolve", "word", quoted(defaults.resolve.rawValue)),
                ("balance", "word", quoted(defaults.balance.description)),
                ("health", "mapping", "none"),
                ("cooldown", "duration", quoted(Units.text(defaults.cooldown))),
                ("cooldownMax", "duration", quoted(Units.text(defaults.cooldownMax))),
                ("failedUpgrades", "number", quoted(String(defaults.failedUpgrades))),
                ("slowStart", "duration", quoted(Units.text(defaults.slowStart))),
                ("maxConnections", "number", "no limit"),
                ("proxyProtocol", "word", quoted(defaults.proxyProtocol.rawValue)),
                ("queue", "mapping", "none"),
                ("pool", "mapping", "see below"),
            ])
    }()

    static let health: KeySection = {
        let defaults = HealthSettings()
        return KeySection(
            "upstreams.NAME.health",
            [
                ("kind", "word", "`http` with a `path`, else `tcp`"),
                ("path", "text", quoted(defaults.path)),
                ("host", "text", "the endpoint's own"),
                ("status", "number or list", "200 to 399"),
                ("every", "duration", quoted(Units.text(defaults.every))),
                ("timeout", "duration", quoted(Units.text(defaults.timeout))),
                ("rise", "number", quoted(String(defaults.rise))),
                ("fall", "number", quoted(String(defaults.fall))),
            ])
    }()

    static let queue: KeySection = {
        let defaults = QueueSettings()
        return KeySection(
            "upstreams.NAME.queue",
            [
                ("wait", "duration", quoted(Units.text(defaults.wait))),
                ("size", "number", quoted(String(defaults.size))),
            ])
    }()

    static let drain: KeySection = {
        let defaults = DrainSettings()
        return KeySection(
            "drain",
            [
                ("timeout", "duration", quoted(Units.text(defaults.timeout))),
                ("code", "number", quoted(String(defaults.code))),
                ("reason", "text", "none"),
                ("spread", "duration", quoted(Units.text(defaults.spread))),
                ("delay", "duration", quoted(Units.text(defaults.delay))),
            ])
    }()

    static let admin = KeySection(
        "admin",
        [
            (
                "socket", "path or word",
                "`$XDG_RUNTIME_DIR/sluice.sock` or `/run/sluice/sluice.sock`"
            ),
            ("address", "address", "none"),
        ])

    static let resolver = KeySection("resolver", [("servers", "list", "the system's")])

    static let timeouts: KeySection = {
        let defaults = TimeoutSettings()
        return KeySection(
            "timeouts",
            [
                ("clientHello", "duration", quoted(Units.text(defaults.clientHello))),
                ("handshake", "duration", quoted(Units.text(defaults.handshake))),
                ("head", "duration", quoted(Units.text(defaults.head))),
                ("connect", "duration", quoted(Units.text(defaults.connect))),
                ("upgrade", "duration", quoted(Units.text(defaults.upgrade))),
                ("answer", "duration", quoted(Units.text(defaults.answer))),
                ("body", "duration", quoted(Units.text(defaults.body))),
                ("answerBody", "duration", quoted(Units.text(defaults.answerBody))),
                ("keepAlive", "duration", quoted(Units.text(defaults.keepAlive))),
                ("closing", "duration", quoted(Units.text(defaults.closing))),
                ("linger", "duration", quoted(Units.text(defaults.linger))),
            ])
    }()

    static let log: KeySection = {
        let defaults = LogSettings()
        return KeySection(
            "log",
            [
                ("format", "word", quoted(defaults.format.rawValue)),
                ("access", "word or path", quoted("\(defaults.access)")),
                ("events", "word or path", quoted("\(defaults.events)")),
                ("relayOpens", "true or false", quoted("\(defaults.relayOpens)")),
                ("relayEnds", "true or false", quoted("\(defaults.relayEnds)")),
            ])
    }()

    static let limits: KeySection = {
        let defaults = GlobalLimits()
        return KeySection(
            "limits",
            [
                ("headBytes", "size", quoted(Units.text(bytes: defaults.headBytes))),
                ("headFields", "number", quoted(String(defaults.headFields))),
                ("connections", "number", "no limit"),
                ("connectionsPerClient", "number", "no limit"),
                ("newConnectionsPerSecond", "number", "no limit"),
                (
                    "requestsPerConnection", "number",
                    quoted(String(defaults.requestsPerConnection))
                ),
                ("handshakesPerTurn", "number", quoted(String(defaults.handshakesPerTurn))),
                ("relayBufferBytes", "size", quoted(Units.text(bytes: defaults.relayBufferBytes))),
            ])
    }()

    private static func quoted(_ text: String) -> String { "`\(text)`" }
}

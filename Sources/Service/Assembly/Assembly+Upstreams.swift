// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Health
import Ledger
import Reactor
import Router
import Wire

/// Upstreams: from their settings to what the engine chooses endpoints by.
extension Assembly {
    static func group(
        _ name: String, _ upstream: UpstreamSettings, _ known: inout KnownEndpoints
    ) throws -> EndpointGroup {
        let taken = try known.take(
            upstream.endpoints, of: name, each: upstream.resolve == .each)
        return try group(name, upstream, taken, &known)
    }

    private static func group(
        _ name: String, _ upstream: UpstreamSettings, _ taken: TakenEndpoints,
        _ known: inout KnownEndpoints
    ) throws -> EndpointGroup {
        if let same = known.group(name, of: taken.endpoints, taken.standings) { return same }
        let destinations = try destinations(of: name, upstream.tls, taken, &known)
        let (balance, hash) = balance(upstream.balance)
        let queueLimits = upstream.queue.map {
            QueueLimits(waitMilliseconds: $0.wait.wholeMilliseconds, size: $0.size)
        }
        return EndpointGroup(
            name: name,
            endpoints: taken.endpoints,
            rules: UpstreamRules(
                balance: balance, cooldownMilliseconds: upstream.cooldown.wholeMilliseconds,
                cooldownMaxMilliseconds: upstream.cooldownMax.wholeMilliseconds,
                failedAnswersMax: upstream.failedUpgrades,
                slowStartMilliseconds: upstream.slowStart.wholeMilliseconds,
                activeMax: upstream.maxConnections ?? .max),
            pool: PoolLimits(
                idleMax: upstream.pool.max,
                idleMilliseconds: upstream.pool.idle.wholeMilliseconds),
            hash: hash, queue: known.queue(of: name), queueLimits: queueLimits,
            introduction: introduction(upstream.proxyProtocol), standings: taken.standings,
            sources: try sources(upstream.source), sticky: upstream.sticky.map(sticky),
            destinations: destinations)
    }

    private static func sticky(_ settings: StickySettings) -> StickyRule {
        var attributes = "; Path=\(settings.path)"
        if let age = settings.maxAge { attributes += "; Max-Age=\(age.components.seconds)" }
        attributes += "; SameSite=" + settings.sameSite.rawValue.prefix(1).uppercased()
        attributes += settings.sameSite.rawValue.dropFirst()
        return StickyRule(cookie: settings.cookie, attributes: attributes)
    }

    /// Endpoints that stand in one upstream more than once, which would have more than one share.
    static func repeatedEndpoints(_ configuration: Configuration) -> [ConfigurationProblem] {
        configuration.upstreams.sorted { $0.key < $1.key }.flatMap { name, upstream in
            let counts = Dictionary(
                upstream.endpoints.map { ($0.address.description, 1) }, uniquingKeysWith: +)
            return counts.filter { $0.value > 1 }.sorted { $0.key < $1.key }.map { label, count in
                ConfigurationProblem(
                    place: upstream.place,
                    sentence: "upstreams.\(name).endpoints: \(label) stands"
                        + " \(count == 2 ? "twice" : "\(count) times"). It is one endpoint, and would get a"
                        + " share of the clients for each time; write it once")
            }
        }
    }

    /// Upstreams whose endpoints all take nothing new.
    static func restingUpstreams(_ configuration: Configuration) -> [ConfigurationProblem] {
        configuration.upstreams.sorted { $0.key < $1.key }.compactMap { name, upstream in
            guard upstream.endpoints.allSatisfy({ $0.weight == 0 }) else { return nil }
            return ConfigurationProblem(
                place: upstream.place,
                sentence:
                    "upstreams.\(name).endpoints: all have the weight 0, so none takes anything"
                    + " new and each request is answered with 503")
        }
    }

    /// Upstreams whose cookie is for requests of other sites, which browsers take by https alone.
    static func strangerCookies(_ configuration: Configuration) -> [ConfigurationProblem] {
        configuration.upstreams.sorted { $0.key < $1.key }.compactMap { name, upstream in
            guard upstream.sticky?.sameSite == StickySettings.SameSite.none else { return nil }
            let routes = configuration.routes.filter { $0.to == .upstream(name) }
            // A proxy that is trusted says itself how the client asked.
            let plain = configuration.listen.first { listener in
                listener.tls == nil && !listener.redirectsToHTTPS && listener.trustedProxies.isEmpty
                    && routes.contains {
                        $0.listen.isEmpty || $0.listen.contains(listener.name ?? "")
                    }
            }
            guard let plain else { return nil }
            return ConfigurationProblem(
                place: upstream.place,
                sentence:
                    "upstreams.\(name).sticky: browsers drop a cookie with SameSite=None that is not"
                    + " Secure, and on the listener '\(plain.address)', which has no TLS, it is not; give"
                    + " the listener 'tls', or write sameSite: lax")
        }
    }

    /// The addresses to come from, each of which has to be one of this machine's.
    private static func sources(_ settings: [SourceAddress]) throws -> [Address] {
        try settings.map { setting in
            guard let address = Address(host: setting.address, port: 0), !address.isWildcard else {
                throw problem(
                    setting.place,
                    "source: found '\(setting.address)', allowed: one address of this machine")
            }
            if let fault = Socket.fault(ofSource: address) {
                throw problem(
                    setting.place,
                    "source: connections can't come from '\(setting.address)': \(fault)."
                        + " Allowed: addresses of this machine, as `ip address` lists them")
            }
            return address
        }
    }

    /// The group of a route that names its endpoint itself: an upstream that says nothing else.
    static func single(
        _ address: EndpointAddress, _ known: inout KnownEndpoints
    ) throws -> EndpointGroup {
        let label = address.description
        let taken = try known.take([EndpointSettings(address)], of: label, each: false)
        return try group(label, UpstreamSettings(endpoints: [address]), taken, &known)
    }

    /// Which upstreams are checked, and how.
    static func checks(
        _ configuration: Configuration, _ routing: Routing
    ) -> [CheckedUpstream] {
        routing.upstreams.compactMap { group in
            let health = configuration.upstreams[group.picker.name]?.health
            return health.map { health in
                var check = check(health)
                check.introduction = group.introduction
                return CheckedUpstream(
                    name: group.picker.name, endpoints: group.endpoints, check: check,
                    sources: group.sources(for:),
                    destination: group.destination(of:), recovered: { group.queue?.callNext() })
            }
        }
    }

    private static func check(_ health: HealthSettings) -> HealthCheck {
        let question: HealthCheck.Question =
            switch health.kind {
            case .tcp: .connection
            case .http: .get(path: health.path, statuses: health.status)
            case .websocket: .handshake(path: health.path)
            }
        return HealthCheck(
            question, host: health.host, everyMilliseconds: health.every.wholeMilliseconds,
            timeoutMilliseconds: health.timeout.wholeMilliseconds, rise: health.rise,
            fall: health.fall)
    }

    private static func introduction(
        _ proxyProtocol: UpstreamSettings.ProxyProtocol
    ) -> ProxyHeader.Version? {
        switch proxyProtocol {
        case .none: nil
        case .v1: .one
        case .v2: .two
        }
    }

    private static func balance(
        _ balance: UpstreamSettings.Balance
    ) -> (Balance, HashSource?) {
        switch balance {
        case .leastConnections: (.leastConnections, nil)
        case .roundRobin: (.roundRobin, nil)
        case .random2: (.random2, nil)
        case .hash(.path): (.hash, .path)
        case .hash(.segment(let name)): (.hash, .segment(name))
        case .hash(.client): (.hash, .client)
        case .hash(.cookie(let name)): (.hash, .cookie(Array(name.utf8)))
        case .hash(.header(let name)): (.hash, .header(Array(name.lowercased().utf8)))
        }
    }
}

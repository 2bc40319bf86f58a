// SPDX-License-Identifier: Apache-2.0
import Config
import Control
import Frontend
import Reactor
import Router

/// Upstreams: from their settings to what the engine chooses endpoints by.
extension Assembly {
    static func group(
        _ name: String, _ upstream: UpstreamSettings, _ known: inout KnownEndpoints
    ) throws -> EndpointGroup {
        let (balance, hash) = balance(upstream.balance)
        let queue = upstream.queue.map {
            QueueLimits(waitMilliseconds: $0.wait.wholeMilliseconds, size: $0.size)
        }
        return EndpointGroup(
            name: name,
            endpoints: try upstream.endpoints.map { try known.take($0, of: name) },
            rules: UpstreamRules(
                balance: balance, cooldownMilliseconds: upstream.cooldown.wholeMilliseconds,
                cooldownMaxMilliseconds: upstream.cooldownMax.wholeMilliseconds,
                failedAnswersMax: upstream.failedUpgrades,
                slowStartMilliseconds: upstream.slowStart.wholeMilliseconds,
                activeMax: upstream.maxConnections ?? .max),
            pool: PoolLimits(
                idleMax: upstream.pool.max,
                idleMilliseconds: upstream.pool.idle.wholeMilliseconds),
            hash: hash, queue: known.queue(of: name), queueLimits: queue,
            introduction: introduction(upstream.proxyProtocol))
    }

    /// Which upstreams are checked, and how.
    static func checks(
        _ configuration: Configuration, _ routing: Routing
    ) -> [CheckedUpstream] {
        routing.upstreams.compactMap { group in
            let health = configuration.upstreams[group.picker.name]?.health
            return health.map { CheckedUpstream(group, check($0)) }
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
        case .hash(.client): (.hash, .client)
        case .hash(.cookie(let name)): (.hash, .cookie(Array(name.utf8)))
        case .hash(.header(let name)): (.hash, .header(Array(name.lowercased().utf8)))
        }
    }
}

/// The endpoints of the configuration before, each to be taken over once.
struct KnownEndpoints {
    private struct Key: Hashable {
        let upstream: String
        let label: String
    }

    private var endpoints: [Key: [Endpoint]] = [:]
    private var queues: [String: PlaceQueue] = [:]
    private var upstreams: Set<String> = []

    init(_ routing: Routing?) {
        for group in routing?.upstreams ?? [] {
            upstreams.insert(group.picker.name)
            queues[group.picker.name] = group.queue
            for endpoint in group.endpoints {
                let key = Key(upstream: group.picker.name, label: endpoint.label)
                endpoints[key, default: []].append(endpoint)
            }
        }
    }

    /// Those who wait for a place at this upstream.
    func queue(of upstream: String) -> PlaceQueue? { queues[upstream] }

    /// The endpoint of that address as it is known, or a new one.
    mutating func take(_ address: EndpointAddress, of upstream: String) throws -> Endpoint {
        let key = Key(upstream: upstream, label: Assembly.label(of: address))
        if let first = endpoints[key]?.first {
            endpoints[key]?.removeFirst()
            return first
        }
        let endpoint = try Assembly.endpoint(address)
        // One that joins others begins slowly; where all are new there is nobody to begin with.
        if upstreams.contains(upstream) {
            endpoint.load.join(nowMilliseconds: Clock.nowMilliseconds())
        }
        return endpoint
    }
}

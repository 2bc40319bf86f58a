// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Ledger
import Naming
import Reactor
import Router
import TLS

/// What names stand for that stand for endpoints.
typealias NamesFound = [NameQuestion: NameContent]

extension Configuration {
    /// Names that stand for endpoints: of services, and of hosts with `resolve: each`.
    var expandingNames: Set<NameQuestion> {
        var names: Set<NameQuestion> = []
        for upstream in upstreams.values {
            for endpoint in upstream.endpoints {
                if let name = endpoint.address.expandingName(each: upstream.resolve == .each) {
                    names.insert(name)
                }
            }
        }
        for route in routes {
            guard case .endpoint(let address) = route.to else { continue }
            if let name = address.expandingName(each: false) { names.insert(name) }
        }
        return names
    }
}

extension EndpointAddress {
    /// The name, if it stands for endpoints.
    func expandingName(each: Bool) -> NameQuestion? {
        switch self {
        case .service(let name): .services(name)
        // This machine is one, by whichever of its addresses.
        case .tcp(let host, let port), .tls(let host, let port):
            each && Address(host: host, port: port) == nil
                && Resolver.thisMachine(host, port: port) == nil ? .addresses(host) : nil
        case .unix: nil
        }
    }
}

/// An endpoint that gets nothing any more, since a reload or its name has no place for it, and on which
/// something still runs.
struct DepartedEndpoint: Sendable {
    /// The name of the upstream that it belonged to.
    let upstream: String
    let endpoint: Endpoint

    /// Those of what was served before that are not among these.
    static func all(since previous: Assembly?, without routing: Routing) -> [DepartedEndpoint] {
        guard let previous else { return [] }
        let before = previous.routing.upstreams.flatMap { group in
            group.endpoints.map { DepartedEndpoint(upstream: group.picker.name, endpoint: $0) }
        }
        let running = (previous.departed + before).filter { $0.endpoint.load.activeCount > 0 }
        if running.isEmpty { return [] }
        let present = Set(routing.endpoints.map(ObjectIdentifier.init))
        return running.filter { !present.contains(ObjectIdentifier($0.endpoint)) }
    }
}

extension Assembly {
    /// Adds endpoints that get nothing here and on which something runs that another process has begun.
    mutating func keepDeparted(_ endpoints: [(upstream: String, endpoint: Endpoint)]) {
        let known = departed.map(\.endpoint) + routing.endpoints
        for (upstream, endpoint) in endpoints where !known.contains(where: { $0 === endpoint }) {
            departed.append(DepartedEndpoint(upstream: upstream, endpoint: endpoint))
        }
    }
}

/// The endpoints of an upstream.
struct TakenEndpoints {
    let endpoints: [Endpoint]
    /// Priority and weight of each; empty where all are the same.
    let standings: [Standing]
    /// The host by whose name each is verified; nil for one that speaks no TLS.
    let hosts: [String?]
}

/// The endpoints of the configuration before, each to be taken over once.
struct KnownEndpoints {
    private struct Key: Hashable {
        let upstream: String
        let label: String
        /// One that has moved under its name is another.
        let url: String
        /// One of another name at the same address is another.
        let authority: String

        init(_ endpoint: Endpoint, of upstream: String) {
            self.upstream = upstream
            label = endpoint.label
            url = endpoint.url
            authority = endpoint.authority
        }
    }

    private let found: NamesFound
    private var endpoints: [Key: [Endpoint]] = [:]
    /// Those that have left and still count what runs on them.
    private var departed: [Key: Endpoint] = [:]
    private var groups: [String: EndpointGroup] = [:]
    /// Whether groups whose endpoints are the same stay the same, with all that they remember.
    var keepsGroups = false
    /// What TLS is spoken in with endpoints, each made once.
    var contexts: DestinationContexts = [:]

    init(_ previous: Assembly?, found: NamesFound) {
        self.found = found
        for one in previous?.departed ?? [] {
            departed[Key(one.endpoint, of: one.upstream)] = one.endpoint
        }
        for group in previous?.routing.upstreams ?? [] {
            groups[group.picker.name] = group
            for endpoint in group.endpoints {
                endpoints[Key(endpoint, of: group.picker.name), default: []].append(endpoint)
            }
        }
    }

    /// The group of that name as it is known, if it has just these endpoints.
    func group(
        _ name: String, of endpoints: [Endpoint], _ standings: [Standing]
    ) -> EndpointGroup? {
        guard keepsGroups, let group = groups[name], group.standings == standings else {
            return nil
        }
        return group.endpoints.elementsEqual(endpoints) { $0 === $1 } ? group : nil
    }

    /// How an endpoint was verified before, with the sessions that it lets us take up again; nil where all is made
    /// anew, as by a reload, and where it was verified by another name.
    func destination(
        of endpoint: Endpoint, in upstream: String, serverName: String
    ) -> TLSDestination? {
        guard keepsGroups, let known = groups[upstream]?.destination(of: endpoint) else {
            return nil
        }
        return known.serverName == TLSDestination.name(serverName) ? known : nil
    }

    /// Those who wait for a place at this upstream.
    func queue(of upstream: String) -> PlaceQueue? { groups[upstream]?.queue }

    /// The endpoints that are written so, as they are known, or new ones; and where each stands among
    /// them, unless all are the same.
    ///
    /// What is written beside a service is of the first priority.
    mutating func take(
        _ settings: [EndpointSettings], of upstream: String, each: Bool
    ) throws -> TakenEndpoints {
        var all: [Endpoint] = []
        var hosts: [String?] = []
        var standings: [Int: Standing] = [:]
        // What was written of those that are not a service's.
        var weights: [Int: Int] = [:]
        for setting in settings {
            let first = all.count
            if let name = setting.address.expandingName(each: each) {
                all += try expand(setting.address, found[name], of: upstream) { index, standing in
                    standings[first + index] = standing
                }
            } else {
                all.append(
                    take(try Self.endpoint(setting.address, name: setting.name), of: upstream))
            }
            for index in first..<all.count { weights[index] = setting.weight }
            let host = setting.address.isSecure ? setting.address.hostAndPort?.host : nil
            hosts += Array(repeating: host, count: all.count - first)
        }
        // Two names may stand for one place.
        var seen: Set<String> = []
        let isExpanded = settings.contains { $0.address.expandingName(each: each) != nil }
        let kept = all.indices.filter { !isExpanded || seen.insert(all[$0].label).inserted }
        let first = standings.values.map(\.priority).min() ?? 0
        let placed = kept.map { index in
            standings[index]
                ?? Standing(
                    priority: first, weight: UInt16(clamping: weights[index] ?? 1),
                    isResting: weights[index] == 0)
        }
        let isUneven = placed.contains { $0 != placed[0] || $0.isResting }
        return TakenEndpoints(
            endpoints: kept.map { all[$0] }, standings: isUneven ? placed : [],
            hosts: kept.map { hosts[$0] })
    }

    /// The endpoints that a name stands for; those of a service with what its records say.
    private mutating func expand(
        _ address: EndpointAddress, _ found: NameContent?, of upstream: String,
        _ stands: (Int, Standing) -> Void
    ) throws -> [Endpoint] {
        var all: [Endpoint] = []
        let scheme = address.isSecure ? "wss://" : "ws://"
        switch (address, found) {
        case (.tcp(let host, let port), .addresses(let addresses)),
            (.tls(let host, let port), .addresses(let addresses)):
            for address in Self.one(family: addresses) {
                let address = address.with(port: port)
                let url = "\(scheme)\(address)"
                all.append(
                    take(
                        Endpoint(label: url, address: address, authority: "\(host):\(port)"),
                        of: upstream))
            }
        case (_, .services(let records)):
            for record in records {
                stands(
                    all.count, Standing(priority: record.priority, weight: record.weight))
                let address = EndpointAddress.tcp(host: record.host, port: record.port)
                all.append(take(try Self.endpoint(address), of: upstream))
            }
        default:
            all.append(take(Endpoint(unresolved: address.description), of: upstream))
        }
        return all
    }

    /// The endpoint as it is known, or this new one.
    private mutating func take(_ new: Endpoint, of upstream: String) -> Endpoint {
        let key = Key(new, of: upstream)
        if let first = endpoints[key]?.first {
            endpoints[key]?.removeFirst()
            return first
        }
        let endpoint = departed.removeValue(forKey: key) ?? new
        // One that joins others begins slowly; where all are new there is nobody to begin with.
        if groups[upstream] != nil { endpoint.load.join(nowMilliseconds: Clock.nowMilliseconds()) }
        return endpoint
    }

    /// The IPv4 addresses, or those of IPv6 where there are no others: of a host that has both, each
    /// would count twice.
    private static func one(family addresses: [Address]) -> [Address] {
        let old = addresses.filter { !$0.isIPv6 }
        return old.isEmpty ? addresses : old
    }

    private static func endpoint(
        _ address: EndpointAddress, name: String? = nil
    ) throws -> Endpoint {
        let label = address.description
        switch address {
        case .unix(let path):
            return Endpoint(label: label, address: try Address(parsing: "unix:" + path), name: name)
        case .tcp(let host, let port), .tls(let host, let port):
            if let known = Address(host: host, port: port) {
                return Endpoint(label: label, address: known, name: name)
            }
            if let both = Resolver.thisMachine(host, port: port) {
                return Endpoint(label: label, addresses: both, port: port, name: name)
            }
            return Endpoint(label: label, host: host, port: port, name: name)
        case .service: return Endpoint(unresolved: label)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Ledger
import Reactor
import Router
import TLS
import Wire

/// A listener as connections know it for as long as they live; it keeps no socket open.
final class ListenerFacts: Sendable {
    /// Names the listener among others of this process; it stays over reloads.
    let number: Int
    /// What routes call it; empty where none names it.
    let name: String
    /// The address as bound.
    let address: Address
    /// Whether it speaks TLS.
    let isSecure: Bool
    /// What holds for those who speak HTTP/2, and what they may do; nil where it is not spoken.
    let multiplexing: (rules: MultiplexRules, policy: HTTP2Policy)?
    /// The `Strict-Transport-Security` of its answers.
    let strictTransportSecurity: String?
    /// Whether it sends every request on to https.
    let redirectsToHTTPS: Bool
    /// Whether each connection begins with a header of the PROXY protocol.
    let expectsProxyHeader: Bool
    /// Whose word on who asks, and how, counts.
    let trustedProxies: [AddressBlock]
    /// Whose certificates clients may show; nil where they are not asked for any.
    let clients: ClientAuthorities?

    init(_ plan: ListenerPlan, number: Int, address: Address, _ heads: HeadLimits) {
        self.number = number
        self.address = address
        name = plan.name
        multiplexing = plan.multiplexing.map { ($0, $0.policy(heads)) }
        isSecure = plan.certificates != nil
        strictTransportSecurity = plan.strictTransportSecurity
        redirectsToHTTPS = plan.redirectsToHTTPS
        expectsProxyHeader = plan.expectsProxyHeader
        trustedProxies = plan.trustedProxies
        clients = plan.certificates?.clients
    }

    /// Numbers from here on are of listeners that this process does not have.
    static let goneNumbers = 1 << 48

    /// A listener that is not there any more.
    init(gone address: Address, number: Int, isSecure: Bool) {
        self.number = number
        self.address = address
        self.isSecure = isSecure
        name = ""
        multiplexing = nil
        strictTransportSecurity = nil
        redirectsToHTTPS = false
        expectsProxyHeader = false
        trustedProxies = []
        clients = nil
    }

    /// Whether somebody is a proxy in front whose word counts.
    func trusts(_ peer: Address) -> Bool {
        !trustedProxies.isEmpty && trustedProxies.contains { $0.contains(peer) }
    }
}

/// A listening socket with what holds for those who come through it.
final class Entrance: Sendable {
    /// Names the socket among the reactors' events; a socket keeps it over reloads.
    let number: Int
    let socket: SharedListener
    let facts: ListenerFacts
    /// For new connections; nil where it is plain.
    let certificates: CertificateStore?

    init(number: Int, socket: SharedListener, plan: ListenerPlan, _ heads: HeadLimits) {
        self.number = number
        self.socket = socket
        facts = ListenerFacts(plan, number: number, address: socket.address, heads)
        certificates = plan.certificates
    }
}

/// What reactors serve by: made whole, handed to each, and never changed.
///
/// A reload makes another one. Whoever was judged by the old one goes on under its rules.
final class Snapshot: Sendable {
    let settings: FrontendSettings
    let routing: Routing
    /// The port of the first listener that speaks TLS.
    private let securePort: UInt16
    /// Upstreams at which requests may wait for a place.
    private let waited: [EndpointGroup]
    /// Upstreams with endpoints that speak TLS, by their names.
    private let secured: [String: EndpointGroup]

    init(settings: FrontendSettings, routing: Routing, entrances: [Entrance]) {
        self.settings = settings
        self.routing = routing
        securePort = entrances.first { $0.facts.isSecure }?.facts.address.port ?? 443
        waited = routing.upstreams.filter { $0.queue != nil }
        secured = Dictionary(
            routing.upstreams.filter { !$0.destinations.isEmpty }.map { ($0.picker.name, $0) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The upstream whose places those wait for who began to wait at `group`: since a reload another
    /// one with the same line, or with none.
    func current(_ group: EndpointGroup) -> EndpointGroup {
        waited.first { $0.queue === group.queue }
            ?? routing.upstreams.first { $0.picker.name == group.picker.name } ?? group
    }

    /// How TLS is spoken with an endpoint of an upstream by what is configured now, whichever group a request has begun with;
    /// nil for one that speaks none.
    ///
    /// Whom to trust may have changed while the request waited for something.
    func destination(of endpoint: Endpoint, in group: EndpointGroup) -> TLSDestination? {
        // With another scheme an endpoint is another one.
        if group.destinations.isEmpty { return nil }
        return secured[group.picker.name]?.destination(of: endpoint)
            ?? group.destination(of: endpoint)
    }

    /// A URL of the first listener that speaks TLS; `scheme` is `https` or `wss`, whose default port
    /// is left out.
    func secureURL(_ scheme: String, _ host: HostName, path: String) -> String {
        let name = host.isIPv6 ? "[\(host.name)]" : host.name
        return scheme + "://" + name + (securePort == 443 ? "" : ":\(securePort)") + path
    }
}

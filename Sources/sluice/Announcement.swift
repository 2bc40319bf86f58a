// SPDX-License-Identifier: Apache-2.0
import Config
import Reactor

/// What is printed once the listeners stand: one line for each, and what to put into the browser.
struct Announcement {
    let configuration: Configuration
    /// A path to show where a route takes any.
    var examplePath: String?
    /// The authority that signed a certificate of quick mode.
    var localAuthority: String?

    init(configuration: Configuration) { self.configuration = configuration }

    /// The lines, given the addresses as they were bound.
    func lines(_ addresses: [Address]) -> [String] {
        var lines: [String] = []
        for (listener, address) in zip(configuration.listen, addresses) {
            let note = listener.redirectsToHTTPS ? " (sends everything on to https)" : ""
            lines.append("listening \(Self.scheme(listener))://\(address)\(note)")
        }
        for route in configuration.routes {
            let to = Assembly.label(of: route, in: configuration)
            var seen: Set<String> = []
            for (listener, address) in zip(configuration.listen, addresses)
            where !listener.redirectsToHTTPS {
                let url = url(of: route, listener, address)
                if seen.insert(url).inserted { lines.append("route     \(url) -> \(to)") }
            }
        }
        if let localAuthority {
            lines.append("")
            lines.append("Clients must trust the local authority \(localAuthority):")
            lines.append(CertCommand.trustAdvice(for: localAuthority))
        }
        return lines
    }

    private static func scheme(
        _ listener: ListenerSettings, isAnsweredHere: Bool = false
    ) -> String {
        let isWeb = isAnsweredHere || listener.redirectsToHTTPS
        return (isWeb ? "http" : "ws") + (listener.tls == nil ? "" : "s")
    }

    /// The URL that a person would type for a route.
    private func url(
        of route: RouteSettings, _ listener: ListenerSettings, _ address: Address
    ) -> String {
        if address.isUnix { return "\(address) \(route.path)" }
        let isLocal = address.isLoopback || address.isWildcard
        let literal = address.isIPv6 ? "[\(address.hostString)]" : address.hostString
        var host = route.host ?? (isLocal ? "localhost" : literal)
        let isDefaultPort = address.port == (listener.tls == nil ? 80 : 443)
        if !isDefaultPort { host += ":\(address.port)" }
        var path = route.path
        if path.hasSuffix("*") { path = String(path.dropLast()) }
        if let examplePath, route.path.hasSuffix("*") { path = examplePath }
        let rest = route.path.hasSuffix("*") && examplePath == nil ? "…" : ""
        var isAnsweredHere = false
        switch route.to {
        case .respond, .redirect: isAnsweredHere = true
        case .endpoint, .upstream: break
        }
        let scheme = Self.scheme(listener, isAnsweredHere: isAnsweredHere)
        return "\(scheme)://\(host)\(path)\(rest)"
    }
}

// SPDX-License-Identifier: Apache-2.0
import Config
import QRCode
import Reactor
import Service

/// What is printed once the listeners stand: one line for each, and what to put into the browser.
struct Announcement {
    let configuration: Configuration
    /// The path of the app's own URL, where a route takes others too.
    var examplePath: String?
    /// What this machine is called, instead of localhost.
    var hosts: [String] = []
    /// The addresses by which others reach it, where it listens for them.
    var network: [Address] = []
    /// What has to be said before all.
    var notices: [String] = []
    /// The authority that signed a certificate of quick mode.
    var localAuthority: String?

    init(configuration: Configuration) { self.configuration = configuration }

    /// The lines, given the addresses as they were bound, and the characters in a line of the
    /// terminal if there is one.
    func lines(_ addresses: [Address], terminal: Terminal? = nil, columns: Int = 80) -> [String] {
        var lines = notices.map(Notice.line)
        for (listener, address) in zip(configuration.listen, addresses) {
            let note = listener.redirectsToHTTPS ? " (sends everything on to https)" : ""
            lines.append("listening \(Self.scheme(listener))://\(address)\(note)")
        }
        for route in configuration.routes {
            let to = Assembly.label(of: route, in: configuration)
            var seen: Set<String> = []
            for (listener, address) in zip(configuration.listen, addresses)
            where !listener.redirectsToHTTPS {
                for host in shownHosts(of: route, address) {
                    let url = url(of: route, listener, address, host: host)
                    if seen.insert(url).inserted { lines.append("route     \(url) -> \(to)") }
                }
            }
            if let examplePath, !seen.contains(where: { $0.hasSuffix(examplePath) }) {
                for url in sockets(of: route, addresses, at: examplePath)
                where seen.insert(url).inserted { lines.append("socket    \(url)") }
            }
        }
        if let first = addresses.first, let host = network.first {
            lines += phone("https://\(Self.literal(host)):\(first.port)", terminal, columns)
        }
        if let localAuthority {
            lines.append("")
            lines.append("Clients must trust the local authority \(localAuthority):")
            lines.append(CertCommand.trustAdvice(for: localAuthority))
        }
        return lines
    }

    /// The origin of a page that comes through the first listener (RFC 6454 §4).
    func pageOrigin(_ addresses: [Address]) -> String? {
        guard let route = configuration.routes.first, let listener = configuration.listen.first,
            let address = addresses.first, !address.isUnix,
            let host = shownHosts(of: route, address).first
        else { return nil }
        let isDefaultPort = address.port == (listener.tls == nil ? 80 : 443)
        return (listener.tls == nil ? "http://" : "https://") + host
            + (isDefaultPort ? "" : ":\(address.port)")
    }

    /// The URLs at which a client reaches the path of the app's own URL.
    private func sockets(
        of route: RouteSettings, _ addresses: [Address], at path: String
    ) -> [String] {
        var route = route
        route.path = path
        return zip(configuration.listen, addresses).flatMap { listener, address in
            listener.redirectsToHTTPS
                ? []
                : shownHosts(of: route, address).map {
                    url(of: route, listener, address, host: $0)
                }
        }
    }

    /// The URL for a phone, and on a terminal that is wide enough as something to point it at.
    private func phone(_ origin: String, _ terminal: Terminal?, _ columns: Int) -> [String] {
        let url = origin + (examplePath ?? "/")
        var lines = ["", "On a phone: \(url)"]
        if localAuthority != nil {
            lines.append("It has to trust the local authority too: \(Program.name) cert export")
        }
        if let terminal, terminal.isTerminal, let code = QRCode(url), code.columns <= columns {
            lines += code.lines(isInked: terminal.usesColor)
        }
        return lines
    }

    private static func literal(_ address: Address) -> String {
        address.isIPv6 ? "[\(address.hostString)]" : address.hostString
    }

    /// What stands for the machine in the URLs of a listener.
    private func shownHosts(of route: RouteSettings, _ address: Address) -> [String] {
        if let host = route.host { return [host] }
        guard address.isLoopback || address.isWildcard else { return [Self.literal(address)] }
        let names = hosts.filter { !$0.hasPrefix("*") }.map { name in
            Address(host: name, port: 0).map(Self.literal) ?? name
        }
        return (names.isEmpty ? ["localhost"] : names)
            + (address.isWildcard ? network.map(Self.literal) : [])
    }

    private static func scheme(
        _ listener: ListenerSettings, isAnsweredHere: Bool = false
    ) -> String {
        let isWeb = isAnsweredHere || listener.redirectsToHTTPS
        return (isWeb ? "http" : "ws") + (listener.tls == nil ? "" : "s")
    }

    /// The URL that a person would type for a route.
    private func url(
        of route: RouteSettings, _ listener: ListenerSettings, _ address: Address, host: String
    ) -> String {
        if address.isUnix { return "\(address) \(route.path)" }
        var host = host
        let isDefaultPort = address.port == (listener.tls == nil ? 80 : 443)
        if !isDefaultPort { host += ":\(address.port)" }
        var path = route.path
        if path.hasSuffix("*") { path = String(path.dropLast()) }
        let rest = route.path.hasSuffix("*") ? "…" : ""
        var isAnsweredHere = false
        switch route.to {
        case .respond, .redirect: isAnsweredHere = true
        case .endpoint, .upstream: break
        }
        let scheme = Self.scheme(listener, isAnsweredHere: isAnsweredHere)
        return "\(scheme)://\(host)\(path)\(rest)"
    }
}

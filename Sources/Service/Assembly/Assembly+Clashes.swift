// SPDX-License-Identifier: Apache-2.0
import Config
import Router

/// What is right of each part of a configuration and wrong of several together.
extension Assembly {
    // MARK: Cookies

    /// Routes to upstreams with one cookie, by the hosts that they serve: who reaches each first.
    private struct StickyHosts {
        private var any: String?
        private var exact: [String: String] = [:]
        private var wild: [String: String] = [:]

        /// Takes the upstream of a host; hands back another one that browsers could reach by the same host.
        ///
        /// Those of wider patterns have to be taken before.
        mutating func add(_ upstream: String, _ host: HostPattern) -> String? {
            switch host {
            case .any:
                let other = any
                any = any ?? upstream
                return other == upstream ? nil : other
            case .exact(let name):
                let below = name.split(separator: ".", maxSplits: 1).dropFirst().first
                let others = [any, exact[name], wild[below.map(String.init) ?? ""]]
                    .compactMap(\.self)
                exact[name] = exact[name] ?? upstream
                return others.first { $0 != upstream }
            case .wildcard(let name):
                let others = [any, wild[name]].compactMap(\.self)
                wild[name] = wild[name] ?? upstream
                return others.first { $0 != upstream }
            }
        }
    }

    private struct StickyPlace: Hashable {
        let cookie: String
        let path: String
    }

    /// Throws where two upstreams would overwrite each other's cookie in a browser.
    static func checkStickyCookies(
        _ configuration: Configuration, _ entries: [RouteEntry]
    ) throws(ConfigurationProblems) {
        var hosts: [StickyPlace: StickyHosts] = [:]
        // Wildcards first, so that each name finds those that hold it.
        let order = entries.indices.sorted { entries[$0].host.breadth > entries[$1].host.breadth }
        for index in order {
            guard case .upstream(let name) = configuration.routes[index].to,
                let upstream = configuration.upstreams[name], let sticky = upstream.sticky
            else { continue }
            let place = StickyPlace(cookie: sticky.cookie, path: sticky.path)
            guard let other = hosts[place, default: StickyHosts()].add(name, entries[index].host)
            else { continue }
            throw problem(
                upstream.place,
                "upstreams.\(name).sticky: the cookie '\(sticky.cookie)' is that of upstreams.\(other) too, with"
                    + " the same path, and browsers can reach both by one host, allowed: another name for one of"
                    + " them (sticky.cookie)")
        }
    }

    // MARK: Routes beside each other

    private struct RoutePlace: Hashable {
        let host: HostPattern
        let path: String
    }

    /// Routes with `access` whose requests, where they miss its conditions, are taken by a route of that path with
    /// other rules or none.
    static func unguardedRoutes(_ configuration: Configuration) -> [ConfigurationProblem] {
        let entries = entries(of: configuration.routes).entries
        guard entries.count == configuration.routes.count else { return [] }
        let indices = entries.indices.filter { !entries[$0].conditions.isEmpty }
        guard indices.contains(where: { configuration.routes[$0].access != nil }) else { return [] }
        let groups = Dictionary(grouping: entries.indices) {
            RoutePlace(host: entries[$0].host, path: configuration.routes[$0].path)
        }
        var warnings: [ConfigurationProblem] = []
        for index in indices {
            let route = configuration.routes[index]
            guard let access = route.access?.withoutPlaces else { continue }
            let place = RoutePlace(host: entries[index].host, path: route.path)
            let other = groups[place]?.first {
                entries[index].conditions.isNarrower(than: entries[$0].conditions)
                    && configuration.routes[$0].access?.withoutPlaces != access
            }
            guard let other else { continue }
            warnings.append(
                ConfigurationProblem(
                    place: route.place,
                    sentence:
                        "access: requests that miss the conditions of this route (when, listen) are taken by"
                        + " the one at \(configuration.routes[other].place), which has not the same access. Conditions"
                        + " choose a route and do not protect; give access to both"))
        }
        return warnings
    }
}

extension HostPattern {
    /// Grows with the hosts that there are of it.
    fileprivate var breadth: Int {
        switch self {
        case .any: 2
        case .wildcard: 1
        case .exact: 0
        }
    }
}

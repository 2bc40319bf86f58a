// SPDX-License-Identifier: Apache-2.0
import Config
import Router
import Wire

/// Routes that no request can reach, though each of their keys is right.
extension Assembly {
    // MARK: Errors

    /// Throws where all listeners that a route names send their requests on to https.
    static func checkListeners(
        ofRoutesIn configuration: Configuration
    ) throws(ConfigurationProblems) {
        for route in configuration.routes where !route.listen.isEmpty {
            let named = configuration.listen.filter { route.listen.contains($0.name ?? "") }
            guard named.allSatisfy(\.redirectsToHTTPS) else { continue }
            let names = Set(route.listen).sorted().map { "'\($0)'" }.joined(separator: " and ")
            throw problem(
                route.place,
                "listen: can never be met: \(names) \(Set(route.listen).count == 1 ? "sends" : "send")"
                    + " every request on to https (listen[].redirect)")
        }
    }

    /// Throws where a route wants a field `Host` that no request for its host has.
    static func checkHostField(
        of route: RouteSettings, _ host: HostPattern
    ) throws(ConfigurationProblems) {
        guard let field = route.when.fields.first(where: { $0.name.lowercased() == "host" }),
            !field.value.contains("*")
        else { return }
        let named: HostName
        do throws(HeadFault) {
            named = try HostName(parsing: Array(field.value.utf8)[...])
        } catch {
            throw problem(
                route.place,
                "when.fields: can never be met: '\(field.value)' is no host, and a request with such a"
                    + " Host is refused")
        }
        let isOfHost =
            switch host {
            case .any: true
            case .exact(let name): named.name == name
            case .wildcard(let name):
                named.name.split(separator: ".", maxSplits: 1).dropFirst().first == name[...]
            }
        guard !isOfHost else { return }
        throw problem(
            route.places.host,
            "host: can never be met: the route is for '\(host)', and 'when.fields' wants the Host"
                + " '\(field.value)'")
    }

    // MARK: Warnings

    /// Conditions on fields that a key of the route says better.
    static func fieldsWithKeys(_ configuration: Configuration) -> [ConfigurationProblem] {
        configuration.routes.flatMap { route in
            route.when.fields.compactMap { field in
                advice(on: field).map {
                    ConfigurationProblem(place: route.place, sentence: "when.fields: \($0)")
                }
            }
        }
    }

    private static func advice(on field: WhenSettings.Condition) -> String? {
        guard !field.value.contains("*") else { return nil }
        let value = field.value.lowercased()
        switch field.name.lowercased() {
        case "host" where !field.value.contains(":"):
            return
                "clients name the port in Host where it is not 443 or 80, and '\(field.value)' is"
                + " compared as it is written; 'host' beside 'when' is compared without the port"
        case "upgrade" where value.contains("websocket"),
            "connection" where value.contains("upgrade"):
            return
                "'\(field.value)' is compared as it is written, and clients write \(field.name) in"
                + " several ways; 'upgrade: true' in 'when' is for all requests for a WebSocket"
        default: return nil
        }
    }

    /// What routes have in common of which one can leave nothing for another.
    private struct Company: Hashable {
        let host: HostPattern
        let path: PathPattern
        let fields: [String: ValueGlob]
        let query: [String: ValueGlob]
    }

    /// A kind of request, as far as conditions can tell apart what there is an end of.
    private struct Kind {
        let listener: String
        let isUpgrade: Bool
        /// Nil for one that no condition names.
        let method: String?

        func fits(_ conditions: RouteConditions) -> Bool {
            if let upgrade = conditions.upgrade, upgrade != isUpgrade { return false }
            if !conditions.listeners.isEmpty, !conditions.listeners.contains(listener) {
                return false
            }
            guard !conditions.methods.isEmpty else { return true }
            return method.map(conditions.methods.contains) ?? false
        }
    }

    /// Routes all of whose requests are taken by narrower ones of the same host and path.
    static func emptyRoutes(_ configuration: Configuration) -> [ConfigurationProblem] {
        let entries = entries(of: configuration.routes).entries
        guard entries.count == configuration.routes.count,
            entries.contains(where: { !$0.conditions.isEmpty })
        else { return [] }
        let listeners = Set(
            configuration.listen.filter { !$0.redirectsToHTTPS }.map { $0.name ?? "" })
        // Fields and parameters have values without end: only routes with the same ones can take all of each other's.
        let companies = Dictionary(grouping: entries.indices) { index in
            let entry = entries[index]
            return Company(
                host: entry.host, path: entry.path, fields: entry.conditions.fields,
                query: entry.conditions.query)
        }
        let warnings = companies.values.filter { $0.count > 1 }.flatMap { company in
            company.compactMap { emptyRoute($0, among: company, entries, configuration, listeners) }
        }
        return ConfigurationProblems(sorting: warnings).problems
    }

    /// The warning of one route, where those of its company leave nothing for it.
    private static func emptyRoute(
        _ index: Int, among company: [Int], _ entries: [RouteEntry],
        _ configuration: Configuration, _ listeners: Set<String>
    ) -> ConfigurationProblem? {
        let own = entries[index].conditions
        let narrower = company.filter { entries[$0].conditions.isNarrower(than: own) }
        var takers: Set<Int> = []
        let isTaken = kinds(own, listeners).allSatisfy { kind in
            guard let taker = narrower.first(where: { kind.fits(entries[$0].conditions) })
            else { return false }
            takers.insert(taker)
            return true
        }
        guard isTaken, !takers.isEmpty else { return nil }
        let places = takers.sorted().map { configuration.routes[$0].place.description }
        return ConfigurationProblem(
            place: configuration.routes[index].place,
            sentence: "no request is left for this route: what fits it is taken by"
                + " \(places.count == 1 ? "the one" : "those") at"
                + " \(places.joined(separator: " and "))")
    }

    /// The kinds of requests that fit conditions; one for a WebSocket is a GET.
    private static func kinds(
        _ conditions: RouteConditions, _ listeners: Set<String>
    ) -> [Kind] {
        let methods: [String?] = conditions.methods.isEmpty ? [nil] : conditions.methods.sorted()
        let kinds = listeners.flatMap { listener in
            [Kind(listener: listener, isUpgrade: true, method: "GET")]
                + methods.map { Kind(listener: listener, isUpgrade: false, method: $0) }
        }
        return kinds.filter { $0.fits(conditions) }
    }
}

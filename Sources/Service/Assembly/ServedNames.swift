// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Ledger
import Naming

/// What is served, by the names that people give it in commands.
///
/// There is one way to name a route, an endpoint and a client in all of them: a route as `sluice status`
/// prints it, an endpoint as it stands in the configuration, with or without its scheme, and a client by
/// its address, with or without the port that it connected from (`ClientName`).
struct ServedNames {
    /// Names in a message; more would hide the sentence.
    private static let namesMax = 8

    private let routes: [String]
    private let endpoints: [String]

    /// What is served; what has left the configuration and still has relays; and what is drained, which has
    /// that name also when it comes back.
    init(_ assembly: Assembly, drained: DrainedNames) {
        let present = assembly.routing.routes.map(\.name)
        let left = assembly.routing.departedCounts.map(\.name)
        routes = present + drained.routes.union(left).subtracting(present).sorted()
        let all = assembly.routing.endpoints + assembly.departed.map(\.endpoint)
        endpoints = Set(all.map(\.label)).union(drained.endpoints).sorted()
    }

    init(routes: [String], endpoints: [String]) {
        self.routes = routes
        self.endpoints = endpoints
    }

    /// The route of this name; nil where there is none.
    func route(_ wanted: String) -> String? { routes.first { $0 == wanted } }

    /// The label of this endpoint; nil where there is none.
    func endpoint(_ wanted: String) -> String? {
        endpoints.first { $0 == wanted } ?? endpoints.first { Self.withoutScheme($0) == wanted }
    }

    func noRoute(_ wanted: String) -> String {
        "There is no route \(wanted); \(Self.list(routes, "routes"))."
            + Self.didYouMean(Self.nearest(wanted, routes))
    }

    func noEndpoint(_ wanted: String) -> String {
        // A port alone, or the name of a host.
        let like = endpoints.filter { label in
            label.hasSuffix(":\(wanted)") || Self.withoutScheme(label).hasPrefix("\(wanted):")
        }
        let meant =
            like.count == 1 ? like[0] : Self.nearest(wanted, endpoints)
        return "There is no endpoint \(wanted); \(Self.list(endpoints, "endpoints"))."
            + Self.didYouMean(meant)
    }

    /// That no upstream has a name, and which have one.
    static func noUpstream(_ wanted: String, among names: [String]) -> String {
        "There is no upstream \(wanted); \(list(names, "upstreams"))."
            + didYouMean(nearest(wanted, names))
    }

    /// What was probably meant; of a few characters every name is near.
    private static func nearest(_ wanted: String, _ names: [String]) -> String? {
        wanted.count < 4 ? nil : Nearest.suggestion(for: wanted, among: names)
    }

    private static func didYouMean(_ name: String?) -> String {
        name.map { " Did you mean \($0)?" } ?? ""
    }

    /// That a client has no live relays, and which clients have some, of those that are asked about.
    static func noClient(_ wanted: String, among clients: [String]) -> String {
        let some =
            clients.prefix(namesMax).joined(separator: ", ")
            + (clients.count > namesMax ? " and \(clients.count - namesMax) more" : "")
        return "No live relay is of the client \(wanted); "
            + (clients.isEmpty ? "there are none of others either." : "there are some of \(some).")
    }

    private static func list(_ names: [String], _ what: String) -> String {
        if names.isEmpty { return "there are no \(what)" }
        let more = names.count - namesMax
        return "there \(names.count == 1 ? "is" : "are") "
            + names.prefix(namesMax).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    }

    private static func withoutScheme(_ label: String) -> Substring {
        label.firstRange(of: "://").map { label[$0.upperBound...] } ?? label[...]
    }
}

// SPDX-License-Identifier: Apache-2.0
import Frontend
import Ledger
import Naming
import Reactor

/// What is served, by the names that people give it in commands.
///
/// There is one way to name a route, an endpoint and a client in all of them: a route as `sluice status`
/// prints it, an endpoint as it stands in the configuration, with or without its scheme, and a client by
/// its address, with or without the port that it connected from.
struct ServedNames {
    /// Names in a message; more would hide the sentence.
    private static let namesMax = 8

    private let routes: [String]
    private let endpoints: [String]

    init(_ assembly: Assembly) {
        routes = assembly.routing.routes.map(\.name)
        // Those that have left the configuration still have relays.
        let all = assembly.routing.endpoints + assembly.departed.map(\.endpoint)
        endpoints = Set(all.map(\.label)).sorted()
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

    /// A client's address without its port, as relays have it; nil where the text is no address.
    static func client(_ wanted: String) -> String? {
        // An address alone has no port, and brackets only where it is IPv6.
        for text in [wanted, "\(wanted):0", "[\(wanted)]:0"] {
            if let address = try? Address(parsing: text), !address.isUnix, !address.isWildcard {
                return address.hostString
            }
        }
        return nil
    }

    func noRoute(_ wanted: String) -> String {
        "There is no route \(wanted); \(Self.list(routes, "routes"))."
    }

    func noEndpoint(_ wanted: String) -> String {
        "There is no endpoint \(wanted); \(Self.list(endpoints, "endpoints"))."
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

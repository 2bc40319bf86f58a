// SPDX-License-Identifier: Apache-2.0
import Router
import Wire

/// What of a request the conditions of routes look at.
struct RouteAsked {
    let isUpgrade: Bool
    let method: String
    /// The name of the listener that it has come by; empty where that has none.
    let listener: String
    let fields: FieldList
    let query: ArraySlice<UInt8>

    /// What a request for a WebSocket asks, by either version.
    init(_ asked: UpgradeRequest, listener: String) {
        isUpgrade = true
        method = "GET"
        self.listener = listener
        fields = asked.head.fields
        query = (asked.target.query ?? [])[...]
    }

    /// What an ordinary request asks.
    init(_ request: borrowing Request) {
        isUpgrade = false
        method = request.asked.head.method
        listener = request.stream.facts.pointee.listener.name
        fields = request.asked.head.fields
        query = request.asked.queryRange.map { request.asked.bytes[$0] } ?? []
    }

    /// Whether the conditions of a route hold.
    func fits(_ conditions: RouteConditions) -> Bool {
        if let upgrade = conditions.upgrade, upgrade != isUpgrade { return false }
        if !conditions.listeners.isEmpty, !conditions.listeners.contains(listener) { return false }
        if !conditions.methods.isEmpty, !conditions.methods.contains(method) { return false }
        for (name, glob) in conditions.fields {
            let values = fields.all(name)
            guard values.count == 1, let value = values.first, glob.matches(value.span),
                fields.countTaken(for: name) == 1
            else { return false }
        }
        for (name, glob) in conditions.query {
            guard let value = parameter(Array(name.utf8)), glob.matches(value.span) else {
                return false
            }
        }
        return true
    }

    /// The value of the parameter that the query has once; nil where it has none or several.
    private func parameter(_ name: [UInt8]) -> ArraySlice<UInt8>? {
        var found: ArraySlice<UInt8>?
        for pair in query.split(separator: UInt8(ascii: "&")) {
            let key = pair.prefix { $0 != UInt8(ascii: "=") }
            guard key.elementsEqual(name) else { continue }
            if found != nil { return nil }
            found = pair.dropFirst(key.count + 1)
        }
        return found
    }
}

extension Routing {
    /// The route of a request; what it is asked for beside host and path is made where routes have conditions.
    func route(
        host: Span<UInt8>, path: Span<UInt8>, _ asked: () -> RouteAsked
    ) -> Int? {
        hasConditions
            ? conditionalRoute(host: host, path: path, asked())
            : table.index(host: host, path: path)
    }

    // By itself, since with both calls in one function the whole table is copied for each request.
    @inline(never)
    private func conditionalRoute(
        host: Span<UInt8>, path: Span<UInt8>, _ asked: RouteAsked
    ) -> Int? {
        table.index(host: host, path: path) { asked.fits(plans[$0].route.conditions) }
    }
}

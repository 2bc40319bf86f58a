// SPDX-License-Identifier: Apache-2.0
import Admin
import Ledger

/// A table that fits into so many columns: what is less important is left out, and names are shortened.
struct TopTable {
    struct Column {
        let title: String
        /// Names are written from the left and share what room is left; others are numbers.
        var isName = false
        /// Those with a lower one go first where there is no room; 0 stays.
        var rank = 0

        static func name(_ title: String) -> Column { Column(title: title, isName: true) }
    }

    struct Row {
        let cells: [String]
        /// What the row is sorted by.
        let weight: Double
        /// A colour (SGR) for the row; nil for none.
        var color: Int?

        /// All that a filter looks at.
        var text: String { cells.joined(separator: " ") }
    }

    /// Characters that a name is not shortened below while there are numbers to leave out.
    private static let nameMin = 16

    let columns: [Column]
    let rows: [Row]

    /// The rows that are wanted, in their order.
    func chosen(_ wish: TopWish) -> [Row] {
        // What the process has chosen and sorted stays as it came.
        if wish.view == .relays { return wish.isReversed ? rows.reversed() : rows }
        var found = rows.filter { wish.matches($0.text) }
        let isByName = wish.order == "name"
        // Those that weigh the same stand by name, so that nothing jumps.
        found.sort { one, other in
            if !isByName && one.weight != other.weight { return one.weight > other.weight }
            return one.cells[0] < other.cells[0]
        }
        return wish.isReversed ? found.reversed() : found
    }

    /// The title and these rows, each so many characters wide at most.
    func lines(_ rows: [Row], width: Int) -> [(text: String, color: Int?)] {
        var widths = columns.indices.map { column in
            max(columns[column].title.count, rows.map { $0.cells[column].count }.max() ?? 0)
        }
        var shown = Array(columns.indices)
        func total() -> Int { shown.map { widths[$0] }.reduce(0, +) + 2 * (shown.count - 1) }
        func shrink() {
            while total() > width,
                let widest = shown.filter({ columns[$0].isName }).max(by: {
                    widths[$0] < widths[$1]
                }),
                widths[widest] > Self.nameMin
            {
                widths[widest] -= 1
            }
        }
        shrink()
        while total() > width,
            let least = shown.filter({ columns[$0].rank > 0 }).min(by: {
                columns[$0].rank < columns[$1].rank
            })
        {
            shown.removeAll { $0 == least }
        }
        func line(_ cells: [String]) -> String {
            let parts = shown.map { column in
                let cell = Self.shortened(cells[column], to: widths[column])
                let blanks = String(repeating: " ", count: widths[column] - cell.count)
                return columns[column].isName ? cell + blanks : blanks + cell
            }
            return String(parts.joined(separator: "  ").prefix(width))
        }
        return [(line(columns.map(\.title)), nil)] + rows.map { (line($0.cells), $0.color) }
    }

    /// A name in so many characters: its end, since the beginning of paths and addresses mostly is the same.
    private static func shortened(_ text: String, to width: Int) -> String {
        text.count <= width ? text : "…" + text.suffix(max(0, width - 1))
    }
}

extension TopTable {
    private static let red = 31
    private static let yellow = 33
    private static let green = 32

    /// The table of a view.
    init(_ look: TopLook, _ wish: TopWish) {
        switch wish.view {
        case .routes: self = Self.routes(look, wish.order)
        case .endpoints: self = Self.endpoints(look.state, wish.order)
        case .relays: self = Self.relays(look.state)
        case .clients: self = Self.clients(look.state, wish.order)
        }
    }

    private static func routes(_ look: TopLook, _ order: String) -> TopTable {
        let columns = [
            Column.name("ROUTE"), Column(title: "RELAYS"), Column(title: "MSG/S"),
            Column(title: "BYTES/S", rank: 6), Column(title: "OPENED/S", rank: 3),
            Column(title: "CLOSED/S", rank: 2), Column(title: "REQ/S", rank: 5),
            Column(title: "5XX/S", rank: 4), Column(title: "REFUSED/S", rank: 1),
        ]
        let rows = look.state.routes.map { route in
            let rates = look.rates(of: route)
            let weight =
                switch order {
                case "bytes": rates?.bytes ?? 0
                case "relays": Double(route.relays)
                case "opened": rates?.relaysOpened ?? 0
                case "requests": rates?.requests ?? 0
                case "errors": (rates?.requestErrors ?? 0) + (rates?.upgradesRefused ?? 0)
                default: rates?.messages ?? 0
                }
            let state = route.isDraining ? " (draining)" : route.isLeft ? " (left)" : ""
            return Row(
                cells: [
                    TopText.oneLine(route.name) + state, "\(route.relays)",
                    TopText.rate(rates?.messages), TopText.size(rates?.bytes),
                    TopText.rate(rates?.relaysOpened), TopText.rate(rates?.relaysClosed),
                    TopText.rate(rates?.requests), TopText.rate(rates?.requestErrors),
                    TopText.rate(rates?.upgradesRefused),
                ], weight: weight,
                color: route.isDraining ? yellow : (rates?.requestErrors ?? 0) > 0 ? red : nil)
        }
        return TopTable(columns: columns, rows: rows)
    }

    private static func endpoints(_ state: LiveState, _ order: String) -> TopTable {
        let columns = [
            Column.name("ENDPOINT"), Column.name("UPSTREAM"), Column(title: "STATE"),
            Column(title: "RELAYS"), Column(title: "ACTIVE", rank: 3),
            Column(title: "FAILURES", rank: 4), Column(title: "PASSED OVER", rank: 1),
            Column(title: "WAITING", rank: 2),
        ]
        let rows = state.upstreams.flatMap { upstream in
            upstream.endpoints.map { endpoint in
                let isBad = [.failing, .unhealthy, .unresolved].contains(endpoint.state.state)
                let weight =
                    switch order {
                    case "failures": Double(endpoint.failures)
                    case "state": isBad ? 2.0 : endpoint.state.state == .ok ? 0 : 1
                    default: Double(endpoint.relays)
                    }
                return Row(
                    cells: [
                        TopText.oneLine(endpoint.state.label), Output.escaped(upstream.name),
                        endpoint.state.state.rawValue, "\(endpoint.relays)",
                        "\(endpoint.state.active)", "\(endpoint.failures)",
                        "\(endpoint.ejections)", "\(upstream.waiting)",
                    ], weight: weight,
                    color: isBad ? red : endpoint.state.state == .ok ? green : yellow)
            }
        }
        return TopTable(columns: columns, rows: rows)
    }

    private static func relays(_ state: LiveState) -> TopTable {
        let columns = [
            Column(title: "ID"), Column.name("CLIENT"), Column.name("ROUTE"),
            Column(title: "AGE"), Column(title: "MSG/S", rank: 5),
            Column(title: "BYTES/S", rank: 6), Column(title: "UP", rank: 2),
            Column(title: "DOWN", rank: 3), Column(title: "RTT", rank: 4),
            Column(title: "BY", rank: 1),
        ]
        let rows = state.relays.map { relay in
            let trip = relay.state.roundTripMicroseconds.map { Double($0) / 1_000_000 }
            return Row(
                cells: [
                    relay.state.id, TopText.oneLine(relay.state.client),
                    TopText.oneLine(relay.state.route), TopText.duration(relay.state.seconds),
                    TopText.rate(relay.messagesPerSecond), TopText.size(relay.bytesPerSecond),
                    "\(relay.state.upMessages)", "\(relay.state.downMessages)",
                    trip.map(TopText.time) ?? "-", relay.state.protocol ?? "-",
                ], weight: 0, color: relay.state.isEnding ? yellow : nil)
        }
        return TopTable(columns: columns, rows: rows)
    }

    private static func clients(_ state: LiveState, _ order: String) -> TopTable {
        let columns = [
            Column.name("CLIENT"), Column(title: "RELAYS"), Column(title: "MSG/S"),
            Column(title: "BYTES/S", rank: 3), Column(title: "MESSAGES", rank: 2),
            Column(title: "BYTES", rank: 1),
        ]
        let rows = state.clients.map { client in
            let weight =
                switch order {
                case "messages": client.messagesPerSecond ?? Double(client.messages)
                case "relays": Double(client.relays)
                default: client.bytesPerSecond ?? Double(client.bytes)
                }
            return Row(
                cells: [
                    TopText.oneLine(client.client), "\(client.relays)",
                    TopText.rate(client.messagesPerSecond), TopText.size(client.bytesPerSecond),
                    "\(client.messages)", TopText.size(Double(client.bytes)),
                ], weight: weight)
        }
        return TopTable(columns: columns, rows: rows)
    }
}

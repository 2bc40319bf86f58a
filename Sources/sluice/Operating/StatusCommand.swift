// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Foundation
import Ledger
import Service
import Trust

/// `sluice status`: what a running Sluice is doing.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say what a running Sluice is doing.",
        discussion: """
            Prints listeners with their certificates, routes with the number of their live sockets, \
            endpoints with their state, and drains. With --relays it lists the live sockets instead.
            """ + ExitCodes.help("status"))

    @OptionGroup var options: AdminOptions

    @Flag(help: "For machines: JSON.") var json = false

    @Flag(help: "List live relays instead: a relay is one open WebSocket.") var relays = false

    @Option(
        help: ArgumentHelp("Only relays of this route, as status names it.", valueName: "route"))
    var route: String?

    @Option(
        help: ArgumentHelp(
            "Only relays to this endpoint: ws://host:port or host:port.", valueName: "endpoint"))
    var endpoint: String?

    @Option(
        help: ArgumentHelp(
            "Only relays of this client: its address (192.0.2.7), or address and port (192.0.2.7:4711).",
            valueName: "address"))
    var client: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "So many relays at most. (default: \(AdminDefaults.relaysMax))", valueName: "n"),
        transform: { try Number.read("--limit", $0, limits) })
    var limit: Int?

    @Option(
        help: ArgumentHelp("Close the relay of this id or name, with --code.", valueName: "id"))
    var close: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The Close code for --close. (default: \(AdminDefaults.closeCode))", valueName: "code"),
        transform: CloseCode.read)
    var code: UInt16?

    private static let limits = 1...4_000_000

    private var listsRelays: Bool {
        relays || route != nil || endpoint != nil || client != nil
    }

    /// Refuses what would have no meaning.
    func validate() throws {
        if let client, ClientName(client) == nil {
            throw ValidationError("--client takes \(ClientName.allowed), found \(client).")
        }
        if let close {
            guard RelayReference(close) != nil else {
                throw ValidationError(
                    "--close takes the id of a relay, as `sluice status --relays` lists it (0-12-3), or the"
                        + " name that {relay} tells its app, found \(close).")
            }
            guard !listsRelays && limit == nil && !json else {
                throw ValidationError(
                    "--close ends the one relay that it names: only --code goes with it.")
            }
            return
        }
        if code != nil {
            throw ValidationError("--code is for --close: give the id of a relay with that.")
        }
        if limit != nil && !listsRelays {
            throw ValidationError(
                "--limit is for a list of relays: give --relays, --route, --endpoint or --client too."
            )
        }
    }

    /// Asks the running process for its state and prints it, or closes the relay that `--close` names.
    func run() throws {
        if let close {
            let peer = try options.peer(to: .change)
            let outcome = try peer.ask(
                "POST", "/relays/\(close)/close?code=\(code ?? AdminDefaults.closeCode)",
                for: AdminOutcome.self)
            options.show(outcome)
            return
        }
        let peer = try options.peer(to: .look)
        defer {
            peer.tellOfOthers()
            if let place = peer.unusual {
                Self.note(
                    "this Sluice is not at the usual place: commands that change something reach it with"
                        + "\n  --admin \(Shell.word(place))")
            }
        }
        if listsRelays {
            try printRelays(peer)
            return
        }
        let state = try peer.ask("GET", "/state", for: AdminState.self)
        if json {
            try Self.printJSON(state)
        } else {
            for line in StatusText.lines(state) { Output.line(line) }
        }
    }

    private static func note(_ text: String) {
        Output.complain("Note: \(text)")
    }

    /// The limit to try next.
    private static func next(_ countMax: Int) -> Int {
        min(countMax.multipliedReportingOverflow(by: 10).partialValue, limits.upperBound)
    }

    private func printRelays(_ peer: AdminPeer) throws {
        let countMax = limit ?? AdminDefaults.relaysMax
        // One more tells whether there are more.
        var query = "limit=\(min(countMax + 1, Self.limits.upperBound))"
        for (name, value) in [("route", route), ("endpoint", endpoint), ("client", client)] {
            guard let value else { continue }
            let unreserved = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
            query +=
                "&\(name)=\(value.addingPercentEncoding(withAllowedCharacters: unreserved) ?? "")"
        }
        let all = try peer.ask("GET", "/relays?\(query)", for: [RelayState].self)
        let found = Array(all.prefix(countMax))
        defer {
            if all.count > countMax {
                Self.note(
                    "\(countMax == 1 ? "this is 1 relay" : "these are \(countMax) relays"), and there are more: --limit \(Self.next(countMax)) lists"
                        + " more of them.")
            }
        }
        if json {
            try Self.printJSON(found)
            return
        }
        if found.isEmpty {
            let scope = [("route", route), ("endpoint", endpoint), ("client", client)]
                .compactMap { name, value in value.map { "\(name) \($0)" } }
            Output.line(
                scope.isEmpty
                    ? "There are no live relays."
                    : "There are no live relays of \(scope.joined(separator: ", ")).")
            return
        }
        Output.line(RelayText.table(found))
    }

    private static func printJSON(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        Output.line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}

/// Live relays as people read them.
enum RelayText {
    /// A line for each; with the user only where any relay has one.
    static func table(_ relays: [RelayState]) -> String {
        let hasUsers = relays.contains { $0.subject != nil }
        let head = ["ID", "CLIENT"] + (hasUsers ? ["USER"] : [])
        var rows = [head + ["PROTOCOL", "ROUTE", "ENDPOINT", "AGE", "UP", "DOWN", "RTT"]]
        for relay in relays {
            rows.append(
                [relay.id, relay.client] + (hasUsers ? [user(relay)] : []) + [
                    relay.protocol ?? "-", relay.route, relay.endpoint, "\(relay.seconds)s",
                    "\(relay.upMessages) msg", "\(relay.downMessages) msg",
                    relay.roundTripMicroseconds.map { "\(Double($0) / 1_000) ms" } ?? "-",
                ])
        }
        return Table.text(rows)
    }

    /// The user, on one line whatever the name has in it.
    private static func user(_ relay: RelayState) -> String {
        guard let subject = relay.subject else { return "-" }
        return Output.escaped(subject).replacing("\n", with: "\\n").replacing("\t", with: "\\t")
    }
}

/// A state as people read it.
enum StatusText {
    static func lines(_ state: AdminState) -> [String] {
        let configuration = state.configuration
        let file = configuration.file.isEmpty ? "quick mode" : configuration.file
        var lines = [
            "sluice \(state.version), pid \(state.pid), since \(state.started)"
                + (state.isReady ? "" : ", stopping"),
            "configuration \(file), generation \(configuration.generation) of "
                + configuration.loaded,
        ]
        if let problem = configuration.lastProblem {
            lines.append("the last reload failed: \(problem)")
        }
        if let waiting = configuration.waitingSentence { lines.append(waiting) }
        lines.append(
            "\(Count.words(state.connections, "connection")), per reactor "
                + state.reactors.map(String.init).joined(separator: " "))
        if let reason = state.whyClientsWait { lines.append("new connections wait: \(reason)") }
        if let records = state.records { lines.append(line(records)) }
        if let taps = state.taps, taps > 0 {
            lines.append(
                Count.words(taps, "tap", one: "listens", many: "listen") + " to what sockets carry")
        }
        for faults in state.faults ?? [] {
            let origin = faults.isOfMoment ? "sluice chaos" : "the configuration"
            let left = faults.secondsLeft.map { ", for another \($0) s" } ?? ""
            lines.append(
                "faults of \(faults.route) by \(origin)\(left): \(faults.what)")
        }
        if state.droppedLogLines > 0 {
            lines.append(
                Count.words(state.droppedLogLines, "log line", one: "was", many: "were")
                    + " lost: the log is too slow")
        }
        if state.unwrittenLogLines > 0 {
            lines.append(
                Count.words(state.unwrittenLogLines, "log line", one: "was", many: "were")
                    + " lost: the log could not be written")
        }
        if let problem = state.logProblem {
            lines.append("the log can't be written at present: \(problem)")
        }
        var listeners = [["LISTEN", "PROTOCOLS", "NAMES", "UNTIL"]]
        for listener in state.listeners {
            let protocols = listener.protocols?.joined(separator: " ") ?? "-"
            if listener.certificates.isEmpty {
                listeners.append([listener.address, protocols, "-", "-"])
            }
            for certificate in listener.certificates {
                listeners.append([
                    listener.address, protocols, certificate.names.joined(separator: " "),
                    CertificateText.until(certificate),
                ])
            }
        }
        var routes = [["ROUTE", "RELAYS", "TO"]]
        for route in state.routes {
            routes.append([
                route.name + (route.isDraining ? " (draining)" : "")
                    + (route.isLeft == true ? " (left)" : ""),
                String(route.relays), route.to,
            ])
        }
        for table in [listeners, routes, endpoints(state)] where table.count > 1 {
            lines += ["", Table.text(table)]
        }
        for upstream in state.upstreams where upstream.waiting > 0 {
            let count = upstream.waiting
            let who = count == 1 ? "1 request waits" : "\(count) requests wait"
            lines.append("\(who) for a place at \(upstream.name)")
        }
        for upstream in state.upstreams where upstream.isUnverified == true {
            lines.append(
                "upstreams.\(upstream.name).tls.verify is false: nobody looks at the certificates of its endpoints"
            )
        }
        let drains = state.drains.map(DrainText.line)
        return lines + (drains.isEmpty ? [] : [""] + drains)
    }

    private static func line(_ records: RecordState) -> String {
        let left = Count.words(records.releasedSessions, "TLS session", one: "has", many: "have")
        guard records.areReleased else {
            return "TLS records by OpenSSL: \(records.keepingReason ?? "")"
                + (records.releasedSessions > 0 ? "; \(left) left its object before" : "")
        }
        let reason = records.engineReason.map { " (\($0))" } ?? ""
        return
            "TLS records by \(records.engine)\(reason); \(left) left OpenSSL's object since the start"
    }

    private static func endpoints(_ state: AdminState) -> [[String]] {
        let all = state.upstreams.flatMap(\.endpoints)
        // Where nothing is checked and nothing fails, nothing is said of it.
        let isChecked = all.contains { $0.health != nil || $0.lastError != nil }
        var rows = [["ENDPOINT", "UPSTREAM", "ACTIVE", "STATE", "ADDRESSES"]]
        if isChecked { rows[0].append("LAST ERROR") }
        for upstream in state.upstreams {
            for endpoint in upstream.endpoints {
                var row = [
                    endpoint.label, upstream.name, String(endpoint.active), endpoint.state.rawValue,
                    endpoint.addresses.joined(separator: " "),
                ]
                if isChecked { row.append(problem(endpoint)) }
                rows.append(row)
            }
        }
        return rows
    }

    /// What fails now goes before what a check has once found.
    private static func problem(_ endpoint: EndpointState) -> String {
        if endpoint.state == .failing, let error = endpoint.lastError {
            return "\(error) (\(endpoint.lastErrorTime ?? ""))"
        }
        guard let health = endpoint.health, let error = health.lastError else { return "-" }
        return "\(error) (\(health.lastErrorTime ?? ""))"
    }
}

/// A drain as people read it.
enum DrainText {
    static func line(_ drain: DrainState) -> String {
        let progress = drain.progress
        // What some reactors have found so far is no total.
        if progress.isLooking {
            return "drain \(drain.id) of \(drain.what): looking for its relays"
        }
        return
            "drain \(drain.id) of \(drain.what): \(progress.told) of "
            + "\(Count.words(progress.found, "relay")) told, "
            + count(progress) + (progress.isDone ? ", done" : "")
    }

    /// How many relays are over, and how many of them did not close in time; at the end also that it was none.
    ///
    /// Those that have ended without this drain are counted for themselves.
    static func count(_ progress: DrainProgress) -> String {
        let isKnown = progress.cut > 0 || progress.isDone && progress.closed > 0
        let cut = progress.cut == 0 ? "none" : String(progress.cut)
        let other = progress.endedElsewhere
        return "\(progress.closed) closed" + (isKnown ? ", \(cut) of them cut" : "")
            + (other > 0 ? ", \(other) ended by themselves or in another drain" : "")
    }
}

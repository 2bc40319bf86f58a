// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Foundation
import Frontend
import Glibc
import Log
import Metrics
import Reactor
import Router

/// What the process, its routes and its upstreams do, out of what was counted.
struct LiveSummary {
    let controller: Controller
    let readings: MetricReadings
    private let now: Controller.State

    init(controller: Controller, readings: MetricReadings) {
        self.controller = controller
        self.readings = readings
        now = controller.state
    }

    /// Everything but live relays, clients and the time.
    func state() -> LiveState {
        let desk = AdminDesk(controller: controller)
        var state = LiveState()
        state.version = controller.version
        state.pid = getpid()
        state.started = AdminDesk.time(controller.startedMilliseconds)
        state.isReady = !now.isLeaving
        state.hasToken = controller.started.admin.token != nil
        state.configuration = desk.configuration(now)
        state.process = process()
        state.listeners = listeners()
        let routes = routes()
        state.totals = totals(routes.values)
        (state.routes, state.routeCount) = listed(routes)
        addUpstreams(to: &state, desk.upstreams(now.assembly))
        state.histograms = histograms()
        state.closes = closes()
        state.drains = now.drains.map(AdminDesk.state)
        return state
    }

    private func number(_ family: MetricFamily, _ labels: [String] = []) -> UInt64 {
        UInt64(clamping: readings.number(family, labels) ?? 0)
    }

    private func sum(_ family: MetricFamily) -> UInt64 {
        readings.numbers(family).reduce(0) { $0 &+ UInt64(clamping: $1.number) }
    }

    // MARK: The process

    private func process() -> LiveProcess {
        var process = LiveProcess()
        process.cpuSeconds = readings.number(.cpuSeconds) ?? 0
        process.residentBytes = number(.residentBytes)
        process.descriptors = Int(clamping: number(.openDescriptors))
        process.descriptorsMax = Int(clamping: number(.mostDescriptors))
        process.heldBytes = number(.heldBytes)
        process.logLinesLost = number(.logLinesLost)
        process.logProblem = controller.log.problem
        let load = AdminDesk(controller: controller).load(now)
        process.connectionsMax = load.connectionsMax
        process.waitingReason = load.whyClientsWait
        process.reactors = controller.frontend.connectionCounts.enumerated().map { index, count in
            LiveReactor(connections: count, turns: number(.reactorTurns, ["\(index)"]))
        }
        return process
    }

    private func listeners() -> [LiveListener] {
        let seconds = Int64(Clock.wallMilliseconds() / 1_000)
        let addresses = controller.frontend.addresses
        return zip(zip(now.configuration.listen, now.assembly.certificateEnds), addresses).map {
            settings, address in
            let (listener, ends) = settings
            var live = LiveListener(url: AdminDesk.url(of: listener, at: address))
            live.connections = number(.connections, ["\(address)"])
            live.connectionsTotal = number(.connectionsTotal, ["\(address)"])
            live.certificates = ends.sorted { $0.seconds < $1.seconds }
                .prefix(LiveQuery.certificatesMax).map { end in
                    LiveCertificate(
                        name: end.name,
                        notAfter: AdminDesk.time(UInt64(max(0, end.seconds)) * 1_000),
                        secondsLeft: end.seconds - seconds)
                }
            return live
        }
    }

    // MARK: Routes

    /// What was counted of each route, by its name; without a name stands what has none.
    private func routes() -> [String: LiveRoute] {
        var routes: [String: LiveRoute] = [:]
        func add(_ family: MetricFamily, _ note: (inout LiveRoute, [String], UInt64) -> Void) {
            for (labels, number) in readings.numbers(family) {
                // Of relays the listener stands before the route.
                let name = labels[family == .relays ? 1 : 0]
                note(
                    &routes[name, default: LiveRoute(name: name, to: "-")], labels,
                    UInt64(clamping: number))
            }
        }
        add(.relays) { $0.relays &+= $2 }
        add(.requestsInFlight) { $0.requestsInFlight &+= $2 }
        add(.relaysOpened) { $0.traffic.relaysOpened &+= $2 }
        add(.relaysClosed) { $0.traffic.relaysClosed &+= $2 }
        add(.upgradesRefused) { $0.traffic.upgradesRefused &+= $2 }
        add(.limitHits) { $0.traffic.limitHits &+= $2 }
        add(.messages) { route, labels, count in
            guard labels[2] == "text" || labels[2] == "binary" else { return }
            if labels[1] == "up" {
                route.traffic.upMessages &+= count
            } else {
                route.traffic.downMessages &+= count
            }
        }
        add(.payloadBytes) { route, labels, count in
            if labels[1] == "up" {
                route.traffic.upBytes &+= count
            } else {
                route.traffic.downBytes &+= count
            }
        }
        add(.requests) { route, labels, count in
            route.traffic.requests &+= count
            if labels[2].hasPrefix("5") { route.traffic.requestErrors &+= count }
        }
        return routes
    }

    /// The routes that are listed, in the order of the configuration, and how many there are.
    private func listed(_ counted: [String: LiveRoute]) -> (routes: [LiveRoute], count: Int) {
        let routing = now.assembly.routing
        let draining = routing.draining
        var routes: [LiveRoute] = []
        for (index, route) in routing.routes.enumerated() {
            var live = counted[route.name] ?? LiveRoute(name: route.name, to: "")
            live.to = Assembly.label(of: now.configuration.routes[index], in: now.configuration)
            live.upstream = route.upstream?.picker.name
            live.isDraining = draining[index]
            routes.append(live)
        }
        let drained = controller.frontend.drained.routes
        for (name, _) in routing.departedCounts {
            var live = counted[name] ?? LiveRoute(name: name, to: "-")
            live.isLeft = true
            live.isDraining = drained.contains(name)
            routes.append(live)
        }
        let count = routes.count
        if count > LiveQuery.routesMax {
            let busiest = routes.indices.sorted {
                (routes[$0].relays, Self.carried(routes[$0]))
                    > (routes[$1].relays, Self.carried(routes[$1]))
            }
            routes = busiest.prefix(LiveQuery.routesMax).sorted().map { routes[$0] }
        }
        return (routes, count)
    }

    private static func carried(_ route: LiveRoute) -> UInt64 {
        route.traffic.upMessages &+ route.traffic.downMessages &+ route.traffic.requests
    }

    private func totals(_ routes: some Sequence<LiveRoute>) -> LiveTotals {
        var totals = LiveTotals()
        totals.connections = sum(.connections)
        totals.connectionsTotal = sum(.connectionsTotal)
        totals.handshakes = sum(.handshakes)
        totals.handshakeFailures = sum(.handshakeFailures)
        for route in routes {
            totals.relays &+= route.relays
            totals.requestsInFlight &+= route.requestsInFlight
            totals.traffic.add(route.traffic)
        }
        return totals
    }

    // MARK: Upstreams

    private func addUpstreams(to state: inout LiveState, _ upstreams: [UpstreamState]) {
        var left = LiveQuery.endpointsMax
        for upstream in upstreams {
            state.endpointCount += upstream.endpoints.count
            guard left > 0 else { continue }
            var live = LiveUpstream(name: upstream.name)
            live.waiting = upstream.waiting
            live.endpoints = upstream.endpoints.prefix(left).map { endpoint in
                let labels = [upstream.name, endpoint.label]
                var counted = LiveEndpoint(endpoint)
                counted.relays = number(.endpointRelays, labels)
                counted.failures = number(.endpointFailures, labels)
                counted.ejections = number(.endpointEjections, labels)
                return counted
            }
            left -= live.endpoints.count
            state.upstreams.append(live)
        }
    }

    // MARK: Distributions

    private func histograms() -> LiveHistograms {
        var histograms = LiveHistograms()
        histograms.upgrade = histogram(.upgradeDuration) { $0[1] == "total" }
        histograms.request = histogram(.requestDuration) { _ in true }
        histograms.clientPing = histogram(.pingRoundTrip) { $0[1] == "client" }
        histograms.upstreamPing = histogram(.pingRoundTrip) { $0[1] == "upstream" }
        histograms.upMessage = histogram(.messageBytes) { $0[1] == "up" }
        histograms.downMessage = histogram(.messageBytes) { $0[1] == "down" }
        histograms.turn = histogram(.reactorLag) { _ in true }
        return histograms
    }

    private func histogram(
        _ family: MetricFamily, where isMeant: ([String]) -> Bool
    ) -> LiveHistogram? {
        var all: HistogramReading?
        for (labels, reading) in readings.histograms(family) where isMeant(labels) {
            if all == nil { all = reading } else { all?.add(reading) }
        }
        return all.map { LiveHistogram(bounds: $0.bounds, counts: $0.counts, sum: $0.sum) }
    }

    private func closes() -> [LiveClose] {
        var counts: [[String]: UInt64] = [:]
        for (labels, number) in readings.numbers(.relaysClosed) {
            counts[Array(labels.dropFirst()), default: 0] &+= UInt64(clamping: number)
        }
        let sorted = counts.sorted {
            $0.value == $1.value
                ? $0.key.lexicographicallyPrecedes($1.key) : $0.value > $1.value
        }
        return sorted.prefix(LiveQuery.closesMax).map { labels, count in
            LiveClose(code: labels[0], by: labels[1], reason: labels[2], count: count)
        }
    }
}

extension UInt64 {
    /// The whole part of a number; the nearest that there is, where it is none of these, and 0 for no number.
    ///
    /// A limit that is infinite is 2^64 as a number with a fraction.
    init(clamping number: Double) {
        self = number >= 0x1p64 ? .max : number > 0 ? UInt64(number) : 0
    }
}

extension LiveTraffic {
    fileprivate mutating func add(_ other: LiveTraffic) {
        relaysOpened &+= other.relaysOpened
        relaysClosed &+= other.relaysClosed
        upMessages &+= other.upMessages
        upBytes &+= other.upBytes
        downMessages &+= other.downMessages
        downBytes &+= other.downBytes
        requests &+= other.requests
        requestErrors &+= other.requestErrors
        upgradesRefused &+= other.upgradesRefused
        limitHits &+= other.limitHits
    }
}

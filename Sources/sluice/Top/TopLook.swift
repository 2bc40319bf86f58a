// SPDX-License-Identifier: Apache-2.0
import Admin

/// What `sluice top` shows: the last look at a running Sluice, and what has passed since the one before it.
struct TopLook {
    let state: LiveState
    /// Over how long rates are measured, in seconds; nil at the first look.
    let seconds: Double?
    private let before: LiveState?
    private let routesBefore: [String: LiveTraffic]

    /// A look behind another one, which may be nil; of another process it is not compared.
    init(_ state: LiveState, after before: LiveState?) {
        self.state = state
        guard let before, before.pid == state.pid,
            state.clockMilliseconds > before.clockMilliseconds
        else {
            self.before = nil
            seconds = nil
            routesBefore = [:]
            return
        }
        self.before = before
        seconds = Double(state.clockMilliseconds - before.clockMilliseconds) / 1_000
        routesBefore = Dictionary(
            before.routes.map { ($0.name, $0.traffic) }, uniquingKeysWith: { first, _ in first })
    }

    /// What passed in a second on all routes; nil at the first look.
    var rates: TopRates? { rates(state.totals.traffic, before?.totals.traffic) }

    /// What passed in a second on one route; nil where it was not seen before.
    func rates(of route: LiveRoute) -> TopRates? { rates(route.traffic, routesBefore[route.name]) }

    /// How many cores the process has used.
    var cores: Double? {
        guard let seconds, let before else { return nil }
        return max(0, state.process.cpuSeconds - before.process.cpuSeconds) / seconds
    }

    private func rates(_ now: LiveTraffic, _ before: LiveTraffic?) -> TopRates? {
        guard let seconds, let before else { return nil }
        return TopRates(now, before, seconds: seconds)
    }
}

/// What passes in a second.
struct TopRates: Encodable, Equatable {
    let relaysOpened: Double
    let relaysClosed: Double
    let upMessages: Double
    let upBytes: Double
    let downMessages: Double
    let downBytes: Double
    let requests: Double
    let requestErrors: Double
    let upgradesRefused: Double
    let limitHits: Double

    /// The difference of two counts over these seconds; a counter that has begun anew counts as none.
    init(_ now: LiveTraffic, _ before: LiveTraffic, seconds: Double) {
        func rate(_ key: KeyPath<LiveTraffic, UInt64>) -> Double {
            let (new, old) = (now[keyPath: key], before[keyPath: key])
            return new > old ? Double(new - old) / seconds : 0
        }
        relaysOpened = rate(\.relaysOpened)
        relaysClosed = rate(\.relaysClosed)
        upMessages = rate(\.upMessages)
        upBytes = rate(\.upBytes)
        downMessages = rate(\.downMessages)
        downBytes = rate(\.downBytes)
        requests = rate(\.requests)
        requestErrors = rate(\.requestErrors)
        upgradesRefused = rate(\.upgradesRefused)
        limitHits = rate(\.limitHits)
    }

    /// Messages in both directions.
    var messages: Double { upMessages + downMessages }
    /// Bytes in both directions.
    var bytes: Double { upBytes + downBytes }
}

/// What `--once --json` prints: the object of `GET /live`, and what has passed in a second.
struct TopReport: Encodable {
    let look: TopLook

    private struct Rates: Encodable {
        let seconds: Double
        let totals: TopRates?
        let routes: [String: TopRates]
        let cores: Double?
    }

    private enum CodingKeys: String, CodingKey { case rates }

    /// Writes both into one object.
    func encode(to encoder: any Encoder) throws {
        try look.state.encode(to: encoder)
        guard let seconds = look.seconds else { return }
        var routes: [String: TopRates] = [:]
        for route in look.state.routes { routes[route.name] = look.rates(of: route) }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(
            Rates(seconds: seconds, totals: look.rates, routes: routes, cores: look.cores),
            forKey: .rates)
    }
}

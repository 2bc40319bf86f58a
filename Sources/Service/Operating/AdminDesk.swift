// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Foundation
import Frontend
import Health
import Ledger
import Log
import Naming
import Reactor
import Router
import TLS

/// Answers the requests that come through the admin socket.
struct AdminDesk: Sendable {
    let controller: Controller

    func answer(_ request: AdminRequest) -> AdminAnswer {
        switch AdminWish.judge(request) {
        case .refused(let answer): answer
        case .wanted(let wish): answer(wish, request)
        }
    }

    private func answer(_ wish: AdminWish, _ request: AdminRequest) -> AdminAnswer {
        switch wish.errand {
        case .page: .dashboard()
        case .health: health()
        case .readiness:
            controller.state.isLeaving
                ? AdminAnswer(status: 503, text: "stopping") : AdminAnswer(text: "ready")
        case .metrics: MetricsDesk(controller: controller).answer(request)
        case .state: overview()
        case .live: live(wish)
        case .relays: relays(wish)
        case .progress: drain(wish.id)
        // Who has come so far has the right one, or needs none.
        case .token: AdminAnswer(text: "You may change things here.")
        case .tap: TapDesk(controller: controller).answer(wish, request)
        case .reload: result(of: controller.reload())
        case .upgrade:
            result(of: controller.upgrade(upgrade(wish)))
        case .drain: drain(wish)
        case .resume: wish.read(DrainRequest.self).map(controller.resume).map(begun) ?? Self.unread
        case .rebalance:
            wish.read(RebalanceRequest.self).map(controller.rebalance).map(begun) ?? Self.unread
        case .balance: begun(controller.balanceReactors())
        case .close: close(wish)
        case .closeAll: closeAll(wish)
        case .extend: extend(wish)
        case .chaos:
            wish.read(ChaosRequest.self).map(ChaosDesk(controller: controller, file: file).begin)
                ?? Self.unread
        case .chaosOff:
            wish.read(ChaosRequest.self).map(ChaosDesk(controller: controller).end) ?? Self.unread
        }
    }

    private func overview() -> AdminAnswer {
        do throws(SystemError) {
            return try controller.thread.perform { AdminAnswer(json: state()) }
        } catch {
            return AdminAnswer(status: 503, text: error.description)
        }
    }

    private func upgrade(_ wish: AdminWish) -> UpgradePlan {
        var plan = UpgradePlan()
        if let asked = wish.number("timeoutMilliseconds") {
            plan.timeoutMilliseconds = Int32(asked)
        }
        if let asked = wish.number("settleMilliseconds") {
            plan.settleMilliseconds = UInt64(asked)
        }
        plan.movesRelays = wish.number("move") != 0
        return plan
    }

    private func live(_ wish: AdminWish) -> AdminAnswer {
        var query = LiveQuery()
        query.filter = wish.query["filter"] ?? query.filter
        query.order = wish.query["sort"].flatMap(LiveQuery.Order.init) ?? query.order
        query.limit = wish.number("limit") ?? query.limit
        guard let state = controller.live.states(for: [query])?.first else {
            return AdminAnswer(status: 503, text: LiveSource.silence)
        }
        return AdminAnswer(json: state)
    }

    /// What has become of something that was tried, well or not.
    private func result(of outcome: AdminOutcome) -> AdminAnswer {
        var outcome = outcome
        outcome.process = getpid()
        outcome.configuration = file
        return AdminAnswer(status: outcome.isDone ? 200 : 422, json: outcome)
    }

    /// What has begun; where nothing was even tried, the reason alone, as for all that is refused.
    private func begun(_ outcome: AdminOutcome) -> AdminAnswer {
        outcome.isDone ? result(of: outcome) : AdminAnswer(status: 422, text: outcome.message)
    }

    /// The form of a wish was judged, so it can be read.
    private static let unread = AdminAnswer(status: 400, text: "The body can't be read.")

    /// The configuration's file as others find it, whatever folder they run in; empty in quick mode.
    var file: String {
        let path = controller.source.path
        if path.isEmpty || path.hasPrefix("/") { return path }
        let folder = FileManager.default.currentDirectoryPath
        return (folder == "/" ? "" : folder) + "/" + path
    }

    private func health() -> AdminAnswer {
        controller.frontend.isResponsive(within: 2_000)
            ? AdminAnswer(text: "ok") : AdminAnswer(status: 503, text: "a reactor does not turn")
    }

    private func drain(_ wish: AdminWish) -> AdminAnswer {
        guard let request = wish.read(DrainRequest.self) else { return Self.unread }
        let isNamed = request.route != nil || request.endpoint != nil
        if isNamed == (request.everything != nil) {
            return AdminAnswer(
                status: 400,
                text: isNamed
                    ? "everything stops Sluice, so it does not go together with a route or an endpoint."
                    : "Nothing is named, so nothing was done. Send {\"route\": …} or {\"endpoint\": …}, or"
                        + " {\"everything\": true} to drain all and stop Sluice. A `sluice drain` that sends"
                        + " none of them is of an older version.")
        }
        return begun(controller.drain(request))
    }

    private func drain(_ id: String) -> AdminAnswer {
        let now = controller.state
        guard let found = now.drains.first(where: { String($0.id) == id }) else {
            return AdminAnswer(status: 404, text: "There is no drain \(id).")
        }
        let state = Self.state(of: found)
        if found.id == now.lastDrain { controller.farewell.told(isDone: state.progress.isDone) }
        return AdminAnswer(json: state)
    }

    private func close(_ wish: AdminWish) -> AdminAnswer {
        let code = wish.number("code").map { UInt16(clamping: $0) } ?? AdminDefaults.closeCode
        guard DrainSettings.allows(code: code) else {
            return AdminAnswer(status: 400, text: "The code is \(DrainSettings.codesAllowed).")
        }
        switch RelayReference(wish.id).map({ controller.end($0, code: code) }) ?? .nowhere {
        case .told:
            return result(
                of: AdminOutcome(isDone: true, message: "The relay \(wish.id) is told \(code)."))
        case .isEnding:
            return AdminAnswer(
                status: 409,
                text: "The relay \(wish.id) is ending already, so it is not told \(code): it has"
                    + " `timeouts.closing` at most until it is cut.")
        case .silent: return Self.silent
        case .moving: return Self.moving
        case .silentBefore(let processes):
            return AdminAnswer(
                status: 503, text: "There is no relay \(wish.id) here. \(Self.silent(processes))")
        case .nowhere:
            return AdminAnswer(
                status: 404,
                text: "There is no relay \(wish.id): it has ended, or never was. `sluice status"
                    + " --relays` lists those that live.")
        }
    }

    /// That processes before this one could not be asked.
    private static func silent(_ processes: [Int32]) -> String {
        "\(Controller.before(processes)) sockets and did not answer: they may go on until"
            + (processes.count == 1 ? " it ends." : " they end.")
    }

    /// A reactor has not said whether it has a relay.
    static let silent = AdminAnswer(
        status: 503, text: "The relay's reactor did not answer in time.")

    /// A relay is asked for by its name that is not here, while sockets go from one process to another.
    static let moving = AdminAnswer(status: 503, text: Controller.relayMoves)

    /// Asks something of the relay of an ID or a name.
    func reach<Outcome: Sendable>(
        _ text: String, _ ask: (RelayID) -> Outcome?
    ) -> Frontend.Reached<Outcome> {
        RelayReference(text).map { controller.reach($0, ask) } ?? .nowhere
    }

    private struct CloseRequest: Decodable {
        var route: String?
        var client: String?
        var subject: String?
        var code: UInt16?
        var reason: String?
    }

    /// Ends the relays that all the given names fit; one at least is given, so that a slip does not end everybody's.
    private func closeAll(_ wish: AdminWish) -> AdminAnswer {
        guard let request = wish.read(CloseRequest.self) else { return Self.unread }
        func refused(_ text: String) -> AdminAnswer { AdminAnswer(status: 400, text: text) }
        guard request.route != nil || request.client != nil || request.subject != nil else {
            return refused(
                "Which relays? Name a route, a client or a subject; all that are given must fit.")
        }
        var filter = RelayFilter()
        filter.subject = request.subject
        var noRoute: String?
        if let route = request.route {
            let names = ServedNames(controller.state.assembly, drained: controller.frontend.drained)
            let known = names.route(route)
            if known == nil {
                let text = names.noRoute(route)
                // A process before this one may have sockets of a route that is gone.
                if controller.predecessors.present.isEmpty {
                    return AdminAnswer(status: 404, text: text)
                }
                noRoute = text
            }
            filter.route = known ?? route
        }
        if let client = request.client {
            guard let name = ClientName(client) else {
                return refused("A client is \(ClientName.allowed): found \(client).")
            }
            filter.client = name.host
            filter.clientPort = name.port
        }
        let code = request.code ?? AdminDefaults.logoutCode
        guard code == AdminDefaults.logoutCode || DrainSettings.allows(code: code) else {
            return refused(
                "The code is \(AdminDefaults.logoutCode), or \(DrainSettings.codesAllowed).")
        }
        let reason = request.reason ?? ""
        guard reason.utf8.count <= DrainSettings.reasonBytesMax else {
            return refused("The reason is longer than \(DrainSettings.reasonBytesMax) bytes.")
        }
        switch controller.end(filter, code: code, reason: reason) {
        case .told(let count):
            if let noRoute, count == 0 {
                return AdminAnswer(status: 404, text: noRoute + controller.drainsElsewhere)
            }
            let whom = Count.words(count, "relay", one: "was", many: "were")
            controller.log.write(LogEvent(.info, "\(whom) told \(code), as was asked for."))
            return AdminAnswer(json: ClosedRelays(closed: count))
        case .silent:
            return AdminAnswer(
                status: 503,
                text: "A reactor did not answer in time; some relays may have been told.")
        case .silentBefore(let processes, let count):
            let whom = Count.words(count, "relay", one: "was", many: "were")
            if count > 0 {
                controller.log.write(LogEvent(.info, "\(whom) told \(code), as was asked for."))
            }
            return AdminAnswer(
                status: 503, text: "\(whom) told \(code). \(Self.silent(processes))")
        case .moving:
            return AdminAnswer(
                status: 503,
                text:
                    "An upgrade is under way, and relays on their way to the other process would be missed."
                    + " Nothing was done: ask again in a second.")
        }
    }

    private struct ClosedRelays: Encodable {
        let closed: Int
    }

    /// Live relays, of the route, endpoint and client that the query names.
    ///
    /// A name that nothing has is an error, so that a slip does not look like "no sockets". Of a client without
    /// live relays nothing is known. Relays of a route or endpoint that a reload has taken out are found by its
    /// name for as long as they live.
    private func relays(_ wish: AdminWish) -> AdminAnswer {
        let query = wish.query
        let names = ServedNames(controller.state.assembly, drained: controller.frontend.drained)
        var filter = RelayFilter()
        filter.route = query["route"]
        filter.endpoint = query["endpoint"].map { names.endpoint($0) ?? $0 }
        var client: ClientName?
        if let wanted = query["client"] {
            guard let name = ClientName(wanted) else {
                let message = "A client is \(ClientName.allowed): found \(wanted)."
                return AdminAnswer(status: 400, text: message)
            }
            client = name
            filter.client = name.host
        }
        let limit = wish.number("limit") ?? AdminDefaults.relaysMax
        // Looked at first: what has come before an upgrade is over is found.
        let relaysMove = controller.relaysMove
        let found = relays(filter, of: client, countMax: limit)
        if found.isEmpty {
            var problem: String?
            if let route = filter.route, names.route(route) == nil {
                problem = names.noRoute(route)
            }
            if let endpoint = filter.endpoint, names.endpoint(endpoint) == nil {
                problem = names.noEndpoint(endpoint)
            }
            if let wanted = query["client"], problem == nil, relaysMove {
                return AdminAnswer(
                    status: 503,
                    text:
                        "No relay of \(wanted) is in this process, but an upgrade is under way and relays"
                        + " are on their way: ask again in a second.")
            }
            if let wanted = query["client"], let client, problem == nil {
                var others = filter
                others.client = nil
                let clients = controller.frontend.relays(
                    others, countMax: AdminDefaults.relaysMax
                ).map { client.port == nil ? $0.client.hostString : "\($0.client)" }
                problem = ServedNames.noClient(wanted, among: Set(clients).sorted())
            }
            if let problem { return AdminAnswer(status: 404, text: problem) }
        }
        return AdminAnswer(json: found.map(Self.state))
    }

    /// So many relays at most that pass a filter, and are of that client where one is named.
    private func relays(
        _ filter: RelayFilter, of client: ClientName?, countMax: Int
    ) -> [RelayFacts] {
        // Of one address there may be many in front of the one port that is meant.
        guard let client, client.port != nil else {
            return controller.frontend.relays(filter, countMax: countMax)
        }
        let all = controller.frontend.relays(
            filter, countMax: FrontendSettings.connectionsUnlimited)
        return Array(all.lazy.filter { client.takes($0.client) }.prefix(countMax))
    }

    // MARK: What there is

    private func state() -> AdminState {
        let now = controller.state
        let routing = now.assembly.routing
        var state = AdminState()
        state.version = controller.version
        state.pid = getpid()
        state.started = Self.time(controller.startedMilliseconds)
        state.isReady = !now.isLeaving
        state.configuration = configuration(now)
        state.reactors = controller.frontend.connectionCounts
        state.connections = controller.frontend.connectionCount
        let load = load(now)
        (state.connectionsMax, state.descriptors) = (load.connectionsMax, load.descriptors)
        state.records = RecordPlan(now.configuration).map { plan in
            var state = RecordState(
                areReleased: plan.releases,
                releasedSessions: controller.frontend.releasedSessionCount,
                engine: plan.engine.name)
            (state.keepingReason, state.engineReason) = (plan.keepingReason, plan.engineReason)
            return state
        }
        state.taps = controller.frontend.frameTaps.count
        let faults = ChaosDesk.states(controller.frontend)
        state.faults = faults.isEmpty ? nil : faults
        state.droppedLogLines = controller.log.droppedCount
        state.unwrittenLogLines = controller.log.unwrittenCount
        state.logProblem = controller.log.problem
        state.listeners = zip(now.configuration.listen, controller.frontend.addresses)
            .map { listener, address in
                var state = ListenerState(
                    address: Self.url(of: listener, at: address),
                    certificates: (listener.tls?.certificates ?? []).compactMap(Self.state),
                    expectsProxyHeader: listener.proxyProtocol == .required)
                state.protocols = listener.protocolNames
                return state
            }
        for (index, (route, count)) in zip(routing.routes, routing.relayCounts).enumerated() {
            var one = RouteState(
                name: route.name,
                to: Assembly.label(of: now.configuration.routes[index], in: now.configuration),
                relays: count, isDraining: routing.draining[index])
            one.upstream = route.upstream?.picker.name
            state.routes.append(one)
        }
        let drained = controller.frontend.drained.routes
        for (name, count) in routing.departedCounts {
            var left = RouteState(
                name: name, to: "-", relays: count, isDraining: drained.contains(name))
            left.isLeft = true
            state.routes.append(left)
        }
        state.upstreams = upstreams(now.assembly)
        for index in state.upstreams.indices
        where now.configuration.upstreams[state.upstreams[index].name]?.tls.isVerifying == false {
            state.upstreams[index].isUnverified = true
        }
        state.drains = now.drains.map(Self.state)
        return state
    }

    /// The configuration in use.
    func configuration(_ now: Controller.State) -> ConfigurationState {
        var state = ConfigurationState()
        state.file = file
        state.generation = now.generation
        state.loaded = Self.time(now.loadedMilliseconds)
        state.lastProblem = now.lastProblem
        let waiting = Controller.needingRestart(controller.started, now.configuration)
        state.waiting = waiting.isEmpty ? nil : waiting
        return state
    }

    /// How many connections there are, and how many there may be: what says whether new ones wait.
    func load(_ now: Controller.State) -> AdminState {
        var state = AdminState()
        state.connections = controller.frontend.connectionCount
        let most = now.assembly.settings.connectionsMax
        state.connectionsMax = most < FrontendSettings.connectionsUnlimited ? most : nil
        if OpenFiles.forConnections < .max {
            state.descriptors = DescriptorState(
                used: controller.frontend.descriptorClaims, most: OpenFiles.forConnections)
        }
        return state
    }

    /// How clients name a listener.
    static func url(of listener: ListenerSettings, at address: Address) -> String {
        let scheme = listener.redirectsToHTTPS ? "http" : listener.tls == nil ? "ws" : "wss"
        return "\(scheme)://\(address)"
    }

    /// All upstreams, and how their endpoints are.
    func upstreams(_ assembly: Assembly) -> [UpstreamState] {
        var states = assembly.routing.upstreams.map { group in
            // One that a configuration names twice is one endpoint.
            var told: Set<String> = []
            let indices = group.endpoints.indices.filter {
                told.insert(group.endpoints[$0].label).inserted
            }
            let endpoints = indices.map { index in
                let endpoint = group.endpoints[index]
                var state = EndpointState(
                    label: endpoint.label, addresses: endpoint.addresses.map(\.description),
                    active: group.picker.active(index), state: Self.word(group, index))
                if endpoint.load.isFailing, let failure = endpoint.load.lastFailure {
                    state.lastError = failure.reason
                    state.lastErrorTime = Self.time(failure.milliseconds)
                }
                state.health = controller.health.report(of: endpoint).map {
                    Self.state($0, isHealthy: endpoint.load.health == .healthy)
                }
                return state
            }
            var state = UpstreamState(name: group.picker.name, endpoints: endpoints)
            state.waiting = group.queue?.count ?? 0
            return state
        }
        for one in assembly.departed where one.endpoint.load.activeCount > 0 {
            let state = EndpointState(
                label: one.endpoint.label, addresses: one.endpoint.addresses.map(\.description),
                active: one.endpoint.load.activeCount, state: .left)
            if let index = states.firstIndex(where: { $0.name == one.upstream }) {
                states[index].endpoints.append(state)
            } else {
                states.append(UpstreamState(name: one.upstream, endpoints: [state]))
            }
        }
        return states
    }

    /// How an endpoint is, in one word: the one that matters most.
    static func word(_ group: EndpointGroup, _ index: Int) -> EndpointCondition {
        let endpoint = group.endpoints[index]
        if endpoint.load.isDraining { return .draining }
        if group.picker.isResting(index) { return .resting }
        if endpoint.addresses.isEmpty { return .unresolved }
        switch endpoint.load.health {
        case .unhealthy: return .unhealthy
        case .pending: return .unchecked
        case .healthy, .unchecked:
            // Until something has reached it, as the log has it; not until its cool-down is over.
            return endpoint.load.isFailing ? .failing : .ok
        }
    }

    private static func state(_ report: HealthReport, isHealthy: Bool) -> HealthState {
        var state = HealthState(
            isHealthy: isHealthy, since: time(report.sinceMilliseconds),
            lastCheck: time(report.checkedMilliseconds), lastPassed: report.failure == nil)
        state.lastError = report.lastFailure
        state.lastErrorTime = report.lastFailure.map { _ in time(report.lastFailureMilliseconds) }
        return state
    }

    private static func state(_ certificate: CertificateSettings) -> CertificateState? {
        guard let facts = try? CertificateFacts.readLeaf(chain: certificate.chain) else {
            return nil
        }
        var state = CertificateState(
            chain: certificate.chain, names: facts.names,
            notAfter: time(UInt64(max(0, facts.notAfter)) * 1_000))
        state.notBefore = time(UInt64(max(0, facts.notBefore)) * 1_000)
        return state
    }

    static func state(of drain: Controller.NumberedDrain) -> DrainState {
        var state = DrainState(id: drain.id, what: drain.what, progress: drain.progress())
        state.problem = drain.problem()
        return state
    }

    private static func state(_ relay: RelayFacts) -> RelayState {
        RelayState(relay)
    }

    /// A moment in UTC (RFC 3339).
    static func time(_ milliseconds: UInt64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1_000).ISO8601Format()
    }
}

// SPDX-License-Identifier: Apache-2.0
import Access
import Ledger
import Proxy
import Reactor
import Router
import Splice
import TLS
import Wire

/// Decides what becomes of a request, once: refused, answered here, or forwarded.
struct RequestJudge {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var now: UInt64 { state.pointee.now }
    private var snapshot: Snapshot { state.pointee.snapshot }
    private var limits: HeadLimits { state.pointee.settings.headLimits }

    /// Judges a head; what stands behind it is held by the stream.
    func judge(_ stream: ClientStream, _ head: consuming RequestHead) {
        let peer = stream.facts.pointee.peer
        let listener = stream.facts.pointee.listener
        var client = peer
        var isUnclear = false
        if listener.trusts(peer) {
            let forwarding = Forwarding(
                head.fields, peer: peer, trusted: listener.trustedProxies)
            client = forwarding.client
            isUnclear = forwarding.isUnclear
        }
        var trace = TraceSpan()
        if let rules = snapshot.settings.tracing {
            trace = Tracing(state).begin(rules, head.fields, from: stream)
        }
        if head.fields.upgradesToWebSocket {
            judgeUpgrade(stream, head, client, isUnclear, trace)
        } else {
            judgeOrdinary(stream, &head, client, isUnclear, trace)
        }
    }

    // MARK: WebSockets

    private func judgeUpgrade(
        _ stream: ClientStream, _ head: RequestHead, _ client: Address, _ isUnclear: Bool,
        _ trace: TraceSpan
    ) {
        var facts = RequestFacts(
            client: client, beganMilliseconds: stream.beganMilliseconds)
        facts.trace = trace
        if isUnclear { facts.isClientUnclear = true }
        let asked: UpgradeRequest
        do throws(UpgradeFault) {
            asked = try UpgradeRequest.judge(head, noting: [.missingConnection, .anyKeyLength])
        } catch {
            if head.verb == .head { facts.method = head.method }
            facts.isUpgrade = true
            note(head, &facts)
            SessionKeeper(state).refuse(stream, Refusal(error), facts, to: head.verb)
            return
        }
        stream.countRequest()
        var places = Places()
        facts.host = asked.host.name
        facts.path = String(decoding: asked.target.path, as: UTF8.self)
        let outcome =
            switch route(asked, stream, &facts) {
            case .refused(let refusal): UpgradeOutcome.refused(refusal)
            case .found(let index, let plan):
                judge(consume asked, index, plan, stream, &facts, &places)
            }
        switch outcome {
        case .refused(let refusal):
            var request = Request(
                nil, of: stream, facts, places, limits: limits, nowMilliseconds: now)
            request.makeExtras().own = OwnAnswer(refusal)
            begin(request, stream, .answeredHere)
        case .forwarded(let upgrade, let group, let waits):
            if trace.isSampled {
                upgrade.marks.recorded = RecordedMarks(stream, judged: trace.beganNanoseconds)
            }
            var request = Request(
                upgrade, of: stream, facts, places, limits: limits, nowMilliseconds: now)
            request.upstream = UpstreamUse(
                EndpointSearch(
                    group, deadlineMilliseconds: now + state.pointee.snapshot.connect(facts.plan),
                    key: group.key(of: upgrade, client, facts.plan),
                    sticky: group.sticky?.number(in: upgrade.request.head.fields)),
                mayReuse: false)
            if let waits {
                begin(request, stream, waiting: waits)
            } else {
                begin(request, stream, .forwarded)
            }
        }
    }

    private enum UpgradeOutcome {
        case refused(Refusal)
        /// With what has to be found out before anything else is done.
        case forwarded(UpgradeAsked, EndpointGroup, Unjudged?)
    }

    /// What a request has to wait for, once it has its slot.
    private enum Unjudged {
        case password(PasswordQuestion)
        case forward(AccessRules)
    }

    /// What the table of routes says of a request for a WebSocket.
    private enum Routed {
        case refused(Refusal)
        case found(Int, RoutePlan)
    }

    private func route(
        _ asked: UpgradeRequest, _ stream: ClientStream, _ facts: inout RequestFacts
    ) -> Routed {
        let path = asked.target.path
        if stream.facts.pointee.listener.redirectsToHTTPS {
            let sentPath = String(decoding: asked.target.sentPath, as: UTF8.self)
            let url = snapshot.secureURL("wss", asked.host, path: sentPath)
            return .refused(facts.host.isEmpty ? .noHost : .useTLS(url))
        }
        let routing = snapshot.routing
        let listener = stream.facts.pointee.listener.name
        func question() -> RouteAsked { RouteAsked(asked, listener: listener) }
        let index = routing.route(host: facts.host.utf8.span, path: path.span, question)
        guard let found = index else {
            return .refused(.noRoute(host: facts.host, path: facts.path, in: routing))
        }
        let plan = routing.plans[found]
        facts.plan = plan
        if asked.target.hasOtherReadings,
            let refusal = routing.refusal(
                ofReadings: path, host: facts.host.utf8.span, route: found, question)
        {
            return .refused(refusal)
        }
        return .found(found, plan)
    }

    /// Judges a request for a WebSocket that has a route, which is asked for field by field: it is large, and a copy of
    /// it counts each of its objects.
    private func judge(
        _ sent: consuming UpgradeRequest, _ index: Int, _ plan: RoutePlan, _ stream: ClientStream,
        _ facts: inout RequestFacts, _ places: inout Places
    ) -> UpgradeOutcome {
        var asked = consume sent
        var waits: Unjudged?
        if let access = plan.route.access {
            // In the order of ordinary requests.
            let gate = AccessGate(state)
            if let refusal = gate.judgeAddress(access, plan, &facts) { return .refused(refusal) }
            if let token = access.token,
                let refusal = gate.judge(token, plan, &facts, &asked)
            {
                return .refused(refusal)
            }
            if access.forward != nil { waits = .forward(access) }
            let (fields, host) = (asked.head.fields, facts.host)
            switch gate.judgeLogin(access, plan, &facts, fields, stream, host: host) {
            case .admitted: break
            case .refused(let refusal): return .refused(refusal)
            case .asking(let asking): waits = .password(asking)
            }
        }
        guard let group = plan.route.upstream else { return .refused(.noSocket(path: facts.path)) }
        if let fault = asked.fault(accepting: plan.route.accept) {
            return .refused(.departure(fault, of: asked, route: plan.route.name))
        }
        // A trusted proxy in front may have changed `Host`; what it was, it says.
        let isTrusted = stream.facts.pointee.listener.trusts(stream.facts.pointee.peer)
        let said = isTrusted ? Forwarding.host(asked.head.fields)?.name : nil
        let host = said ?? asked.host
        guard plan.route.origins.allows(origin: asked.origin, host: host) else {
            let isUnclear =
                isTrusted && said == nil && asked.head.fields.first("x-forwarded-host") != nil
            return .refused(
                .forbiddenOrigin(
                    asked.origin ?? [], host: host, hasUnclearProxy: isUnclear, plan.route))
        }
        guard !plan.tally.isDraining else { return .refused(.routeDraining(plan.route.name)) }
        if let faults = plan.faults(nowMilliseconds: now), faults.refuses(nowMilliseconds: now) {
            Metering(state).refusedOnPurpose(plan)
            facts.faults = FaultKinds(.refuse)
            return .refused(.onPurpose(route: plan.route.name))
        }
        let sentPath = asked.target.sentPath
        let rewritten =
            plan.isRewritten
            ? snapshot.routing.table.rewritten(
                sentPath[...], isCanonical: sentPath == asked.target.path, by: index)
            : nil
        let hasOwnKey = asked.departures.contains(.anyKeyLength)
        let upgrade = UpgradeAsked(
            consume asked, path: rewritten ?? sentPath, nowMilliseconds: now)
        if hasOwnKey { upgrade.ownKey = WebSocketAccept.makeKey() }
        upgrade.ownSubprotocol = facts.ownSubprotocol
        if plan.tellsRelay {
            facts.relayName = RelayName(bits: state.pointee.randomNumbers.nextName())
        }
        if let waits { return .forwarded(upgrade, group, waits) }
        if let refusal = admit(facts.client, plan, upgrade, &places) { return .refused(refusal) }
        return .forwarded(upgrade, group, nil)
    }

    /// Takes a place on the route, where places are limited; the refusal if there is none.
    private func admit(
        _ client: Address, _ plan: RoutePlan, _ upgrade: UpgradeAsked, _ places: inout Places
    ) -> Refusal? {
        let limits = plan.route.admission
        let admission = plan.tally.admission
        if limits.isEmpty && !admission.isCounting { return nil }
        switch admission.enter(client, limits, nowMilliseconds: now) {
        case .admitted:
            places.take(admission, as: client)
            upgrade.rates = admission.rates(of: client, limits)
            return nil
        case .full:
            Metering(state).met(.relays, plan)
            return .routeFull(plan.route.name)
        case .tooMany:
            Metering(state).met(.relaysPerClient, plan)
            return .clientHasTooMany
        case .tooOften(let milliseconds):
            Metering(state).met(.newRelaysPerSecond, plan)
            return .clientComesTooOften(milliseconds)
        }
    }

    // MARK: Ordinary requests

    private func judgeOrdinary(
        _ stream: ClientStream, _ head: inout RequestHead, _ client: Address, _ isUnclear: Bool,
        _ trace: TraceSpan
    ) {
        stream.countRequest()
        let slot: Token?
        do throws(HeadFault) {
            let asked = try OrdinaryRequest.judge(taking: &head)
            if !asked.isPersistent { stream.isPersistent = false }
            stream.preparePassage()
            // Made where it stays: it is large, and there is one for each request.
            slot = state.pointee.insertRequest(
                Request(asked, of: stream, client: client, limits: limits, nowMilliseconds: now))
        } catch {
            var facts = RequestFacts(client: client, beganMilliseconds: now)
            facts.trace = trace
            facts.method = head.method
            note(head, &facts)
            SessionKeeper(state).refuse(stream, Refusal(error), facts, to: head.verb)
            return
        }
        guard let slot, let request = state.pointee.requests.pointer(slot) else {
            SessionKeeper(state).close(stream)
            return
        }
        if trace.isOn { request.pointee.facts.trace = trace }
        if isUnclear { request.pointee.facts.isClientUnclear = true }
        if stream.isSpent(state) || state.pointee.leaving != nil { stream.isPersistent = false }
        stream.begin(slot)
        if let event = judge(&request.pointee) { state.pointee.work.push(.request(slot, event)) }
    }

    /// - Returns: what becomes of it; nil where a password has to be hashed first.
    private func judge(_ request: inout Request) -> RequestLife.Event? {
        if request.stream.facts.pointee.listener.redirectsToHTTPS {
            request.makeExtras().own = .toHTTPS(request.asked, snapshot)
            return .answeredHere
        }
        let routing = snapshot.routing
        let bytes = request.asked.bytes
        let path = request.asked.pathRange
        let host = request.asked.hostRange
        let found = routing.route(
            host: bytes.span.extracting(host), path: bytes.span.extracting(path)
        ) { RouteAsked(request) }
        guard let found else {
            request.makeExtras().own = OwnAnswer(
                .noRoute(
                    host: String(decoding: bytes[host], as: UTF8.self),
                    path: String(decoding: bytes[path], as: UTF8.self), in: routing))
            return .answeredHere
        }
        let plan = routing.plans[found]
        request.facts.plan = plan
        if plan.isRewritten {
            request.makeExtras().path = routing.table.rewritten(
                bytes[request.asked.sentPathRange], isCanonical: request.asked.isPathCanonical,
                by: found)
        }
        if request.asked.hasOtherReadings,
            let refusal = routing.refusal(
                ofReadings: Array(bytes[path]), host: bytes.span.extracting(host),
                route: found, { RouteAsked(request) })
        {
            request.makeExtras().own = OwnAnswer(refusal)
            return .answeredHere
        }
        if let access = plan.route.access,
            let refusal = AccessGate(state).judgeAddress(access, plan, &request.facts)
        {
            request.makeExtras().own = OwnAnswer(refusal)
            return .answeredHere
        }
        // Browsers send no password with it.
        if request.method == .options, let origin = allowedPrivateNetworkOrigin(request, plan.route)
        {
            request.makeExtras().own = OwnAnswer(allowingPrivateNetworkFor: origin)
            return .answeredHere
        }
        if let access = plan.route.access {
            return judgeLogin(access, plan, &request)
        }
        return serve(&request, plan)
    }

    private func judgeLogin(
        _ access: AccessRules, _ plan: RoutePlan, _ request: inout Request
    ) -> RequestLife.Event? {
        if let token = access.token,
            let refused = AccessGate(state).judge(token, plan, &request)
        {
            request.makeExtras().own = OwnAnswer(refused)
            return .answeredHere
        }
        let fields = request.asked.head.fields
        let stream = request.stream
        let host =
            access.certificate == nil
            ? "" : String(decoding: request.asked.bytes[request.asked.hostRange], as: UTF8.self)
        let refusal: Refusal?
        switch AccessGate(state).judgeLogin(
            access, plan, &request.facts, fields, stream, host: host)
        {
        case .admitted: return askOrServe(access, plan, &request)
        case .refused(let refused): refusal = refused
        case .asking(let question): refusal = AccessGate(state).ask(question, &request)
        }
        guard let refusal else { return nil }
        request.makeExtras().own = OwnAnswer(refusal)
        return .answeredHere
    }

    /// Has a request that may use its route served by it.
    func letIn(_ request: inout Request, _ plan: RoutePlan) -> RequestLife.Event {
        if let upgrade = request.upgrade { return admit(upgrade, &request, plan) }
        return serve(&request, plan)
    }

    /// Has an ordinary request that may use its route served by it.
    private func serve(_ request: inout Request, _ plan: RoutePlan) -> RequestLife.Event {
        switch plan.route.action {
        case .forward(let group):
            if case .length(let length) = request.asked.framing, length > plan.route.bodyBytesMax {
                Metering(state).met(.bodyBytes, plan)
                request.makeExtras().own = OwnAnswer(.tooLarge(plan.route.bodyBytesMax))
                return .answeredHere
            }
            if let cause = BodyPump(state).takeFirstBody(&request) { return .failed(cause) }
            request.upstream = UpstreamUse(
                EndpointSearch(
                    group, deadlineMilliseconds: now + state.pointee.snapshot.connect(plan),
                    key: group.key(of: request.asked, request.facts.client, plan),
                    sticky: group.sticky?.number(in: request.asked.head.fields)), mayReuse: true)
            return .forwarded
        case .respond(let answer): request.makeExtras().own = OwnAnswer(answer, plan)
        case .redirect(let rule):
            let target = request.asked.target
            request.makeExtras().own = OwnAnswer(
                rule, request.extras?.path ?? target.sentPath, target.query, plan)
        }
        return .answeredHere
    }

    // MARK: Passwords

    /// A password was hashed, for which a request has waited; it may be over since.
    func goOn(_ token: Token, _ verdict: PasswordVerdict) {
        guard let request = state.pointee.requests.pointer(token),
            case .judged = request.pointee.life.phase, let extras = request.pointee.extras,
            case .password(let question)? = extras.wait,
            let plan = request.pointee.facts.plan, let access = plan.route.access
        else { return }
        extras.wait = nil
        let event: RequestLife.Event?
        if !isServed(plan) {
            event = outlived(&request.pointee)
        } else if let refusal = AccessGate(state).judge(verdict, of: question, &request.pointee) {
            extras.own = OwnAnswer(refusal)
            event = .answeredHere
        } else {
            event = askOrServe(access, plan, &request.pointee)
        }
        if let event { state.pointee.work.push(.request(token, event)) }
    }

    /// Whether a route is as it was when a request began to wait.
    func isServed(_ plan: RoutePlan) -> Bool {
        snapshot.routing.plans.contains { $0 === plan }
    }

    /// Answers a request whose rule holds no longer: another may, or none.
    func outlived(_ request: inout Request) -> RequestLife.Event {
        request.makeExtras().own = OwnAnswer(.loginOutlived)
        return .answeredHere
    }

    /// Takes a place on the route for a request for a WebSocket that has waited for its password.
    private func admit(
        _ upgrade: UpgradeAsked, _ request: inout Request, _ plan: RoutePlan
    ) -> RequestLife.Event {
        let refusal =
            plan.tally.isDraining
            ? .routeDraining(plan.route.name)
            : admit(request.facts.client, plan, upgrade, &request.places)
        if let refusal {
            request.makeExtras().own = OwnAnswer(refusal)
            return .answeredHere
        }
        request.upstream?.search.begin(
            deadlineMilliseconds: now + state.pointee.snapshot.connect(plan))
        return .forwarded
    }

    /// The page of a preflight for a more private network, where the route lets that page open sockets.
    private func allowedPrivateNetworkOrigin(
        _ request: borrowing Request, _ route: Route
    ) -> [UInt8]? {
        guard let origin = request.asked.privateNetworkOrigin else { return nil }
        let facts = request.stream.facts
        let isTrusted = facts.pointee.listener.trusts(facts.pointee.peer)
        let said = isTrusted ? Forwarding.host(request.asked.head.fields)?.name : nil
        guard let host = said ?? request.asked.host else { return nil }
        return route.origins.allows(origin: origin, host: host) ? origin : nil
    }

    // MARK: Slots

    /// Gives a request for a WebSocket its slot, and its life the first event.
    private func begin(
        _ request: consuming Request, _ stream: ClientStream, _ event: RequestLife.Event
    ) {
        var places = request.places
        guard let token = state.pointee.insertRequest(request) else {
            places.giveBack(nowMilliseconds: now)
            SessionKeeper(state).close(stream)
            return
        }
        stream.begin(token)
        state.pointee.work.push(.request(token, event))
    }

    /// The same where something has to be found out first.
    private func begin(
        _ request: consuming Request, _ stream: ClientStream, waiting waits: Unjudged
    ) {
        guard let token = state.pointee.insertRequest(request),
            let request = state.pointee.requests.pointer(token)
        else {
            SessionKeeper(state).close(stream)
            return
        }
        stream.begin(token)
        var event: RequestLife.Event?
        switch waits {
        case .password(let question):
            guard let refusal = AccessGate(state).ask(question, &request.pointee) else { return }
            request.pointee.makeExtras().own = OwnAnswer(refusal)
            event = .answeredHere
        case .forward(let access):
            guard let plan = request.pointee.facts.plan else { return }
            event = askOrServe(access, plan, &request.pointee)
        }
        if let event { state.pointee.work.push(.request(token, event)) }
    }

    /// Notes for the log what can be read of a request that is refused.
    private func note(_ head: RequestHead, _ facts: inout RequestFacts) {
        facts.note(host: head.fields.first("host") ?? [], target: head.target)
    }
}

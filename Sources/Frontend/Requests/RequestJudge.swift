// SPDX-License-Identifier: Apache-2.0
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

    /// Judges a head; what stands behind it is held by the session.
    func judge(_ session: SessionPointer, _ head: consuming RequestHead) {
        let peer = session.pointee.facts.peer
        let listener = session.pointee.facts.listener
        var client = peer
        if listener.trusts(peer) {
            client =
                Forwarding(head.fields, peer: peer, trusted: listener.trustedProxies).client
        }
        if head.fields.upgradesToWebSocket {
            judgeUpgrade(session, head, client)
        } else {
            judgeOrdinary(session, &head, client)
        }
    }

    // MARK: WebSockets

    private func judgeUpgrade(_ session: SessionPointer, _ head: RequestHead, _ client: Address) {
        let asked: UpgradeRequest
        do throws(UpgradeFault) {
            asked = try UpgradeRequest.judge(head, noting: [.missingConnection, .anyKeyLength])
        } catch {
            var facts = RequestFacts(
                client: client,
                beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
            note(head, &facts)
            SessionKeeper(state).refuse(session, Refusal(error), facts)
            return
        }
        session.pointee.reader.requestCount += 1
        var places = Places()
        var facts = RequestFacts(
            client: client, beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
        facts.host = asked.host.name
        facts.path = String(decoding: asked.target.path, as: UTF8.self)
        let outcome = judge(asked, session, &facts, &places)
        var request: Request
        let event: RequestLife.Event
        switch outcome {
        case .refused(let refusal):
            request = Request(
                nil, of: session, client: client, limits: limits, nowMilliseconds: now)
            request.own = OwnAnswer(refusal)
            event = .answeredHere
        case .forwarded(let upgrade, let group):
            request = Request(
                upgrade, of: session, client: client, limits: limits, nowMilliseconds: now)
            request.search = EndpointSearch(
                group, deadlineMilliseconds: now + state.pointee.settings.connectMilliseconds,
                key: group.key(of: asked, client))
            request.mayReuse = false
            event = .forwarded
        }
        request.facts = facts
        request.places = places
        begin(request, session, event)
    }

    private enum UpgradeOutcome {
        case refused(Refusal)
        case forwarded(UpgradeAsked, EndpointGroup)
    }

    private func judge(
        _ asked: UpgradeRequest, _ session: SessionPointer, _ facts: inout RequestFacts,
        _ places: inout Places
    ) -> UpgradeOutcome {
        let path = asked.target.path
        if session.pointee.facts.listener.redirectsToHTTPS {
            let sentPath = String(decoding: asked.target.sentPath, as: UTF8.self)
            let url = snapshot.secureURL("wss", asked.host, path: sentPath)
            return .refused(facts.host.isEmpty ? .noHost : .useTLS(url))
        }
        let routing = snapshot.routing
        guard let found = routing.table.index(host: facts.host.utf8.span, path: path.span) else {
            return .refused(.noRoute(host: facts.host, path: facts.path))
        }
        let plan = routing.plans[found]
        let route = plan.route
        facts.plan = plan
        if asked.target.hasEscapedSlash,
            let refusal = routing.refusal(
                ofEscapedSlashIn: path, host: facts.host.utf8.span, route: found)
        {
            return .refused(refusal)
        }
        guard let group = route.upstream else { return .refused(.noSocket(path: facts.path)) }
        if let fault = asked.fault(accepting: route.accept) {
            return .refused(.departure(fault, of: asked, route: route.name))
        }
        // A trusted proxy in front may have changed `Host`; what it was, it says.
        let isTrusted = session.pointee.facts.listener.trusts(session.pointee.facts.peer)
        let said = isTrusted ? Forwarding.host(asked.head.fields)?.name : nil
        let host = said ?? asked.host
        guard route.origins.allows(origin: asked.origin, host: host) else {
            return .refused(.forbiddenOrigin(asked.origin ?? [], host: host, route))
        }
        guard !plan.tally.isDraining else { return .refused(.routeDraining(route.name)) }
        let sentPath = asked.target.sentPath
        let rewritten = routing.table.rewritten(
            sentPath[...], isCanonical: sentPath == path, by: found)
        let upgrade = UpgradeAsked(asked, path: rewritten ?? sentPath)
        if asked.departures.contains(.anyKeyLength) { upgrade.ownKey = WebSocketAccept.makeKey() }
        if let refusal = admit(facts.client, plan, upgrade, &places) { return .refused(refusal) }
        return .forwarded(upgrade, group)
    }

    /// Takes a place on the route, where places are limited; the refusal if there is none.
    private func admit(
        _ client: Address, _ plan: RoutePlan, _ upgrade: UpgradeAsked, _ places: inout Places
    ) -> Refusal? {
        let limits = plan.route.admission
        if limits.isEmpty { return nil }
        let admission = plan.tally.admission
        switch admission.enter(client, limits, nowMilliseconds: now) {
        case .admitted:
            places.take(admission, as: client)
            upgrade.rates = admission.rates(of: client, limits)
            return nil
        case .full: return .routeFull(plan.route.name)
        case .tooMany: return .clientHasTooMany
        case .tooOften(let milliseconds): return .clientComesTooOften(milliseconds)
        }
    }

    // MARK: Ordinary requests

    private func judgeOrdinary(
        _ session: SessionPointer, _ head: inout RequestHead, _ client: Address
    ) {
        session.pointee.reader.requestCount += 1
        let slot: Token?
        do throws(HeadFault) {
            let asked = try OrdinaryRequest.judge(taking: &head)
            session.pointee.reader.isPersistent =
                session.pointee.reader.isPersistent && asked.isPersistent
            prepare(session, asked)
            // Made where it stays: it is large, and there is one for each request.
            slot = state.pointee.requests.insert(
                Request(asked, of: session, client: client, limits: limits, nowMilliseconds: now))
        } catch {
            var facts = RequestFacts(client: client, beganMilliseconds: now)
            facts.method = head.method
            note(head, &facts)
            SessionKeeper(state).refuse(session, Refusal(error), facts)
            return
        }
        guard let slot, let request = state.pointee.requests.pointer(slot) else {
            SessionKeeper(state).close(session)
            return
        }
        if session.pointee.reader.requestCount >= state.pointee.settings.requestsPerConnectionMax
            || state.pointee.leaving != nil
        {
            session.pointee.reader.isPersistent = false
        }
        session.pointee.request = slot
        state.pointee.work.push(.request(slot, judge(&request.pointee, session)))
    }

    /// Makes the lines ready that say of the client what upstreams are told.
    private func prepare(_ session: SessionPointer, _ asked: borrowing OrdinaryRequest) {
        if session.pointee.reader.passage == nil {
            session.pointee.reader.passage = Passage(session.pointee.facts.hop)
        }
        session.pointee.reader.passage?.prepare(for: asked)
    }

    private func judge(
        _ request: inout Request, _ session: SessionPointer
    ) -> RequestLife.Event {
        if session.pointee.facts.listener.redirectsToHTTPS {
            request.own = .toHTTPS(request.asked, snapshot)
            return .answeredHere
        }
        let bytes = request.asked.bytes
        let path = request.asked.pathRange
        let host = request.asked.hostRange
        let found = snapshot.routing.table.index(
            host: bytes.span.extracting(host), path: bytes.span.extracting(path))
        guard let found else {
            request.own = OwnAnswer(
                .noRoute(
                    host: String(decoding: bytes[host], as: UTF8.self),
                    path: String(decoding: bytes[path], as: UTF8.self)))
            return .answeredHere
        }
        request.path = snapshot.routing.table.rewritten(
            bytes[request.asked.sentPathRange], isCanonical: request.asked.isPathCanonical,
            by: found)
        let plan = snapshot.routing.plans[found]
        request.facts.plan = plan
        if request.asked.hasEscapedSlash,
            let refusal = snapshot.routing.refusal(
                ofEscapedSlashIn: Array(bytes[path]), host: bytes.span.extracting(host),
                route: found)
        {
            request.own = OwnAnswer(refusal)
            return .answeredHere
        }
        switch plan.route.action {
        case .forward(let group):
            if case .length(let length) = request.asked.framing, length > plan.route.bodyBytesMax {
                request.own = OwnAnswer(.tooLarge(plan.route.bodyBytesMax))
                return .answeredHere
            }
            if let cause = BodyPump(state).takeFirstBody(&request) { return .failed(cause) }
            request.search = EndpointSearch(
                group, deadlineMilliseconds: now + state.pointee.settings.connectMilliseconds,
                key: group.key(of: request.asked, request.facts.client))
            return .forwarded
        case .respond(let answer): request.own = OwnAnswer(answer, plan)
        case .redirect(let rule):
            let target = request.asked.target
            request.own = OwnAnswer(rule, request.path ?? target.sentPath, target.query, plan)
        }
        return .answeredHere
    }

    // MARK: Slots

    /// Gives a request for a WebSocket its slot, and its life the first event.
    private func begin(
        _ request: consuming Request, _ session: SessionPointer, _ event: RequestLife.Event
    ) {
        guard state.pointee.requests.count < state.pointee.requests.capacity else {
            request.places.giveBack(nowMilliseconds: now)
            SessionKeeper(state).close(session)
            return
        }
        guard let token = state.pointee.requests.insert(request) else {
            SessionKeeper(state).close(session)
            return
        }
        session.pointee.request = token
        state.pointee.work.push(.request(token, event))
    }

    /// Notes for the log what can be read of a request that is refused.
    private func note(_ head: RequestHead, _ facts: inout RequestFacts) {
        if let host = head.fields.first("host"), let name = try? HostName(parsing: host) {
            facts.host = name.name
        }
        if let target = try? RequestTarget(parsing: head.target) {
            facts.path = String(decoding: target.path, as: UTF8.self)
        }
    }
}

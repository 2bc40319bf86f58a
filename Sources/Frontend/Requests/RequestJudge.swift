// SPDX-License-Identifier: Apache-2.0
import Proxy
import Reactor
import Router
import Splice
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
            asked = try UpgradeRequest.judge(head)
        } catch {
            var facts = RequestFacts(
                client: client,
                beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
            note(head, &facts)
            SessionKeeper(state).refuse(session, Refusal(error), facts)
            return
        }
        // Whatever becomes of it, no other request follows on this connection.
        session.pointee.reader.isPersistent = false
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
            return .refused(.useTLS(snapshot.secureURL("wss", asked.host, path: facts.path)))
        }
        guard let match = snapshot.routing.table.match(host: asked.host.name, path: path) else {
            return .refused(.noRoute(host: facts.host, path: facts.path))
        }
        let plan = snapshot.routing.plans[match.index]
        facts.plan = plan
        guard let group = plan.route.upstream else {
            return .refused(.noSocket(path: facts.path))
        }
        guard plan.route.origins.allows(origin: asked.origin, host: asked.host) else {
            let origin = String(decoding: asked.origin ?? [], as: UTF8.self)
            return .refused(.forbiddenOrigin(origin))
        }
        guard !plan.tally.isDraining else { return .refused(.routeDraining(plan.route.name)) }
        let upgrade = UpgradeAsked(asked, path: match.path)
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
        var request: Request
        do throws(HeadFault) {
            let asked = try OrdinaryRequest.judge(taking: &head)
            session.pointee.reader.isPersistent =
                session.pointee.reader.isPersistent && asked.isPersistent
            prepare(session, asked)
            request = Request(
                asked, of: session, client: client, limits: limits, nowMilliseconds: now)
        } catch {
            var facts = RequestFacts(client: client, beganMilliseconds: now)
            facts.method = head.method
            note(head, &facts)
            SessionKeeper(state).refuse(session, Refusal(error), facts)
            return
        }
        if session.pointee.reader.requestCount >= state.pointee.settings.requestsPerConnectionMax
            || state.pointee.leaving != nil
        {
            session.pointee.reader.isPersistent = false
        }
        let event = judge(&request, session)
        begin(request, session, event)
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
        request.path = snapshot.routing.table.rewritten(bytes[path], by: found)
        let plan = snapshot.routing.plans[found]
        request.facts.plan = plan
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
            request.own = OwnAnswer(rule, request.path ?? target.path, target.query, plan)
        }
        return .answeredHere
    }

    // MARK: What both have

    /// Gives a request its slot, and its life the first event.
    private func begin(
        _ request: consuming Request, _ session: SessionPointer, _ event: RequestLife.Event
    ) {
        var places = request.places
        guard let token = state.pointee.requests.insert(request) else {
            places.giveBack(nowMilliseconds: now)
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

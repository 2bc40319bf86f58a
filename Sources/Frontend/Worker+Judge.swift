// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import Wire

/// What becomes of a request: judged once, then refused, answered, proxied or spliced.
extension Worker {
    /// Decides what becomes of a request; `rest` is what stands behind its head.
    mutating func judge(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token,
        _ head: consuming RequestHead,
        rest: UnsafeRawBufferPointer
    ) {
        let notes = connection.pointee.notes
        if notes.listener.trusts(notes.peer) {
            notes.client =
                Forwarding(
                    head.fields, peer: notes.peer, trusted: notes.listener.trustedProxies
                ).client
        }
        if head.fields.upgradesToWebSocket {
            judgeUpgrade(connection, token, head, rest: rest)
        } else {
            judgeOrdinary(connection, token, &head, rest: rest)
        }
    }

    private mutating func judgeUpgrade(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ head: RequestHead,
        rest: UnsafeRawBufferPointer
    ) {
        let notes = connection.pointee.notes
        let request: UpgradeRequest
        do throws(UpgradeFault) {
            request = try UpgradeRequest.judge(head)
        } catch {
            note(head, notes)
            refuse(connection, token, Refusal(error))
            return
        }
        notes.host = request.host.name
        let path = request.target.path
        notes.path = String(decoding: path, as: UTF8.self)
        let listener = notes.listener
        if listener.redirectsToHTTPS {
            let url = snapshot.secureURL("wss", request.host, path: notes.path)
            refuse(connection, token, .useTLS(url))
            return
        }
        guard let match = snapshot.routing.table.match(host: request.host.name, path: path) else {
            refuse(connection, token, .noRoute(host: notes.host, path: notes.path))
            return
        }
        let plan = snapshot.routing.plans[match.index]
        let route = plan.route
        notes.plan = plan
        guard let group = route.upstream else {
            refuse(connection, token, .noSocket(path: notes.path))
            return
        }
        guard route.origins.allows(origin: request.origin, host: request.host) else {
            let origin = String(decoding: request.origin ?? [], as: UTF8.self)
            refuse(connection, token, .forbiddenOrigin(origin))
            return
        }
        guard !plan.tally.isDraining else {
            refuse(connection, token, .routeDraining(route.name))
            return
        }
        let now = space.pointee.nowMilliseconds
        if let refusal = admit(notes, plan, now) {
            refuse(connection, token, refusal)
            return
        }
        let opening: Opening
        var login: Token?
        if let first = connection.pointee.opening {
            opening = first
        } else {
            // Ordinary requests came before it on the same connection.
            opening = Opening(
                acceptedMilliseconds: notes.acceptedMilliseconds,
                limits: snapshot.settings.headLimits)
            if let exchange = connection.pointee.exchange {
                login = exchange.pointee.kept
                opening.requestCount = exchange.pointee.requestCount
                exchanges.retire(exchange)
            }
            connection.pointee.exchange = nil
            connection.pointee.opening = opening
        }
        opening.early = Array(rest)
        opening.request = request
        opening.plan = plan
        opening.path = match.path
        opening.phase = .dialing
        opening.dialing = Dialing(
            group, deadlineMilliseconds: now + snapshot.settings.connectMilliseconds,
            key: group.key(of: request, notes.client))
        if let login, upgradeOn(login, connection, token, opening, group) { return }
        dialNext(connection, token, opening)
    }

    private mutating func judgeOrdinary(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token,
        _ head: inout RequestHead, rest: UnsafeRawBufferPointer
    ) {
        let exchange = takeExchange(connection)
        exchange.pointee.hold(rest)
        let now = space.pointee.nowMilliseconds
        do throws(HeadFault) {
            let request = try OrdinaryRequest.judge(taking: &head)
            exchange.pointee.begin(request, nowMilliseconds: now)
        } catch {
            let notes = connection.pointee.notes
            notes.requestMilliseconds = now
            notes.method = head.method
            note(head, notes)
            refuse(connection, token, Refusal(error))
            return
        }
        if exchange.pointee.requestCount >= snapshot.settings.requestsPerConnectionMax
            || drainDeadlineMilliseconds != nil
        {
            exchange.pointee.isPersistent = false
        }
        if connection.pointee.notes.listener.redirectsToHTTPS {
            answerOwn(connection, token, exchange, .toHTTPS(exchange.pointee.request, snapshot))
            return
        }
        let bytes = exchange.pointee.request.bytes
        let path = exchange.pointee.request.pathRange
        let host = exchange.pointee.request.hostRange
        let found = snapshot.routing.table.index(
            host: bytes.span.extracting(host), path: bytes.span.extracting(path))
        guard let found else {
            let refusal = Refusal.noRoute(
                host: String(decoding: bytes[host], as: UTF8.self),
                path: String(decoding: bytes[path], as: UTF8.self))
            answerOwn(connection, token, exchange, OwnAnswer(refusal))
            return
        }
        exchange.pointee.path = snapshot.routing.table.rewritten(bytes[path], by: found)
        let plan = snapshot.routing.plans[found]
        exchange.pointee.plan = plan
        switch plan.route.action {
        case .forward(let group):
            if case .length(let length) = exchange.pointee.request.framing,
                length > plan.route.bodyBytesMax
            {
                let refusal = Refusal.tooLarge(plan.route.bodyBytesMax)
                answerOwn(connection, token, exchange, OwnAnswer(refusal))
                return
            }
            seekUpstream(connection, token, exchange, group)
        case .respond(let answer):
            answerOwn(connection, token, exchange, OwnAnswer(answer, plan))
        case .redirect(let rule):
            let target = exchange.pointee.request.target
            let path = exchange.pointee.path ?? target.path
            answerOwn(connection, token, exchange, OwnAnswer(rule, path, target.query, plan))
        }
    }

    /// The connection's exchange, made when its first ordinary request has come.
    private mutating func takeExchange(
        _ connection: UnsafeMutablePointer<Connection>
    ) -> ExchangePointer {
        if let exchange = connection.pointee.exchange { return exchange }
        let limits = snapshot.settings.headLimits
        let exchange = exchanges.make(
            Exchange(
                parser: connection.pointee.opening?.requestParser
                    ?? RequestHeadParser(limits: limits),
                limits: limits, passage: Passage(hop(connection))))
        connection.pointee.opening?.phase = .leaving
        connection.pointee.opening = nil
        connection.pointee.exchange = exchange
        return exchange
    }

    /// Takes a place on the route, where places are limited; the refusal if there is none.
    private func admit(_ notes: ConnectionNotes, _ plan: RoutePlan, _ now: UInt64) -> Refusal? {
        let limits = plan.route.admission
        if limits.isEmpty { return nil }
        let admission = plan.tally.admission
        switch admission.enter(notes.client, limits, nowMilliseconds: now) {
        case .admitted:
            notes.admission = admission
            notes.rates = admission.rates(of: notes.client, limits)
            return nil
        case .full: return .routeFull(plan.route.name)
        case .tooMany: return .clientHasTooMany
        case .tooOften(let milliseconds): return .clientComesTooOften(milliseconds)
        }
    }

    /// Notes for the log what can be read of a request that is refused.
    private func note(_ head: RequestHead, _ notes: ConnectionNotes) {
        if let host = head.fields.first("host"), let name = try? HostName(parsing: host) {
            notes.host = name.name
        }
        if let target = try? RequestTarget(parsing: head.target) {
            notes.path = String(decoding: target.path, as: UTF8.self)
        }
    }
}

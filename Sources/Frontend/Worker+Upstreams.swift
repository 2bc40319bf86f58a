// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Router
import Splice
import Wire

/// Connections to endpoints that carry ordinary requests: found, opened, kept and let go.
extension Worker {
    /// Finds a connection for the request: an idle one, or a new one to the next address, or to the
    /// next endpoint.
    mutating func seekUpstream(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ group: EndpointGroup
    ) {
        guard takeFirstBody(connection, token, exchange) else { return }
        if let kept = exchange.pointee.kept, reuse(kept, connection, token, exchange, group) {
            return
        }
        let now = space.pointee.nowMilliseconds
        let key = group.key(of: exchange.pointee.request, connection.pointee.notes.client)
        let mustWait = (group.queue?.count ?? 0) > 0
        let first = mustWait ? nil : group.picker.claim(nowMilliseconds: now, key: key)
        if let first, let idle = takeIdle(group.endpoints[first], exchange),
            let slot = upstreams.pointer(idle)
        {
            connection.pointee.notes.takeEndpoint(first, of: group)
            send(connection, token, exchange, on: idle, slot)
            return
        }
        exchange.pointee.dialing = Dialing(
            group, deadlineMilliseconds: now + snapshot.settings.connectMilliseconds, key: key,
            first: first)
        exchange.pointee.phase = .dialing
        dialUpstream(connection, token, exchange)
    }

    /// Sends the request on a connection that was idle.
    private mutating func send(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        on carrier: Token, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        slot.pointee.owner = token
        noteLogin(exchange.pointee.request.head.fields, slot, connection)
        exchange.pointee.upstream = carrier
        exchange.pointee.isOnReused = true
        exchange.pointee.phase = .relaying
        slot.pointee.requestCount += 1
        writeRequest(exchange, slot.pointee.endpoint)
        let start = exchanges.writer.start
        if !slot.pointee.leg.put(start, count: exchanges.writer.count, space) {
            // Its end is read next, and then it is tried once more.
            exchange.pointee.isUpCut = true
            slot.pointee.leg.note(.hangup)
        }
        exchange.pointee.movedMilliseconds = space.pointee.nowMilliseconds
        arm(connection, token, exchange)
    }

    /// Sends a request once more, on a connection of its own; it keeps its place at the endpoint.
    mutating func sendAgain(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        let notes = connection.pointee.notes
        guard let group = notes.group else { return }
        let now = space.pointee.nowMilliseconds
        exchange.pointee.mustBeFresh = true
        exchange.pointee.isUpCut = false
        exchange.pointee.dialing = Dialing(
            group, deadlineMilliseconds: now + snapshot.settings.connectMilliseconds,
            key: group.key(of: exchange.pointee.request, notes.client), first: notes.endpoint)
        exchange.pointee.phase = .dialing
        dialUpstream(connection, token, exchange)
    }

    /// Connects to the next address of the endpoint, or to the next endpoint, or gives up.
    mutating func dialUpstream(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        while true {
            if let address = exchange.pointee.dialing?.nextAddress() {
                if dial(connection, token, exchange, address) { return }
                continue
            }
            let now = space.pointee.nowMilliseconds
            let notes = connection.pointee.notes
            let next = exchange.pointee.dialing?.nextEndpoint(
                notes, nowMilliseconds: now, crew.journal)
            guard let endpoint = next else {
                if waitForPlace(connection, token, exchange) { return }
                guard let refusal = exchange.pointee.dialing?.refusal(nowMilliseconds: now) else {
                    return
                }
                fail(connection, token, exchange, refusal)
                return
            }
            if let idle = takeIdle(endpoint, exchange), let slot = upstreams.pointer(idle) {
                send(connection, token, exchange, on: idle, slot)
                return
            }
        }
    }

    /// Writes the head as this endpoint gets it, and what came along of the body.
    private mutating func writeRequest(
        _ exchange: ExchangePointer, _ endpoint: Endpoint, behind introduction: [UInt8] = []
    ) {
        exchanges.writer.clear()
        if !introduction.isEmpty { exchanges.writer.append(introduction) }
        guard let plan = exchange.pointee.plan else { return }
        UpstreamRequest.write(
            exchange.pointee.request, path: exchange.pointee.path, plan: plan, endpoint: endpoint,
            passage: exchange.pointee.passage, into: &exchanges.writer)
        if !exchange.pointee.firstBody.isEmpty {
            exchanges.writer.append(exchange.pointee.firstBody)
        }
    }

    /// An idle connection that nothing has come on.
    private mutating func takeIdle(_ endpoint: Endpoint, _ exchange: ExchangePointer) -> Token? {
        if exchange.pointee.mustBeFresh { return nil }
        if exchange.pointee.plan?.route.upstream?.introduction != nil { return nil }
        while let token = upstreamPool.take(endpoint) {
            guard let slot = upstreams.pointer(token) else { continue }
            if isSound(slot, exchange) { return token }
            upstreamTimers.cancel(token)
            slot.pointee.leg.release(space)
            upstreams.retire(token)
        }
        return nil
    }

    private func isSound(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ exchange: ExchangePointer
    ) -> Bool {
        // What can't be sent a second time must not go out on one that has just been closed.
        slot.pointee.isQuiet
            && (exchange.pointee.maySendAgain || slot.pointee.leg.socket.isQuiet())
    }

    /// Sends the request on the connection that is this client's alone, if it still may.
    ///
    /// One that was logged in waits for a request to its endpoint, whatever else is asked for meanwhile.
    private mutating func reuse(
        _ kept: Token, _ connection: UnsafeMutablePointer<Connection>, _ token: Token,
        _ exchange: ExchangePointer, _ group: EndpointGroup
    ) -> Bool {
        let place = upstreams.pointer(kept).flatMap { slot in
            group.endpoints.firstIndex { $0 === slot.pointee.endpoint }
        }
        if place == nil, upstreams.pointer(kept)?.pointee.hasLogin == true { return false }
        guard let index = place, let slot = upstreams.pointer(kept),
            isAlone(slot, connection, group), isSound(slot, exchange),
            // Those that wait for a place are not overtaken, but by who is within a login.
            slot.pointee.hasLogin || (group.queue?.count ?? 0) == 0,
            group.picker.claim(only: index)
        else {
            letKeptGo(exchange)
            return false
        }
        exchange.pointee.kept = nil
        connection.pointee.notes.takeEndpoint(index, of: group)
        send(connection, token, exchange, on: kept, slot)
        return true
    }

    /// Closes the idle connection that was kept for the client.
    mutating func letKeptGo(_ exchange: ExchangePointer) {
        guard let kept = exchange.pointee.kept else { return }
        exchange.pointee.kept = nil
        closeUpstream(kept)
    }

    /// Begins to connect, and sends the request at once where that is possible.
    ///
    /// - Returns: false when it failed at once, and the reason is noted.
    private mutating func dial(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ address: Address
    ) -> Bool {
        guard let endpoint = exchange.pointee.dialing?.current,
            let group = exchange.pointee.dialing?.group
        else { return false }
        var isConnected = false
        guard let leg = exchange.pointee.dialing?.connect(to: address, isConnected: &isConnected)
        else {
            return false
        }
        let descriptor = leg.socket.descriptor
        var fresh = UpstreamConnection(
            leg: leg, endpoint: endpoint, limits: group.pool, owner: token)
        if group.introduction != nil {
            fresh.client = connection.pointee.notes.client
            fresh.isIntroduced = true
        }
        guard let carrier = upstreams.insert(fresh) else {
            exchange.pointee.dialing?.failed(.shortage(.memory))
            return false
        }
        upstreamTimers.reserve(index: Int(carrier.index))
        guard poller.add(descriptor, carrier.tagged(Worker.upstreamTag), .edgeBoth) else {
            upstreams.retire(carrier)
            exchange.pointee.dialing?.failed(.shortage(.watches))
            return false
        }
        exchange.pointee.upstream = carrier
        exchange.pointee.isOnReused = false
        let now = space.pointee.nowMilliseconds
        arm(
            token, exchange,
            after: (exchange.pointee.dialing?.attemptDeadline(nowMilliseconds: now) ?? now) - now)
        // Within one machine the connection stands when connect(2) returns.
        if isConnected || address.isLoopback {
            return connected(connection, token, exchange, carrier)
        }
        return true
    }

    /// Sends the request, if the connection stands.
    ///
    /// - Returns: false when the connection has failed, and the reason is noted.
    private mutating func connected(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ carrier: Token
    ) -> Bool {
        guard let slot = upstreams.pointer(carrier) else { return false }
        noteLogin(exchange.pointee.request.head.fields, slot, connection)
        writeRequest(
            exchange, slot.pointee.endpoint,
            behind: introduction(connection, exchange.pointee.dialing?.group))
        let start = exchanges.writer.start
        let count = exchanges.writer.count
        let result = slot.pointee.leg.socket.send(start, count: count)
        if case .moved(let moved) = result, moved < count {
            slot.pointee.leg.put(start + moved, count: count - moved, space)
        }
        switch result {
        case .moved:
            exchange.pointee.dialing?.succeeded(
                nowMilliseconds: space.pointee.nowMilliseconds, crew.journal)
            slot.pointee.isConnected = true
            slot.pointee.requestCount += 1
            exchange.pointee.phase = .relaying
            exchange.pointee.movedMilliseconds = space.pointee.nowMilliseconds
            exchange.pointee.armedMilliseconds = 0
            arm(connection, token, exchange)
            return true
        case .failed(let code):
            exchange.pointee.dialing?.failed(code)
            letUpstreamGo(exchange)
            return false
        case .blocked, .ended: return true
        }
    }

    /// The time of one attempt to connect is over.
    mutating func dialTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        let now = space.pointee.nowMilliseconds
        letUpstreamGo(exchange)
        exchange.pointee.dialing?.failed(.timedOut)
        if now < exchange.pointee.dialing?.deadlineMilliseconds ?? 0 {
            dialUpstream(connection, token, exchange)
        } else {
            exchange.pointee.dialing?.giveUp(
                connection.pointee.notes, nowMilliseconds: now, crew.journal)
            fail(connection, token, exchange, .connectTimeout)
        }
        goOn(connection, token, exchange)
    }

    /// The socket of an upstream's connection has something to say.
    mutating func upstreamIsReady(_ carrier: Token, _ flags: Readiness) {
        guard let slot = upstreams.pointer(carrier) else { return }
        slot.pointee.leg.note(flags)
        guard let owner = slot.pointee.owner, let connection = connections.pointer(owner),
            let exchange = connection.pointee.exchange, exchange.pointee.upstream == carrier
        else {
            // Whatever comes while it is idle, an answer that nobody asked for or the end: with this
            // connection nothing can be begun any more.
            if !slot.pointee.isQuiet { closeUpstream(carrier) }
            return
        }
        if !slot.pointee.isConnected {
            if flags.contains(.hangup) {
                let code = slot.pointee.leg.socket.pendingError()
                if code != 0 {
                    exchange.pointee.dialing?.failed(code)
                    letUpstreamGo(exchange)
                    dialUpstream(connection, owner, exchange)
                    goOn(connection, owner, exchange)
                    return
                }
            }
            guard flags.contains(.writable) || flags.contains(.readable) else { return }
            if !connected(connection, owner, exchange, carrier) {
                dialUpstream(connection, owner, exchange)
            }
        } else if flags.contains(.writable) && !slot.pointee.leg.held.isEmpty {
            exchange.pointee.movedMilliseconds = space.pointee.nowMilliseconds
            exchange.pointee.bodyMovedMilliseconds = space.pointee.nowMilliseconds
            _ = slot.pointee.leg.drain(space)
            if slot.pointee.leg.isUnwritable { exchange.pointee.isUpCut = true }
        }
        goOn(connection, owner, exchange)
    }

    /// Whether the upstream has not taken all that was sent to it.
    func upstreamHolds(_ exchange: ExchangePointer) -> Bool {
        guard let slot = exchange.pointee.upstream.flatMap({ upstreams.pointer($0) }) else {
            return false
        }
        return !slot.pointee.leg.held.isEmpty
    }

    /// Closes the connection that carries the request.
    mutating func letUpstreamGo(_ exchange: ExchangePointer) {
        guard let carrier = exchange.pointee.upstream else { return }
        exchange.pointee.upstream = nil
        closeUpstream(carrier)
    }

    /// Keeps the connection for another request, if that is safe, and closes it otherwise.
    mutating func returnUpstream(_ exchange: ExchangePointer) {
        guard let carrier = exchange.pointee.upstream, let slot = upstreams.pointer(carrier) else {
            return
        }
        exchange.pointee.upstream = nil
        slot.pointee.owner = nil
        let mayReuse =
            exchange.pointee.mayReuse && exchange.pointee.up.isDone && !exchange.pointee.isUpCut
            && slot.pointee.isQuiet && slot.pointee.leg.held.isEmpty
            && drainDeadlineMilliseconds == nil
        let limits = slot.pointee.limits
        if mayReuse && slot.pointee.hasLogin {
            // It stays for as long as the client does, or the endpoint lets it.
            letKeptGo(exchange)
            exchange.pointee.kept = carrier
        } else if mayReuse && slot.pointee.client != nil && limits.idleMax > 0 {
            letKeptGo(exchange)
            exchange.pointee.kept = carrier
            waitIdle(slot, carrier)
        } else if mayReuse && slot.pointee.client == nil
            && upstreamPool.put(carrier, slot.pointee.endpoint, max: limits.idleMax)
        {
            waitIdle(slot, carrier)
        } else {
            upstreamTimers.cancel(carrier)
            slot.pointee.leg.release(space)
            upstreams.retire(carrier)
        }
    }

    /// Lets a connection be idle for as long as it may.
    private mutating func waitIdle(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ carrier: Token
    ) {
        let deadline = space.pointee.nowMilliseconds + slot.pointee.limits.idleMilliseconds
        slot.pointee.idleDeadlineMilliseconds = deadline
        // A timer of an earlier time is left to fire, which costs less than to move it each time.
        if !upstreamTimers.isArmed(carrier) { upstreamTimers.arm(carrier, at: deadline) }
    }

    /// The timer of an upstream's connection has fired: it may have been idle for long enough.
    mutating func idleTimeIsUp(_ carrier: Token) {
        guard let slot = upstreams.pointer(carrier), slot.pointee.owner == nil,
            !slot.pointee.hasLogin
        else { return }
        let deadline = slot.pointee.idleDeadlineMilliseconds
        if space.pointee.nowMilliseconds < deadline {
            upstreamTimers.arm(carrier, at: deadline)
        } else {
            closeUpstream(carrier)
        }
    }

    /// Closes an upstream's connection, idle or not.
    mutating func closeUpstream(_ carrier: Token) {
        guard let slot = upstreams.pointer(carrier) else { return }
        if slot.pointee.owner == nil { upstreamPool.forget(carrier, slot.pointee.endpoint) }
        upstreamTimers.cancel(carrier)
        slot.pointee.leg.release(space)
        upstreams.retire(carrier)
    }
}

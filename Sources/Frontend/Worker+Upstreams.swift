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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        guard takeFirstBody(connection, token, exchange) else { return }
        exchange.phase = .dialing
        dialUpstream(connection, token, exchange)
    }

    /// Sends a request once more, on a connection of its own.
    mutating func sendAgain(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        guard let group = exchange.route?.upstream else { return }
        let now = space.pointee.nowMilliseconds
        connection.pointee.notes.letEndpointGo()
        exchange.mustBeFresh = true
        exchange.isUpCut = false
        exchange.dialing = Dialing(
            group, deadlineMilliseconds: now + crew.settings.connectMilliseconds)
        exchange.phase = .dialing
        dialUpstream(connection, token, exchange)
    }

    private mutating func dialUpstream(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        while true {
            if let address = exchange.dialing?.nextAddress() {
                if dial(connection, token, exchange, address) { return }
                continue
            }
            let now = space.pointee.nowMilliseconds
            let notes = connection.pointee.notes
            guard let endpoint = exchange.dialing?.nextEndpoint(notes, nowMilliseconds: now) else {
                guard let refusal = exchange.dialing?.refusal else { return }
                fail(connection, token, exchange, refusal)
                return
            }
            if let idle = takeIdle(endpoint, exchange), let slot = upstreams.pointer(idle) {
                slot.pointee.owner = token
                exchange.upstream = idle
                exchange.isOnReused = true
                exchange.phase = .relaying
                slot.pointee.requestCount += 1
                let message = requestBytes(connection, exchange, endpoint)
                message.withUnsafeBufferPointer { bytes in
                    guard let start = bytes.baseAddress else { return }
                    if !slot.pointee.leg.put(start, count: bytes.count, space) {
                        // Its end is read next, and then it is tried once more.
                        exchange.isUpCut = true
                        slot.pointee.leg.note(.hangup)
                    }
                }
                exchange.movedMilliseconds = now
                arm(connection, token, exchange)
                return
            }
        }
    }

    /// The head as this endpoint gets it, and what came along of the body.
    private func requestBytes(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: Exchange, _ endpoint: Endpoint
    ) -> [UInt8] {
        guard let request = exchange.request, let route = exchange.route else { return [] }
        let head = UpstreamRequest.bytes(
            of: request, path: exchange.path, route: route, endpoint: endpoint,
            hop: hop(connection))
        return exchange.firstBody.isEmpty ? head : head + exchange.firstBody
    }

    /// An idle connection that nothing has come on.
    private mutating func takeIdle(_ endpoint: Endpoint, _ exchange: Exchange) -> Token? {
        if exchange.mustBeFresh { return nil }
        while let token = upstreamPool.take(endpoint) {
            guard let slot = upstreams.pointer(token) else { continue }
            upstreamTimers.cancel(token)
            // What can't be sent a second time must not go out on one that has just been closed.
            let isSound =
                slot.pointee.isQuiet
                && (exchange.maySendAgain || slot.pointee.leg.socket.isQuiet())
            if isSound { return token }
            slot.pointee.leg.release(space)
            upstreams.retire(token)
        }
        return nil
    }

    /// Begins to connect, and sends the request at once where that is possible.
    ///
    /// - Returns: false when it failed at once, and the reason is noted.
    private mutating func dial(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ address: Address
    ) -> Bool {
        guard let endpoint = exchange.dialing?.current, let group = exchange.dialing?.group
        else { return false }
        var isConnected = false
        guard let leg = exchange.dialing?.connect(to: address, isConnected: &isConnected) else {
            return false
        }
        let descriptor = leg.socket.descriptor
        let fresh = UpstreamConnection(
            leg: leg, endpoint: endpoint, limits: group.pool, owner: token)
        guard let carrier = upstreams.insert(fresh) else {
            exchange.dialing?.lastFailure = .noResources("there are too many connections")
            return false
        }
        upstreamTimers.reserve(index: Int(carrier.index))
        guard poller.add(descriptor, carrier.tagged(Worker.upstreamTag), .edgeBoth) else {
            upstreams.retire(carrier)
            exchange.dialing?.lastFailure = .noResources("epoll is full")
            return false
        }
        exchange.upstream = carrier
        exchange.isOnReused = false
        let now = space.pointee.nowMilliseconds
        arm(
            token, exchange,
            after: (exchange.dialing?.attemptDeadline(nowMilliseconds: now) ?? now) - now)
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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ carrier: Token
    ) -> Bool {
        guard let slot = upstreams.pointer(carrier) else { return false }
        let message = requestBytes(connection, exchange, slot.pointee.endpoint)
        let result = message.withUnsafeBufferPointer { bytes -> IOResult in
            guard let start = bytes.baseAddress else { return .blocked }
            let result = slot.pointee.leg.socket.send(start, count: bytes.count)
            if case .moved(let moved) = result, moved < bytes.count {
                slot.pointee.leg.put(start + moved, count: bytes.count - moved, space)
            }
            return result
        }
        switch result {
        case .moved:
            exchange.dialing?.succeeded()
            slot.pointee.isConnected = true
            slot.pointee.requestCount += 1
            exchange.phase = .relaying
            exchange.movedMilliseconds = space.pointee.nowMilliseconds
            exchange.armedMilliseconds = 0
            arm(connection, token, exchange)
            return true
        case .failed(let code):
            exchange.dialing?.failed(code)
            letUpstreamGo(exchange)
            return false
        case .blocked, .ended: return true
        }
    }

    /// The time of one attempt to connect is over.
    mutating func dialTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        let now = space.pointee.nowMilliseconds
        letUpstreamGo(exchange)
        exchange.dialing?.lastFailure = .connectTimeout
        if now < exchange.dialing?.deadlineMilliseconds ?? 0 {
            dialUpstream(connection, token, exchange)
        } else {
            exchange.dialing?.giveUp(connection.pointee.notes, nowMilliseconds: now)
            fail(connection, token, exchange, .connectTimeout)
        }
        goOn(connection, token, exchange)
    }

    /// The socket of an upstream's connection has something to say.
    mutating func upstreamIsReady(_ carrier: Token, _ flags: Readiness) {
        guard let slot = upstreams.pointer(carrier) else { return }
        slot.pointee.leg.note(flags)
        guard let owner = slot.pointee.owner, let connection = connections.pointer(owner),
            let exchange = connection.pointee.exchange, exchange.upstream == carrier
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
                    exchange.dialing?.failed(code)
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
            exchange.movedMilliseconds = space.pointee.nowMilliseconds
            _ = slot.pointee.leg.drain(space)
            if slot.pointee.leg.isUnwritable { exchange.isUpCut = true }
        }
        goOn(connection, owner, exchange)
    }

    /// Whether the upstream has not taken all that was sent to it.
    func upstreamHolds(_ exchange: Exchange) -> Bool {
        guard let slot = exchange.upstream.flatMap({ upstreams.pointer($0) }) else { return false }
        return !slot.pointee.leg.held.isEmpty
    }

    /// Closes the connection that carries the request.
    mutating func letUpstreamGo(_ exchange: Exchange) {
        guard let carrier = exchange.upstream else { return }
        exchange.upstream = nil
        closeUpstream(carrier)
    }

    /// Keeps the connection for another request, if that is safe, and closes it otherwise.
    mutating func returnUpstream(_ exchange: Exchange) {
        guard let carrier = exchange.upstream, let slot = upstreams.pointer(carrier) else { return }
        exchange.upstream = nil
        slot.pointee.owner = nil
        let mayReuse =
            exchange.mayReuse && exchange.up.isDone && !exchange.isUpCut
            && slot.pointee.isQuiet && slot.pointee.leg.held.isEmpty
            && drainDeadlineMilliseconds == nil
        let limits = slot.pointee.limits
        if mayReuse && upstreamPool.put(carrier, slot.pointee.endpoint, max: limits.idleMax) {
            upstreamTimers.arm(
                carrier, at: space.pointee.nowMilliseconds + limits.idleMilliseconds)
        } else {
            slot.pointee.leg.release(space)
            upstreams.retire(carrier)
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

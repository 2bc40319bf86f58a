// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Router
import Splice
import TLS
import Wire

extension Worker {
    /// Connects to the next address of the endpoint, or to the next endpoint, or gives up.
    mutating func dialNext(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        while true {
            if let address = opening.dialing?.nextAddress() {
                if dial(connection, token, opening, address) { return }
                continue
            }
            let now = space.pointee.nowMilliseconds
            let notes = connection.pointee.notes
            if opening.dialing?.nextEndpoint(notes, nowMilliseconds: now, crew.journal) == nil {
                if waitForPlace(connection, token, opening) { return }
                guard let refusal = opening.dialing?.refusal(nowMilliseconds: now) else { return }
                refuse(connection, token, refusal)
                return
            }
        }
    }

    /// Begins to connect.
    ///
    /// - Returns: false when it failed at once, and the reason is noted.
    private mutating func dial(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ address: Address
    ) -> Bool {
        var isConnected = false
        guard let leg = opening.dialing?.connect(to: address, isConnected: &isConnected) else {
            return false
        }
        let descriptor = leg.socket.descriptor
        connection.pointee.relay.backend = leg
        guard poller.add(descriptor, token.tagged(Worker.backendTag), .edgeBoth) else {
            opening.dialing?.lastFailure = .noResources("epoll is full")
            return false
        }
        let now = space.pointee.nowMilliseconds
        timers.arm(token, at: opening.dialing?.attemptDeadline(nowMilliseconds: now) ?? now)
        // Within one machine the handshake of TCP is over when connect(2) returns, though it says
        // that it is in progress: to try costs less than to wait for the event.
        if isConnected || address.isLoopback {
            return sendRequest(connection, token, opening)
        }
        return true
    }

    /// The upstream's socket has something to say before the tunnel is open.
    mutating func backendIsReady(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ flags: Readiness
    ) {
        switch opening.phase {
        case .dialing:
            if flags.contains(.hangup) {
                let code = connection.pointee.relay.backend.socket.pendingError()
                if code != 0 {
                    opening.dialing?.failed(code)
                    dialNext(connection, token, opening)
                    return
                }
            }
            guard flags.contains(.writable) || flags.contains(.readable) else { return }
            connection.pointee.relay.backend.note(flags)
            if !sendRequest(connection, token, opening) {
                dialNext(connection, token, opening)
                return
            }
        case .answer:
            connection.pointee.relay.backend.note(flags)
            if flags.contains(.writable) { _ = connection.pointee.relay.backend.drain(space) }
        default: return
        }
        readAnswer(connection, token, opening)
    }

    /// Sends the opening handshake, if the connection to the upstream stands.
    ///
    /// - Returns: false when the connection has failed, and the reason is noted.
    private mutating func sendRequest(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        guard let request = opening.request, let plan = opening.plan,
            let endpoint = opening.dialing?.current
        else { return false }
        let head =
            introduction(connection, opening.dialing?.group)
            + UpstreamRequest.bytes(
                of: request, path: opening.path, plan: plan, endpoint: endpoint,
                hop: hop(connection))
        let result = head.withUnsafeBufferPointer { bytes -> IOResult in
            guard let start = bytes.baseAddress else { return .blocked }
            let result = connection.pointee.relay.backend.socket.send(start, count: bytes.count)
            if case .moved(let moved) = result, moved < bytes.count {
                connection.pointee.relay.backend.put(
                    start + moved, count: bytes.count - moved, space)
            }
            return result
        }
        switch result {
        case .moved:
            let now = space.pointee.nowMilliseconds
            opening.dialing?.succeeded(nowMilliseconds: now, crew.journal)
            opening.phase = .answer
            timers.arm(token, at: now + snapshot.settings.upgradeMilliseconds)
            return true
        case .failed(let code):
            opening.dialing?.failed(code)
            return false
        case .blocked, .ended: return true
        }
    }

    /// Reads the upstream's answer until its head is whole.
    private mutating func readAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        while connection.pointee.relay.backend.isReadable && opening.phase == .answer {
            let received = connection.pointee.relay.backend.receive(space)
            if received.count > 0 { opening.hasAnswerBytes = true }
            var rest = UnsafeRawBufferPointer(start: received.bytes, count: received.count)
            while opening.phase == .answer && !rest.isEmpty {
                let progress = opening.answerParser.append(rest)
                switch progress {
                case .needsMore: rest = UnsafeRawBufferPointer(rebasing: rest.suffix(0))
                case .failed(let fault):
                    refuseUnanswered(
                        connection, token, opening,
                        .badAnswer("The upstream's answer can't be used: \(fault.sentence)"))
                    return
                case .complete(let head, let consumed):
                    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(consumed))
                    judgeAnswer(connection, token, opening, head, rest)
                }
            }
            if opening.phase == .answer && connection.pointee.relay.backend.hasEnded {
                if !askAnother(connection, token, opening) {
                    refuseUnanswered(connection, token, opening, .noAnswer)
                }
                return
            }
        }
    }

    /// Asks another endpoint, where the present one has said nothing at all before it ended.
    ///
    /// - Returns: whether there is one.
    private mutating func askAnother(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        if opening.hasAnswerBytes { return false }
        let now = space.pointee.nowMilliseconds
        let notes = connection.pointee.notes
        let before = opening.dialing
        guard opening.dialing?.claimAnother(notes, nowMilliseconds: now) == true else {
            return false
        }
        before?.answered(Refusal.noAnswer.sentence, nowMilliseconds: now, crew.journal)
        opening.dialing?.lastFailure = .noAnswer
        opening.phase = .dialing
        connection.pointee.relay.backend.release(space)
        connection.pointee.relay.backend = Leg(.none())
        dialNext(connection, token, opening)
        return true
    }

    /// Refuses an upgrade that the upstream has not answered as it must, and counts that.
    mutating func refuseUnanswered(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ refusal: Refusal
    ) {
        let now = space.pointee.nowMilliseconds
        opening.dialing?.answered(refusal.sentence, nowMilliseconds: now, crew.journal)
        refuse(connection, token, refusal)
    }

    private mutating func judgeAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ head: ResponseHead, _ rest: UnsafeRawBufferPointer
    ) {
        guard let request = opening.request, let plan = opening.plan else { return }
        let accept = WebSocketAccept.value(forKey: request.key)
        switch UpgradeAnswer.judge(head, expectedAccept: accept, offered: request) {
        case .informational:
            // Interim answers are for the next hop's own use; the final one decides.
            opening.answerParser = ResponseHeadParser(limits: snapshot.settings.headLimits)
        case .invalid(let sentence):
            refuseUnanswered(
                connection, token, opening,
                head.status == 101 ? .badUpgrade(sentence) : .badAnswer(sentence))
        case .ordinary:
            let trouble =
                head.status >= 500 ? "The upgrade was answered with \(head.status)." : nil
            opening.dialing?.answered(
                trouble, nowMilliseconds: space.pointee.nowMilliseconds, crew.journal)
            becomeOrdinary(connection, token, opening, head, rest)
        case .switching(let reservedBits, _, _):
            opening.dialing?.answered(
                nil, nowMilliseconds: space.pointee.nowMilliseconds, crew.journal)
            connection.pointee.notes.status = 101
            connection.pointee.relay.open(
                reservedBits: reservedBits, limits: plan.route.relayLimits,
                rules: plan.route.relayRules, rates: connection.pointee.notes.rates)
            connection.pointee.notes.rates = nil
            send(ClientAnswer.switching(head, plan: plan), connection)
            opened(connection, token, opening, rest)
        }
    }

    /// The upstream does not switch: its answer is relayed as the ordinary one that it is.
    ///
    /// Neither connection carries another request: this one was meant to become a tunnel.
    private mutating func becomeOrdinary(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ head: ResponseHead, _ rest: UnsafeRawBufferPointer
    ) {
        guard let upgrade = opening.request, let endpoint = opening.dialing?.current,
            let request = try? OrdinaryRequest.judge(upgrade.head)
        else {
            refuse(connection, token, .noAnswer)
            return
        }
        var leg = Leg(.none())
        swap(&leg, &connection.pointee.relay.backend)
        let descriptor = leg.socket.descriptor
        var carrier = UpstreamConnection(
            leg: leg, endpoint: endpoint, limits: PoolLimits(idleMax: 0), owner: token)
        carrier.isConnected = true
        guard let place = upstreams.insert(carrier) else {
            refuse(connection, token, .noResources("there are too many connections"))
            return
        }
        upstreamTimers.reserve(index: Int(place.index))
        poller.modify(descriptor, place.tagged(Worker.upstreamTag), .edgeBoth)
        let limits = snapshot.settings.headLimits
        let exchange = exchanges.make(
            Exchange(
                parser: RequestHeadParser(limits: limits), limits: limits,
                passage: Passage(hop(connection))))
        exchange.pointee.begin(request, nowMilliseconds: space.pointee.nowMilliseconds)
        exchange.pointee.isPersistent = false
        exchange.pointee.hasAnswerBytes = true
        exchange.pointee.plan = opening.plan
        exchange.pointee.upstream = place
        exchange.pointee.phase = .relaying
        opening.phase = .leaving
        connection.pointee.opening = nil
        connection.pointee.notes.triedUpgrade = true
        connection.pointee.exchange = exchange
        do throws(HeadFault) {
            try takeAnswerHead(connection, exchange, head)
            // What stands behind the head lies in the receive buffer, which is ours to change.
            let start = UnsafeMutableRawPointer(mutating: rest.baseAddress)?
                .assumingMemoryBound(to: UInt8.self)
            passAnswer(
                connection, token, exchange, start ?? space.pointee.received, count: rest.count)
        } catch {
            fail(connection, token, exchange, .badAnswer(error.sentence))
        }
        goOn(connection, token, exchange)
    }

    /// Sends bytes of any number to the client.
    func send(_ bytes: [UInt8], _ connection: UnsafeMutablePointer<Connection>) {
        bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            // What is sealed at once has to fit into the records' output.
            let pieceMax = space.pointee.openedCapacity
            for offset in stride(from: 0, to: buffer.count, by: pieceMax) {
                let count = min(pieceMax, buffer.count - offset)
                connection.pointee.relay.client.put(start + offset, count: count, space)
            }
        }
    }

    /// The legs belong to the relay from here: what came early goes on, then what waits.
    private mutating func opened(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ rest: UnsafeRawBufferPointer
    ) {
        opening.phase = .leaving
        connection.pointee.opening = nil
        timers.cancel(token)
        let notes = connection.pointee.notes
        notes.plan?.tally.opened()
        notes.isCounted = true
        reportOpening(connection, token.tagged(Worker.clientTag))
        let isDraining = !drains.isEmpty || leaving != nil
        if !rest.isEmpty {
            // `rest` lies in the receive buffer; feeding copies it before anything is received.
            connection.pointee.relay.feed(.backend, rest, space)
        }
        opening.early.withUnsafeBytes { early in
            if !early.isEmpty { connection.pointee.relay.feed(.client, early, space) }
        }
        var verdict = connection.pointee.relay.begin(space)
        verdict.formUnion(connection.pointee.relay.ready(.client, [], space))
        if !verdict.contains(.ended) {
            verdict.formUnion(connection.pointee.relay.ready(.backend, [], space))
        }
        if !verdict.isEmpty { obey(verdict, token) }
        if isDraining && !verdict.contains(.ended) { joinDrain(token, notes) }
    }
}

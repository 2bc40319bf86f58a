// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import TLS
import Wire

/// Ordinary requests: read one after the other, answered or proxied, under one rule of
/// back-pressure.
extension Worker {
    /// Requests that one connection may have answered in one turn, so that a pipeline leaves the
    /// others their turn.
    private static let requestsPerTurn = 32

    /// The client's socket has something to say between or in ordinary requests.
    mutating func exchangeIsReady(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ flags: Readiness
    ) {
        connection.pointee.relay.client.note(flags)
        if flags.contains(.broken) {
            clientLeft(connection, token, exchange)
            return
        }
        if flags.contains(.writable) && !connection.pointee.relay.client.held.isEmpty {
            exchange.movedMilliseconds = space.pointee.nowMilliseconds
            _ = connection.pointee.relay.client.drain(space)
        }
        if flags.contains(.hangup) && exchange.phase != .head {
            // It may have ended its side only, and still read; or be gone, which shows in sending.
            arm(connection, token, exchange)
        }
        goOn(connection, token, exchange)
    }

    /// Moves what can be moved, and takes up the next request when one is over.
    mutating func goOn(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        var requestsLeft = Worker.requestsPerTurn
        while isCurrent(token, exchange) {
            switch exchange.phase {
            case .head:
                if requestsLeft == 0 {
                    unfinished.append(token)
                    return
                }
                requestsLeft -= 1
                if !readHead(connection, token, exchange) { return }
            case .dialing: return
            case .relaying:
                var isUnfinished = pumpRequest(connection, token, exchange)
                guard isCurrent(token, exchange) else { return }
                if exchange.phase == .relaying {
                    isUnfinished = pumpAnswer(connection, token, exchange) || isUnfinished
                }
                if isUnfinished && isCurrent(token, exchange) { unfinished.append(token) }
                // What was read last may have ended it, and the next request be there already.
                if exchange.phase == .relaying || isUnfinished { return }
            }
        }
    }

    /// Whether the connection is still one of ordinary requests, and was not closed meanwhile.
    func isCurrent(_ token: Token, _ exchange: Exchange) -> Bool {
        connections.pointer(token)?.pointee.exchange === exchange
    }

    /// Reads towards the next request head.
    ///
    /// - Returns: whether there may be more to do at once.
    private mutating func readHead(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) -> Bool {
        // The answers to the requests before have to leave first.
        guard connection.pointee.relay.client.held.isEmpty else { return false }
        if !exchange.carry.isEmpty {
            let bytes = exchange.carry
            return bytes.withUnsafeBytes { bytes in
                takeHead(connection, token, exchange, bytes, isCarried: true)
            }
        }
        if connection.pointee.relay.client.hasEnded {
            idleClientLeft(connection, token, exchange)
            return false
        }
        guard connection.pointee.relay.client.isReadable else { return false }
        let received = connection.pointee.relay.client.receive(space)
        if received.count == 0 { return true }
        return takeHead(
            connection, token, exchange,
            UnsafeRawBufferPointer(start: received.bytes, count: received.count), isCarried: false)
    }

    private mutating func takeHead(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ bytes: UnsafeRawBufferPointer, isCarried: Bool
    ) -> Bool {
        let isFirst = exchange.parser.byteCount == 0
        switch exchange.parser.append(bytes) {
        case .needsMore:
            if isCarried { exchange.drop(bytes.count) }
            if isFirst { arm(token, exchange, after: crew.settings.headMilliseconds) }
            return true
        case .failed(let fault):
            connection.pointee.notes.requestMilliseconds = space.pointee.nowMilliseconds
            refuse(connection, token, Refusal(fault))
            return false
        case .complete(let head, let consumed):
            // What stands behind it is held already, or is held now.
            if isCarried { exchange.drop(consumed) }
            let rest = UnsafeRawBufferPointer(
                rebasing: isCarried ? bytes[bytes.count...] : bytes[consumed...])
            if isCarried && head.fields.listContains("upgrade", token: "websocket") {
                // The exchange goes, so what it holds goes along as it is.
                let carried = exchange.carry
                carried.withUnsafeBytes { judge(connection, token, head, rest: $0) }
                return false
            }
            judge(connection, token, head, rest: rest)
            return true
        }
    }

    /// Answers a request without an upstream, and keeps the connection where that is possible.
    mutating func answerOwn(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ answer: OwnAnswer
    ) {
        let notes = connection.pointee.notes
        notes.status = answer.status
        if let refusal = answer.refusal {
            notes.proxyError = refusal.proxyError
            notes.detail = refusal.sentence
        }
        // A body that nobody reads would be taken for the next request.
        if !exchange.up.isDone { exchange.isPersistent = false }
        let bytes = answer.bytes(
            hop: hop(connection), persistence: persistence(exchange),
            omitsBody: exchange.request?.head.method == "HEAD")
        prependTicket(connection)
        send(bytes, connection)
        endRequest(connection, token, exchange, ownBytes: UInt64(answer.body.count))
    }

    /// What the head of an answer has to say of the connection.
    func persistence(_ exchange: Exchange) -> ClientAnswer.Persistence {
        if !exchange.isPersistent { return .closes }
        return exchange.request?.head.isHTTP11 == true ? .usual : .stated
    }

    /// The answer is on its way whole: the record is written, and the next request may come.
    mutating func endRequest(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        ownBytes: UInt64 = 0
    ) {
        let notes = connection.pointee.notes
        notes.letEndpointGo()
        reportRequest(connection, exchange, ownBytes: ownBytes, isWhole: true)
        notes.forgetRequest()
        let isPersistent = exchange.isPersistent && !connection.pointee.relay.client.isUnwritable
        exchange.end()
        if isPersistent {
            arm(token, exchange, after: crew.settings.keepAliveMilliseconds)
        } else {
            leave(connection, token)
        }
    }

    /// The way the connection's requests come.
    func hop(_ connection: UnsafeMutablePointer<Connection>) -> Hop {
        let notes = connection.pointee.notes
        let listener = crew.listeners[notes.listener]
        return Hop(
            client: notes.client, port: listener.address.port, isSecure: listener.isSecure,
            strictTransportSecurity: listener.strictTransportSecurity)
    }

    // MARK: Ends that nobody asked for

    /// The client is gone, or has ended its side between two requests.
    private mutating func idleClientLeft(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        if exchange.parser.byteCount > 0 {
            connection.pointee.notes.detail = "the client left within a request head"
        }
        leave(connection, token)
    }

    /// The client is gone while its request is being served: the upstream is let go at once.
    mutating func clientLeft(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        if exchange.phase != .head && connection.pointee.notes.detail.isEmpty {
            connection.pointee.notes.detail = "the client left before the answer was complete"
        }
        finish(token)
    }

    /// Refuses the present request if its answer has not begun, else cuts the answer short, so that
    /// the client sees that it is not whole.
    mutating func fail(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ refusal: Refusal
    ) {
        letUpstreamGo(exchange)
        let notes = connection.pointee.notes
        if exchange.down == nil {
            exchange.phase = .relaying
            answerOwn(connection, token, exchange, OwnAnswer(refusal))
            return
        }
        notes.proxyError = refusal.proxyError
        notes.detail = refusal.sentence
        cutAnswer(connection, token, exchange)
    }

    /// Ends an answer so that the client sees that it is not whole.
    private mutating func cutAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        connection.pointee.relay.client.isTruncated = true
        if exchange.endsWithConnection {
            // A stream that ends in order would look whole where only its end says how long it is.
            connection.pointee.relay.client.socket.setResetOnClose()
            finish(token)
            return
        }
        let notes = connection.pointee.notes
        notes.letEndpointGo()
        reportRequest(connection, exchange, isWhole: false)
        notes.forgetRequest()
        exchange.end()
        leave(connection, token)
    }

    // MARK: Deadlines

    /// Sets the timer of a connection.
    mutating func arm(_ token: Token, _ exchange: Exchange, after milliseconds: UInt64) {
        let deadline = space.pointee.nowMilliseconds + milliseconds
        exchange.armedMilliseconds = deadline
        timers.arm(token.tagged(Worker.clientTag), at: deadline)
    }

    /// Makes sure that the timer fires no later than what is awaited now may take.
    mutating func arm(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        let deadline = patience(connection, exchange).deadline
        if deadline < exchange.armedMilliseconds || exchange.armedMilliseconds == 0 {
            exchange.armedMilliseconds = deadline
            timers.arm(token.tagged(Worker.clientTag), at: deadline)
        }
    }

    /// What a request in progress waits for, until when, and what is said when it does not come.
    private func patience(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: Exchange
    ) -> (deadline: UInt64, refusal: Refusal?) {
        let settings = crew.settings
        let moved = exchange.movedMilliseconds
        if connection.pointee.relay.client.isHangingUp {
            return (moved + settings.patience.lingerMilliseconds, nil)
        }
        if exchange.down == nil {
            if exchange.up.isDone || exchange.isUpCut {
                return (moved + settings.answerMilliseconds, .requestTimeout)
            }
            return upstreamHolds(exchange)
                ? (moved + settings.answerMilliseconds, .requestTimeout)
                : (moved + settings.bodyMilliseconds, .bodyTimeout)
        }
        if !connection.pointee.relay.client.held.isEmpty {
            return (moved + settings.bodyMilliseconds, nil)
        }
        return (moved + settings.answerBodyMilliseconds, .requestTimeout)
    }

    /// The timer of a connection of ordinary requests has fired.
    mutating func exchangeTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        exchange.armedMilliseconds = 0
        switch exchange.phase {
        case .head:
            if exchange.parser.byteCount > 0 {
                refuse(connection, token, .headTimeout)
            } else {
                leave(connection, token)
            }
        case .dialing: dialTimeIsUp(connection, token, exchange)
        case .relaying:
            let (deadline, refusal) = patience(connection, exchange)
            if space.pointee.nowMilliseconds < deadline {
                arm(connection, token, exchange)
            } else if let refusal {
                fail(connection, token, exchange, refusal)
                if isCurrent(token, exchange) { goOn(connection, token, exchange) }
            } else {
                if !connection.pointee.relay.client.isHangingUp {
                    connection.pointee.notes.detail = "the client read nothing for too long"
                }
                connection.pointee.relay.client.isTruncated = true
                clientLeft(connection, token, exchange)
            }
        }
    }
}

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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ flags: Readiness
    ) {
        connection.pointee.relay.client.note(flags)
        if flags.contains(.broken) {
            clientLeft(connection, token, exchange)
            return
        }
        if flags.contains(.writable) && !connection.pointee.relay.client.held.isEmpty {
            exchange.pointee.movedMilliseconds = space.pointee.nowMilliseconds
            _ = connection.pointee.relay.client.drain(space)
        }
        if flags.contains(.hangup)
            && (exchange.pointee.phase == .dialing || exchange.pointee.phase == .relaying)
        {
            // It may have ended its side only, and still read; or be gone, which shows in sending.
            arm(connection, token, exchange)
        }
        goOn(connection, token, exchange)
    }

    /// Moves what can be moved, and takes up the next request when one is over.
    mutating func goOn(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        var requestsLeft = Worker.requestsPerTurn
        while isCurrent(token, exchange) {
            switch exchange.pointee.phase {
            case .head:
                if requestsLeft == 0 {
                    unfinished.append(token)
                    return
                }
                requestsLeft -= 1
                if !readHead(connection, token, exchange) { return }
            case .waiting, .dialing: return
            case .relaying:
                var isUnfinished = pumpRequest(connection, token, exchange)
                guard isCurrent(token, exchange) else { return }
                if exchange.pointee.phase == .relaying {
                    isUnfinished = pumpAnswer(connection, token, exchange) || isUnfinished
                }
                if isUnfinished && isCurrent(token, exchange) { unfinished.append(token) }
                // What was read last may have ended it, and the next request be there already.
                if exchange.pointee.phase == .relaying || isUnfinished { return }
            }
        }
    }

    /// Whether the connection is still one of ordinary requests, and was not closed meanwhile.
    func isCurrent(_ token: Token, _ exchange: ExchangePointer) -> Bool {
        connections.pointer(token)?.pointee.exchange == exchange
    }

    /// Reads towards the next request head.
    ///
    /// - Returns: whether there may be more to do at once.
    private mutating func readHead(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) -> Bool {
        // The answers to the requests before have to leave first.
        guard connection.pointee.relay.client.held.isEmpty else { return false }
        if !exchange.pointee.carry.isEmpty {
            let bytes = exchange.pointee.carry
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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ bytes: UnsafeRawBufferPointer, isCarried: Bool
    ) -> Bool {
        let isFirst = exchange.pointee.parser.byteCount == 0
        if isFirst { exchange.pointee.parser.lend(exchanges.lend()) }
        switch exchange.pointee.parser.append(bytes) {
        case .needsMore:
            if isCarried { exchange.pointee.drop(bytes.count) }
            if isFirst { arm(token, exchange, after: snapshot.settings.headMilliseconds) }
            return true
        case .failed(let fault):
            connection.pointee.notes.requestMilliseconds = space.pointee.nowMilliseconds
            refuse(connection, token, Refusal(fault))
            return false
        case .complete(let head, let consumed):
            // What stands behind it is held already, or is held now.
            if isCarried { exchange.pointee.drop(consumed) }
            let rest = UnsafeRawBufferPointer(
                rebasing: isCarried ? bytes[bytes.count...] : bytes[consumed...])
            if isCarried && head.fields.upgradesToWebSocket {
                // The exchange goes, so what it holds goes along as it is.
                let carried = exchange.pointee.carry
                carried.withUnsafeBytes { judge(connection, token, head, rest: $0) }
                return false
            }
            judge(connection, token, head, rest: rest)
            return true
        }
    }

    /// Answers a request without an upstream, and keeps the connection where that is possible.
    mutating func answerOwn(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ answer: OwnAnswer
    ) {
        let notes = connection.pointee.notes
        exchange.pointee.status = answer.status
        if let refusal = answer.refusal {
            notes.proxyError = refusal.proxyError
            notes.detail = refusal.sentence
        }
        // A body that nobody reads would be taken for the next request.
        if !exchange.pointee.up.isDone { exchange.pointee.isPersistent = false }
        exchanges.writer.clear()
        answer.write(
            date: exchanges.date.now(), policyLine: exchange.pointee.passage.policyLine,
            persistence: persistence(exchange), omitsBody: exchange.pointee.method == .head,
            into: &exchanges.writer)
        sendWritten(connection)
        endRequest(connection, token, exchange, ownBytes: UInt64(answer.body.count))
    }

    /// What the head of an answer has to say of the connection.
    func persistence(_ exchange: ExchangePointer) -> ClientAnswer.Persistence {
        if !exchange.pointee.isPersistent { return .closes }
        return exchange.pointee.isHTTP11 ? .usual : .stated
    }

    /// The answer is on its way whole: the record is written, and the next request may come.
    mutating func endRequest(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        ownBytes: UInt64 = 0
    ) {
        let notes = connection.pointee.notes
        notes.letEndpointGo()
        reportRequest(connection, exchange, ownBytes: ownBytes, isWhole: true)
        notes.forgetRequest()
        let isPersistent =
            exchange.pointee.isPersistent && !connection.pointee.relay.client.isUnwritable
        exchanges.takeBack(exchange.pointee.end())
        if isPersistent {
            arm(token, exchange, after: snapshot.settings.keepAliveMilliseconds)
        } else {
            leave(connection, token)
        }
    }

    /// The way the connection's requests come.
    func hop(_ connection: UnsafeMutablePointer<Connection>) -> Hop {
        let notes = connection.pointee.notes
        let listener = notes.listener
        return Hop(
            client: notes.peer, port: listener.address.port, isSecure: listener.isSecure,
            strictTransportSecurity: listener.strictTransportSecurity,
            trusted: listener.trusts(notes.peer) ? listener.trustedProxies : [])
    }

    // MARK: Ends that nobody asked for

    /// The client is gone, or has ended its side between two requests.
    private mutating func idleClientLeft(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        if exchange.pointee.parser.byteCount > 0 {
            connection.pointee.notes.detail = "the client left within a request head"
        }
        leave(connection, token)
    }

    /// The client is gone while its request is being served: the upstream is let go at once.
    mutating func clientLeft(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        if exchange.pointee.phase != .head && connection.pointee.notes.detail.isEmpty {
            connection.pointee.notes.detail = "the client left before the answer was complete"
        }
        finish(token)
    }

    /// Refuses the present request if its answer has not begun, else cuts the answer short, so that
    /// the client sees that it is not whole.
    mutating func fail(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ refusal: Refusal
    ) {
        letUpstreamGo(exchange)
        let notes = connection.pointee.notes
        if !exchange.pointee.hasAnswer {
            exchange.pointee.phase = .relaying
            answerOwn(connection, token, exchange, OwnAnswer(refusal))
            return
        }
        notes.proxyError = refusal.proxyError
        notes.detail = refusal.sentence
        cutAnswer(connection, token, exchange)
    }

    /// Ends an answer so that the client sees that it is not whole.
    private mutating func cutAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        connection.pointee.relay.client.isTruncated = true
        if exchange.pointee.endsWithConnection {
            // A stream that ends in order would look whole where only its end says how long it is.
            connection.pointee.relay.client.socket.setResetOnClose()
            finish(token)
            return
        }
        let notes = connection.pointee.notes
        notes.letEndpointGo()
        reportRequest(connection, exchange, isWhole: false)
        notes.forgetRequest()
        exchanges.takeBack(exchange.pointee.end())
        leave(connection, token)
    }

    // MARK: Deadlines

    /// Sets the timer of a connection.
    mutating func arm(_ token: Token, _ exchange: ExchangePointer, after milliseconds: UInt64) {
        let deadline = space.pointee.nowMilliseconds + milliseconds
        exchange.pointee.armedMilliseconds = deadline
        timers.arm(token.tagged(Worker.clientTag), at: deadline)
    }

    /// Makes sure that the timer fires no later than what is awaited now may take.
    mutating func arm(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        let deadline = patience(connection, exchange).deadline
        if deadline < exchange.pointee.armedMilliseconds || exchange.pointee.armedMilliseconds == 0
        {
            exchange.pointee.armedMilliseconds = deadline
            timers.arm(token.tagged(Worker.clientTag), at: deadline)
        }
    }

    /// What a request in progress waits for.
    private enum Awaited {
        case answer, body, client

        /// What is said when it does not come.
        var refusal: Refusal? {
            switch self {
            case .answer: .requestTimeout
            case .body: .bodyTimeout
            case .client: nil
            }
        }
    }

    /// What a request in progress waits for, and until when.
    private func patience(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: ExchangePointer
    ) -> (deadline: UInt64, awaited: Awaited) {
        let settings = snapshot.settings
        let moved = exchange.pointee.movedMilliseconds
        if connection.pointee.relay.client.isHangingUp {
            return (moved + settings.patience.lingerMilliseconds, .client)
        }
        // The client owes bytes of the body: so many that none is waiting to be taken upstream.
        let isBodyAwaited =
            !exchange.pointee.up.isDone && !exchange.pointee.isUpCut && !upstreamHolds(exchange)
        let bodyDeadline = exchange.pointee.bodyMovedMilliseconds + settings.bodyMilliseconds
        if !exchange.pointee.hasAnswer {
            return isBodyAwaited
                ? (bodyDeadline, .body)
                : (moved + settings.answerMilliseconds, .answer)
        }
        if !connection.pointee.relay.client.held.isEmpty {
            return (moved + settings.bodyMilliseconds, .client)
        }
        let deadline = moved + settings.answerBodyMilliseconds
        if isBodyAwaited && bodyDeadline < deadline { return (bodyDeadline, .body) }
        return (deadline, .answer)
    }

    /// The timer of a connection of ordinary requests has fired.
    mutating func exchangeTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        exchange.pointee.armedMilliseconds = 0
        switch exchange.pointee.phase {
        case .head:
            if exchange.pointee.parser.byteCount > 0 {
                refuse(connection, token, .headTimeout)
            } else {
                leave(connection, token)
            }
        case .waiting: waitTimeIsUp(connection, token, exchange)
        case .dialing: dialTimeIsUp(connection, token, exchange)
        case .relaying:
            let (deadline, awaited) = patience(connection, exchange)
            if space.pointee.nowMilliseconds < deadline {
                arm(connection, token, exchange)
            } else if let refusal = awaited.refusal {
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

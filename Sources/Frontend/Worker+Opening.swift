// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import TLS
import Wire

extension Worker {
    /// A socket of a connection whose tunnel is not open has something to say.
    mutating func openingIsReady(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ side: Side,
        _ flags: Readiness
    ) {
        guard let opening = connection.pointee.opening else { return }
        if side == .backend {
            backendIsReady(connection, token, opening, flags)
            return
        }
        connection.pointee.relay.client.note(flags)
        // Nobody who wants a WebSocket ends its side while it waits.
        let hasLeft = opening.phase == .waiting && flags.contains(.hangup)
        let isUnderWay = opening.phase == .dialing || opening.phase == .answer
        if hasLeft || flags.contains(.broken) && isUnderWay {
            // Nobody is left to open the socket for; the upstream is let go at once.
            connection.pointee.notes.detail = "the client left before the upstream answered"
            finish(token)
            return
        }
        if flags.contains(.writable) { _ = connection.pointee.relay.client.drain(space) }
        advance(connection, token, opening)
    }

    /// Reads what the client sends, until the request head is whole.
    private mutating func advance(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        while connection.pointee.relay.client.isReadable {
            switch opening.phase {
            case .introduction:
                if !takeIntroduction(connection, token, opening) { return }
            case .sniffing, .handshaking:
                if opening.isDeferred { return }
                if connection.pointee.relay.client.tls != nil && handshakesLeft <= 0 {
                    opening.isDeferred = true
                    deferredHandshakes.append(token)
                    return
                }
                if !handshakeStep(connection, token, opening) { return }
            case .head, .misaddressed:
                let received = connection.pointee.relay.client.receive(space)
                let bytes = UnsafeRawBufferPointer(start: received.bytes, count: received.count)
                if received.count > 0 {
                    takeHead(connection, token, opening, bytes)
                    if opening.phase != .head && opening.phase != .misaddressed { return }
                    guard connections.pointer(token) != nil else { return }
                }
                if connection.pointee.relay.client.hasEnded {
                    finish(token)
                    return
                }
            case .waiting, .dialing, .answer, .leaving:
                // Held back until the tunnel is proven: unread in the kernel, which bounds it.
                return
            }
        }
    }

    /// Goes on with the handshakes that waited for their turn, as many as a turn has.
    mutating func runDeferredHandshakes() {
        let count = min(handshakesLeft, deferredHandshakes.count)
        guard count > 0 else { return }
        let due = deferredHandshakes.prefix(count)
        deferredHandshakes.removeFirst(count)
        for token in due {
            guard let connection = connections.pointer(token),
                let opening = connection.pointee.opening
            else { continue }
            opening.isDeferred = false
            advance(connection, token, opening)
        }
    }

    /// One step of the handshake.
    ///
    /// - Returns: whether the connection may go on now.
    private mutating func handshakeStep(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        let received = connection.pointee.relay.client.receiveRaw(space)
        if received.count == 0 {
            if connection.pointee.relay.client.hasEnded {
                finish(token)
                return false
            }
            return true
        }
        let isSecure = connection.pointee.relay.client.tls != nil
        if opening.phase == .sniffing {
            let looksLikeTLS = received.bytes[0] == 0x16
            if isSecure != looksLikeTLS {
                answerOtherProtocol(connection, token, opening, received)
                return opening.phase == .misaddressed && connections.pointer(token) != nil
            }
            opening.phase = isSecure ? .handshaking : .head
        }
        if !isSecure {
            takeHead(
                connection, token, opening,
                UnsafeRawBufferPointer(start: received.bytes, count: received.count))
            return opening.phase == .head && connections.pointer(token) != nil
        }
        handshakesLeft -= 1
        space.pointee.records.setInput(received.bytes, count: received.count)
        let progress = connection.pointee.relay.client.tls?.handshake() ?? .failed
        let hasAnswered = space.pointee.records.outputCount > 0
        if progress == .failed {
            handshakeFailed(connection, token)
            return false
        }
        if progress == .wantsInput {
            connection.pointee.relay.client.flushRecords(space)
            // The ClientHello was whole: from here the handshake's own deadline counts.
            if hasAnswered {
                timers.arm(
                    token,
                    at: opening.acceptedMilliseconds + snapshot.settings.handshakeMilliseconds)
            }
            return true
        }
        return handshakeDone(connection, token, opening)
    }

    private mutating func handshakeDone(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        let facts = connection.pointee.relay.client.tls?.facts()
        connection.pointee.notes.tls = facts
        opening.phase = .head
        settleLater(token)
        // In TLS 1.3 all that is left to send is the ticket, which travels with the first answer rather
        // than in a packet of its own; in 1.2 the client waits for the rest.
        if facts?.version == .tls13 { connection.pointee.relay.client.tls?.setOutputAside() }
        if space.pointee.records.inputRemaining == 0 { sendTicket(connection) }
        connection.pointee.relay.client.flushRecords(space)
        timers.arm(token, at: space.pointee.nowMilliseconds + snapshot.settings.headMilliseconds)
        // The request may have come with the client's last flight.
        let opened = connection.pointee.relay.client.openRest(space)
        if opened.count > 0 {
            takeHead(
                connection, token, opening,
                UnsafeRawBufferPointer(start: opened.bytes, count: opened.count))
        } else if connection.pointee.relay.client.hasEnded {
            finish(token)
            return false
        }
        guard connections.pointer(token) != nil else { return false }
        if opening.phase == .head { sendTicket(connection) }
        return opening.phase == .head
    }

    /// Sends the ticket on its own, since no request came that it could travel with the answer of.
    private mutating func sendTicket(_ connection: UnsafeMutablePointer<Connection>) {
        connection.pointee.relay.client.tls?.putBackOutput()
        connection.pointee.relay.client.flushRecords(space)
    }

    private mutating func handshakeFailed(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token
    ) {
        let error = connection.pointee.relay.client.tls?.takeError()
        let reason = error?.reasons.last ?? "the peer closed the connection"
        connection.pointee.notes.detail = "TLS handshake failed: \(reason)"
        connection.pointee.relay.client.flushRecords(space)
        leave(connection, token)
    }

    /// Collects the request head; judges it when it is whole.
    private mutating func takeHead(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ bytes: UnsafeRawBufferPointer
    ) {
        switch opening.requestParser.append(bytes) {
        case .needsMore: break
        case .failed(let fault):
            if opening.phase == .misaddressed {
                answerPlain(connection, token, head: nil)
            } else {
                refuse(connection, token, Refusal(fault))
            }
        case .complete(let head, let consumed):
            if opening.phase == .misaddressed {
                answerPlain(connection, token, head: head)
                return
            }
            judge(
                connection, token, head, rest: UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
            // More requests may have come along, or the body of this one.
            if let exchange = connections.pointer(token)?.pointee.exchange {
                goOn(connection, token, exchange)
            }
        }
    }

    /// A deadline of the opening has passed.
    mutating func openingTimeIsUp(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token
    ) {
        guard let opening = connection.pointee.opening else { return }
        let notes = connection.pointee.notes
        switch opening.phase {
        case .introduction:
            notes.detail = "no header of the PROXY protocol came in time"
            finish(token)
        case .sniffing, .handshaking:
            notes.detail =
                connection.pointee.relay.client.tls == nil
                ? "no request came in time" : "the TLS handshake took too long"
            finish(token)
        case .head: refuse(connection, token, .headTimeout)
        case .misaddressed: answerPlain(connection, token, head: nil)
        case .waiting: waitTimeIsUp(connection, token, opening)
        case .dialing:
            let now = space.pointee.nowMilliseconds
            opening.dialing?.lastFailure = .connectTimeout
            if now < opening.dialing?.deadlineMilliseconds ?? 0 {
                dialNext(connection, token, opening)
            } else {
                opening.dialing?.giveUp(notes, nowMilliseconds: now, crew.journal)
                refuse(connection, token, .connectTimeout)
            }
        case .answer: refuseUnanswered(connection, token, opening, .answerTimeout)
        case .leaving: finish(token)
        }
    }
}

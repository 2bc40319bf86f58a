// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS
import Wire

extension LoadLoop {
    /// Begins as many connections as are wanted now.
    mutating func openMore() {
        guard stage.rawValue <= Stage.measuring.rawValue else { return }
        if isCycling {
            // One attempt per place and turn: where connecting fails at once, this does not spin.
            for _ in 0..<max(0, plan.connections - slab.count) { begin() }
        } else {
            while startedCount < plan.connections && openingCount < plan.openingsAtOnce { begin() }
        }
    }

    private mutating func begin() {
        let number = UInt64(startedCount)
        startedCount += 1
        let socket: Socket
        do throws(SystemError) {
            socket = try Socket.stream(for: address)
        } catch {
            meter.note(error: error.description)
            return
        }
        socket.setNoDelay()
        let started = socket.connect(to: address)
        if case .failed(let code) = started {
            meter.note(error: "connect \(address): \(SystemError.text(of: code))")
            return
        }
        let descriptor = socket.descriptor
        let client = LoadClient(socket: socket, number: number, startedAt: now)
        guard let token = slab.insert(client), let place = slab.pointer(token) else {
            meter.note(error: "no room for another connection")
            return
        }
        openingCount += 1
        loop.timers.reserve(index: Int(token.index))
        loop.timers.arm(token, at: now / 1_000_000 + UInt64(plan.openingSeconds * 1000))
        guard watch(descriptor, token) else {
            fail(place, token, "epoll has no room for another connection")
            return
        }
        // A connection in progress is told by an event; so is one that is there already, since the
        // socket is writable. Both go on in `connected`.
    }

    /// TCP is there, or is not.
    mutating func connected(_ client: ClientPointer, _ token: Token) -> Bool {
        let code = client.pointee.socket.pendingError()
        guard code == 0 else {
            return fail(client, token, "connect \(address): \(SystemError.text(of: code))")
        }
        guard let context else {
            client.pointee.phase = .upgrading
            return sendRequest(client, token)
        }
        let ticket = plan.mode == .connect(resumes: true) ? tickets.popLast() : nil
        client.pointee.ticket = ticket
        guard
            let session = TLSSession.connecting(
                context, through: records, serverName: plan.target.host, resuming: ticket)
        else { return fail(client, token, "no TLS session could be made") }
        client.pointee.tls = consume session
        client.pointee.phase = .handshaking
        return shakeHands(client, token)
    }

    /// Goes on with the TLS handshake; false when the connection is gone.
    mutating func shakeHands(_ client: ClientPointer, _ token: Token) -> Bool {
        switch client.pointee.tls?.handshake() {
        case .wantsInput:
            return flush(client, token)
        case .done:
            noteFacts(client)
            if plan.streams != nil { return greet(client, token) }
            client.pointee.phase = .upgrading
            // Finished and the request leave together.
            return sendRequest(client, token)
        case .failed, nil:
            let reason = client.pointee.tls?.takeError().description ?? "no session"
            guard flush(client, token) else { return false }
            return fail(client, token, "TLS handshake: \(reason)")
        }
    }

    private mutating func noteFacts(_ client: ClientPointer) {
        guard isCycling || meter.tlsVersion == nil,
            let facts = client.pointee.tls?.facts()
        else { return }
        client.pointee.isResumed = facts.isResumed
        if meter.tlsVersion == nil {
            meter.tlsVersion = facts.version == .tls13 ? "1.3" : "1.2"
            meter.cipher = facts.cipherName
        }
    }

    private mutating func sendRequest(_ client: ClientPointer, _ token: Token) -> Bool {
        client.pointee.parser = ResponseHeadParser(limits: .builtIn)
        return put(opening.request, count: opening.request.count, client, token)
    }

    /// Reads the answer's head; what stands behind it are frames.
    ///
    /// False when the connection is gone.
    mutating func takeAnswer(
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        var used = 0
        while used < count {
            guard var parser = client.pointee.parser.take() else { return false }
            let rest = UnsafeRawBufferPointer(start: bytes + used, count: count - used)
            switch parser.append(rest) {
            case .needsMore:
                client.pointee.parser = parser
                return true
            case .failed(let fault):
                return fail(client, token, "the answer's head: \(fault.sentence)")
            case .complete(let head, let consumed):
                used += consumed
                if head.status < 200 && head.status != 101 {
                    client.pointee.parser = ResponseHeadParser(limits: .builtIn)
                    continue
                }
                if let refusal = opening.refusal(in: head) {
                    return fail(client, token, refusal)
                }
                guard opened(client, token) else { return false }
                return used == count
                    || takeFrames(bytes + used, count: count - used, client, token)
            }
        }
        return true
    }

    /// Keeps the ticket that the server gave for the next connection: a client of TLS 1.3 uses each once, and
    /// has another one only where the server gave it.
    private mutating func keepTicket(_ client: ClientPointer) {
        guard plan.mode == .connect(resumes: true), tickets.count < plan.connections,
            let ticket = client.pointee.tls?.resumptionTicket(),
            ticket != client.pointee.ticket || meter.tlsVersion == "1.2"
        else { return }
        tickets.append(ticket)
    }

    mutating func opened(_ client: ClientPointer, _ token: Token) -> Bool {
        client.pointee.phase = .open
        client.pointee.parser = nil
        openingCount -= 1
        if isCycling {
            keepTicket(client)
            return sendClose(client, token)
        }
        openCount += 1
        // One that comes and goes has its time for all of that, and no place of its own.
        if plan.mode == .cycle { return true }
        loop.timers.cancel(token)
        client.pointee.position = roster.count
        roster.append(token)
        return true
    }

    /// A connection's time to open or to end is over.
    mutating func timeIsOut(_ token: Token) {
        guard let client = slab.pointer(token) else { return }
        switch client.pointee.phase {
        case .connecting: fail(client, token, "connect \(address): no answer in time")
        case .handshaking: fail(client, token, "the TLS handshake was not done in time")
        case .greeting: fail(client, token, "the server's SETTINGS did not come in time")
        case .upgrading: fail(client, token, "the upgrade was not answered in time")
        case .closing: fail(client, token, "the Close was not answered in time")
        case .open: fail(client, token, "the message did not come back in time")
        case .ending where client.pointee.carrier != nil:
            fail(client, token, "the stream did not end in time")
        case .ending, .carrying: finish(client, token)
        }
    }

    /// Notes an error and forgets the connection; false, so that callers can return it.
    @discardableResult
    mutating func fail(
        _ client: ClientPointer, _ token: Token, _ sentence: String
    ) -> Bool {
        if stage.rawValue < Stage.closing.rawValue { meter.note(error: sentence) }
        finish(client, token)
        return false
    }

    /// Forgets a connection; its socket is closed at the end of the turn.
    mutating func finish(_ client: ClientPointer, _ token: Token) {
        if client.pointee.isOpening {
            openingCount -= 1
        } else if !isCycling, !client.pointee.isCarrier {
            openCount -= 1
        }
        if client.pointee.carrier != nil { leaveCarrier(client) }
        if client.pointee.http2 != nil { dropStreams(of: client, token) }
        loop.timers.cancel(token)
        client.pointee.held.discard(pool: &pool)
        slab.retire(token)
    }
}

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
            return
        }
        if isStorm || kind == .script { tryAgain() }
        while startedCount < plan.connections, openingCount < plan.openingsAtOnce,
            plan.dialing.rampSeconds <= 0
                || now >= openingBeganAt + rampNanoseconds(of: startedCount)
        {
            if plan.dialing.rampSeconds > 0 {
                let due = openingBeganAt + rampNanoseconds(of: startedCount)
                meter.pointee.rampLateNanoseconds = max(
                    meter.pointee.rampLateNanoseconds, now &- min(now, due))
            }
            begin()
        }
    }

    /// When a connection is begun that is the `index`th of a ramp, behind the first.
    ///
    /// The threads take turns: each begins its connections between those of the others.
    func rampNanoseconds(of index: Int) -> UInt64 {
        let share = (Double(index) + plan.clockPhase) / Double(max(1, plan.connections))
        return UInt64(plan.dialing.rampSeconds * share * Double(Self.second))
    }

    private mutating func begin() {
        let number = UInt64(startedCount) + plan.firstNumber
        startedCount += 1
        begin(number, attempt: 0)
    }

    /// Begins a connection; of a script, `attempt` is the round.
    mutating func begin(_ number: UInt64, attempt: Int) {
        var player: ScriptPlayer?
        if kind == .script {
            player = self.player(number: number, iteration: attempt)
            guard player != nil else {
                let sentence = "the path or a header of the scenario can't stand in a request"
                notBegun(number, attempt, .upgrade, sentence)
                return
            }
        }
        let socket: Socket
        do throws(SystemError) {
            socket = try Socket.stream(for: address)
        } catch {
            notBegun(number, attempt, .system(error.code), error.description)
            return
        }
        socket.setNoDelay()
        let sources = plan.dialing.sources
        if !sources.isEmpty {
            let source = sources[Int(number % UInt64(sources.count))]
            let code = socket.bindSource(source)
            guard code == 0 else {
                // No port is asked for here, so that none can be lacking.
                let sentence = "leave from \(source): \(SystemError.text(of: code))"
                notBegun(number, attempt, .system, sentence)
                return
            }
        }
        let started = socket.connect(to: address)
        if case .failed(let code) = started {
            let sentence = "connect \(address): \(SystemError.text(of: code))"
            notBegun(number, attempt, .system(code), sentence)
            return
        }
        let descriptor = socket.descriptor
        let client = LoadClient(socket: socket, number: number, startedAt: now)
        guard let token = slab.insert(client), let place = slab.pointer(token) else {
            notBegun(number, attempt, .system, "no room for another connection")
            return
        }
        place.pointee.attempt = attempt
        place.pointee.player = player
        openingCount += 1
        loop.timers.reserve(index: Int(token.index))
        loop.timers.arm(token, at: now / 1_000_000 + UInt64(plan.openingSeconds * 1000))
        guard watch(descriptor, token) else {
            fail(place, token, .system, "epoll has no room for another connection")
            return
        }
        // A connection in progress is told by an event; so is one that is there already, since the
        // socket is writable. Both go on in `connected`.
    }

    /// A connection could not even be begun.
    private mutating func notBegun(
        _ number: UInt64, _ attempt: Int, _ cause: LoadCause, _ sentence: String
    ) {
        meter.pointee.note(cause, sentence)
        if isStorm, stage == .measuring {
            comeBack(Int(number - plan.firstNumber), attempt: attempt + 1)
            return
        }
        meter.pointee.noteFailed(UInt64(plan.streams ?? 1))
        if kind == .script { followScript(number, iteration: attempt, hasFailed: true) }
    }

    /// TCP is there, or is not.
    mutating func connected(_ client: ClientPointer, _ token: Token) -> Bool {
        let code = client.pointee.socket.pendingError()
        guard code == 0 else {
            return fail(
                client, token, .system(code),
                "connect \(address): \(SystemError.text(of: code))")
        }
        meter.pointee.phases.note(\.tcp, now &- client.pointee.startedAt)
        client.pointee.phaseBeganAt = now
        guard let context else {
            client.pointee.phase = .upgrading
            return sendRequest(client, token)
        }
        let ticket = takesTicket() ? tickets.popLast() : nil
        client.pointee.ticket = ticket
        guard
            let session = TLSSession.connecting(
                context, through: records, serverName: plan.dialing.serverName ?? plan.target.host,
                resuming: ticket)
        else { return fail(client, token, .tls, "no TLS session could be made") }
        client.pointee.tls = consume session
        client.pointee.phase = .handshaking
        // What a session that has failed left unread is none of this one's.
        records.setInput(received, count: 0)
        return shakeHands(client, token)
    }

    /// Goes on with the TLS handshake; false when the connection is gone.
    mutating func shakeHands(_ client: ClientPointer, _ token: Token) -> Bool {
        switch client.pointee.tls?.handshake() {
        case .wantsInput:
            return flush(client, token)
        case .done:
            noteFacts(client)
            noteHandshake(client)
            if plan.streams != nil { return greet(client, token) }
            client.pointee.phase = .upgrading
            // Finished and the request leave together.
            return sendRequest(client, token)
        case .failed, nil:
            guard let fault = client.pointee.tls?.takePeerFault() else { return false }
            guard flush(client, token) else { return false }
            return fail(client, token, .session(fault), "TLS handshake: \(fault.sentence)")
        }
    }

    private mutating func noteFacts(_ client: ClientPointer) {
        guard isCycling || meter.pointee.tlsVersion == nil,
            let facts = client.pointee.tls?.facts()
        else { return }
        client.pointee.isResumed = facts.isResumed
        if meter.pointee.tlsVersion == nil {
            meter.pointee.tlsVersion = facts.version == .tls13 ? "1.3" : "1.2"
            meter.pointee.cipher = facts.cipherName
        }
    }

    private mutating func noteHandshake(_ client: ClientPointer) {
        let taken = now &- client.pointee.phaseBeganAt
        meter.pointee.phases.note(client.pointee.isResumed ? \.tlsResumed : \.tlsFull, taken)
        client.pointee.phaseBeganAt = now
    }

    /// Whether the next connection takes up an earlier session, where it can.
    private mutating func takesTicket() -> Bool {
        guard plan.mode == .connect(resumes: true) else { return false }
        let share = plan.dialing.resumedShare
        return share >= 1 || Double.random(in: 0..<1, using: &random) < share
    }

    private mutating func sendRequest(_ client: ClientPointer, _ token: Token) -> Bool {
        client.pointee.parser = ResponseHeadParser(limits: .builtIn)
        let request = client.pointee.player?.handshake.request ?? opening.request
        return put(request, count: request.count, client, token)
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
                return fail(
                    client, token, .upgrade, "the answer's head: \(fault.sentence)")
            case .complete(let head, let consumed):
                used += consumed
                if head.status < 200 && head.status != 101 {
                    client.pointee.parser = ResponseHeadParser(limits: .builtIn)
                    continue
                }
                let handshake = client.pointee.player?.handshake ?? opening
                if let refusal = handshake.refusal(in: head) {
                    return fail(client, token, refusal.cause, refusal.sentence)
                }
                client.pointee.isDeflated = handshake.grantsDeflate(head)
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
            ticket != client.pointee.ticket || meter.pointee.tlsVersion == "1.2"
        else { return }
        tickets.append(ticket)
    }

    mutating func opened(_ client: ClientPointer, _ token: Token) -> Bool {
        client.pointee.phase = .open
        client.pointee.parser = nil
        openingCount -= 1
        meter.pointee.noteOpened()
        meter.pointee.phases.note(\.upgrade, now &- client.pointee.phaseBeganAt)
        if isCycling {
            keepTicket(client)
            return sendClose(client, token)
        }
        openCount += 1
        // One that comes and goes has its time for all of that, and no place of its own.
        if kind == .cycle { return true }
        loop.timers.cancel(token)
        if client.pointee.tls != nil { settleLater(token) }
        if kind == .script { return beginPlay(client, token) }
        client.pointee.position = roster.count
        roster.append(token)
        if isStorm, stage == .measuring { served(client) }
        return subscribe(client, token)
    }

    /// A connection's time to open or to end is over.
    mutating func timeIsOut(_ token: Token) {
        guard let client = slab.pointer(token) else { return }
        switch client.pointee.phase {
        case .connecting:
            fail(client, token, .timeout(.connect), "connect \(address): no answer in time")
        case .handshaking:
            fail(client, token, .timeout(.tls), "the TLS handshake was not done in time")
        case .greeting:
            fail(client, token, .timeout(.tls), "the server's SETTINGS did not come in time")
        case .upgrading:
            fail(client, token, .timeout(.upgrade), "the upgrade was not answered in time")
        case .closing:
            fail(client, token, .timeout(.close), "the Close was not answered in time")
        case .open where kind == .script: _ = play(client, token)
        case .open:
            fail(client, token, .timeout(.message), "the message did not come back in time")
        case .ending where client.pointee.carrier != nil:
            fail(client, token, .timeout(.close), "the stream did not end in time")
        case .ending, .carrying: finish(client, token)
        }
    }

    /// Notes an error and forgets the connection; false, so that callers can return it.
    @discardableResult
    mutating func fail(
        _ client: ClientPointer, _ token: Token, _ cause: LoadCause, _ sentence: String
    ) -> Bool {
        guard stage.rawValue < Stage.closing.rawValue else {
            finish(client, token)
            return false
        }
        meter.pointee.note(cause, sentence)
        let isOpening = client.pointee.isOpening
        if isStorm, stage == .measuring {
            let attempt = isOpening ? client.pointee.attempt + 1 : 0
            if !isOpening {
                meter.pointee.lost &+= 1
                servedCount -= 1
            }
            comeBack(Int(client.pointee.number - plan.firstNumber), attempt: attempt)
        } else if isOpening {
            let isStream = client.pointee.carrier != nil || client.pointee.hasLostCarrier
            meter.pointee.noteFailed(isStream ? 1 : UInt64(plan.streams ?? 1))
        } else if !isCycling, !client.pointee.isCarrier {
            meter.pointee.lost &+= 1
            noteUnanswered(client, cause)
        }
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
        scriptEnded(client)
        if client.pointee.carrier != nil { leaveCarrier(client) }
        if client.pointee.http2 != nil { dropStreams(of: client, token) }
        loop.timers.cancel(token)
        client.pointee.held.discard(pool: &pool)
        slab.retire(token)
    }
}

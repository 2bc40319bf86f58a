// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Asks another server whether a request may use its route, on connections to its endpoints like those of requests.
///
/// A question has a connection from its begin to its end, so all that happens to it comes by that: bytes, its end, a timer.
struct ForwardAsker {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var now: UInt64 { state.pointee.now }
    private var journal: Journal { state.pointee.crew.journal }
    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }

    /// Bytes of a refusal's body that go on to the client.
    static let bodyBytesMax = 65_536

    /// What has come of asking.
    enum Asked {
        /// The outcome follows.
        case waits(ForwardQuestion)
        /// It is known already.
        case known(ForwardQuestion.Outcome)
    }

    /// Asks about a request that has its slot.
    func ask(_ rule: ForwardRule, _ request: borrowing Request) -> Asked {
        let lines = ForwardHead.lines(request, rule)
        var digest: KeyedDigest?
        if rule.cacheMilliseconds > 0 {
            let key = state.pointee.forwarding.digest(ForwardHead.key(lines, request))
            let known = state.pointee.forwarding.known(rule, key, nowMilliseconds: now)
            if let known { return .known(.answered(known)) }
            if let question = state.pointee.forwarding.question(rule, key) {
                question.askers.append(.request(request.slot))
                return .waits(question)
            }
            digest = key
        }
        return ask(rule, lines, key: digest, for: .request(request.slot))
    }

    /// Asks about a request that has waited for another one's answer, and may not have that.
    func askAlone(_ rule: ForwardRule, _ request: borrowing Request) -> Asked {
        ask(rule, ForwardHead.lines(request, rule), key: nil, for: .request(request.slot))
    }

    /// Asks once more about the request that a relay has come of.
    func ask(_ rule: ForwardRule, _ lines: [UInt8], for tunnel: Token) -> Asked {
        ask(rule, lines, key: nil, for: .tunnel(tunnel))
    }

    private func ask(
        _ rule: ForwardRule, _ lines: [UInt8], key: KeyedDigest?, for asker: ForwardQuestion.Asker
    ) -> Asked {
        let question = ForwardQuestion(
            rule, lines, key: key, limits: state.pointee.settings.headLimits, nowMilliseconds: now)
        seek(question)
        if let outcome = question.outcome { return .known(outcome) }
        question.askers.append(asker)
        state.pointee.forwarding.began(question)
        return .waits(question)
    }

    // MARK: Connections

    /// Finds an endpoint and a connection to it.
    private func seek(_ question: ForwardQuestion) {
        while true {
            guard let index = question.search.claim(nowMilliseconds: now) else {
                let cause = question.search.exhaustion(nowMilliseconds: now)
                conclude(question, .failed(.notAsked(question, cause)))
                return
            }
            question.places.take(index, of: question.rule.group)
            if takeIdle(question) || dial(question) { return }
            question.places.giveEndpointBack()
        }
    }

    /// Sends the head on a connection that stands, if there is one.
    private func takeIdle(_ question: ForwardQuestion) -> Bool {
        guard !question.needsFresh, !question.logsIn, let endpoint = question.search.pooledEndpoint,
            let carrier = UpstreamKeeper(state).takeIdle(endpoint, of: question.rule.group),
            let slot = state.pointee.upstreams.pointer(carrier)
        else { return false }
        question.isOnReused = true
        attach(question, carrier, slot)
        send(question, slot)
        if slot.pointee.leg.isUnwritable { ended(question) }
        return true
    }

    /// Begins to connect to the endpoint's addresses, one after the other.
    ///
    /// - Returns: false when none is left.
    private func dial(_ question: ForwardQuestion) -> Bool {
        question.isOnReused = false
        while let address = question.search.nextAddress() {
            guard let endpoint = question.search.current else { return false }
            guard state.pointee.crew.hasDescriptors(1) else {
                question.search.failed(.shortage(.descriptors))
                return false
            }
            switch UpstreamKeeper(state).open(
                address, of: question.rule.group, endpoint, limits: question.rule.group.pool,
                owner: nil)
            {
            case .failed(let failure): question.search.failed(failure)
            case .opened(let carrier, let mayStand):
                guard let slot = state.pointee.upstreams.pointer(carrier) else { return false }
                attach(question, carrier, slot)
                if mayStand { send(question, slot) }
                return true
            }
        }
        countFailure(question)
        return false
    }

    private func attach(
        _ question: ForwardQuestion, _ carrier: Token,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        question.carrier = carrier
        slot.pointee.question = question
        slot.pointee.heads.use(state.pointee.settings.headLimits)
        slot.pointee.idleTimer.forget()
        arm(question, carrier, slot)
    }

    /// Sets the timer of its connection.
    private func arm(
        _ question: ForwardQuestion, _ carrier: Token,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        let deadline =
            slot.pointee.isConnected
            ? question.deadlineMilliseconds : question.search.attemptDeadline(nowMilliseconds: now)
        slot.pointee.idleTimer.wasSet(to: deadline)
        state.pointee.upstreamTimers.arm(carrier, at: deadline)
    }

    private func countFailure(_ question: ForwardQuestion) {
        guard let failure = question.search.lastFailure, failure.cause.blamesUpstream,
            question.places.group != nil
        else { return }
        question.rule.group.failed(
            question.places.endpoint, failure.refusal(question.search.label).sentence,
            nowMilliseconds: now, journal)
    }

    /// Sends the head, as far as the connection stands.
    private func send(
        _ question: ForwardQuestion, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        if !slot.pointee.isConnected, slot.pointee.destination != nil {
            switch UpstreamHandshake(state).advance(slot, introduction: { [] }) {
            case .underWay: return
            case .failed(let failure):
                attemptFailed(question, failure)
                return
            case .done: stands(question, slot)
            }
        }
        var writer = HeadWriter(capacity: 1_024)
        writer.append("GET ")
        writer.append(question.rule.target)
        writer.append(" HTTP/1.1\r\n")
        writer.field("Host", slot.pointee.endpoint.authority)
        writer.append(question.lines)
        writer.end()
        if slot.pointee.isConnected {
            question.isSent = true
            if !slot.pointee.leg.putAll(writer.start, count: writer.count, space) {
                slot.pointee.leg.note(.hangup)
            }
            return
        }
        switch slot.pointee.leg.socket.send(writer.start, count: writer.count) {
        case .moved(let moved):
            if moved < writer.count {
                slot.pointee.leg.put(writer.start + moved, count: writer.count - moved, space)
            }
            question.isSent = true
            stands(question, slot)
        case .failed(let code): attemptFailed(question, DialFailure(code))
        case .blocked, .ended: break
        }
    }

    /// Its connection stands: the answer is awaited now.
    private func stands(
        _ question: ForwardQuestion, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        question.rule.group.succeeded(question.places.endpoint, nowMilliseconds: now, journal)
        guard let carrier = question.carrier else { return }
        UpstreamKeeper(state).stands(slot, carrier)
        arm(question, carrier, slot)
    }

    /// The connection could not be opened: the next address, or the next endpoint.
    private func attemptFailed(_ question: ForwardQuestion, _ failure: DialFailure) {
        question.search.failed(failure)
        letGo(question)
        if dial(question) { return }
        question.places.giveEndpointBack()
        seek(question)
    }

    /// Closes its connection.
    private func letGo(_ question: ForwardQuestion) {
        guard let carrier = question.carrier else { return }
        question.carrier = nil
        state.pointee.upstreams.pointer(carrier)?.pointee.question = nil
        UpstreamKeeper(state).close(carrier)
    }

    // MARK: Events

    /// Its connection has something to say.
    func isReady(
        _ question: ForwardQuestion, _ carrier: Token,
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ flags: Readiness
    ) {
        if !slot.pointee.isConnected {
            // What came before the end of a handshake says more of it than that there was one.
            if flags.contains(.hangup) && !slot.pointee.isShakingHands {
                let code = slot.pointee.leg.socket.pendingError()
                if code != 0 {
                    attemptFailed(question, DialFailure(code))
                    return
                }
            }
            send(question, slot)
            // It may have gone on to another connection.
            guard question.carrier == carrier, question.isSent else { return }
        }
        if flags.contains(.writable), !slot.pointee.leg.held.isEmpty {
            _ = slot.pointee.leg.drain(space)
        }
        read(question, slot)
    }

    /// The timer of its connection has fired.
    func timeIsUp(
        _ question: ForwardQuestion, _ carrier: Token,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        if slot.pointee.isConnected, now < question.deadlineMilliseconds {
            arm(question, carrier, slot)
            return
        }
        let failure: DialFailure =
            slot.pointee.isShakingHands ? .handshakeTimedOut : .timedOut
        if !slot.pointee.isConnected, now < question.deadlineMilliseconds {
            attemptFailed(question, failure)
            return
        }
        if !slot.pointee.isConnected {
            question.search.failed(failure)
            countFailure(question)
        }
        conclude(question, .failed(.notAsked(question, .answerTimeout)))
    }

    private func read(
        _ question: ForwardQuestion, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        while slot.pointee.leg.isReadable, !slot.pointee.leg.hasEnded {
            let received = slot.pointee.leg.receive(space)
            if received.count > 0 {
                let bytes = UnsafeMutableBufferPointer(
                    start: received.bytes, count: received.count)
                take(bytes, question, slot)
                if question.outcome != nil { return }
            }
        }
        if slot.pointee.leg.hasEnded || slot.pointee.leg.isUnwritable { ended(question) }
    }

    /// The connection has ended before the answer was whole.
    private func ended(_ question: ForwardQuestion) {
        var isWhole = false
        var fault: DestinationFault?
        if let carrier = question.carrier, let slot = state.pointee.upstreams.pointer(carrier) {
            // Without close_notify nobody knows whether that was all (RFC 8446 §6.1).
            isWhole = !slot.pointee.leg.isCut && !slot.pointee.leg.isUnwritable
            if slot.pointee.leg.isBroken { fault = sessionFault(question, slot) }
        }
        if isWhole, let answer = question.answer,
            question.reader.body?.decoder.isCompleteAtEnd == true
        {
            conclude(question, .answered(answer))
            return
        }
        if let fault {
            question.search.failed(.tls(fault))
            countFailure(question)
            letGo(question)
            conclude(question, .failed(.notAsked(question, .tlsFailed)))
            return
        }
        letGo(question)
        if question.isOnReused, !question.reader.hasBytes {
            // It has closed an idle connection just as the question went out.
            question.needsFresh = true
            question.isSent = false
            if dial(question) { return }
            question.places.giveEndpointBack()
            seek(question)
            return
        }
        conclude(question, .failed(.notAsked(question, .incompleteAnswer)))
    }

    /// Why TLS has broken, where that is the first that the endpoint says.
    private func sessionFault(
        _ question: ForwardQuestion, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) -> DestinationFault? {
        guard let destination = slot.pointee.destination,
            let fault = slot.pointee.leg.tls?.takeDestinationFault(of: destination.serverName),
            !question.isOnReused, !question.reader.hasBytes
        else { return nil }
        return fault
    }

    private func take(
        _ bytes: UnsafeMutableBufferPointer<UInt8>, _ question: ForwardQuestion,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        var rest = bytes
        while !question.reader.hasHead {
            switch question.reader.readHead(&rest, &slot.pointee.heads, &state.pointee.heads) {
            case .nothing: return
            case .failed:
                conclude(question, .failed(.notAsked(question, .badAnswer)))
                return
            case .head: break
            }
            do throws(HeadFault) {
                if try question.reader.judge(to: .get) {
                    begin(question, slot)
                } else if var interim = question.reader.takeHead() {
                    state.pointee.heads.takeBack(interim.takeMemory())
                }
            } catch {
                conclude(question, .failed(.notAsked(question, .badAnswer)))
                return
            }
        }
        takeBody(rest, question, slot)
    }

    /// Takes the final head.
    private func begin(
        _ question: ForwardQuestion, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        guard
            var head = question.reader.beginBody(clientKnowsChunks: false, isMultiplexed: true)
        else { return }
        let answer = ForwardAnswer(head, question.rule)
        question.answer = answer
        let options = head.fields.connectionOptions
        answer.mayReuse =
            question.reader.framing != .untilClose && head.isPersistent(options)
            && !head.mayHaveStrayBody(to: .get) && !head.fields.logsConnectionIn
            && !question.logsIn
        state.pointee.heads.takeBack(head.takeMemory())
    }

    /// Takes what has come of the body: that of a grant says nothing, and is not waited for.
    private func takeBody(
        _ bytes: UnsafeMutableBufferPointer<UInt8>, _ question: ForwardQuestion,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        guard let answer = question.answer else { return }
        if let start = bytes.baseAddress, !bytes.isEmpty,
            let outcome = question.reader.body?.decoder.decode(start, count: bytes.count)
        {
            if outcome.consumed < bytes.count { answer.mayReuse = false }
            if !answer.isGrant, answer.body.count <= Self.bodyBytesMax {
                answer.body += UnsafeBufferPointer(start: start, count: outcome.payload)
            }
            if outcome.fault != nil {
                conclude(question, .failed(.notAsked(question, .badAnswer)))
                return
            }
        }
        if question.reader.body?.isDone == true {
            conclude(question, .answered(answer))
        } else if answer.isGrant || !answer.isRefusal || answer.body.count > Self.bodyBytesMax {
            // The rest is nobody's.
            answer.mayReuse = false
            if answer.body.count > Self.bodyBytesMax { answer.body = [] }
            conclude(question, .answered(answer))
        }
    }

    // MARK: The end

    /// Ends a question, and tells all who wait for it.
    private func conclude(_ question: ForwardQuestion, _ outcome: ForwardQuestion.Outcome) {
        assert(question.outcome == nil, "a question ends twice")
        var outcome = outcome
        if case .answered(let answer) = outcome, !answer.isGrant, !answer.isRefusal {
            outcome = .failed(.strangeForward(question, answer.status))
        } else if case .answered(let answer) = outcome, answer.namesUserAgain {
            outcome = .failed(.namesUserAgain(question))
        }
        question.outcome = outcome
        if let carrier = question.carrier,
            let slot = state.pointee.upstreams.pointer(carrier)
        {
            question.carrier = nil
            slot.pointee.question = nil
            var mayReuse = false
            if case .answered(let answer) = outcome { mayReuse = answer.mayReuse }
            UpstreamKeeper(state).takeBack(carrier, slot, mayReuse: mayReuse)
        }
        if case .answered = outcome, question.places.group != nil {
            question.rule.group.answered(
                question.places.endpoint, nowMilliseconds: now, journal)
        }
        question.places.giveEndpointBack()
        if var head = question.reader.takeHead() { state.pointee.heads.takeBack(head.takeMemory()) }
        state.pointee.forwarding.ended(question, nowMilliseconds: now)
        let askers = question.askers
        question.askers = []
        // Cookies and refusals are for the one whose question it was.
        var isShared = true
        if case .answered(let answer) = outcome {
            isShared = answer.isGrant && answer.cookies.isEmpty
        }
        for (index, asker) in askers.enumerated() {
            switch asker {
            case .request(let token) where index > 0 && !isShared:
                RequestJudge(state).askAlone(token, after: question)
            case .request(let token): RequestJudge(state).goOn(token, outcome, of: question)
            case .tunnel(let token): RecheckKeeper(state).goOn(token, outcome)
            }
        }
    }
}

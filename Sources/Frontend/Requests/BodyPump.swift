// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Moves bodies, those of requests up and those of answers down.
///
/// Where the destination is full, the source is not read.
struct BodyPump {
    let state: StatePointer

    /// Answers up to so many bytes leave with their head, in one record.
    private static let joinedBytesMax = 8 * 1024
    /// Bytes of interim answers (1xx) that an upgrade may have in front of its final answer.
    private static let interimBytesMax = 64 * 1024

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }
    private var now: UInt64 { state.pointee.now }

    /// What became of moving bytes one way.
    private enum Pumped {
        /// There is nothing more, or no room for it.
        case idle
        /// The byte budget was used up.
        case unfinished
        /// Something has happened to the request, which goes first.
        case stopped
    }

    /// Moves what can be moved both ways.
    func pump(_ request: RequestPointer, _ token: Token) {
        guard request.pointee.life.isExchanging else { return }
        assert(
            request.pointee.upstream != nil && request.pointee.places.group != nil,
            "bodies are moved without a connection or a place")
        let up = pumpUp(request, token)
        if case .stopped = up { return }
        let down = pumpDown(request, token)
        switch (up, down) {
        case (_, .stopped): break
        case (.unfinished, _), (_, .unfinished):
            state.pointee.unfinished.append(request.pointee.session.pointee.client)
        default: break
        }
    }

    private func push(_ token: Token, _ event: RequestLife.Event) {
        state.pointee.work.push(.request(token, event))
    }

    private func upstream(
        of request: RequestPointer
    ) -> UnsafeMutablePointer<UpstreamConnection>? {
        request.pointee.upstream.flatMap { state.pointee.upstreams.pointer($0) }
    }

    // MARK: Up

    /// Moves the request's body up while there is some and there is room for it.
    private func pumpUp(_ request: RequestPointer, _ token: Token) -> Pumped {
        if request.pointee.up.isDone || request.pointee.isUpCut { return .idle }
        guard let slot = upstream(of: request) else { return .idle }
        let session = request.pointee.session
        var budget = space.pointee.pumpBytesMax
        while !request.pointee.up.isDone, !request.pointee.isUpCut, slot.pointee.leg.held.isEmpty {
            if budget <= 0 { return .unfinished }
            guard let piece = nextBodyPiece(session) else {
                if session.pointee.leg.hasEnded {
                    request.pointee.facts.detail = "the client left within a request's body"
                    push(token, .clientGone)
                    return .stopped
                }
                return .idle
            }
            budget -= piece.count
            switch takeBody(&request.pointee, piece) {
            case .failed(let cause):
                push(token, .failed(cause))
                return .stopped
            case .piece(let start, let count):
                if count > 0 {
                    request.pointee.up.bytesSent += UInt64(count)
                    request.pointee.movedMilliseconds = now
                    request.pointee.bodyMovedMilliseconds = now
                    if !slot.pointee.leg.put(start, count: count, space) {
                        request.pointee.isUpCut = true
                    }
                }
            }
            if request.pointee.up.isDone {
                sendLastChunk(request, &slot.pointee.leg)
                RequestExecutor(state).armProgress(request)
            }
        }
        return .idle
    }

    /// The next client bytes, where they may be changed in place; nil while there are none.
    private func nextBodyPiece(
        _ session: SessionPointer
    ) -> UnsafeMutableBufferPointer<UInt8>? {
        if !session.pointee.reader.carry.isEmpty {
            let count = min(session.pointee.reader.carry.count, space.pointee.openedCapacity)
            let opened = UnsafeMutableBufferPointer(start: space.pointee.opened, count: count)
            _ = opened.update(fromContentsOf: session.pointee.reader.carry.prefix(count))
            session.pointee.reader.drop(count)
            return opened
        }
        while session.pointee.leg.isReadable && !session.pointee.leg.hasEnded {
            let received = session.pointee.leg.receive(space)
            if received.count > 0 {
                return UnsafeMutableBufferPointer(start: received.bytes, count: received.count)
            }
        }
        return nil
    }

    private enum BodyPiece {
        /// What may go on, in our framing.
        case piece(UnsafeMutablePointer<UInt8>, count: Int)
        case failed(Cause)
    }

    /// Takes a piece of the request's body out of its framing, and puts it into ours.
    private func takeBody(
        _ request: inout Request, _ piece: UnsafeMutableBufferPointer<UInt8>
    ) -> BodyPiece {
        guard let start = piece.baseAddress else { return .piece(space.pointee.opened, count: 0) }
        let outcome = request.up.decoder.decode(start, count: piece.count)
        assert(outcome.consumed <= piece.count && outcome.payload <= outcome.consumed)
        if outcome.consumed < piece.count && outcome.fault == nil {
            // The next request, which came along.
            let rest = UnsafeRawBufferPointer(piece)[outcome.consumed...]
            request.session.pointee.reader.unread(UnsafeRawBufferPointer(rebasing: rest))
        }
        if let fault = outcome.fault {
            request.fault = fault
            return .failed(.badBody)
        }
        let bytesMax = request.facts.plan?.route.bodyBytesMax ?? .max
        if request.up.decoder.payloadBytes > bytesMax { return .failed(.bodyTooLarge) }
        if outcome.payload == 0 || !request.up.writesChunks {
            return .piece(start, count: outcome.payload)
        }
        let framed = ChunkWriter.frame(start, count: outcome.payload)
        return .piece(framed.start, count: framed.count)
    }

    /// Takes what has come of the body already, to let it travel with the head.
    ///
    /// - Returns: why the request can't go on, where it can't.
    func takeFirstBody(_ request: inout Request) -> Cause? {
        guard !request.up.isDone, !request.session.pointee.reader.carry.isEmpty,
            let piece = nextBodyPiece(request.session)
        else { return nil }
        switch takeBody(&request, piece) {
        case .failed(let cause): return cause
        case .piece(let start, let count):
            request.firstBody = Array(UnsafeBufferPointer(start: start, count: count))
        }
        if request.up.isDone && request.up.writesChunks {
            request.firstBody += UpstreamRequest.lastChunk(
                request.up.decoder.trailers, of: request.asked, plan: request.facts.plan)
        }
        request.up.bytesSent = UInt64(request.firstBody.count)
        return nil
    }

    private func sendLastChunk(_ request: RequestPointer, _ leg: inout Leg) {
        if !request.pointee.up.writesChunks || request.pointee.isUpCut { return }
        let last = UpstreamRequest.lastChunk(
            request.pointee.up.decoder.trailers, of: request.pointee.asked,
            plan: request.pointee.facts.plan)
        request.pointee.up.bytesSent += UInt64(last.count)
        last.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return }
            leg.put(start, count: bytes.count, space)
        }
    }

    // MARK: Down

    /// Reads the answer while there is some and the client has room for it.
    private func pumpDown(_ request: RequestPointer, _ token: Token) -> Pumped {
        guard let slot = upstream(of: request) else { return .idle }
        let session = request.pointee.session
        var budget = space.pointee.pumpBytesMax
        while slot.pointee.leg.isReadable, !slot.pointee.leg.hasEnded,
            session.pointee.leg.held.isEmpty,
            // Who is gone holds nothing back.
            !session.pointee.leg.isUnwritable
        {
            if budget <= 0 { return .unfinished }
            let received = slot.pointee.leg.receive(space)
            budget -= received.rawCount
            if received.count > 0 {
                _ = request.pointee.life.handle(.answerBytes)
                request.pointee.movedMilliseconds = now
                let goesOn = takeAnswer(request, token, received.bytes, count: received.count)
                if !goesOn { return .stopped }
            }
            if slot.pointee.leg.hasEnded {
                answerEnded(request, token, slot)
                return .stopped
            }
        }
        if session.pointee.leg.isUnwritable {
            push(token, .clientGone)
            return .stopped
        }
        if request.pointee.life.deadline == .progress {
            RequestExecutor(state).armProgress(request)
        }
        return .idle
    }

    /// Takes bytes of the upstream: heads of answers until the final one, then its body.
    ///
    /// - Returns: whether more are to be read; else an event was told.
    private func takeAnswer(
        _ request: RequestPointer, _ token: Token, _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) -> Bool {
        var offset = 0
        state.pointee.heads.writer.clear()
        while !request.pointee.hasAnswerHead {
            if offset == count { return true }
            if request.pointee.answerParser.byteCount == 0 {
                request.pointee.answerParser.lend(state.pointee.heads.lend())
            }
            let rest = UnsafeRawBufferPointer(start: bytes + offset, count: count - offset)
            switch request.pointee.answerParser.append(rest) {
            case .needsMore: return true
            case .failed(let fault):
                let sentence = "The upstream's answer can't be used: \(fault.sentenceWithKey)"
                request.pointee.fault = HeadFault(status: 502, sentence: sentence)
                push(token, .failed(.badAnswer))
                return false
            case .complete(var answer, let consumed):
                offset += consumed
                let early = UnsafeBufferPointer(start: bytes + offset, count: count - offset)
                if let event = judge(answer, request, early: early) {
                    push(token, event)
                    return false
                }
                state.pointee.heads.takeBack(answer.takeMemory())
            }
        }
        return passBody(request, token, bytes + offset, count: count - offset)
    }

    /// Judges the head of an answer, and writes it as the client gets it; an interim one is sent.
    ///
    /// - Returns: what has happened to the request, unless its answer goes on.
    private func judge(
        _ answer: ResponseHead, _ request: RequestPointer, early: UnsafeBufferPointer<UInt8>
    ) -> RequestLife.Event? {
        if let upgrade = request.pointee.upgrade, let plan = request.pointee.facts.plan {
            let accept = WebSocketAccept.value(forKey: upgrade.ownKey ?? upgrade.request.key)
            let verdict = UpgradeAnswer.judge(
                answer, expectedAccept: accept, offered: upgrade.request)
            switch verdict {
            case .ordinary: break
            case .informational:
                // Each may come at once behind the last, so their number would be how long this
                // reactor does nothing else.
                request.pointee.interimBytes += answer.fields.bytes.count
                if request.pointee.interimBytes > Self.interimBytesMax {
                    let sentence = Refusal.interimAnswers(Self.interimBytesMax).sentence
                    request.pointee.fault = HeadFault(status: 502, sentence: sentence)
                    return .failed(.badAnswer)
                }
            case .invalid(let sentence):
                request.pointee.fault = HeadFault(status: 502, sentence: sentence)
                return .failed(answer.status == 101 ? .badUpgrade : .badAnswer)
            case .switching(let reservedBits, let subprotocol, let extensions, let remark):
                if let remark {
                    request.pointee.places.group?.remark(
                        request.pointee.places.endpoint, remark, state.pointee.crew.journal)
                }
                let ownAccept =
                    upgrade.ownKey == nil
                    ? nil : WebSocketAccept.value(forKey: upgrade.request.key)
                let head = ClientAnswer.switching(
                    answer, subprotocol: subprotocol, extensions: extensions, accept: ownAccept,
                    plan: plan)
                request.pointee.opening = TunnelOpening(
                    reservedBits: reservedBits, answer: head, early: Array(early))
                return .answer(.switching)
            }
        }
        do throws(HeadFault) {
            if answer.status < 200 {
                try takeInterim(answer, request)
            } else {
                try takeFinal(answer, request)
            }
        } catch {
            request.pointee.fault = error
            return .failed(.badAnswer)
        }
        return nil
    }

    private func takeInterim(_ answer: ResponseHead, _ request: RequestPointer) throws(HeadFault) {
        if answer.status == 101 {
            throw HeadFault(
                status: 502, sentence: "The upstream switches protocols though nobody asked it to.")
        }
        let framing = try BodyFraming(response: answer, to: request.pointee.method)
        noteLogin(answer, request)
        noteStrayBody(answer, framing, request)
        let actions = request.pointee.life.handle(.answer(.interim))
        RequestExecutor(state).count(actions, request)
        request.pointee.renewAnswer()
        // An HTTP/1.0 client knows no interim answers (RFC 9110 §15.2).
        guard actions.contains(.passHead), request.pointee.isHTTP11 else { return }
        ClientAnswer.writeInterim(answer, into: &state.pointee.heads.writer)
        let sessions = SessionKeeper(state)
        sessions.sendWritten(request.pointee.session)
    }

    private func takeFinal(_ answer: ResponseHead, _ request: RequestPointer) throws(HeadFault) {
        guard let plan = request.pointee.facts.plan else { return }
        let session = request.pointee.session
        let method = request.pointee.method
        let framing = try BodyFraming(response: answer, to: method)
        noteLogin(answer, request)
        noteStrayBody(answer, framing, request)
        request.pointee.facts.status = answer.status
        let event = RequestLife.AnswerHead.final(isTrouble: answer.status >= 500)
        RequestExecutor(state).count(request.pointee.life.handle(.answer(event)), request)
        let isEndless = framing == .chunked || framing == .untilClose
        let endsWithConnection = !request.pointee.isHTTP11 && isEndless
        // What of the request has not come by now may never come.
        if !request.pointee.up.isDone || endsWithConnection || state.pointee.leaving != nil {
            session.pointee.reader.isPersistent = false
        }
        let options = answer.fields.connectionOptions
        request.pointee.mayReuse =
            request.pointee.mayReuse && framing != .untilClose && answer.isPersistent(options)
        request.pointee.endsWithConnection = endsWithConnection
        let writesChunks = request.pointee.isHTTP11 && isEndless
        request.pointee.beginAnswer(framing, writesChunks: writesChunks)
        if case .chunked = framing {
            request.pointee.down.named = ConnectionNames(answer.fields, options)
        }
        if request.pointee.isUpgrade {
            if session.pointee.reader.passage == nil {
                session.pointee.reader.passage = Passage(session.pointee.facts.hop)
            }
            // The time for an answer to an upgrade is over.
            session.pointee.armedMilliseconds = 0
        }
        ClientAnswer.writeFinal(
            answer, options, plan: plan.answer,
            policyLine: session.pointee.reader.passage?.policyLine ?? [],
            framing: ClientAnswer.Framing(
                framing, of: answer, writesChunks: writesChunks, isToHead: method == .head),
            persistence: request.pointee.persistence, into: &state.pointee.heads.writer)
    }

    /// Behind an answer that must not have a body there may be one all the same.
    private func noteStrayBody(
        _ answer: ResponseHead, _ framing: BodyFraming, _ request: RequestPointer
    ) {
        if case .none = framing, answer.mayHaveStrayBody(to: request.pointee.method) {
            request.pointee.mayReuse = false
        }
    }

    /// Keeps the connection to the endpoint for this client alone, where the answer is a step of a
    /// login that belongs to the connection.
    ///
    /// An upgrade is one that the client tries again then, unless bytes came behind it: they were meant
    /// for the tunnel. Every other answer to an upgrade ends both connections.
    private func noteLogin(_ answer: ResponseHead, _ request: RequestPointer) {
        guard let slot = upstream(of: request), answer.status >= 200 || !request.pointee.isUpgrade
        else { return }
        let session = request.pointee.session
        var logsIn = answer.fields.logsConnectionIn
        if let upgrade = request.pointee.upgrade {
            let mayGoOn =
                (answer.status == 401 || answer.status == 407)
                && session.pointee.reader.carry.isEmpty
                && session.pointee.reader.requestCount
                    < state.pointee.settings.requestsPerConnectionMax
            logsIn = mayGoOn && (logsIn || upgrade.request.head.fields.logsConnectionIn)
            request.pointee.mayReuse = logsIn
            if logsIn {
                // The next try takes a place of its own.
                request.pointee.places.giveRouteBack(nowMilliseconds: now)
            } else {
                session.pointee.reader.isPersistent = false
            }
        }
        if logsIn { slot.pointee.noteLogin(of: request.pointee.facts.client) }
    }

    /// Sends a piece of the answer's body on, behind the head that was written where this is the
    /// first.
    ///
    /// - Returns: whether more is to be read; else an event was told.
    private func passBody(
        _ request: RequestPointer, _ token: Token, _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) -> Bool {
        let session = request.pointee.session
        // In place: a copy of it would cost more than the decoding.
        let outcome = request.pointee.down.decoder.decode(bytes, count: count)
        assert(outcome.consumed <= count && outcome.payload <= outcome.consumed)
        let writesChunks = request.pointee.down.writesChunks
        var framed = (start: bytes, count: outcome.payload)
        if outcome.payload > 0 && writesChunks {
            framed = ChunkWriter.frame(bytes, count: outcome.payload)
        }
        let last =
            outcome.isDone && writesChunks
            ? ClientAnswer.lastChunk(
                request.pointee.down.decoder.trailers, named: request.pointee.down.named,
                plan: request.pointee.facts.plan?.answer) : []
        request.pointee.down.bytesSent += UInt64(framed.count + last.count)
        sendPieces(session, framed, last)
        if let fault = outcome.fault {
            let sentence =
                "The body of the upstream's answer can't be used: \(fault.sentenceWithKey)"
            request.pointee.fault = HeadFault(status: 502, sentence: sentence)
            push(token, .failed(.badAnswer))
            return false
        }
        if outcome.isDone {
            if outcome.consumed < count { request.pointee.mayReuse = false }
            push(token, .answerDone)
            return false
        }
        return true
    }

    /// Sends what belongs together in as few records and packets as can be.
    private func sendPieces(
        _ session: SessionPointer, _ body: (start: UnsafeMutablePointer<UInt8>, count: Int),
        _ last: [UInt8]
    ) {
        let headCount = state.pointee.heads.writer.count
        if headCount == 0 && last.isEmpty {
            if body.count == 0 { return }
            session.pointee.leg.put(body.start, count: body.count, space)
            return
        }
        let sessions = SessionKeeper(state)
        if headCount + body.count + last.count <= Self.joinedBytesMax {
            state.pointee.heads.writer.append(
                UnsafeBufferPointer(start: body.start, count: body.count))
            if !last.isEmpty { state.pointee.heads.writer.append(last) }
            sessions.sendWritten(session)
            return
        }
        // What is sealed at once has to fit into the records' output.
        let mayStage = headCount + body.count + last.count <= space.pointee.openedCapacity
        if !mayStage {
            sessions.sendWritten(session)
        } else if headCount > 0 {
            let head = state.pointee.heads.writer.start
            session.pointee.leg.stage(head, count: headCount, space)
            state.pointee.heads.writer.clear()
        }
        if body.count > 0 { session.pointee.leg.stage(body.start, count: body.count, space) }
        last.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress, buffer.count > 0 else { return }
            session.pointee.leg.stage(start, count: buffer.count, space)
        }
        session.pointee.leg.flushRecords(space)
    }

    /// The upstream's stream has ended: that completes the answer, or cuts it.
    private func answerEnded(
        _ request: RequestPointer, _ token: Token,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        request.pointee.mayReuse = false
        guard request.pointee.hasAnswerHead, request.pointee.down.decoder.isCompleteAtEnd,
            !slot.pointee.leg.isUnwritable
        else {
            push(token, .upstreamEnded)
            return
        }
        if request.pointee.down.writesChunks {
            SessionKeeper(state).send(
                request.pointee.session, ChunkWriter.last(trailers: nil))
        }
        push(token, .answerDone)
    }
}

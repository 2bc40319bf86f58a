// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Moves bodies, those of requests up and those of answers down.
///
/// Where the destination is full, the source is not read. What happens to the request meanwhile is
/// returned as an event for its life, and nothing is moved behind it.
struct BodyPump {
    let state: StatePointer

    /// Answers up to so many bytes leave with their head, in one record.
    private static let joinedBytesMax = 8 * 1024

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
        case event(RequestLife.Event)
    }

    /// Moves what can be moved both ways.
    ///
    /// - Returns: what has happened to the request, if anything.
    func pump(_ request: RequestPointer) -> RequestLife.Event? {
        guard request.pointee.life.isExchanging, let slot = upstream(of: request) else {
            return nil
        }
        assert(request.pointee.places.group != nil, "bodies are moved without a place")
        var isUnfinished = false
        // Behind the head of an answer only that goes on which came with it.
        if request.pointee.answer.rest == nil {
            switch pumpUp(request, slot) {
            case .event(let event): return event
            case .unfinished: isUnfinished = true
            case .idle: break
            }
        }
        let down = pumpDown(request, slot)
        if case .unfinished = down { isUnfinished = true }
        // Also where something has happened: no edge will tell again of what is still unread.
        if isUnfinished { state.pointee.goOnLater(request) }
        if case .event(let event) = down { return event }
        return nil
    }

    private func upstream(
        of request: RequestPointer
    ) -> UnsafeMutablePointer<UpstreamConnection>? {
        request.pointee.upstream?.connection.flatMap { state.pointee.upstreams.pointer($0) }
    }

    // MARK: Up

    /// Moves the request's body up while there is some and there is room for it.
    private func pumpUp(
        _ request: RequestPointer, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) -> Pumped {
        if request.pointee.body.isDone || request.pointee.body.isCut { return .idle }
        let stream = request.pointee.stream
        var budget = space.pointee.pumpBytesMax
        while !request.pointee.body.isDone, !request.pointee.body.isCut,
            slot.pointee.leg.held.isEmpty
        {
            if budget <= 0 { return .unfinished }
            guard let piece = stream.nextPiece(space) else {
                if stream.hasEnded && request.pointee.body.transfer.decoder.isCompleteAtEnd {
                    if let event = endBody(request) { return .event(event) }
                    sendLastChunk(request, &slot.pointee.leg)
                    RequestExecutor(state).armProgress(request)
                    return .idle
                }
                if stream.hasEnded {
                    request.pointee.facts.detail = "the client left within a request's body"
                    return .event(.clientGone)
                }
                return .idle
            }
            budget -= piece.count
            switch takeBody(&request.pointee, piece) {
            case .failed(let cause): return .event(.failed(cause))
            case .piece(let start, let count):
                if count > 0 {
                    request.pointee.movedMilliseconds = now
                    request.pointee.body.movedMilliseconds = now
                    if slot.pointee.leg.put(start, count: count, space) {
                        request.pointee.body.transfer.bytesSent += UInt64(count)
                    } else {
                        request.pointee.body.isCut = true
                    }
                }
            }
            if request.pointee.body.isDone {
                sendLastChunk(request, &slot.pointee.leg)
                RequestExecutor(state).armProgress(request)
            }
        }
        return .idle
    }

    /// The stream has ended, and the request's body with it, perhaps with trailers.
    ///
    /// - Returns: what has happened to the request; nil where the body is whole.
    private func endBody(_ request: RequestPointer) -> RequestLife.Event? {
        guard let trailers = request.pointee.stream.takeTrailers(state) else {
            request.pointee.body.transfer.decoder.streamEnded()
            return nil
        }
        let fault = trailers.withUnsafeBytes {
            request.pointee.body.transfer.decoder.streamEnded(trailers: $0)
        }
        return fault.map { fail(request, .badBody, $0) }
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
        let outcome = request.body.transfer.decoder.decode(start, count: piece.count)
        assert(outcome.consumed <= piece.count && outcome.payload <= outcome.consumed)
        if outcome.consumed < piece.count && outcome.fault == nil {
            // The next request, which came along.
            let rest = UnsafeRawBufferPointer(piece)[outcome.consumed...]
            request.stream.unread(UnsafeRawBufferPointer(rebasing: rest))
        }
        if let fault = outcome.fault {
            request.makeExtras().fault = fault
            return .failed(.badBody)
        }
        let bytesMax = request.facts.plan?.route.bodyBytesMax ?? .max
        if request.body.transfer.decoder.payloadBytes > bytesMax { return .failed(.bodyTooLarge) }
        if outcome.payload == 0 || !request.body.transfer.writesChunks {
            return .piece(start, count: outcome.payload)
        }
        let framed = ChunkWriter.frame(start, count: outcome.payload)
        return .piece(framed.start, count: framed.count)
    }

    /// Takes what has come of the body already, to let it travel with the head.
    ///
    /// - Returns: why the request can't go on, where it can't.
    func takeFirstBody(_ request: inout Request) -> Cause? {
        guard !request.body.isDone, request.stream.hasEarlyBytes,
            let piece = request.stream.nextPiece(space)
        else { return nil }
        switch takeBody(&request, piece) {
        case .failed(let cause): return cause
        case .piece(let start, let count):
            var first = Array(UnsafeBufferPointer(start: start, count: count))
            if request.body.isDone && request.body.transfer.writesChunks {
                first += UpstreamRequest.lastChunk(
                    request.body.transfer.decoder.trailers, of: request.asked,
                    plan: request.facts.plan)
            }
            request.makeExtras().firstBody = first
            return nil
        }
    }

    private func sendLastChunk(_ request: RequestPointer, _ leg: inout Leg) {
        if !request.pointee.body.transfer.writesChunks || request.pointee.body.isCut { return }
        let last = UpstreamRequest.lastChunk(
            request.pointee.body.transfer.decoder.trailers, of: request.pointee.asked,
            plan: request.pointee.facts.plan)
        let isSent = last.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return false }
            return leg.put(start, count: bytes.count, space)
        }
        if isSent { request.pointee.body.transfer.bytesSent += UInt64(last.count) }
    }

    // MARK: Down

    /// Reads the answer while there is some and the client has room for it.
    private func pumpDown(
        _ request: RequestPointer, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) -> Pumped {
        let stream = request.pointee.stream
        if let rest = request.pointee.answer.rest {
            request.pointee.answer.rest = nil
            if let event = passBody(request, rest, isBehindHead: true) { return .event(event) }
            if slot.pointee.leg.hasEnded { return .event(answerEnded(request, slot)) }
        }
        var budget = space.pointee.pumpBytesMax
        while slot.pointee.leg.isReadable, !slot.pointee.leg.hasEnded, !stream.isBlocked,
            // Who is gone holds nothing back.
            !stream.isUnwritable
        {
            if budget <= 0 { return .unfinished }
            let received = slot.pointee.leg.receive(space)
            budget -= received.rawCount
            if received.count > 0 {
                let bytes = UnsafeMutableBufferPointer(
                    start: received.bytes, count: received.count)
                if let event = take(bytes, request, slot) { return .event(event) }
            }
            if slot.pointee.leg.hasEnded { return .event(answerEnded(request, slot)) }
        }
        if stream.isUnwritable { return .event(.clientGone) }
        if request.pointee.life.deadline == .progress {
            RequestExecutor(state).armProgress(request)
        }
        return .idle
    }

    /// Takes bytes of the upstream.
    ///
    /// - Returns: what has happened to the request; nil where more are to be read.
    private func take(
        _ bytes: UnsafeMutableBufferPointer<UInt8>, _ request: RequestPointer,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) -> RequestLife.Event? {
        if request.pointee.answer.hasHead {
            // Heads of interim answers give the final one no further time.
            request.pointee.movedMilliseconds = now
            return passBody(request, bytes)
        }
        var rest = bytes
        while true {
            let found = request.pointee.answer.readHead(
                &rest, &slot.pointee.heads, &state.pointee.heads)
            switch found {
            case .nothing: return nil
            case .failed(let fault): return fail(request, .badAnswer, fault)
            case .head: break
            }
            if let event = judgeUpgrade(request, early: rest) { return event }
            do throws(HeadFault) {
                if try request.pointee.answer.judge(to: request.pointee.method) {
                    let status = request.pointee.answer.head?.status ?? 0
                    request.pointee.facts.status = status
                    request.pointee.answer.rest = rest
                    return .answer(.final(isTrouble: status >= 500))
                }
            } catch {
                return fail(request, .badAnswer, error)
            }
            if var head = request.pointee.answer.takeHead() {
                passInterim(head, request, slot)
                state.pointee.heads.takeBack(head.takeMemory())
            }
        }
    }

    private func fail(
        _ request: RequestPointer, _ cause: Cause, _ fault: HeadFault
    ) -> RequestLife.Event {
        request.pointee.makeExtras().fault = fault
        return .failed(cause)
    }

    /// Judges the head that has come as one of an answer to an upgrade, where it is one.
    private func judgeUpgrade(
        _ request: RequestPointer, early: UnsafeMutableBufferPointer<UInt8>
    ) -> RequestLife.Event? {
        guard let upgrade = request.pointee.upgrade, let plan = request.pointee.facts.plan
        else { return nil }
        let sticky = request.pointee.stickyLine()
        switch request.pointee.answer.judge(
            upgrade, plan.answer, AnswerTold.made(by: plan.answer, of: request), sticky: sticky,
            early: early)
        {
        case .ordinary: return request.pointee.stream.isMultiplexed ? judgeSuccess(request) : nil
        case .failed(let cause, let fault): return fail(request, cause, fault)
        case .switching(let opening, let remark):
            request.pointee.makeExtras().opening = opening
            if let remark {
                request.pointee.places.group?.remark(
                    request.pointee.places.endpoint, remark, state.pointee.crew.journal)
            }
            return .answer(.switching)
        }
    }

    /// Sends an interim answer on; those to an upgrade are for the next hop's own use.
    private func passInterim(
        _ head: ResponseHead, _ request: RequestPointer,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        if request.pointee.isUpgrade { return }
        noteStrayBody(head, request)
        if head.fields.logsConnectionIn { slot.pointee.noteLogin(of: request.pointee.facts.client) }
        // An HTTP/1.0 client knows no interim answers (RFC 9110 §15.2).
        guard request.pointee.isHTTP11 else { return }
        state.pointee.heads.begin()
        ClientAnswer.writeInterim(head, into: &state.pointee.heads.writer)
        request.pointee.stream.sendWritten(state)
    }

    /// Behind an answer that must not have a body there may be one all the same.
    private func noteStrayBody(_ head: ResponseHead, _ request: RequestPointer) {
        if head.mayHaveStrayBody(to: request.pointee.method) {
            request.pointee.upstream?.mayReuse = false
        }
    }

    /// Judges an answer to an extended CONNECT that is none to an upgrade: in HTTP/2 each 2xx would open the
    /// client's socket (RFC 8441 §5), and the upstream speaks no WebSocket on it.
    private func judgeSuccess(_ request: RequestPointer) -> RequestLife.Event? {
        guard let status = request.pointee.answer.head?.status, 200...299 ~= status else {
            return nil
        }
        let sentence =
            "The upstream answered \(status) to a request for a WebSocket, which only 101 opens."
        return fail(request, .notSwitching, HeadFault(status: 502, sentence: sentence))
    }

    /// Writes the head of the final answer as the client gets it; it leaves with the begin of the body.
    func passHead(_ request: RequestPointer) {
        let stream = request.pointee.stream
        // On one stream of several there are no chunks (RFC 9113 §8.1).
        let writesChunks = request.pointee.isHTTP11 && !stream.isMultiplexed
        guard let slot = upstream(of: request), let plan = request.pointee.facts.plan,
            var head = request.pointee.answer.beginBody(
                clientKnowsChunks: writesChunks, isMultiplexed: stream.isMultiplexed)
        else { preconditionFailure("an answer is passed on that has not come") }
        noteLogin(head, request, slot)
        let framing = request.pointee.answer.framing
        if case .none = framing { noteStrayBody(head, request) }
        // What of the request has not come by now may never come.
        if !request.pointee.body.isDone || request.pointee.answer.endsWithConnection
            || state.pointee.leaving != nil
        {
            stream.isPersistent = false
        }
        let options = head.fields.connectionOptions
        if framing == .untilClose || !head.isPersistent(options) {
            request.pointee.upstream?.mayReuse = false
        }
        if request.pointee.isUpgrade {
            stream.preparePassage()
            // The time for an answer to an upgrade is over.
            request.pointee.timer.forget()
        }
        request.pointee.movedMilliseconds = now
        stream.answers(request.pointee.method)
        state.pointee.heads.begin()
        ClientAnswer.writeFinal(
            head, options, plan: plan, policyLine: stream.policyLine,
            // On a stream of HTTP/2 the line that says so is left out, and trailers go on as well.
            framing: ClientAnswer.Framing(
                framing, of: head, writesChunks: writesChunks || stream.isMultiplexed,
                isToHead: request.pointee.method == .head),
            persistence: request.pointee.persistence,
            told: AnswerTold.made(by: plan.answer, of: request),
            sticky: request.pointee.stickyLine(), into: &state.pointee.heads.writer)
        state.pointee.heads.takeBack(head.takeMemory())
    }

    /// Keeps the connection to the endpoint for this client alone, where the answer is a step of a
    /// login that belongs to the connection.
    ///
    /// An upgrade is one that the client tries again then, unless bytes came behind it: they were meant
    /// for the tunnel. Every other answer to an upgrade ends both connections.
    private func noteLogin(
        _ head: ResponseHead, _ request: RequestPointer,
        _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) {
        var logsIn = head.fields.logsConnectionIn
        if let upgrade = request.pointee.upgrade {
            let stream = request.pointee.stream
            let mayGoOn =
                (head.status == 401 || head.status == 407)
                && !stream.hasEarlyBytes && !stream.isSpent(state)
            logsIn = mayGoOn && (logsIn || upgrade.request.head.fields.logsConnectionIn)
            request.pointee.upstream?.mayReuse = logsIn
            if logsIn {
                // The next try takes a place of its own.
                request.pointee.places.giveRouteBack(nowMilliseconds: now)
            } else {
                stream.isPersistent = false
            }
        }
        if logsIn { slot.pointee.noteLogin(of: request.pointee.facts.client) }
    }

    /// Sends a piece of the answer's body on; the first one behind the head, which `passHead` has just
    /// written.
    ///
    /// - Returns: what has happened to the request; nil where more is to be read.
    private func passBody(
        _ request: RequestPointer, _ piece: UnsafeMutableBufferPointer<UInt8>,
        isBehindHead: Bool = false
    ) -> RequestLife.Event? {
        guard let bytes = piece.baseAddress else { return nil }
        // In place: a copy of it would cost more than the decoding.
        guard
            let outcome = request.pointee.answer.body?.decoder.decode(bytes, count: piece.count)
        else { return nil }
        assert(outcome.consumed <= piece.count && outcome.payload <= outcome.consumed)
        let writesChunks = request.pointee.answer.body?.writesChunks ?? false
        var framed = (start: bytes, count: outcome.payload)
        if outcome.payload > 0 && writesChunks {
            framed = ChunkWriter.frame(bytes, count: outcome.payload)
        }
        let last = outcome.isDone && writesChunks ? lastChunk(request) : []
        if outcome.isDone && request.pointee.stream.isMultiplexed,
            request.pointee.answer.body?.decoder.trailers != nil
        {
            request.pointee.stream.setTrailers(lastChunk(request))
        }
        request.pointee.answer.body?.bytesSent += UInt64(framed.count + last.count)
        assert(
            isBehindHead == (state.pointee.heads.writer.count > 0), "a head of another answer's")
        // Whosever head lies there, it is not this one's.
        if !isBehindHead { state.pointee.heads.writer.clear() }
        sendPieces(request.pointee.stream, framed, last)
        if let fault = outcome.fault {
            let sentence =
                "The body of the upstream's answer can't be used: \(fault.sentenceWithKey)"
            return fail(request, .badAnswer, HeadFault(status: 502, sentence: sentence))
        }
        if outcome.isDone {
            if outcome.consumed < piece.count { request.pointee.upstream?.mayReuse = false }
            return .answerDone
        }
        return nil
    }

    /// What ends the chunks of an answer, with the trailers that have come.
    private func lastChunk(_ request: RequestPointer) -> [UInt8] {
        ClientAnswer.lastChunk(
            request.pointee.answer.body?.decoder.trailers,
            named: request.pointee.answer.named ?? ConnectionNames(),
            plan: request.pointee.facts.plan?.answer)
    }

    /// Sends what belongs together in as few records and packets as can be.
    private func sendPieces(
        _ stream: ClientStream, _ body: (start: UnsafeMutablePointer<UInt8>, count: Int),
        _ last: [UInt8]
    ) {
        let headCount = state.pointee.heads.writer.count
        if headCount == 0 && last.isEmpty {
            if body.count > 0 { stream.send(body.start, count: body.count, space) }
            return
        }
        if headCount + body.count + last.count <= Self.joinedBytesMax {
            state.pointee.heads.writer.append(
                UnsafeBufferPointer(start: body.start, count: body.count))
            if !last.isEmpty { state.pointee.heads.writer.append(last) }
            stream.sendWritten(state)
            return
        }
        // What is sealed at once has to fit into the records' output.
        let mayJoin = headCount + body.count + last.count <= space.pointee.openedCapacity
        if !mayJoin {
            stream.sendWritten(state)
        } else if headCount > 0 {
            stream.seal(state.pointee.heads.writer.start, count: headCount, space)
            state.pointee.heads.writer.clear()
        }
        if body.count > 0 { stream.seal(body.start, count: body.count, space) }
        last.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress, buffer.count > 0 else { return }
            stream.seal(start, count: buffer.count, space)
        }
        stream.flush(space)
    }

    /// The upstream's stream has ended: that completes the answer, or cuts it.
    private func answerEnded(
        _ request: RequestPointer, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) -> RequestLife.Event {
        request.pointee.upstream?.mayReuse = false
        let isComplete = request.pointee.answer.body?.decoder.isCompleteAtEnd ?? false
        // Without close_notify nobody knows whether that was all (RFC 8446 §6.1).
        guard isComplete, !slot.pointee.leg.isUnwritable, !slot.pointee.leg.isCut else {
            if slot.pointee.leg.isBroken, let event = sessionFailed(request, slot) { return event }
            return .upstreamEnded(hasAnswerBytes: request.pointee.answer.hasBytes)
        }
        if request.pointee.answer.body?.writesChunks == true {
            let last = ChunkWriter.last(trailers: nil)
            request.pointee.answer.body?.bytesSent += UInt64(last.count)
            request.pointee.stream.send(last, space)
        }
        return .answerDone
    }

    /// TLS with the upstream has broken: where that is the first that it says, it is why there is no answer.
    private func sessionFailed(
        _ request: RequestPointer, _ slot: UnsafeMutablePointer<UpstreamConnection>
    ) -> RequestLife.Event? {
        guard let destination = slot.pointee.destination,
            let fault = slot.pointee.leg.tls?.takeDestinationFault(of: destination.serverName),
            !request.pointee.answer.hasBytes, !request.pointee.life.isOnReused
        else { return nil }
        request.pointee.upstream?.search.failed(.tls(fault))
        return .failed(.tlsFailed)
    }
}
